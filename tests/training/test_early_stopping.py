"""When training stops: one table per rule."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldenrule.training.early_stopping import CycleEnd, best_cycle, kept_cycle, over_fitting


def cycles(*losses: tuple[float, float]) -> list[CycleEnd]:
    """Cycles from (train loss, valid loss)."""
    return [CycleEnd(epochs=2**n - 1, train_loss=t, valid_loss=v) for n, (t, v) in enumerate(losses, start=1)]


@pytest.mark.parametrize(
    ("losses", "confirmed"),
    [
        ([(1.0, 1.0)], False),  # nothing to compare with
        ([(1.0, 1.0), (0.5, 0.8)], False),  # still improving
        ([(1.0, 1.0), (0.5, 1.01)], False),  # within the tolerance
        ([(1.0, 1.0), (0.5, 1.1)], True),  # train falls, valid rises
        ([(1.0, 1.0), (1.2, 1.1)], False),  # train rises too: a rate too high, not over-fitting
        ([(1.0, 1.0), (0.5, 0.8), (0.2, 0.9)], True),
        ([(1.0, 1.0), (0.5, 1.2), (0.2, 0.7)], False),  # the last one is the best
    ],
)
def test_over_fitting_is_a_falling_train_loss_with_a_rising_valid_loss(
    losses: list[tuple[float, float]], confirmed: bool
) -> None:
    assert over_fitting(cycles(*losses)) is confirmed


@given(st.lists(st.floats(0.01, 10), min_size=1, max_size=8))
def test_the_best_cycle_has_the_lowest_valid_loss_the_first_of_equals(losses: list[float]) -> None:
    best = best_cycle(cycles(*((1.0, loss) for loss in losses)))
    assert losses[best] == min(losses)
    assert best == losses.index(min(losses))


@given(st.lists(st.floats(0.01, 10), min_size=2, max_size=8))
def test_the_best_cycle_so_far_is_never_over_fitting(losses: list[float]) -> None:
    state = cycles(*((1 / (n + 1), loss) for n, loss in enumerate(losses)))
    if best_cycle(state) == len(state) - 1:
        assert not over_fitting(state)


@given(st.lists(st.tuples(st.floats(0.01, 10), st.none() | st.floats(0.01, 10)), min_size=1, max_size=8))
def test_what_is_kept_has_the_lowest_loss_of_all_ends_and_means(losses: list[tuple[float, float | None]]) -> None:
    state = [
        CycleEnd(epochs=n, train_loss=1.0, valid_loss=value, mean_loss=mean) for n, (value, mean) in enumerate(losses)
    ]
    kept = state[kept_cycle(state)]
    lowest = min(loss for pair in losses for loss in pair if loss is not None)
    assert (kept.mean_loss if kept.mean_is_better else kept.valid_loss) == lowest
