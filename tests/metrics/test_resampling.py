import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from goldenrule.core.errors import OptionError
from goldenrule.metrics import resampling
from goldenrule.metrics.resampling import bca_interval, normal_quantile, resampled_means, strata_rows

light = settings(deadline=None, max_examples=40)


@light
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50), st.integers(0, 2**32))
def test_every_resampled_mean_lies_between_the_smallest_and_the_largest_value(values, seed):
    means = resampled_means(values, resamples=20, seed=seed)
    slack = 1e-9 * max(map(abs, values))
    assert means.shape == (20,)
    assert (means >= min(values) - slack).all()
    assert (means <= max(values) + slack).all()


def test_the_resampled_means_spread_like_the_standard_error():
    values = np.random.default_rng(0).exponential(size=400)
    means = resampled_means(values, resamples=4000)
    assert means.mean() == pytest.approx(values.mean(), abs=0.005)
    assert means.std() == pytest.approx(values.std() / 20, rel=0.05)


def test_groups_of_many_values_keep_mean_spread_and_skewness(monkeypatch):
    values = np.random.default_rng(0).exponential(size=2999) ** 2
    each = resampled_means(values, resamples=8000)
    monkeypatch.setattr(resampling, "MOST_UNITS", 1000)
    grouped = resampled_means(values, resamples=8000)
    error = values.std() / np.sqrt(len(values))
    assert grouped.mean() == pytest.approx(each.mean(), abs=error / 10)
    assert grouped.std() == pytest.approx(each.std(), rel=0.1)
    assert stats.skew(grouped) == pytest.approx(stats.skew(each), abs=0.12)


def test_the_size_of_a_block_changes_nothing(monkeypatch):
    values = np.random.default_rng(0).normal(size=500)
    before = resampled_means(values, resamples=300)
    monkeypatch.setattr(resampling, "DRAWN_AT_ONCE", 700)
    assert np.array_equal(resampled_means(values, resamples=300), before)


def test_memory_is_bounded_for_a_million_values():
    values = np.random.default_rng(0).normal(size=1_000_000)
    tracemalloc.start()
    means = resampled_means(values, resamples=200)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * values.nbytes
    assert means.std() == pytest.approx(1e-3, rel=0.25)


def test_strata_keep_their_sizes():
    values = np.repeat([0.0, 1.0, 5.0], [10, 20, 30])
    assert resampled_means(values, strata=values, resamples=10) == pytest.approx(np.full(10, values.mean()))
    assert [len(rows) for rows in strata_rows(60, values)] == [10, 20, 30]
    assert [rows.tolist() for rows in strata_rows(3, None)] == [[0, 1, 2]]


def test_strata_need_one_name_for_each_value():
    with pytest.raises(OptionError, match=r"wanted shape \(2,\), one per value; got \(3,\)"):
        resampled_means([1.0, 2.0], strata=["a", "b", "c"])


@pytest.mark.parametrize("values", [[], [[1.0, 2.0]], [1.0, np.nan]])
def test_values_must_be_finite_and_in_one_row(values):
    with pytest.raises(OptionError, match="wanted finite values"):
        resampled_means(values)


def test_no_resamples_are_refused():
    with pytest.raises(OptionError, match="resamples = 0; wanted 1 or more"):
        resampled_means([1.0, 2.0], resamples=0)


def test_one_enormous_loss_among_many_small_ones_gives_a_finite_interval():
    values = np.append(np.full(99, 0.001), 34.5)
    low, high = bca_interval(values, resampled_means(values, resamples=10_000), confidence=0.99)
    assert 0 < low < values.mean() < high < 34.5


def test_the_normal_quantile_is_196_at_97_and_a_half_percent():
    assert normal_quantile(0.975) == pytest.approx(stats.norm.ppf(0.975))
