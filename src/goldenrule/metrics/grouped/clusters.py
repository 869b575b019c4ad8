"""Intervals where images come in groups (films, patients, neighbours): there the sample is of groups.

Frames of one film are right or wrong together, so a thousand frames of thirty films tell little more than thirty
images. The variance of a mean comes from the sums of the groups (Liang and Zeger 1986, Biometrika 73:13-22), and how
many independent images would tell as much is the effective n (Kish 1965, "Survey Sampling"). benchmarks/groups.py
measures how often these intervals hold.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from goldenrule.core.extras import Late
from goldenrule.metrics.resampling import DRAWN_AT_ONCE, tails

Floats = NDArray[np.float64]

FEWEST_GROUPS = 6
"""Of fewer groups nothing is known of how much they differ: there is no interval."""
CONFIDENCE = 0.95
MANY_GROUPS = 2000
"""Of more groups means are normal enough: Student's t alone."""


@dataclass(frozen=True, slots=True)
class Clustered:
    """A mean of values that come in groups: its interval (nan where there is none), and what it rests on."""

    low: float
    high: float
    groups: int
    effective_n: float
    method: str

    @property
    def about(self) -> dict[str, Any]:
        """The interval and what it rests on, by the names that an `Estimate` has for them."""
        return asdict(self)


def group_numbers(names: Sequence[Hashable | None]) -> NDArray[np.int64]:
    """Return a number (n,) for each group name; None is a group of its own.

    >>> group_numbers(["a", None, "a", None, "b"]).tolist()
    [0, 1, 0, 2, 3]
    """
    numbers: dict[object, int] = {}
    return np.array(
        [numbers.setdefault((row,) if name is None else name, len(numbers)) for row, name in enumerate(names)], np.int64
    )


def clustered_share(right: ArrayLike, groups: NDArray[np.int64]) -> Clustered:
    """Return the score interval (Wilson) of a share at the effective n, with Student's t of G - 1 degrees.

    `right` (n,) are booleans, `groups` (n,) numbers. Where few groups hold one of the rarer answers, how much groups
    differ is hardly known; so the effective n is drawn towards the number of groups G: 1 / n_eff =
    w / G + (1 - w) / n_measured with w = 1 / (1 + groups with a rarer answer).

    >>> one = clustered_share([True] * 95 + [False] * 5, np.arange(100) // 5)  # the wrong ones are of one group
    >>> round(one.low, 2), round(one.high, 2), one.groups, round(one.effective_n, 1)
    (0.74, 0.99, 20, 19.5)
    """
    stdtrit = Late("scipy.special").stdtrit

    values = np.asarray(right, np.float64)
    codes = np.unique(groups, return_inverse=True)[1]
    sizes, sums = np.bincount(codes), np.bincount(codes, weights=values)
    n, count = len(values), len(sizes)
    share = float(values.mean())
    if count == n:  # no groups at all
        effective = float(n)
    else:
        variance = _variance(sums - sizes * share, n)
        measured = min(share * (1 - share) / variance, n) if variance > 0 else float(count)
        rarer = int(((sizes - sums if share >= 0.5 else sums) > 0).sum())
        weight = 1 / (1 + rarer)
        effective = 1 / (weight / count + (1 - weight) / measured)
    method = "score interval 95 % at the effective n"
    if count < FEWEST_GROUPS:
        return Clustered(np.nan, np.nan, count, effective, "no interval: too few groups")
    z = float(stdtrit(count - 1, tails(CONFIDENCE)[1]))
    centre = (share + z * z / (2 * effective)) / (1 + z * z / effective)
    half = z / (1 + z * z / effective) * np.sqrt(share * (1 - share) / effective + z * z / (4 * effective**2))
    low, high = max(centre - half, 0.0) if share > 0 else 0.0, min(centre + half, 1.0) if share < 1 else 1.0
    return Clustered(float(low), float(high), count, effective, method)


