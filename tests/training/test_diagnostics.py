"""Hints: said where the numbers are clear, and nothing is said of a training that goes as it should."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldenrule.runs.history import EpochRow
from goldenrule.training.diagnostics import MOST, before, clearly_above, hints, hints_by_stage
from goldenrule.training.schedule import Sgdr

CHANCE = 0.693
losses = st.floats(0.001, 5)


def rows_of(
    train: Sequence[float],
    valid: Sequence[float] | None = None,
    *,
    rates: Sequence[float] | None = None,
    ends: Sequence[int] | None = None,
) -> list[EpochRow]:
    """Rows of a fit: at one rate and with every epoch a cycle of its own where nothing else is said."""
    return [
        EpochRow(
            stage="fit",
            epoch=number,
            train_loss=loss,
            valid_loss=valid[number - 1] if valid else None,
            accuracy=None,
            rates=(rates[number - 1] if rates else 1e-3,),
            cycle_end=ends is None or number in ends,
        )
        for number, loss in enumerate(train, start=1)
    ]


def codes(rows: Sequence[EpochRow], *, keeps_best: bool = False) -> list[str]:
    return [finding.code for finding in hints(rows, rate=1e-2, chance=CHANCE, keeps_best=keeps_best)]


@given(st.lists(losses, min_size=3, max_size=12), st.floats(0.5, 0.97))
def test_losses_that_fall_on_both_parts_are_passed_over(start: list[float], share: float) -> None:
    train = [start[0] * share**number for number in range(len(start))]
    assert codes(rows_of(train, [1.1 * loss for loss in train])) == []


@given(st.lists(losses, max_size=2))
def test_too_few_epochs_say_nothing(train: list[float]) -> None:
    assert codes(rows_of(train, train)) == []


@given(st.lists(st.tuples(losses, losses), min_size=3, max_size=12))
def test_whatever_the_losses_are_a_few_sentences_are_enough(pairs: list[tuple[float, float]]) -> None:
    train, valid = zip(*pairs, strict=True)
    found = hints(rows_of(train, valid), rate=1e-2, chance=CHANCE)
    assert len(found) <= MOST
    assert all(one.sentence and one.advice for one in found)


@given(st.lists(st.floats(-0.02, 0.02), min_size=3, max_size=12))
def test_noise_on_a_falling_loss_is_no_jagged_loss(noise: list[float]) -> None:
    train = [0.6 * 0.8**number * (1 + value) for number, value in enumerate(noise)]
    assert codes(rows_of(train)) == []


@given(st.integers(2, 4), st.integers(1, 2), st.integers(1, 2))
def test_a_restart_that_raises_the_loss_is_neither_a_jag_nor_over_fitting(cycles: int, length: int, mult: int) -> None:
    schedule = Sgdr(cycles=cycles, length=length, mult=mult)
    train, valid, rates = [], [], []
    for number, (start, end) in enumerate(zip(schedule.restarts, schedule.cycle_ends, strict=True)):
        for epoch in range(start, end):
            down = (epoch + 1 - start) / (end - start)
            train.append(0.6 * 0.7**number * (1.5 - 0.5 * down))
            valid.append(train[-1] + 0.02)
            rates.append(1e-2 * schedule.factor(epoch))
    assert codes(rows_of(train, valid, rates=rates, ends=schedule.cycle_ends)) == []


@given(st.lists(losses, min_size=3, max_size=12))
def test_what_was_kept_from_before_it_is_no_over_fitting(valid: list[float]) -> None:
    train = [1 / number for number in range(1, len(valid) + 1)]
    assert "over-fitting" not in codes(rows_of(train, valid), keeps_best=True)


@pytest.mark.parametrize(
    ("train", "valid", "code", "advice"),
    [
        ([0.6, 0.7, 0.9], None, "rate-too-high", "Try 1e-03 (0.001)"),
        ([0.6, 0.3, 0.5, 0.2, 0.4, 0.2], None, "jagged-loss", "Lower the rate"),
        ([0.70, 0.70, 0.69], None, "flat-loss", "lr_find()"),
        ([0.5, 0.3, 0.2, 0.1], [0.5, 0.4, 0.5, 0.6], "over-fitting", 'keep="best"'),
    ],
)
def test_clear_cases_are_said_with_what_to_do(
    train: list[float], valid: list[float] | None, code: str, advice: str
) -> None:
    (found,) = hints(rows_of(train, valid), rate=1e-2, chance=CHANCE)
    assert found.code == code
    assert advice in found.advice


def test_a_loss_that_has_nothing_left_to_fall_is_passed_over() -> None:
    assert codes(rows_of([0.01, 0.01, 0.01])) == []


def test_one_bad_epoch_of_validation_is_no_over_fitting() -> None:
    assert codes(rows_of([0.5, 0.3, 0.2, 0.1], [0.5, 0.4, 0.39, 0.6])) == []


@given(losses, losses)
def test_clearly_above_is_above(one: float, other: float) -> None:
    assert not (clearly_above(one, other) and one <= other)
    assert not (clearly_above(one, other) and clearly_above(other, one))


@pytest.mark.parametrize(
    ("optimizer", "rate", "measured", "told"),
    [
        ("adamw", 1e-3, None, True),
        ("Adam", 1e-3, 1e-4, True),
        ("adamw", 1e-3, 1e-3, False),
        ("adamw", 1e-4, None, False),
        ("adamw", 0.0, None, False),
        ("sgd", 1e-1, None, False),
    ],
)
def test_a_high_rate_for_adam_is_told_unless_it_was_measured(
    optimizer: str, rate: float, measured: float | None, told: bool
) -> None:
    found = before(optimizer=optimizer, backbone_rate=rate, measured=measured, accuracy=0.9)
    assert [one.code for one in found] == ["high-rate-for-adam"] * told
    assert all("2e-05 to 1e-04" in one.advice for one in found)


@pytest.mark.parametrize(
    ("norms", "accuracy", "told"), [(49, 0.95, True), (49, 0.4, False), (49, None, False), (20, 0.95, False)]
)
def test_frozen_batch_norms_are_advised_for_deep_networks_on_photos_they_know(
    norms: int, accuracy: float | None, told: bool
) -> None:
    found = before(optimizer="adamw", backbone_rate=1e-4, moving_norms=norms, accuracy=accuracy)
    assert [one.code for one in found] == ["batch-norm-moves"] * told


def test_of_a_whole_story_each_stage_is_judged_by_itself() -> None:
    head, network = rows_of([0.9, 0.6, 0.4]), rows_of([0.4, 0.7, 1.2])
    state = [replace(row, stage="head") for row in head] + [replace(row, stage="whole network") for row in network]
    (sentence,) = hints_by_stage(state, chance=CHANCE)
    assert sentence == (
        "whole network: The training loss rose from 0.400 to 1.200: 1e-03 (0.001) is too high. Try 1e-04 (0.0001)."
    )
    assert hints_by_stage([*head, *head], chance=CHANCE) == ()
