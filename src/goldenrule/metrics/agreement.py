"""Agreement of predicted and true classes that takes rare classes, or chance, into account."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from goldenrule.core.errors import OptionError
from goldenrule.metrics.class_averages import macro_recall
from goldenrule.metrics.class_scores import confusion
from goldenrule.metrics.estimate import Estimate
from goldenrule.metrics.grouped.jackknife import over_groups
from goldenrule.metrics.prediction_checks import require_single_label
from goldenrule.metrics.predictions import Predictions
from goldenrule.metrics.score_intervals import effective_interval

KappaWeights = Literal["linear", "quadratic"]
Floats = NDArray[np.float64]
_METHOD = "Wilson 95 % at the effective sample size, for chance as observed"


@over_groups
def balanced_accuracy(predictions: Predictions) -> Estimate:
    """Return the mean of the recalls of the classes, in which every class counts the same: the macro recall.

    A class without images is left out; `method` says how many are in. The interval is that of `averages`.
    Raises `OptionError` for many labels.

    >>> print(balanced_accuracy(Predictions.from_logits([[2, 0], [0, 1], [0, 2]], ["cat", "dog"], truth=[0, 0, 1])))
    75 % [25, 93] n=3
    """
    require_single_label(predictions.task, "balanced accuracy")
    return replace(macro_recall(predictions), name="balanced accuracy")


@over_groups
def cohen_kappa(predictions: Predictions, *, weights: KappaWeights | None = None) -> Estimate:
    """Return Cohen's kappa: 1 for full agreement, 0 for that of chance, below for less.

    (o - e) / (1 - e), with o the observed agreement and e that of independent classes with the same frequencies.
    `weights` is for classes in an order, such as the grades of a disease: a prediction k of C - 1 steps from the truth
    agrees by 1 - k / (C - 1), "linear", or 1 - (k / (C - 1))², "quadratic". The order is that of the classes.
    Undefined where all images are of one class and all are called so.

    The interval is Wilson's of o, at the sample size that gives kappa its variance, mapped to kappa. With about three
    images of a class it holds the truth in 87 % of cases (docs/results/interval_coverage.md), with ten in 93 %.
    Raises `OptionError` for many labels and for other weights.

    Source: Cohen (1960), Educational and Psychological Measurement 20:37-46; variance of Fleiss, Cohen and Everitt
    (1969), Psychological Bulletin 72:323-327; see `effective_interval`.

    >>> right = Predictions.from_logits([[2, 0], [0, 1], [0, 2], [1, 0]], ["cat", "dog"], truth=[0, 1, 1, 0])
    >>> print(cohen_kappa(right))
    1.000 [0.020, 1.000] n=4
    """
    require_single_label(predictions.task, "Cohen's kappa")
    if weights is not None and weights not in get_args(KappaWeights):
        raise OptionError(f"weights = {weights!r}: wanted None or one of {get_args(KappaWeights)}")
    name = f"{weights} kappa" if weights else "kappa"
    joint, n = _shares(predictions)
    agrees = _agreement(len(joint), weights)
    true, called, observed, expected = _margins(joint, agrees)
    if n == 0 or np.isclose(expected, 1, rtol=0, atol=1e-12):
        return Estimate.undefined(name, _METHOD, basis=predictions.basis)
    kappa = (observed - expected) / (1 - expected)
    of_chance = (agrees @ called)[:, np.newaxis] + true @ agrees - 2 * expected
    influences = (agrees - observed - (1 - kappa) * of_chance) / (1 - expected)
    return _estimate(predictions, name, kappa, joint, influences, observed, 1 - expected)


@over_groups
def matthews_correlation(predictions: Predictions) -> Estimate:
    """Return the correlation of true and predicted classes: 1 for full agreement, 0 for that of chance.

    With two classes it is Pearson's correlation of two columns of 0 and 1, with more of them R_K. Undefined where all
    images are of one class, or all are called the same. The interval is made as that of `cohen_kappa`.
    Raises `OptionError` for many labels.

    Source: Matthews (1975), Biochimica et Biophysica Acta 405:442-451; Gorodkin (2004), Computational Biology and
    Chemistry 28:367-374; the variance is the linearised one.
    """
    require_single_label(predictions.task, "the Matthews correlation")
    name, (joint, n) = "Matthews correlation", _shares(predictions)
    agrees = np.eye(len(joint))
    true, called, observed, expected = _margins(joint, agrees)
    spread, spread_called = 1 - true @ true, 1 - called @ called
    if n == 0 or min(spread, spread_called) < 1e-12:
        return Estimate.undefined(name, _METHOD, basis=predictions.basis)
    scale = float(np.sqrt(spread * spread_called))
    value = (observed - expected) / scale
    of_chance = called[:, np.newaxis] + true - 2 * expected
    of_scale = (true - true @ true)[:, np.newaxis] / spread + (called - called @ called) / spread_called
    influences = (agrees - observed - of_chance) / scale + value * of_scale
    return _estimate(predictions, name, value, joint, influences, observed, scale)


def _shares(predictions: Predictions) -> tuple[Floats, int]:
    """Return the share of the images in each cell of the confusion matrix, and their number."""
    table = confusion(predictions)
    n = int(table.sum())
    return table / max(n, 1), n


def _agreement(classes: int, weights: KappaWeights | None) -> Floats:
    """Return how much each predicted class agrees with each true one, 0 to 1, (C, C)."""
    if weights is None:
        return np.eye(classes)
    steps = np.abs(np.subtract.outer(np.arange(classes), np.arange(classes))) / max(classes - 1, 1)
    return np.asarray(1 - steps ** (2 if weights == "quadratic" else 1))


def _margins(joint: Floats, agrees: Floats) -> tuple[Floats, Floats, float, float]:
    """Return the shares of true and of predicted classes, and the agreement observed and expected by chance."""
    true, called = joint.sum(axis=1), joint.sum(axis=0)
    return true, called, min(float((joint * agrees).sum()), 1.0), float(true @ agrees @ called)


def _estimate(
    predictions: Predictions,
    name: str,
    value: float,
    joint: Floats,
    influences: Floats,
    observed: float,
    scale: float,
) -> Estimate:
    """Return the estimate (observed - chance) / scale; `influences` (C, C) are those of an image in each cell."""
    n = len(predictions.scored)
    variance = float((joint * influences**2).sum()) / n
    low, high = effective_interval(observed, variance * scale**2, n)
    return Estimate(
        name=name,
        value=value,
        low=max(-1.0, value - (observed - low) / scale),
        high=max(value, min(1.0, value + (high - observed) / scale)),
        n=n,
        method=_METHOD,
        basis=predictions.basis,
    )
