import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from goldenrule.core.errors import OptionError
from goldenrule.metrics import bootstrap, clopper_pearson, wilson

light = settings(deadline=None, max_examples=60)
counts = st.integers(1, 10**6).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@light
@given(counts, st.floats(0.5, 0.999))
def test_wilson_and_clopper_pearson_agree_with_scipy(count, confidence):
    oracle = stats.binomtest(*count)
    for ours, method in ((wilson, "wilson"), (clopper_pearson, "exact")):
        theirs = oracle.proportion_ci(confidence, method=method)
        np.testing.assert_allclose(ours(*count, confidence=confidence), theirs, rtol=1e-9, atol=1e-12)


@light
@given(counts)
def test_both_hold_the_share_and_stay_inside_0_to_1(count):
    for interval in (wilson, clopper_pearson):
        low, high = interval(*count)
        assert 0 <= low <= count[0] / count[1] <= high <= 1


def test_wilson_of_nine_of_nine_is_70_to_100_percent_and_the_exact_one_66_to_100():
    np.testing.assert_allclose(wilson(9, 9), (0.7009, 1), atol=1e-4)
    np.testing.assert_allclose(clopper_pearson(9, 9), (0.6637, 1), atol=1e-4)


def test_no_images_say_nothing():
    assert wilson(0, 0) == clopper_pearson(0, 0) == (0.0, 1.0)


def test_arrays_give_what_numbers_give():
    right, n = np.arange(11), np.full(11, 10)
    for interval in (wilson, clopper_pearson):
        low, high = interval(right[:10], n[:10])
        one_by_one = [interval(int(k), 10) for k in range(10)]
        np.testing.assert_allclose(np.stack([low, high], axis=1), one_by_one)


@pytest.mark.parametrize("interval", [wilson, clopper_pearson])
def test_impossible_counts_and_confidences_are_refused(interval):
    with pytest.raises(OptionError, match="wanted 0 <= successes <= n, got 3 of 2"):
        interval(3, 2)
    with pytest.raises(OptionError, match="wanted 0 <= successes <= n"):
        interval([0, -1], [2, 2])
    with pytest.raises(OptionError, match="between 0 and 1"):
        interval(1, 2, confidence=95)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.5, 0.9, 0.98])
@pytest.mark.parametrize("n", [30, 200, 2000])
def test_wilson_covers_about_95_percent_and_clopper_pearson_never_less(share, n):
    outcomes = np.arange(n + 1)
    chance = stats.binom.pmf(outcomes, n, share)
    covers = {}
    for interval in (wilson, clopper_pearson):
        low, high = interval(outcomes, np.full(n + 1, n))
        covers[interval] = chance[(low <= share) & (share <= high)].sum()
    assert 0.91 < covers[wilson] < 0.985
    assert covers[clopper_pearson] >= 0.95


def test_the_bootstrap_agrees_with_scipy():
    values = np.random.default_rng(1).exponential(size=60)
    theirs = stats.bootstrap((values,), np.mean, n_resamples=9999, method="BCa", rng=2).confidence_interval
    np.testing.assert_allclose(bootstrap(values, resamples=9999), theirs, atol=0.01)
    theirs = stats.bootstrap((values,), np.median, n_resamples=2000, method="percentile", rng=2).confidence_interval
    np.testing.assert_allclose(bootstrap(values, np.median), theirs, atol=0.06)


def test_the_bootstrap_covers_the_mean_of_skewed_losses():
    generator = np.random.default_rng(0)
    hits = 0
    for seed in range(300):
        low, high = bootstrap(generator.exponential(size=100), resamples=1000, seed=seed)
        hits += low <= 1 <= high
    assert 0.91 <= hits / 300 <= 0.98


def test_the_same_seed_gives_the_same_interval_and_another_seed_nearly():
    values = np.random.default_rng(1).exponential(size=300)
    assert bootstrap(values, seed=3) == bootstrap(values, seed=3)
    assert bootstrap(values, seed=3) != bootstrap(values, seed=4)
    np.testing.assert_allclose(bootstrap(values, seed=3), bootstrap(values, seed=4), atol=0.03)
    assert bootstrap(values, np.median, seed=3, resamples=50) == bootstrap(values, np.median, seed=3, resamples=50)


def test_strata_take_out_the_spread_between_them():
    values = np.repeat([0.0, 10.0], 50) + np.random.default_rng(0).normal(size=100)
    names = np.repeat(["cat", "dog"], 50)
    low, high = bootstrap(values)
    low_in, high_in = bootstrap(values, strata=names)
    assert high_in - low_in < (high - low) / 3
    low_median, high_median = bootstrap(values, lambda v: (v > 5).mean(), strata=names, resamples=50)
    assert low_median == high_median == 0.5


def test_rows_of_several_numbers_are_resampled_together():
    pairs = np.random.default_rng(0).normal(size=(200, 1)) * [1.0, 2.0]
    low, high = bootstrap(pairs, lambda rows: np.corrcoef(rows.T)[0, 1], resamples=50)
    assert low == pytest.approx(1)
    assert high == pytest.approx(1)


def test_one_value_has_no_bootstrap_interval_and_equal_values_have_no_width():
    with pytest.raises(OptionError, match="at least 2 values, got 1"):
        bootstrap([1.0])
    assert bootstrap([0.5, 0.5, 0.5]) == (0.5, 0.5)


def test_ten_thousand_losses_take_a_blink():
    values = np.random.default_rng(0).exponential(size=10_000)
    started = time.process_time()
    bootstrap(values)
    assert time.process_time() - started < 1  # 0.2 s on an idle machine