def clustered_mean(
    values: ArrayLike,
    groups: NDArray[np.int64],
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> Clustered:
    """Return the interval of the mean of `values` (n,) whose groups (n,) are the sample.

    Losses are skew, and few groups hide it: so it reaches as far as either Student's t or the bootstrap-t over groups
    does (Hall 1988, Annals of Statistics 16:927-953).
    """
    stdtrit = Late("scipy.special").stdtrit

    rows = np.asarray(values, np.float64)
    error, count = clustered_error(rows, groups)
    mean, spread = float(rows.mean()), float(rows.var())
    effective = min(spread / error**2, float(len(rows))) if error > 0 else float(count)
    if count < FEWEST_GROUPS:
        return Clustered(np.nan, np.nan, count, effective, "no interval: too few groups")
    half = float(stdtrit(count - 1, tails(CONFIDENCE)[1]))
    low, high = -half, half
    if count <= MANY_GROUPS and error > 0:
        drawn = _studentised(group_values(rows, groups), resamples, seed)
        first, last = np.quantile(drawn, tails(CONFIDENCE))
        low, high = min(low, -float(last)), max(high, -float(first))
    return Clustered(
        mean + low * error, mean + high * error, count, effective, "Student's t and bootstrap-t 95 % over groups"
    )


def _studentised(values: Floats, resamples: int, seed: int) -> Floats:
    """Return how many of its own standard errors the mean of each bootstrap sample of `values` (G,) is off."""
    generator = np.random.default_rng(seed)
    found = []
    block = max(1, DRAWN_AT_ONCE // len(values))
    for start in range(0, resamples, block):
        drawn = values[generator.integers(0, len(values), (min(block, resamples - start), len(values)))]
        error = drawn.std(axis=1, ddof=1) / np.sqrt(len(values))
        kept = error > 0
        found.append((drawn.mean(axis=1)[kept] - values.mean()) / error[kept])
    every = np.concatenate(found)
    return every if len(every) else np.zeros(1)


def clustered_error(values: Floats, groups: NDArray[np.int64] | None) -> tuple[float, int]:
    """Return the standard error of the mean of `values` (n,) over groups (n,), or over images, and how many there are.

    >>> round(clustered_error(np.array([0.0, 1, 0, 1]), None)[0], 3)
    0.289
    """
    deviations, count = group_deviations(values, np.arange(len(values)) if groups is None else groups)
    return float(np.sqrt(_variance(deviations, len(values)))), count


def welch_p_value(
    one: Floats,
    groups: NDArray[np.int64] | None,
    other: Floats,
    its_groups: NDArray[np.int64] | None,
    *,
    untold: float = 1.0,
) -> float:
    """Return the two-sided p-value of two equal means by Welch's t-test over groups, or over images without groups.

    `untold` where either has fewer than six groups.

    >>> one, other = np.arange(20) % 2 / 1.0, np.arange(20) % 2 + 0.5
    >>> round(welch_p_value(one, None, other, None), 4), welch_p_value(one, np.arange(20) // 5, other, None)
    (0.0038, 1.0)
    """
    ttest_ind_from_stats = Late("scipy.stats").ttest_ind_from_stats

    (error, count), (its_error, its_count) = clustered_error(one, groups), clustered_error(other, its_groups)
    if min(count, its_count) < FEWEST_GROUPS:
        return untold
    if error == its_error == 0:
        return 1.0
    spreads = error * np.sqrt(count), its_error * np.sqrt(its_count)
    found = ttest_ind_from_stats(one.mean(), spreads[0], count, other.mean(), spreads[1], its_count, equal_var=False)
    return float(found.pvalue)


def group_values(values: Floats, groups: NDArray[np.int64]) -> Floats:
    """Return one value a group (G,), with the same mean: what a bootstrap of groups resamples."""
    deviations, count = group_deviations(values, groups)
    return np.asarray(values.mean() + deviations * count / len(values))


def group_deviations(values: Floats, groups: NDArray[np.int64]) -> tuple[Floats, int]:
    """Return the sum of (value - mean) in each group (G,), and G."""
    codes = np.unique(groups, return_inverse=True)[1]
    deviations = np.bincount(codes, weights=values - values.mean()).astype(np.float64)
    return deviations, len(deviations)


def _variance(deviations: Floats, n: int) -> float:
    """Return the variance of a mean over n images by the sums of the groups' deviations (G,)."""
    count = len(deviations)
    return count / (count - 1) * float(np.square(deviations).sum()) / n**2 if count > 1 else 0.0
