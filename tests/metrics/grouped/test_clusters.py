"""Intervals where images come in groups: they hold, copies tell nothing, few groups have none."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goldenrule.core.schema import as_json, from_json
from goldenrule.metrics import Estimate, Predictions, accuracy, log_loss, value_and_interval
from goldenrule.metrics.arrow import from_arrow, to_arrow
from goldenrule.metrics.grouped.clusters import (
    clustered_error,
    clustered_mean,
    clustered_share,
    group_numbers,
    group_values,
)
from goldenrule.metrics.intervals import wilson
from goldenrule.metrics.uncertainty.paired import mcnemar, paired_bootstrap, sign_flips

numbers = st.lists(st.floats(-5, 5), min_size=6, max_size=60)


def test_none_is_a_group_of_its_own() -> None:
    assert group_numbers([None, "a", None, "a"]).tolist() == [0, 1, 2, 1]


@settings(deadline=None, max_examples=60)
@given(numbers, st.integers(0, 1000))
def test_groups_of_one_image_give_the_error_of_independent_images(values: list[float], seed: int) -> None:
    rows = np.array(values)
    error, count = clustered_error(rows, np.random.default_rng(seed).permutation(len(rows)))
    assert count == len(rows)
    assert error == pytest.approx(rows.std(ddof=1) / math.sqrt(len(rows)), abs=1e-12)


@settings(deadline=None, max_examples=60)
@given(numbers, st.integers(2, 8))
def test_copies_of_images_tell_no_more_than_the_images(values: list[float], copies: int) -> None:
    rows = np.array(values)
    alone = clustered_error(rows, np.arange(len(rows)))[0]
    copied = clustered_error(np.repeat(rows, copies), np.repeat(np.arange(len(rows)), copies))[0]
    assert copied == pytest.approx(alone, abs=1e-12)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.integers(6, 40), st.floats(0.05, 0.95))
def test_an_interval_holds_its_value_and_copies_make_it_no_narrower(seed: int, groups: int, share: float) -> None:
    right = np.random.default_rng(seed).random(groups) < share
    found = clustered_share(np.repeat(right, 7), np.repeat(np.arange(groups), 7))
    low, high = wilson(int(right.sum()), groups)
    assert found.low <= right.mean() <= found.high
    assert found.high - found.low >= (high - low) * 0.999
    assert found.effective_n <= groups + 1e-9
    assert found.groups == groups


def test_fewer_than_six_groups_have_no_interval_and_say_so() -> None:
    found = Estimate.of_right("accuracy", np.array([True] * 8 + [False] * 2), np.arange(10) // 2)
    assert math.isnan(found.low)
    assert not found.bounded
    assert str(found) == "80 % [no interval: 5 groups are too few] n=10 (effective n=4)"
    assert value_and_interval(replace(found, groups=1)) == "80 % [no interval: 1 group is too few]"
    assert from_json(as_json(found), Estimate) == found
    assert as_json(found)["low"] is None


@pytest.mark.parametrize(("groups", "likeness"), [(8, 0.0), (12, 0.3), (40, 0.5)])
def test_intervals_hold_where_answers_of_a_group_go_together(groups: int, likeness: float) -> None:
    draws, share, size, held = np.random.default_rng(0), 0.85, 12, []
    for _ in range(300):
        spread = (1 - likeness) / likeness if likeness else 1e6
        chance = draws.beta(spread * share, spread * (1 - share), groups)
        codes = np.repeat(np.arange(groups), size)
        found = clustered_share(draws.random(len(codes)) < chance[codes], codes)
        held.append(found.low <= share <= found.high)
    assert np.mean(held) >= 0.91, "93 % or more, less three standard errors of 300 draws"


def test_a_mean_of_groups_is_wider_than_one_of_images_and_no_wider_than_all_groups_allow() -> None:
    draws = np.random.default_rng(1)
    codes = np.repeat(np.arange(30), 20)
    values = draws.normal(size=30)[codes] + 0.3 * draws.normal(size=600)
    found = clustered_mean(values, codes)
    assert found.low < values.mean() < found.high
    assert found.high - found.low > 3 * 2 * 1.96 * values.std() / math.sqrt(600)
    assert group_values(values, codes).mean() == pytest.approx(values.mean())
    assert 25 < found.effective_n < 40


def grouped(right: list[bool], groups: list[int]) -> Predictions:
    logits = [[3.0, 0.0] if value else [0.0, 3.0] for value in right]
    return Predictions.from_logits(logits, ["cat", "dog"], truth=[0] * len(right), group=groups)


def test_metrics_and_comparisons_of_grouped_predictions_rest_on_groups() -> None:
    groups = [row // 10 for row in range(200)]
    bad = [group in (3, 7, 11, 15, 19) for group in groups]
    a, b = grouped([not value for value in bad], groups), grouped([True] * 200, groups)
    assert accuracy(a).groups == 20
    assert log_loss(a).groups == 20
    assert accuracy(a).high - accuracy(a).low > 0.3 > 0.12
    assert mcnemar(a, b).p_value == 2 / 2**5, "five films, not fifty frames"
    assert paired_bootstrap(a, b).gain.groups == 20
    few = grouped([True] * 30 + [False] * 20, [row // 10 for row in range(50)])
    verdict = paired_bootstrap(few, grouped([True] * 50, [row // 10 for row in range(50)]))
    assert (verdict.better, verdict.probability_better) == ("neither", 0.5)
    assert "5 groups of images are too few" in verdict.sentence()


def test_groups_go_through_arrow_and_selection_and_concatenation() -> None:
    predictions = grouped([True, False, True, True], [5, 5, 6, 7])
    assert from_arrow(to_arrow(predictions)) == predictions
    assert predictions.select([2, 0]).group is not None
    assert predictions.select([2, 0]).group.tolist() == [6, 5]  # type: ignore[union-attr]
    assert Predictions.concatenate([predictions, predictions]).group.tolist() == [5, 5, 6, 7] * 2  # type: ignore[union-attr]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(-3, 3), min_size=1, max_size=12))
def test_flipped_signs_are_the_exact_test(values: list[int]) -> None:
    found = np.array([value for value in values if value], float)
    total = abs(found.sum())
    every = [abs(sum(v if bits >> k & 1 else -v for k, v in enumerate(found))) for bits in range(2 ** len(found))]
    assert sign_flips(np.array(values, float)) == pytest.approx(np.mean([item >= total - 1e-9 for item in every]))


def test_many_differences_are_flipped_at_random_and_agree_with_the_normal_approximation() -> None:
    draws = np.random.default_rng(0)
    values = draws.normal(0.4, 1, 50)
    z = values.sum() / math.sqrt(np.square(values).sum())
    assert sign_flips(values) == pytest.approx(math.erfc(abs(z) / math.sqrt(2)), rel=0.25)
