"""Precision, recall and F-beta averaged over the classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, cast, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from goldenrule.core.errors import OptionError
from goldenrule.metrics.class_scores import called_labels, confusion, require_positive_beta
from goldenrule.metrics.estimate import Basis, Estimate
from goldenrule.metrics.grouped.jackknife import over_groups
from goldenrule.metrics.intervals import wilson
from goldenrule.metrics.label_averages import LabelAverage, label_average
from goldenrule.metrics.predictions import Predictions
from goldenrule.metrics.score_intervals import f_score, f_score_interval, mean_interval, widened

Average = Literal["macro", "micro", "weighted", "samples"]
_ClassAverage = Literal["macro", "micro", "weighted"]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class AverageScore:
    """Precision, recall and F-beta over all classes, averaged in one way."""

    precision: Estimate
    recall: Estimate
    f_beta: Estimate


def averages(
    predictions: Predictions, *, beta: float = 1, thresholds: ArrayLike | None = None
) -> dict[Average, AverageScore]:
    """Return the macro, micro and weighted average of precision, recall and F-beta; multi-label: "samples" too.

    Macro: every class counts the same. Weighted: by its number of images. A class for which a score is
    undefined (no image of it, or none called so) is left out of that average; `method` says how many are in.
    Micro: over images, or over all labels of all images; with a single label all three are the accuracy.
    Samples: of the labels of each image, every image counts the same; one for which a score is undefined is
    left out, and `method` says how many are in.
    `thresholds` says from what probability one of several labels is called: a number, or one per class; without it the
    predictions' own count, .5 where they have none.
    Raises `OptionError` unless beta > 0.
    """
    require_positive_beta(beta)
    if predictions.task == "multi":
        called, true = called_labels(predictions, thresholds), predictions.scored.truth == 1
        return {one: _of_labels(one, true, called, beta, predictions.basis) for one in get_args(LabelAverage)}
    table, basis = confusion(predictions, thresholds=thresholds), predictions.basis
    return {average: _averaged(average, table, beta, basis) for average in get_args(_ClassAverage)}


@over_groups
def f_beta(
    predictions: Predictions, beta: float = 1, *, average: Average = "macro", thresholds: ArrayLike | None = None
) -> Estimate:
    """Return F-beta averaged as `averages` does; beta = 2 weighs recall twice.

    >>> both = Predictions.from_logits([[3, -2], [2, 1]], ["cat", "dog"], truth=[[1, 0], [0, 1]], task="multi")
    >>> print(f_beta(both, 2, average="samples", thresholds=0.2))
    92 % [37, 100] n=2
    """
    wanted = get_args(LabelAverage if predictions.task == "multi" else _ClassAverage)
    if average not in wanted:
        raise OptionError(f"average = {average!r}: wanted one of {wanted}")
    require_positive_beta(beta)
    if predictions.task == "multi":
        called, true = called_labels(predictions, thresholds), predictions.scored.truth == 1
        return label_average(average, "f_beta", true, called, beta=beta, basis=predictions.basis)
    table = confusion(predictions, thresholds=thresholds)
    return _average(cast("_ClassAverage", average), _metrics(table, beta)[2], table, predictions.basis)


def macro_recall(predictions: Predictions) -> Estimate:
    """Return the mean of the recalls of the classes, which `averages` gives among others; for a single label."""
    table = confusion(predictions)
    return _average("macro", _metrics(table, 1)[1], table, predictions.basis)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Metric:
    """A score per class: `values` (C,), nan where undefined, and the limits of each at a confidence."""

    name: str
    values: Floats
    limits: Callable[[float], tuple[Floats, Floats]]
    design_effect: float = 1.0


def _of_labels(
    average: LabelAverage, true: NDArray[np.bool_], called: NDArray[np.bool_], beta: float, basis: Basis
) -> AverageScore:
    precision, recall, score = (
        label_average(average, metric, true, called, beta=beta, basis=basis)
        for metric in ("precision", "recall", "f_beta")
    )
    return AverageScore(precision=precision, recall=recall, f_beta=score)


def _averaged(average: _ClassAverage, table: NDArray[np.int64], beta: float, basis: Basis) -> AverageScore:
    precision, recall, score = (_average(average, metric, table, basis) for metric in _metrics(table, beta))
    return AverageScore(precision=precision, recall=recall, f_beta=score)


def _average(average: _ClassAverage, metric: _Metric, table: NDArray[np.int64], basis: Basis) -> Estimate:
    if average == "micro":
        return Estimate.of_share(f"micro {metric.name}", int(np.trace(table)), int(table.sum()), basis=basis)
    return _mean(average, metric, table.sum(axis=1), basis)


def _metrics(table: NDArray[np.int64], beta: float) -> tuple[_Metric, _Metric, _Metric]:
    """Return precision, recall and F-beta of each class of a confusion matrix (C, C)."""
    hits, true, called = np.diag(table), table.sum(axis=1), table.sum(axis=0)
    counts = hits, called - hits, true - hits
    return (
        _Metric(
            name="precision",
            values=_ratio(hits, called),
            limits=lambda confidence: wilson(hits, called, confidence=confidence),
        ),
        _Metric(
            name="recall",
            values=_ratio(hits, true),
            limits=lambda confidence: wilson(hits, true, confidence=confidence),
        ),
        _Metric(
            name=f"F{beta:g}",
            values=f_score(*counts, beta),
            limits=lambda confidence: f_score_interval(*counts, beta, confidence=confidence),
            design_effect=2.0,
        ),
    )


def _mean(average: Literal["macro", "weighted"], metric: _Metric, support: NDArray[np.int64], basis: Basis) -> Estimate:
    """Return the mean of a metric over the classes for which it is defined."""
    kept = ~np.isnan(metric.values) & ((support > 0) | (average == "macro"))
    name = f"{average} {metric.name}"
    method = f"stratified score interval 95 % over {kept.sum()} of {len(kept)} classes"
    if not kept.any():
        return Estimate.undefined(name, method, kind="share", basis=basis)
    values = metric.values[kept]
    weights = support[kept] if average == "weighted" else np.ones(len(values))
    value = float(np.average(values, weights=weights))
    low, high = mean_interval(lambda c: _only(kept, metric.limits(c)), weights, design_effect=metric.design_effect)
    if average == "weighted":
        # Other images would have had other numbers of each class.
        spread = float(np.average((values - value) ** 2, weights=weights)) / int(weights.sum())
        low, high = widened(low, value, high, spread)
    low, high, n = min(low, value), max(high, value), int(support.sum())  # rounding errors of 1e-16
    return Estimate(name=name, value=value, low=low, high=high, n=n, method=method, kind="share", basis=basis)


def _only(kept: NDArray[np.bool_], limits: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
    return limits[0][kept], limits[1][kept]


def _ratio(part: NDArray[np.int64], whole: NDArray[np.int64]) -> Floats:
    """Return part / whole, nan for 0 / 0."""
    return np.asarray(np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0))
