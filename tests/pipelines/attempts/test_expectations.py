"""What an attempt is expected to gain: a pure function of measured sets, the domain shift and the loss so far."""

from __future__ import annotations

import json

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from goldenrule.core.schema import as_json
from goldenrule.metrics.selection_rules import DomainShift
from goldenrule.pipelines.attempts.expectations import (
    FEWEST_SETS,
    IMAGINED,
    MeasuredShare,
    expectation,
    measured_shares,
)
from goldenrule.training.plan import ATTEMPTS, LEAST_EXPECTED, LiveStep

SHARES = st.lists(st.floats(-0.5, 1), min_size=FEWEST_SETS, max_size=12)
LOSSES = st.floats(0, 5)


def rows(shares: list[float], shift: DomainShift = "low", attempt: str = LiveStep.NETWORK) -> list[MeasuredShare]:
    return [
        MeasuredShare(attempt=attempt, set=f"set {number}", shift=shift, share=share)
        for number, share in enumerate(shares)
    ]


@given(SHARES, LOSSES)
def test_the_mean_share_with_that_of_an_imaginary_set_is_expected(shares: list[float], loss: float) -> None:
    found = expectation(LiveStep.NETWORK, shift="low", loss=loss, seconds=1.0, measured=rows(shares))
    mean = (IMAGINED + sum(shares)) / (1 + len(shares))
    assert found.share == pytest.approx(mean)
    assert found.gain == pytest.approx(loss * mean)
    assert found.low is not None
    assert found.high is not None
    assert found.low <= found.share + 1e-9
    assert found.share <= found.high + 1e-9
    assert found.high <= 1


@given(SHARES, LOSSES)
def test_it_is_tried_where_no_less_is_expected_than_is_wanted(shares: list[float], loss: float) -> None:
    mean = (IMAGINED + sum(shares)) / (1 + len(shares))
    assume(abs(mean * loss - LEAST_EXPECTED) > 1e-9)
    found = expectation(LiveStep.NETWORK, shift="low", loss=loss, seconds=1.0, measured=rows(shares))
    assert found.tried == (mean * loss > LEAST_EXPECTED)
    assert ("a step is taken from" in found.sentence) == (not found.tried)


@given(SHARES, st.lists(st.floats(-0.5, 1), max_size=9))
def test_sets_at_another_shift_and_other_attempts_say_nothing(shares: list[float], others: list[float]) -> None:
    more = [*rows(shares), *rows(others, "high"), *rows(others, attempt=LiveStep.SIDE_BY_SIDE)]
    plain, mixed = (
        expectation(LiveStep.NETWORK, shift="low", loss=1.0, seconds=1.0, measured=measured)
        for measured in (rows(shares), more)
    )
    assert plain == mixed


@given(st.lists(st.floats(-0.5, 0), max_size=FEWEST_SETS - 1), LOSSES)
def test_with_too_few_sets_nothing_is_known_and_it_is_tried(shares: list[float], loss: float) -> None:
    found = expectation(LiveStep.NETWORK, shift="low", loss=loss, seconds=1.0, measured=rows(shares))
    assert (found.share, found.gain, found.tried) == (None, None, True)
    assert "not known" in found.sentence


@given(SHARES)
def test_before_the_loss_is_known_it_is_told_as_a_share(shares: list[float]) -> None:
    found = expectation(LiveStep.NETWORK, shift=None, loss=None, seconds=90.0, measured=rows(shares))
    assert found.tried
    assert "%" in found.expected
    assert "1 min 30 s" in found.sentence


def test_what_the_package_knows_was_measured_of_every_attempt_on_each_set() -> None:
    measured = measured_shares()
    sets = {one.set for one in measured}
    assert len(sets) >= 6
    assert sorted((one.attempt, one.set) for one in measured) == sorted((a, one) for a in ATTEMPTS for one in sets)
    assert all(one.share <= 1 for one in measured)


def test_an_expectation_is_json() -> None:
    found = expectation(LiveStep.NETWORK, shift="low", loss=0.5, seconds=3.0, measured=rows([0.1, 0.2, 0.3]))
    assert json.loads(json.dumps(as_json(found)))["attempt"] == "whole network"
