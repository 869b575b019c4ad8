"""Laws that are known are found again, and what is not known is not claimed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goldenrule.analysis.curve_laws import (
    EXPONENTS,
    LAWS,
    RESAMPLES,
    Forecasts,
    _falling,
    _fit,
    fitted,
    resampled_curves,
)

SIZES = np.array([10, 14, 20, 28, 40, 57, 80, 113, 160])
X = SIZES / 160


def nearly(error, seed=0, noise=1e-4):
    """Curves that are this one but for a little noise."""
    draws = np.random.default_rng(seed)
    return error + noise * draws.normal(size=(RESAMPLES, len(error)))


@settings(deadline=None, max_examples=20)
@given(st.floats(0, 0.3), st.floats(0.01, 0.3), st.sampled_from(EXPONENTS.tolist()))
def test_a_power_law_with_a_floor_is_found_again(floor, height, speed):
    error = (floor + height * X**-speed)[None]
    found = _fit(error, np.ones(len(X)), *_falling(LAWS[0], X), floor=True)
    assert [float(part[0]) for part in found] == pytest.approx([floor, height, speed], abs=1e-5)


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 1000), st.sampled_from(LAWS))
def test_no_floor_height_or_speed_nearby_fits_better(seed, law):
    """Least squares under a, b >= 0: compared with scipy's non-negative least squares at every speed."""
    from scipy.optimize import nnls

    draws = np.random.default_rng(seed)
    error, weights = draws.uniform(0, 1, (1, len(X))), draws.uniform(0.1, 1, len(X))
    falling, speeds = _falling(law, X)
    floor, height, speed = _fit(error, weights, falling, speeds, floor=law.floor)
    root = np.sqrt(weights)
    best = np.inf
    for ours in falling:
        columns = np.stack([np.ones(len(X)), ours], axis=1)[:, 0 if law.floor else 1 :]
        best = min(best, nnls(columns * root[:, None], error[0] * root)[1])
    ours = falling[speeds.tolist().index(speed[0])]
    assert np.linalg.norm((floor + height * ours - error[0]) * root) == pytest.approx(best, rel=1e-6)


def test_the_number_of_images_is_the_inverse_of_the_forecast():
    forecasts = fitted(SIZES, nearly(0.05 + 0.1 * X**-0.6))
    images = forecasts.images_for(0.11)
    reached = np.isfinite(images)
    assert reached.mean() > 0.5
    for row in np.flatnonzero(reached)[:20]:
        assert forecasts.at(float(images[row]))[row] == pytest.approx(0.11, abs=1e-6)


def test_below_the_floor_no_number_of_images_is_enough():
    flat = Forecasts(
        law=np.zeros(3, int), floor=np.full(3, 0.2), height=np.full(3, 0.1), speed=np.full(3, 1.0), scale=100.0
    )
    assert np.isinf(flat.images_for(0.2)).all()
    assert flat.images_for(0.3) == pytest.approx(100)


def test_far_away_the_laws_disagree_more_than_near_by():
    forecasts = fitted(SIZES, nearly(0.05 + 0.1 * X**-0.6, noise=2e-3))
    spread = [np.ptp(np.quantile(forecasts.at(size), [0.025, 0.975])) for size in (160, 320, 1280)]
    assert spread[0] < spread[1] < spread[2]


def test_no_mistake_among_fifty_images_does_not_mean_that_there_is_none():
    curves = resampled_curves(np.zeros((4, 3, 50), np.float32), np.arange(50), shares=True)
    low, high = np.quantile(curves, [0.025, 0.975])
    assert low < 0.001
    assert 0.03 < high < 0.08  # Jeffreys: 0.049


def test_resampled_curves_spread_like_the_error_of_that_many_images():
    draws = np.random.default_rng(0)
    wrong = (draws.random(400) < 0.2).astype(np.float32)
    losses = np.broadcast_to(wrong, (2, 3, 400))
    curves = resampled_curves(losses, np.arange(400), shares=True)
    assert curves.mean() == pytest.approx(wrong.mean(), abs=0.005)
    assert curves[:, 0].std() == pytest.approx(np.sqrt(0.2 * 0.8 / 400), rel=0.15)
    assert (curves[:, 0] == curves[:, 1]).all()  # one draw of images for all sizes


def test_images_that_belong_together_are_resampled_together():
    draws = np.random.default_rng(0)
    wrong = np.repeat((draws.random(40) < 0.3).astype(np.float32), 10)
    together = resampled_curves(np.broadcast_to(wrong, (1, 1, 400)), np.repeat(np.arange(40), 10), shares=True)
    apart = resampled_curves(np.broadcast_to(wrong, (1, 1, 400)), np.arange(400), shares=True)
    assert together.std() == pytest.approx(np.sqrt(10) * apart.std(), rel=0.25)
    many = np.tile(wrong, 30)
    assert resampled_curves(np.broadcast_to(many, (1, 1, 12_000)), np.arange(12_000), shares=True).std() > 0
