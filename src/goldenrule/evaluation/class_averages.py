"""Precision, recall and F-beta averaged over the classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from goldenrule.evaluation.class_scores import confusion, require_positive_beta
from goldenrule.evaluation.estimate import Basis, Estimate
from goldenrule.evaluation.intervals import wilson
from goldenrule.evaluation.predictions import Predictions
from goldenrule.evaluation.resampling import normal_quantile
from goldenrule.evaluation.score_intervals import f_score, f_score_interval, mean_interval
from goldenrule.foundation.errors import OptionError

Average = Literal["macro", "micro", "weighted"]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class AverageScore:
    """Precision, recall and F-beta over all classes, averaged in one way."""

    precision: Estimate
    recall: Estimate
    f_beta: Estimate


def averages(predictions: Predictions, *, beta: float = 1) -> dict[Average, AverageScore]:
    """Give the macro, micro and weighted average of precision, recall and F-beta.

    Macro: every class counts the same. Weighted: by its number of images. A class for which a score is
    undefined (no image of it, or none called so) is left out of that average; `method` says how many are in.
    Micro: over images; with a single label all three are the accuracy.
    Raises `OptionError` for many labels, and unless beta > 0.
    """
    require_positive_beta(beta)
    table, basis = confusion(predictions), predictions.basis
    return {average: _averaged(average, table, beta, basis) for average in get_args(Average)}


def f_beta(predictions: Predictions, beta: float = 1, *, average: Average = "macro") -> Estimate:
    """Give F-beta averaged over the classes as `averages` does; beta = 2 weighs recall twice."""
    if average not in get_args(Average):
        raise OptionError(f"average = {average!r}: wanted one of {get_args(Average)}")
    return averages(predictions, beta=beta)[average].f_beta


@dataclass(frozen=True, slots=True, kw_only=True)
class _Metric:
    """A score per class: `values` (C,), nan where undefined, and the limits of each at a confidence."""

    name: str
    values: Floats
    limits: Callable[[float], tuple[Floats, Floats]]
    shared: bool = False


def _averaged(average: Average, table: NDArray[np.int64], beta: float, basis: Basis) -> AverageScore:
    hits, n = int(np.trace(table)), int(table.sum())
    precision, recall, score = (
        Estimate.of_share(f"micro {metric.name}", hits, n, basis=basis)
        if average == "micro"
        else _mean(average, metric, table.sum(axis=1), basis)
        for metric in _metrics(table, beta)
    )
    return AverageScore(precision=precision, recall=recall, f_beta=score)


def _metrics(table: NDArray[np.int64], beta: float) -> tuple[_Metric, _Metric, _Metric]:
    """Give precision, recall and F-beta of each class of a confusion matrix (C, C)."""
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
            shared=True,
        ),
    )


def _mean(average: Literal["macro", "weighted"], metric: _Metric, support: NDArray[np.int64], basis: Basis) -> Estimate:
    """Give the mean of a metric over the classes for which it is defined."""
    kept = ~np.isnan(metric.values) & ((support > 0) | (average == "macro"))
    name = f"{average} {metric.name}"
    method = f"stratified score interval 95 % over {kept.sum()} of {len(kept)} classes"
    if not kept.any():
        return Estimate.undefined(name, method, kind="share", basis=basis)
    values = metric.values[kept]
    weights = support[kept] if average == "weighted" else np.ones(len(values))
    value = float(np.average(values, weights=weights))
    low, high = mean_interval(lambda c: _only(kept, metric.limits(c)), weights, shared=metric.shared)
    if average == "weighted":
        low, high = _widened(low, value, high, values, weights)
    low, high, n = min(low, value), max(high, value), int(support.sum())  # rounding errors of 1e-16
    return Estimate(name=name, value=value, low=low, high=high, n=n, method=method, kind="share", basis=basis)


def _widened(low: float, value: float, high: float, values: Floats, support: NDArray[Any]) -> tuple[float, float]:
    """Add what comes from the support itself: other images would have had other numbers of each class."""
    error = np.sqrt(np.average((values - value) ** 2, weights=support) / support.sum())
    reach = normal_quantile(0.975) * error
    below, above = np.hypot(value - low, reach), np.hypot(high - value, reach)
    return max(0.0, float(value - below)), min(1.0, float(value + above))


def _only(kept: NDArray[np.bool_], limits: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
    return limits[0][kept], limits[1][kept]


def _ratio(part: NDArray[np.int64], whole: NDArray[np.int64]) -> Floats:
    """Give part / whole, nan for 0 / 0."""
    return np.asarray(np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0))
