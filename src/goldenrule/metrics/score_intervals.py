"""Intervals of F scores, of averages over classes, and of what else lies between 0 and 1 but is no share of images."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from goldenrule.metrics.intervals import wilson
from goldenrule.metrics.resampling import normal_quantile, normal_share, tails

Floats = NDArray[np.float64]

_HALVINGS = 30  # of 0 to 1: down to 1e-9
_STEPS = 3  # the limits then move by less than a tenth of a thousandth
IMAGINED = 0.25
"""Of one image that is all wrong: what a variance that was estimated from few mistakes is mixed with."""


def f_score(
    true_positives: ArrayLike, false_positives: ArrayLike, false_negatives: ArrayLike, beta: float = 1
) -> Floats:
    """Return F-beta = (1 + b²) TP / ((1 + b²) TP + b² FN + FP) of one class or (k,); nan for no counts.

    >>> f_score([8, 0], [2, 0], [2, 0]).tolist()
    [0.8, nan]
    """
    hits, alarms, misses = _as_floats(true_positives, false_positives, false_negatives)
    top = (1 + beta**2) * hits
    bottom = top + beta**2 * misses + alarms
    return np.asarray(np.divide(top, bottom, out=np.full(bottom.shape, np.nan), where=bottom > 0))


def f_score_interval(
    true_positives: ArrayLike,
    false_positives: ArrayLike,
    false_negatives: ArrayLike,
    beta: float = 1,
    *,
    confidence: float = 0.95,
) -> tuple[Floats, Floats]:
    """Return the score interval of F-beta, of one class or (k,); (0, 1) where all counts are 0.

    Look at the m images that are of the class or called so, and let w = b² / (1 + b²). F-beta is the f for
    which they add up to nothing when a hit counts 1 - f, a miss -w f and a false alarm -(1 - w) f. The
    interval holds every f that a score test of that sum does not reject, where misses and false alarms are
    split as observed. For F1 both cost the same, and this is the Wilson interval of J = TP / (TP + FP + FN)
    mapped by 2 J / (1 + J), the "Wilson indirect" interval.

    Source: Lam, Gopal and Qian (2023), Confidence intervals for the F1 score, arXiv:2309.14621; the step from
    F1 to F-beta is ours, and its coverage is tested by simulation.

    >>> [end.round(3).tolist() for end in f_score_interval(9, 0, 0)]
    [0.824, 1.0]
    """
    hits, alarms, misses = _as_floats(true_positives, false_positives, false_negatives)
    m = hits + alarms + misses
    z2 = normal_quantile(tails(confidence)[1]) ** 2
    weight = beta**2 / (1 + beta**2)
    missed = (misses + 0.5) / (misses + alarms + 1)
    cost = weight * missed + (1 - weight) * (1 - missed)
    cost_squared = weight**2 * missed + (1 - weight) ** 2 * (1 - missed)

    def accepted(f: Floats) -> NDArray[np.bool_]:
        hit = f * cost / (1 - f + f * cost)
        variance = hit * (1 - f) ** 2 + (1 - hit) * f**2 * cost_squared
        total = (1 - f) * hits - f * (weight * misses + (1 - weight) * alarms)
        return np.asarray(total**2 <= z2 * m * variance)

    value = np.nan_to_num(f_score(hits, alarms, misses, beta), nan=0.5)
    low, high = _last_accepted(accepted, value, np.stack([np.zeros_like(m), np.ones_like(m)]))
    return low, high


def mean_interval(
    intervals: Callable[[float], tuple[Floats, Floats]],
    weights: ArrayLike,
    *,
    design_effect: float = 1.0,
    confidence: float = 0.95,
) -> tuple[float, float]:
    """Return the interval of a weighted mean of k scores, `intervals(confidence)` giving the (k,) of each.

    The mean of the limits of each score, taken at a lower confidence such that the mean has the wanted one:
    z' = z |w h| / sum(w h), with h the half widths at z', found by iteration. It does not shrink to nothing
    where every score is 1, as a bootstrap would. `design_effect` is how many times as large the variance is
    as that of independent scores. A mistake lowers two F scores, of the true and of the predicted class, and
    Var(a + b) <= 2 Var(a) + 2 Var(b): there it is 2.

    Source: Yan and Su (2010), Stratified Wilson and Newcombe confidence intervals for multiple binomial
    proportions, Statistics in Biopharmaceutical Research 2:329-335; h in place of their sqrt(p q / n), which
    is 0 at a score of 1, is ours.

    >>> [round(end, 3) for end in mean_interval(lambda c: wilson([50, 50], [50, 50], confidence=c), [1, 1])]
    [0.963, 1.0]
    >>> [round(end, 3) for end in wilson(100, 100)]
    [0.963, 1.0]
    """
    parts = np.asarray(weights, np.float64) / np.sum(weights)
    wanted_z = z = normal_quantile(tails(confidence)[1])
    for _ in range(_STEPS):
        low, high = intervals(2 * normal_share(z) - 1)
        spreads = parts * (high - low)
        narrowing = np.linalg.norm(spreads) / spreads.sum() * np.sqrt(design_effect)
        z = wanted_z * min(float(narrowing), 1)
    low, high = intervals(2 * normal_share(z) - 1)
    return max(float(parts @ low), float(low.min())), min(float(parts @ high), float(high.max()))  # no rounding errors


def effective_interval(
    value: float, variance: float, n: float, *, imagined: float = IMAGINED, confidence: float = 0.95
) -> tuple[float, float]:
    """Return the Wilson interval of what lies between 0 and 1, has this variance and was measured on n images.

    It is that of the share `value` of so many images that a share would have this variance: of n / c, with the
    design effect c = (n² variance + w) / (n value (1 - value) + w). Without w = `imagined` an estimate at its
    end, such as an AUC of 1, would have no variance and its interval no width; with it that is the interval of
    n images that are all right.

    Source: Korn and Graubard (1998), Confidence intervals for proportions with small expected number of
    positive counts estimated from survey data, Survey Methodology 24:193-201, with Wilson's interval as in
    Dean and Pagano (2015), Journal of Survey Statistics and Methodology 3:484-503; w is ours, its coverage is
    tested by simulation.

    >>> [round(end, 3) for end in effective_interval(1.0, 0.0, 9)]
    [0.701, 1.0]
    >>> [round(end, 3) for end in effective_interval(0.9, 0.9 * 0.1 / 50, 50)]
    [0.786, 0.957]
    """
    design_effect = (n**2 * variance + imagined) / (n * value * (1 - value) + imagined)
    effective = n / design_effect
    low, high = wilson(np.asarray(value * effective), np.asarray(effective), confidence=confidence)
    return min(float(low), value), max(float(high), value)  # rounding errors of 1e-16


def widened(low: float, value: float, high: float, variance: float) -> tuple[float, float]:
    """Return the interval of 0 to 1 with an independent source of variance added to it.

    >>> [round(end, 3) for end in widened(0.5, 0.8, 0.9, 0.0)]
    [0.5, 0.9]
    """
    reach = normal_quantile(0.975) * np.sqrt(variance)
    below, above = np.hypot(value - low, reach), np.hypot(high - value, reach)
    return max(0.0, float(value - below)), min(1.0, float(value + above))


def _last_accepted(accepted: Callable[[Floats], NDArray[np.bool_]], inside: Floats, outside: Floats) -> Floats:
    """Return the value farthest from `inside` towards `outside` that is accepted, by halving."""
    border = np.where(accepted(outside), outside, inside)
    for _ in range(_HALVINGS):
        middle = (border + outside) / 2
        good = accepted(middle)
        border, outside = np.where(good, middle, border), np.where(good, outside, middle)
    return np.asarray(border)


def _as_floats(*counts: ArrayLike) -> list[Floats]:
    return [np.asarray(count, np.float64) for count in counts]
