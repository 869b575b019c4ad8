"""How sure a submission may be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goldenrule.metrics import Predictions
from goldenrule.metrics.uncertainty.caution import best_floor, floored

rows = st.integers(2, 6).flatmap(
    lambda classes: st.lists(st.lists(st.floats(0.0, 30.0), min_size=classes, max_size=classes), min_size=1, max_size=9)
)


@settings(deadline=None, max_examples=100)
@given(rows, st.floats(0.0, 1.0))
def test_no_probability_is_below_the_floor_and_rows_sum_to_one(logits: list[list[float]], share: float) -> None:
    shown = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    floor = share / shown.shape[1]
    found = floored(shown, floor)
    assert found.min() >= floor - 1e-12
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-9)
    order = np.argsort(shown, axis=1, kind="stable")
    assert (np.diff(np.take_along_axis(found, order, axis=1), axis=1) >= -1e-12).all(), "no order changes"
    np.testing.assert_allclose(floored(shown, 0.0), shown, atol=1e-12)


def said(right: int, wrong: int, lead: float = 20.0) -> Predictions:
    truth = [0] * right + [1] * wrong
    return Predictions.from_logits([[lead, 0.0]] * len(truth), ["cat", "dog"], truth=truth)


@pytest.mark.parametrize("n", [9, 99, 999])
def test_where_all_are_right_the_floor_is_one_in_n_and_one(n: int) -> None:
    assert best_floor(said(n, 0)) == pytest.approx(1 / (n + 1), rel=0.05)


def test_sure_mistakes_raise_the_floor() -> None:
    floors = [best_floor(said(100 - wrong, wrong)) for wrong in (0, 1, 5, 20)]
    assert floors == sorted(floors)
    assert floors[-1] == pytest.approx(0.2, abs=0.03)
    assert best_floor(said(99, 0, lead=0.5)) <= floors[0], "what is not sure of itself wants none"
