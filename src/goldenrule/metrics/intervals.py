"""Confidence intervals of a share and of a mean: plain numbers in, (low, high) out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from goldenrule.core.errors import OptionError
from goldenrule.core.extras import Late
from goldenrule.metrics.resampling import (
    bca_interval,
    normal_quantile,
    resampled_means,
    strata_rows,
    tails,
)

Floats = NDArray[np.float64]


@overload
def wilson(successes: int, n: int, *, confidence: float = 0.95) -> tuple[float, float]: ...
@overload
def wilson(successes: ArrayLike, n: ArrayLike, *, confidence: float = 0.95) -> tuple[Floats, Floats]: ...
def wilson(successes: Any, n: Any, *, confidence: float = 0.95) -> tuple[Any, Any]:
    """Return the score interval of a share: `successes` out of `n`, as numbers or as arrays of one shape.

    It inverts the score test, so it stays inside 0 to 1 and does not shrink to nothing at 0 or n successes.
    Its coverage is `confidence` on average over the shares, a few percent less for some. With n = 0: (0, 1).
    Raises `OptionError` unless 0 <= successes <= n.

    Source: Wilson (1927), JASA 22:209-212; recommended by Brown, Cai and DasGupta (2001), Statistical
    Science 16:101-133.

    >>> [round(end, 3) for end in wilson(199, 200)]
    [0.972, 0.999]
    >>> [round(end, 3) for end in wilson(9, 9)]
    [0.701, 1.0]
    >>> low, high = wilson([0, 5], [0, 10])
    >>> low.round(3), high.round(3)
    (array([0.   , 0.237]), array([1.   , 0.763]))
    """
    right, total = _checked_counts(successes, n)
    z2 = normal_quantile(tails(confidence)[1]) ** 2
    share = right / np.maximum(total, 1)
    centre = (right + z2 / 2) / (total + z2)
    half = np.sqrt(z2 * (total * share * (1 - share) + z2 / 4)) / (total + z2)
    low = np.where(right == 0, 0.0, np.maximum(centre - half, 0))
    high = np.where(right == total, 1.0, np.minimum(centre + half, 1))
    return (float(low), float(high)) if low.ndim == 0 else (low, high)


@overload
def clopper_pearson(successes: int, n: int, *, confidence: float = 0.95) -> tuple[float, float]: ...
@overload
def clopper_pearson(successes: ArrayLike, n: ArrayLike, *, confidence: float = 0.95) -> tuple[Floats, Floats]: ...
def clopper_pearson(successes: Any, n: Any, *, confidence: float = 0.95) -> tuple[Any, Any]:
    """Return the exact interval of a share, which never covers less than `confidence`: wider than `wilson`.

    Takes and raises what `wilson` does. Source: Clopper and Pearson (1934), Biometrika 26:404-413.

    >>> [round(end, 3) for end in clopper_pearson(9, 9)]
    [0.664, 1.0]
    """
    betaincinv = Late("scipy.special").betaincinv

    right, total = _checked_counts(successes, n)
    wrong = total - right
    below, above = tails(confidence)
    low = np.where(right == 0, 0.0, betaincinv(np.maximum(right, 1), wrong + 1, below))
    high = np.where(wrong == 0, 1.0, betaincinv(right + 1, np.maximum(wrong, 1), above))
    return (float(low), float(high)) if low.ndim == 0 else (low, high)


def bootstrap(
    values: ArrayLike,
    statistic: Callable[[Any], Any] = np.mean,
    *,
    strata: ArrayLike | None = None,
    resamples: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> tuple[float, float]:
    """Return the bootstrap interval of a statistic of `values` (n, ...), one row per image.

    For the mean of one-dimensional values it is the BCa interval (bias-corrected and accelerated), because
    losses are skewed and plain percentiles cover too rarely; for any other statistic, which is then given
    resampled rows and gives a number, it is the percentile interval. `strata` (n,) keeps the size of each
    stratum. The same seed gives the same interval.

    Values that are all equal give an interval of no width: the bootstrap knows nothing of what it has not
    seen. Raises `OptionError` for fewer than two values.

    Source: Efron (1987), Better bootstrap confidence intervals, JASA 82:171-185.

    >>> [round(end, 2) for end in bootstrap([0.1, 0.2, 0.1, 0.4, 2.0, 0.1, 0.3, 0.2])]
    [0.17, 1.14]
    """
    rows = np.asarray(values)
    if len(rows) < 2:
        raise OptionError(f"a bootstrap interval needs at least 2 values, got {len(rows)}")
    if statistic is np.mean and rows.ndim == 1:
        means = resampled_means(rows, strata=strata, resamples=resamples, seed=seed)
        return bca_interval(rows, means, strata=strata, confidence=confidence)
    generator = np.random.default_rng(seed)
    parts = strata_rows(len(rows), strata)
    drawn = [
        float(statistic(rows[np.concatenate([generator.choice(part, len(part)) for part in parts])]))
        for _ in range(resamples)
    ]
    low, high = np.quantile(drawn, tails(confidence))
    return float(low), float(high)


def _checked_counts(successes: ArrayLike, n: ArrayLike) -> tuple[Floats, Floats]:
    """Both as float64 arrays of one shape."""
    right, total = np.broadcast_arrays(np.asarray(successes, np.float64), np.asarray(n, np.float64))
    if not ((right >= 0) & (right <= total)).all():
        raise OptionError(f"wanted 0 <= successes <= n, got {successes!r} of {n!r}")
    return right, total
