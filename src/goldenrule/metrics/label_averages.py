"""Averages of precision, recall and multi-label F-beta: the labels of one image are no independent trials."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from goldenrule.metrics.estimate import Basis, Estimate
from goldenrule.metrics.intervals import wilson
from goldenrule.metrics.score_intervals import (
    IMAGINED,
    effective_interval,
    f_score_interval,
    mean_interval,
    widened,
)

LabelAverage = Literal["macro", "micro", "weighted", "samples"]
LabelMetric = Literal["precision", "recall", "f_beta"]
Floats = NDArray[np.float64]
Marks = NDArray[np.bool_]


def label_average(
    average: LabelAverage, metric: LabelMetric, true: Marks, called: Marks, *, beta: float, basis: Basis
) -> Estimate:
    """Return one average of one metric, of what is true and what is called, both (n, C).

    Macro, micro, weighted: the score intervals of independent labels, widened by the design effect, which is
    the variance of the average, by linearisation over images, against that of independent labels. It is 1 or
    more, and that of one image with as many wrong labels as an image has is mixed in, so that labels which are
    all right count no more than their images.
    Samples: the mean over images of the score of each, with `effective_interval`.

    Source: Kish (1965), Survey sampling, for the design effect; linearisation of a ratio after Woodruff (1971),
    JASA 66:411-414.
    """
    ratio = _Ratio(metric, true, called, beta)
    if average == "samples":
        return _of_images(ratio, basis)
    return _micro(ratio, basis) if average == "micro" else _of_classes(average, ratio, basis)


@dataclass(frozen=True)
class _Ratio:
    """A metric as a sum of `top` over a sum of `bottom`: for a class, an image, or all."""

    metric: LabelMetric
    true: Marks
    called: Marks
    beta: float

    @property
    def name(self) -> str:
        return f"F{self.beta:g}" if self.metric == "f_beta" else self.metric

    @cached_property
    def top(self) -> Floats:
        weight = 1 + self.beta**2 if self.metric == "f_beta" else 1
        return np.asarray(weight * (self.true & self.called), np.float64)

    @cached_property
    def bottom(self) -> Floats:
        weights = {"precision": (0, 1), "recall": (1, 0), "f_beta": (self.beta**2, 1)}[self.metric]
        return np.asarray(weights[0] * self.true + weights[1] * self.called, np.float64)

    def limits(self, counts: Floats, confidence: float) -> tuple[Floats, Floats]:
        """Return the limits of this metric at true positives, false positives and false negatives, (3,) or (3, k)."""
        hits, alarms, misses = counts
        if self.metric == "f_beta":
            return f_score_interval(hits, alarms, misses, self.beta, confidence=confidence)
        others = alarms if self.metric == "precision" else misses
        return wilson(hits, hits + others, confidence=confidence)

    def counts(self) -> Floats:
        """Return true positives, false positives and false negatives of each class, (3, C)."""
        marks = (self.true & self.called, ~self.true & self.called, self.true & ~self.called)
        return np.stack([mark.sum(axis=0) for mark in marks]).astype(np.float64)


def _of_images(ratio: _Ratio, basis: Basis) -> Estimate:
    top, bottom = ratio.top.sum(axis=1), ratio.bottom.sum(axis=1)
    kept = bottom > 0
    n = int(kept.sum())
    name = f"samples {ratio.name}"
    method = f"Wilson 95 % at the effective sample size over {n} of {len(kept)} images"
    if n == 0:
        return Estimate.undefined(name, method, kind="share", basis=basis)
    values = top[kept] / bottom[kept]
    value = min(float(values.mean()), 1.0)
    low, high = effective_interval(value, float(((values - value) ** 2).sum()) / n**2, n)
    return Estimate(name=name, value=value, low=low, high=high, n=n, method=method, kind="share", basis=basis)


def _micro(ratio: _Ratio, basis: Basis) -> Estimate:
    name, n, total = f"micro {ratio.name}", len(ratio.true), float(ratio.bottom.sum())
    if total == 0:
        return Estimate.undefined(name, "score interval 95 %", kind="share", basis=basis)
    value = float(ratio.top.sum()) / total
    counted = ratio.bottom > 0
    effect = _design_effect((ratio.top - value * ratio.bottom) / total, counted, 1 / counted.sum())
    low, high = ratio.limits(ratio.counts().sum(axis=1) / effect, 0.95)
    return _estimate(name, value, float(low), float(high), n, f"score interval 95 %, design effect {effect:.2f}", basis)


def _of_classes(average: Literal["macro", "weighted"], ratio: _Ratio, basis: Basis) -> Estimate:
    """Return the mean over the classes for which the metric is defined."""
    support, totals = ratio.true.sum(axis=0), ratio.bottom.sum(axis=0)
    kept = (totals > 0) & ((support > 0) | (average == "macro"))
    name, over = f"{average} {ratio.name}", f"over {kept.sum()} of {len(kept)} classes"
    if not kept.any():
        return Estimate.undefined(name, f"stratified score interval 95 % {over}", kind="share", basis=basis)
    weights = (support if average == "weighted" else np.ones(len(support)))[kept]
    parts = weights / weights.sum()
    values = ratio.top[:, kept].sum(axis=0) / totals[kept]
    value = min(float(parts @ values), float(values.max()))  # no rounding errors
    influences = parts * (ratio.top[:, kept] - values * ratio.bottom[:, kept]) / totals[kept]
    counted = ratio.bottom[:, kept] > 0
    effect = _design_effect(influences, counted, float((parts**2 / counted.sum(axis=0)).sum()))
    low, high = mean_interval(_limits(ratio, kept), parts, design_effect=effect)
    if average == "weighted":
        # Other images would have had other numbers of each class.
        shifts = ratio.true[:, kept] @ (values - value) / weights.sum()
        low, high = widened(low, value, high, float((shifts**2).sum()))
    method = f"stratified score interval 95 % {over}, design effect {effect:.2f}"
    return _estimate(name, value, low, high, len(ratio.true), method, basis)


def _limits(ratio: _Ratio, kept: Marks) -> Callable[[float], tuple[Floats, Floats]]:
    counts = ratio.counts()[:, kept]
    return lambda confidence: ratio.limits(counts, confidence)


def _design_effect(influences: Floats, counted: Marks, variance: float) -> float:
    """Return the variance over images against that of independent labels; 1 or more.

    `influences` and `counted` (images, C): what each label adds to the average, and which labels are in its bottom.
    An image with as many wrong labels as an image has adds 1 / n² to the variance, and as many of independent labels
    `variance` / n, n being the images that have a label which counts.
    """
    n = int(counted.any(axis=1).sum())
    together = float((influences.sum(axis=1) ** 2).sum()) + IMAGINED / n**2
    alone = float((influences**2).sum()) + IMAGINED * variance / n
    return max(1.0, together / alone)


def _estimate(name: str, value: float, low: float, high: float, n: int, method: str, basis: Basis) -> Estimate:
    value = min(value, 1.0)
    low, high = min(low, value), max(high, value)  # rounding errors of 1e-16
    return Estimate(name=name, value=value, low=low, high=high, n=n, method=method, kind="share", basis=basis)
