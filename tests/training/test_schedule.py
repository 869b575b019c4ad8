"""Schedules: rates as pure functions of the position."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goldenrule.core.errors import OptionError
from goldenrule.training.schedule import MOST_EPOCHS, Constant, OneCycle, Rising, Schedule, Sgdr

counts = st.integers(1, 6)
sgdr = st.builds(Sgdr, cycles=counts, length=counts, mult=st.integers(1, 3))
shares = st.floats(0, 1)


@given(st.one_of(st.builds(Constant, epochs=counts), st.builds(OneCycle, epochs=counts), sgdr), shares)
def test_no_rate_is_above_the_full_one_or_below_zero(schedule: Schedule, share: float) -> None:
    assert 0 <= schedule.factor(share * schedule.epochs) <= 1 + 1e-9
    assert 0 < schedule.momentum(share * schedule.epochs) < 1


@given(sgdr)
def test_sgdr_has_as_many_epochs_as_the_lesson_says(schedule: Sgdr) -> None:
    assert schedule.epochs == schedule.length * sum(schedule.mult**number for number in range(schedule.cycles))
    assert schedule.epochs == schedule.cycle_ends[-1]
    lengths = [end - start for start, end in zip(schedule.restarts, schedule.cycle_ends, strict=True)]
    assert lengths == [schedule.length * schedule.mult**number for number in range(schedule.cycles)]


@given(sgdr)
def test_sgdr_restarts_at_the_full_rate_and_falls_to_nothing(schedule: Sgdr) -> None:
    for start, end in zip(schedule.restarts, schedule.cycle_ends, strict=True):
        assert schedule.factor(start) == pytest.approx(1)
        assert schedule.factor((start + end) / 2) == pytest.approx(0.5)
        assert schedule.factor(end - 1e-6) == pytest.approx(0, abs=1e-9)


@settings(deadline=None, max_examples=50)
@given(sgdr, st.integers(1, 12))
def test_sgdrs_rates_are_those_of_the_paper_at_every_batch(schedule: Sgdr, batches: int) -> None:
    """A cycle of T batches has the rates (1 + cos(pi t / T)) / 2 at t = 0 ... T - 1; the reference counts them out."""
    wanted: list[float] = []
    length = schedule.length
    for _ in range(schedule.cycles):
        wanted += [(1 + math.cos(math.pi * batch / (length * batches))) / 2 for batch in range(length * batches)]
        length *= schedule.mult
    found = [schedule.factor(epoch + batch / batches) for epoch in range(schedule.epochs) for batch in range(batches)]
    assert found == pytest.approx(wanted, abs=1e-12)
    ends = {end * batches for end in schedule.cycle_ends}
    assert [found[start * batches] for start in schedule.restarts] == [1.0] * schedule.cycles
    assert all(found[step] < found[step - 1] for step in range(1, len(found)) if step not in ends)


@given(st.builds(OneCycle, epochs=counts), shares, shares)
def test_one_cycle_rises_for_a_quarter_and_falls_from_there(cycle: OneCycle, one: float, other: float) -> None:
    first, second = (share * cycle.epochs for share in sorted((one, other)))
    turn = cycle.warm_share * cycle.epochs
    if second <= turn:
        assert cycle.factor(first) <= cycle.factor(second) + 1e-12
        assert cycle.momentum(first) >= cycle.momentum(second) - 1e-12
    if first >= turn:
        assert cycle.factor(first) >= cycle.factor(second) - 1e-12
        assert cycle.momentum(first) <= cycle.momentum(second) + 1e-12


@given(st.builds(OneCycle, epochs=counts))
def test_one_cycle_starts_peaks_and_ends_where_it_says(cycle: OneCycle) -> None:
    at = [0, cycle.epochs / 4, cycle.epochs]
    assert [cycle.factor(place) for place in at] == pytest.approx([1 / 25, 1, 1e-5])
    assert [cycle.momentum(place) for place in at] == pytest.approx([0.95, 0.85, 0.95])
    halfway = [cycle.epochs / 8, cycle.epochs * 5 / 8]
    assert [cycle.factor(place) for place in halfway] == pytest.approx([(1 / 25 + 1) / 2, (1 + 1e-5) / 2])
    assert [cycle.momentum(place) for place in halfway] == pytest.approx([0.9, 0.9])


@given(st.lists(st.floats(1e-6, 10), min_size=1, max_size=30), st.integers(1, 7))
def test_a_range_test_gives_each_step_its_own_factor(factors: list[float], steps: int) -> None:
    rising = Rising(factors=tuple(factors), steps_per_epoch=steps)
    places = [epoch + step / steps for epoch in range(rising.epochs) for step in range(steps)]
    assert [rising.factor(place) for place in places[: len(factors)]] == factors


@pytest.mark.parametrize(
    ("schedule", "epochs", "cycle_ends"),
    [
        (Constant(epochs=3), 3, (1, 2, 3)),
        (Sgdr(cycles=3), 3, (1, 2, 3)),  # without more: cycles of one epoch, all alike
        (OneCycle(epochs=4), 4, (4,)),
        (Rising(factors=(1.0, 2.0, 3.0), steps_per_epoch=2), 2, ()),
        (Rising(factors=(1.0, 2.0), steps_per_epoch=2), 1, ()),
    ],
)
def test_a_schedule_knows_its_epochs_and_where_its_cycles_end(
    schedule: Schedule, epochs: int, cycle_ends: tuple[int, ...]
) -> None:
    assert (schedule.epochs, schedule.cycle_ends) == (epochs, cycle_ends)


@pytest.mark.parametrize("beyond", [0, 0.1, 5])
def test_at_the_end_and_beyond_it_the_rate_is_the_last_one(beyond: float) -> None:
    assert Sgdr(cycles=2, mult=2).factor(3 + beyond) == pytest.approx(0)
    assert OneCycle(epochs=4).factor(4 + beyond) == pytest.approx(1e-5)
    assert OneCycle(epochs=4).momentum(4 + beyond) == pytest.approx(0.95)
    assert Rising(factors=(1.0, 2.0, 3.0), steps_per_epoch=2).factor(1.5 + beyond) == 3.0


@pytest.mark.parametrize("schedule", [Constant(epochs=2), Sgdr(cycles=2), Rising(factors=(1.0,), steps_per_epoch=1)])
def test_what_moves_no_momentum_keeps_that_of_adamw(schedule: Schedule) -> None:
    assert [schedule.momentum(place) for place in (0.0, 0.7, 1.0)] == [0.9] * 3


def test_a_constant_rate_is_the_full_one() -> None:
    assert [Constant(epochs=2).factor(place) for place in (0.0, 0.7, 2.0)] == [1.0] * 3


def test_as_many_epochs_as_are_allowed_are_allowed() -> None:
    assert Sgdr(cycles=MOST_EPOCHS).epochs == MOST_EPOCHS
    assert Sgdr(cycles=1, length=MOST_EPOCHS).epochs == MOST_EPOCHS


@pytest.mark.parametrize("wrong", [0, -1, 1.5, True, "2"])
def test_epochs_and_cycles_are_whole_numbers(wrong: object) -> None:
    for make in (
        lambda: Constant(epochs=wrong),  # type: ignore[arg-type]
        lambda: Sgdr(cycles=wrong),  # type: ignore[arg-type]
        lambda: Sgdr(cycles=1, mult=wrong),  # type: ignore[arg-type]
        lambda: OneCycle(epochs=wrong),  # type: ignore[arg-type]
    ):
        with pytest.raises(OptionError, match="whole number"):
            make()


def test_more_epochs_than_anybody_can_mean_are_refused() -> None:
    with pytest.raises(OptionError, match=r"more than 10,000 epochs"):
        Sgdr(cycles=40, mult=10)
