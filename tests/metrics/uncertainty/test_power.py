"""The number of images that would be needed is such that so many find the difference four times of five."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import bdtr

from goldenrule.metrics import Predictions, images_for_mcnemar, images_for_mean, mcnemar, paired_bootstrap
from goldenrule.metrics.uncertainty.power import in_two_digits, needed_text


@pytest.mark.parametrize(
    ("only_a", "only_b", "n"), [(3, 9, 96), (10, 20, 200), (40, 60, 400), (2, 3, 96), (10, 11, 96), (9, 3, 96)]
)
def test_mcnemars_exact_test_finds_the_difference_four_times_of_five(only_a, only_b, n):
    draws, needed = np.random.default_rng(0), images_for_mcnemar(only_a, only_b, n)
    differing = draws.binomial(needed, (only_a + only_b) / n, 20_000)
    first = draws.binomial(differing, only_a / (only_a + only_b))
    p_values = 2 * bdtr(np.minimum(first, differing - first), differing, 0.5)
    assert np.mean(p_values < 0.05) == pytest.approx(0.8, abs=0.03)


def test_where_all_that_differ_speak_for_one_side_the_number_is_enough_though_not_the_least():
    draws, needed = np.random.default_rng(0), images_for_mcnemar(0, 4, 100)
    differing = draws.binomial(needed, 0.04, 20_000)
    assert 0.8 <= np.mean(2 * 0.5**differing < 0.05) < 0.95


def losses_of(true_logits):
    """A network of two classes with these logits for the true one."""
    logits = np.stack([true_logits, np.zeros_like(true_logits)], axis=1)
    return Predictions.from_logits(logits, ["a", "b"], truth=np.zeros(len(true_logits), int))


def test_the_paired_bootstrap_of_skewed_losses_finds_the_difference_four_times_of_five():
    """The number is asked of one large sample; then experiments of that size are made anew."""
    draws = np.random.default_rng(0)

    def pair(n):
        common = draws.normal(2, 2, n)
        return losses_of(common + draws.normal(0, 0.7, n)), losses_of(common + 0.25 + draws.normal(0, 0.7, n))

    needed = paired_bootstrap(*pair(100_000), resamples=10).images_needed
    assert 50 < needed < 2000
    found = [paired_bootstrap(*pair(needed), resamples=400).better == "b" for _ in range(300)]
    assert np.mean(found) == pytest.approx(0.8, abs=0.08)


@given(st.integers(0, 200), st.integers(0, 200), st.integers(0, 500))
def test_a_tie_always_needs_more_images_than_there_are(only_a, only_b, both):
    n = only_a + only_b + both
    if n < 2:
        return
    right = np.repeat([[1, 0], [0, 1], [1, 1]], [only_a, only_b, both], axis=0)
    result = mcnemar(losses_of(right[:, 0] * 2.0 - 1), losses_of(right[:, 1] * 2.0 - 1))
    if only_a == only_b:
        assert result.images_needed is None
    elif result.better == "neither":
        assert result.images_needed > n
    assert images_for_mcnemar(only_a, only_b, n) == images_for_mcnemar(only_b, only_a, n)


@given(st.floats(0.01, 10), st.floats(0.01, 10))
def test_half_the_difference_needs_four_times_as_many_images(difference, deviation):
    whole, half = images_for_mean(difference, deviation), images_for_mean(difference / 2, deviation)
    assert half == pytest.approx(4 * whole, rel=0.01, abs=8)
    assert images_for_mean(-difference, deviation) == whole


def test_more_than_a_million_is_said_so():
    assert needed_text(3_000_000) == "; more than a million would be needed"
    assert in_two_digits(1_234_567) == 1_200_000
