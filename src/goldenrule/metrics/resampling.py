"""Bootstrap samples of a mean: vectorised, in bounded memory, the same for the same seed."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from goldenrule.core.errors import OptionError

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

DRAWN_AT_ONCE = 2**17  # rows drawn in one block: 1 MB of row numbers and 1 MB of values stay in the cache
MOST_UNITS = 5_000  # more values are resampled in groups; the standard error is then known to 1 %


def resampled_means(
    values: ArrayLike, *, strata: ArrayLike | None = None, resamples: int = 2000, seed: int = 0
) -> Floats:
    """Return the means (resamples,) of so many bootstrap samples of `values` (n,), n >= 1.

    More than 5,000 values are put into 5,000 groups at random, and groups are resampled: variance and
    skewness of the mean stay what they are, and a million values take hardly longer than ten thousand.
    `strata` (n,) keeps the size of each stratum.

    Raises `OptionError` for no values, another shape, values that are not finite, or no resamples.
    """
    rows = np.asarray(values, dtype=np.float64)
    if rows.ndim != 1 or len(rows) == 0 or not np.isfinite(rows).all():
        finite = int(np.isfinite(rows).sum())
        raise OptionError(f"wanted finite values (n,), n >= 1; got shape {rows.shape}, {finite} of them finite")
    if resamples < 1:
        raise OptionError(f"resamples = {resamples}; wanted 1 or more, such as 2000")
    generator = np.random.default_rng(seed)
    scale = MOST_UNITS / max(len(rows), MOST_UNITS)
    sums = np.zeros(resamples)
    for part in strata_rows(len(rows), strata):
        sums += _resampled_sums(rows[part], resamples, max(1, round(scale * len(part))), generator)
    return sums / len(rows)


def bca_interval(
    values: ArrayLike, means: Floats, *, strata: ArrayLike | None = None, confidence: float = 0.95
) -> tuple[float, float]:
    """Return the bias-corrected and accelerated interval of the mean of `values` (n,) from resampled `means`.

    Source: Efron (1987), JASA 82:171-185; the acceleration of a mean is its skewness / 6.
    """
    rows = np.asarray(values, dtype=np.float64)
    parts = strata_rows(len(rows), strata)
    deviations = np.concatenate([rows[part] - rows[part].mean() for part in parts])
    mean, spread = float(rows.mean()), float(np.square(deviations).sum())
    cubed = spread**1.5
    if cubed == 0 or np.ptp(means) == 0:  # nothing, or so little that its cube is nothing
        return mean, mean
    acceleration = float((deviations**3).sum()) / (6 * cubed)
    below = float(np.mean(means < mean) + np.mean(means <= mean)) / 2
    bias = normal_quantile(min(max(below, 1 / len(means)), 1 - 1 / len(means)))
    low, high = np.quantile(means, [_bca_level(bias, acceleration, tail) for tail in tails(confidence)])
    return float(low), float(high)


def strata_rows(n: int, strata: ArrayLike | None) -> list[Rows]:
    """Return the row numbers of each stratum, or of all n rows where there are no strata.

    >>> [rows.tolist() for rows in strata_rows(4, ["cat", "dog", "cat", "cat"])]
    [[0, 2, 3], [1]]
    """
    if strata is None:
        return [np.arange(n)]
    names = np.asarray(strata)
    if names.shape != (n,):
        raise OptionError(f"strata: wanted shape ({n},), one per value; got {names.shape}")
    codes = np.unique(names, return_inverse=True)[1]
    starts = np.flatnonzero(np.diff(np.sort(codes))) + 1
    return np.split(np.argsort(codes, kind="stable"), starts)


def tails(confidence: float) -> tuple[float, float]:
    """Return the two levels between which a two-sided interval lies.

    >>> [round(level, 3) for level in tails(.95)]
    [0.025, 0.975]
    """
    if not 0 < confidence < 1:
        raise OptionError(f"confidence = {confidence}; wanted a share between 0 and 1, such as 0.95")
    return (1 - confidence) / 2, (1 + confidence) / 2


def normal_quantile(probability: float) -> float:
    """Return the z below which a standard normal number falls with this probability."""
    from statistics import NormalDist

    return NormalDist().inv_cdf(probability)


def normal_share(z: float) -> float:
    """Return the probability with which a standard normal number falls below z."""
    from statistics import NormalDist

    return NormalDist().cdf(z)


def _bca_level(bias: float, acceleration: float, tail: float) -> float:
    """Return the share of the resampled means at which the interval ends, in place of `tail`."""
    shifted = bias + normal_quantile(tail)
    return normal_share(bias + shifted / max(1 - acceleration * shifted, 1e-3))


def _resampled_sums(values: Floats, resamples: int, units: int, generator: np.random.Generator) -> Floats:
    """Return the sums (resamples,) of as many draws as there are values, drawn in at most `units` groups."""
    mean = values.mean()
    deviations = values - mean
    if len(values) > units:
        starts = np.linspace(0, len(values), units, endpoint=False).astype(np.int64)
        deviations = np.add.reduceat(generator.permutation(deviations), starts)
    sums = np.empty(resamples)
    block = max(1, DRAWN_AT_ONCE // len(deviations))
    for start in range(0, resamples, block):
        drawn = generator.integers(0, len(deviations), size=(min(block, resamples - start), len(deviations)))
        sums[start : start + block] = deviations.take(drawn).sum(axis=1)
    return np.asarray(sums + mean * len(values), dtype=np.float64)
