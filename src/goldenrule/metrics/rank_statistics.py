"""ROC-AUC and average precision of scores, and how much each image moves them; plain arrays, no `Predictions`.

An influence is the derivative of the statistic after the weight of one image; influences add up to 0, and the sum of
their squares is the variance of the statistic over other images, the infinitesimal jackknife of Jaeckel (1972).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Marks = NDArray[np.bool_]


def auc_and_influences(scores: Floats, positive: Marks) -> tuple[float, Floats]:
    """Return the area under the ROC curve and the influence (n,) of each image; both kinds of images must be there.

    The area is the share of pairs, of one positive and one negative image, in which the positive one has the higher
    score, equal scores counting half. The influences are DeLong's structural components, their squares his variance.

    Source: DeLong, DeLong and Clarke-Pearson (1988), Biometrics 44:837-845, divided by the number of images, not by one
    less.

    >>> auc_and_influences(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True]))[0]
    0.75
    """
    highs, lows = np.sort(scores[positive]), np.sort(scores[~positive])
    beaten, beating = _share_below(lows, scores), 1 - _share_below(highs, scores)
    area = float(beaten[positive].mean())
    return area, np.where(positive, (beaten - area) / len(highs), (beating - area) / len(lows))


def average_precision_and_influences(scores: Floats, positive: Marks) -> tuple[float, Floats]:
    """Return the average precision and the influence (n,) of each image; at least one must be positive.

    Average precision is the mean over positive images of the precision at their own score, equal scores being called
    together: the area under the stepwise curve of precision over recall, without interpolation.

    Source: its definition in scikit-learn; the influences are its derivative.

    >>> round(average_precision_and_influences(np.array([0.1, 0.4, 0.35, 0.8]), np.array([0, 0, 1, 1]) > 0)[0], 3)
    0.833
    """
    order = np.argsort(-scores, kind="stable")
    falling, true = -scores[order], positive[order].astype(np.float64)
    first, end = np.searchsorted(falling, falling), np.searchsorted(falling, falling, side="right")
    called, hits, total = end.astype(np.float64), np.cumsum(true)[end - 1], true.sum()
    precision = hits / called
    value = float(true @ precision / total)
    # One more image at a score is called together with every positive one of the same score or a lower.
    more_hits, more_called = _sum_from(true / called)[first], _sum_from(true * hits / called**2)[first]
    influences = np.empty(len(scores))
    influences[order] = (true * (precision - value + more_hits) - more_called) / total
    return value, influences


def _share_below(others: Floats, scores: Floats) -> Floats:
    """Return the share of the sorted `others` below each score, equal ones counting half."""
    below = np.searchsorted(others, scores) + np.searchsorted(others, scores, side="right")
    return np.asarray(below / (2 * len(others)))


def _sum_from(values: Floats) -> Floats:
    """Return the sum of each value and all that follow."""
    return np.asarray(np.cumsum(values[::-1])[::-1])
