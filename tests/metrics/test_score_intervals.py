import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import fbeta_score

from goldenrule.metrics import wilson
from goldenrule.metrics.score_intervals import effective_interval, f_score, f_score_interval, mean_interval, widened

light = settings(deadline=None, max_examples=60)
count = st.integers(0, 2000)
betas = st.floats(0.2, 5)


@light
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=50), betas)
def test_the_f_score_is_that_of_scikit_learn(pairs, beta):
    true, called = np.array(pairs).T
    ours = f_score((true & called).sum(), (~true & called).sum(), (true & ~called).sum(), beta)
    theirs = fbeta_score(true, called, beta=beta, zero_division=np.nan)
    assert ours == pytest.approx(theirs, nan_ok=True)


@light
@given(count, count, count)
def test_the_interval_of_f1_is_wilson_on_the_jaccard_index(hits, alarms, misses):
    low, high = wilson(hits, hits + alarms + misses)
    expected = 2 * low / (1 + low), 2 * high / (1 + high)
    np.testing.assert_allclose(f_score_interval(hits, alarms, misses), expected, atol=1e-8)


@light
@given(count, count, count, betas)
def test_the_interval_holds_the_score_and_stays_inside_0_to_1(hits, alarms, misses, beta):
    low, high = f_score_interval(hits, alarms, misses, beta)
    assert 0 <= low < high <= 1
    if hits + alarms + misses:
        assert low <= f_score(hits, alarms, misses, beta) <= high


def test_a_perfect_class_has_a_lower_limit_below_1_and_an_empty_one_says_nothing():
    low, high = f_score_interval([9, 0, 0], [0, 9, 0], [0, 0, 0], 2)
    assert low.tolist() == [pytest.approx(0.791, abs=1e-3), 0, 0]
    assert high[0] == high[2] == 1
    assert 0 < high[1] < 1


@pytest.mark.parametrize("beta", [0.5, 1, 2])
@pytest.mark.parametrize("cells", [(0.4, 0.05, 0.05, 0.5), (0.3, 0.02, 0.15, 0.53), (0.5, 0.01, 0.01, 0.48)])
def test_the_interval_of_f_beta_covers_about_95_percent(cells, beta):
    hits, alarms, misses, _ = np.random.default_rng(0).multinomial(60, cells, size=2000).T
    low, high = f_score_interval(hits, alarms, misses, beta)
    truth = f_score(*cells[:3], beta)
    assert 0.92 < ((low <= truth) & (truth <= high)).mean() < 0.99


@light
@given(st.integers(1, 50), st.integers(1, 30))
def test_the_mean_over_perfect_classes_is_as_sure_as_all_their_images(classes, images):
    n = np.full(classes, images)
    mean = mean_interval(lambda confidence: wilson(n, n, confidence=confidence), n)
    np.testing.assert_allclose(mean, wilson(classes * images, classes * images), atol=1e-9)


@light
@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_mean_over_one_class_is_its_own_interval(counts):
    right, n = (np.array([number]) for number in counts)
    mean = mean_interval(lambda confidence: wilson(right, n, confidence=confidence), [3])
    np.testing.assert_allclose(mean, wilson(*counts), atol=1e-9)


@pytest.mark.parametrize("n", [10, 30, 100])
def test_the_mean_of_many_shares_covers_about_95_percent(n):
    generator = np.random.default_rng(0)
    shares = np.linspace(0.7, 1, 20)
    sizes = np.full(20, n)
    covered = 0
    for right in generator.binomial(n, shares, size=(300, 20)):
        low, high = mean_interval(lambda c, right=right: wilson(right, sizes, confidence=c), np.ones(20))
        covered += low <= shares.mean() <= high
    assert 0.9 < covered / 300 < 0.99


@light
@given(st.integers(1, 500), st.floats(0, 1))
def test_the_effective_interval_of_a_share_is_about_wilsons(n, share):
    successes = round(share * n)
    value = successes / n
    ours = effective_interval(value, value * (1 - value) / n, n)
    np.testing.assert_allclose(ours, wilson(successes, n), atol=1e-9)


@light
@given(st.floats(0, 1), st.floats(0, 0.25), st.floats(1, 1000))
def test_the_effective_interval_holds_the_value_and_grows_with_its_variance(value, variance, n):
    low, high = effective_interval(value, variance, n)
    wider_low, wider_high = effective_interval(value, 2 * variance, n)
    assert 0 <= low <= value <= high <= 1
    assert high - low <= wider_high - wider_low + 1e-9


def test_the_effective_interval_narrows_with_n_and_never_to_nothing():
    widths = [np.subtract(*effective_interval(1.0, 0.0, n)[::-1]) for n in (1, 10, 100, 1000)]
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] > 0
    assert effective_interval(1.0, 0.0, 10) == wilson(10, 10)


def test_another_source_of_variance_widens_an_interval_as_far_as_0_to_1():
    low, high = widened(0.6, 0.7, 0.8, 0.01)
    assert (low, high) == pytest.approx((0.7 - np.hypot(0.1, 0.196), 0.7 + np.hypot(0.1, 0.196)), abs=1e-3)
    assert widened(0.1, 0.7, 0.9, 1.0) == (0.0, 1.0)
