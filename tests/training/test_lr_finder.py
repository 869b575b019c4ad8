"""The learning-rate finder's reading of a curve."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldenrule.core.errors import OptionError
from goldenrule.training.lr_finder import blown_up, read_curve, rising_rates, smoothed, smoothing

RATES = rising_rates(100)


def falling(noise: float = 0.02, *, where: float = -2.5, steps: int = 100) -> list[float]:
    """A curve as a fresh head gives it: flat, falling around 10**where, rising steeply from .1 on."""
    decades = np.log10(rising_rates(steps))
    curve = 0.3 + 1.7 / (1 + np.exp(4 * (decades - where))) + np.exp(6 * (decades + 0.3))
    return until_blown_up((curve + np.random.default_rng(0).normal(0, noise, steps)).clip(1e-3))


def until_blown_up(curve: npt.NDArray[np.float64]) -> list[float]:
    """The curve as far as the finder goes."""
    losses = [float(loss) for loss in curve]
    beta = smoothing(len(losses))
    return losses[: next((step for step in range(1, len(losses)) if blown_up(losses[:step], beta)), len(losses))]


@given(st.integers(2, 400), st.floats(1e-8, 1e-2), st.floats(1.1, 1e6))
def test_rates_rise_by_the_same_factor(steps: int, lowest: float, factor: float) -> None:
    rates = rising_rates(steps, lowest=lowest, highest=lowest * factor)
    assert rates[0] == pytest.approx(lowest)
    assert rates[-1] == pytest.approx(lowest * factor)
    assert np.diff(np.log(rates)) == pytest.approx(math.log(factor) / (steps - 1), abs=1e-6)


@given(st.floats(0.1, 10), st.integers(1, 200), st.floats(0.5, 0.98))
def test_a_constant_is_its_own_average_from_the_first_step_on(loss: float, steps: int, beta: float) -> None:
    assert smoothed([loss] * steps, beta) == pytest.approx([loss] * steps)


def test_the_rules_agree_on_where_the_curve_falls_and_the_minimum_lies_above_them() -> None:
    test = read_curve(RATES, falling())
    assert not test.at_minimum
    assert list(test.suggestions) == ["steepest", "minimum / 10", "valley"]
    assert test.rule == "steepest"
    assert test.minimum is not None
    assert all(10**-3.5 < rate < 10**-1 for rate in test.suggestions.values()), test.suggestions
    assert test.suggestion < test.minimum
    assert test.suggestions["minimum / 10"] == pytest.approx(test.minimum / 10)


@pytest.mark.parametrize("steps", [40, 100, 300])
def test_fewer_steps_are_smoothed_less_and_read_alike(steps: int) -> None:
    test = read_curve(rising_rates(steps), falling(steps=steps))
    assert 10**-3.6 < test.suggestion < 10**-1.4


def test_where_nothing_is_left_to_fall_it_says_so() -> None:
    decades = np.log10(RATES)
    curve = 0.05 + np.exp(5 * (decades + 2)) + np.random.default_rng(1).normal(0, 0.004, 100)
    test = read_curve(RATES, until_blown_up(curve))
    assert test.at_minimum
    assert test.note.startswith("Already at a minimum")
    assert test.minimum is None
    assert 1e-4 < test.suggestion < 2e-2
    assert set(test.suggestions) == {"largest flat"}


@given(st.lists(st.floats(0.01, 5), min_size=5, max_size=120))
def test_any_curve_gives_a_rate_within_its_range(losses: list[float]) -> None:
    rates = rising_rates(len(losses))
    test = read_curve(rates, losses)
    assert all(rates[0] / 10 <= rate <= rates[-1] for rate in test.suggestions.values())
    assert len(test.rates) == len(test.losses) == len(test.smoothed)
    assert str(test)


def test_a_loss_that_is_no_number_ends_the_curve() -> None:
    test = read_curve(RATES, [*falling()[:50], math.nan, 1.0])
    assert len(test.losses) == 50
    assert blown_up([1.0, math.inf], 0.5)


@pytest.mark.parametrize("count", range(5))
def test_next_to_no_steps_give_a_plain_message(count: int) -> None:
    test = read_curve(RATES[:count], [1.0] * count)
    assert "too few" in test.note
    assert test.suggestion > 0


def test_the_test_stops_where_the_loss_is_four_times_the_best() -> None:
    assert not blown_up([1.0, 0.5, 1.9], 0.5)
    assert blown_up([0.1, 0.1, 5.0], smoothing(10))


@pytest.mark.parametrize(("lowest", "highest"), [(0, 1), (1, 1), (2, 1), (-1, 1), (1, math.inf)])
def test_a_range_that_does_not_rise_is_refused(lowest: float, highest: float) -> None:
    with pytest.raises(OptionError, match="lowest < highest"):
        rising_rates(10, lowest=lowest, highest=highest)


def test_it_is_drawn_for_terminals() -> None:
    from goldenrule.training.inputs.terminal_curves import range_text

    test = read_curve(RATES, falling())
    drawn = range_text(test)
    assert "S" in drawn
    assert "M" in drawn


def test_a_small_fall_next_to_the_loss_of_guessing_is_no_slope_to_take_a_rate_from() -> None:
    """The whole network on 43 traffic signs, from a linear head: 40 steps, as they came."""
    losses = [0.319, 0.319, 0.214, 0.246, 0.302, 0.163, 0.258, 0.208, 0.158, 0.186, 0.153, 0.156, 0.129, 0.183, 0.244]
    losses += [0.939, 1.367, 2.564]
    rates = rising_rates(40)[: len(losses)]
    test = read_curve(rates, losses, chance=math.log(43))
    assert set(test.suggestions) == {"largest flat"}
    assert 3e-4 < test.suggestion < 1.5e-3
    assert read_curve(rates, losses).suggestion < 1e-4


def test_a_bump_on_the_way_does_not_end_what_is_flat() -> None:
    curve = np.where(np.arange(100) % 30 == 9, 0.2, 0.1) + np.exp(5 * (np.log10(RATES) + 2))
    test = read_curve(RATES, until_blown_up(curve))
    assert test.at_minimum
    assert test.suggestion > 3e-4
