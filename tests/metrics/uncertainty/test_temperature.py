"""Over-confidence is taken back by one number."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goldenrule.metrics.uncertainty.temperature import HIGHEST, best_temperature, cautious_temperature


def sample(seed: int, scale: float, n: int = 200, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are right about as often as they say, times `scale`."""
    draws = np.random.default_rng(seed)
    logits = draws.normal(size=(n, classes))
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return scale * logits, np.array([draws.choice(classes, p=share) for share in shares])


def log_loss(logits: np.ndarray, targets: np.ndarray) -> float:
    shifted = logits - logits.max(axis=1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return float(-logs[np.arange(len(targets)), targets].mean())


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1000), st.floats(0.3, 8.0))
def test_it_is_at_least_one_and_never_raises_the_loss(seed: int, scale: float) -> None:
    logits, targets = sample(seed, scale)
    temperature, loss = best_temperature(logits, targets)
    assert 1 <= temperature <= HIGHEST
    assert loss == pytest.approx(log_loss(logits / temperature, targets), abs=1e-5)
    assert loss <= log_loss(logits, targets) + 1e-5
    assert all(loss <= log_loss(logits / other, targets) + 1e-5 for other in (1.0, 1.5, 3.0, 7.0, 15.0))


@pytest.mark.parametrize("scale", [2.0, 4.0, 8.0])
def test_logits_too_large_by_a_factor_are_divided_by_about_that_factor(scale: float) -> None:
    temperature, _ = best_temperature(*sample(0, scale, n=5000))
    assert temperature == pytest.approx(scale, rel=0.1)


def test_a_few_images_that_are_all_right_do_not_make_it_surer() -> None:
    assert best_temperature(np.array([[1.0, 0.0]] * 3), np.zeros(3, np.int64))[0] == 1.0


def test_logits_that_are_always_wrong_end_at_the_highest() -> None:
    temperature, loss = best_temperature(np.array([[500.0, 0.0]] * 3), np.ones(3, np.int64))
    assert temperature == pytest.approx(HIGHEST, rel=1e-3)
    assert np.isfinite(loss)


@pytest.mark.exhaustive
@settings(deadline=None, max_examples=15)
@given(st.integers(0, 1000), st.floats(0.3, 8.0), st.integers(2, 60))
def test_caution_is_at_least_what_is_asked_for_and_vanishes_with_many_images(seed: int, scale: float, n: int) -> None:
    logits, targets = sample(seed, scale, n=n)
    free, bounded = cautious_temperature(logits, targets), cautious_temperature(logits, targets, least=1.0)
    assert bounded == pytest.approx(max(free, 1.0), rel=1e-3)
    many = np.tile(logits, (2000, 1)), np.tile(targets, 2000)
    assert cautious_temperature(*many, least=1.0) == pytest.approx(best_temperature(*many)[0], rel=0.02, abs=0.02)


@pytest.mark.parametrize("classes", [2, 100])
def test_images_that_are_all_right_allow_the_odds_that_so_many_show(classes: int) -> None:
    logits = np.zeros((1000, classes))
    logits[:, 0], logits[:, 2:] = 30.0, -2000.0
    for n in (10, 100, 1000):
        odds = 30.0 / cautious_temperature(logits[:n], np.zeros(n, np.int64))
        assert odds == pytest.approx(np.log(n + 1), rel=1e-2)
