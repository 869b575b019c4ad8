"""Metrics by name, as the command line knows them."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import get_args

from goldenrule.core.errors import OptionError, nearest
from goldenrule.metrics.agreement import balanced_accuracy, cohen_kappa, matthews_correlation
from goldenrule.metrics.basic import accuracy, log_loss, top_k_accuracy
from goldenrule.metrics.class_averages import Average, f_beta
from goldenrule.metrics.estimate import Estimate
from goldenrule.metrics.predictions import Predictions
from goldenrule.metrics.ranking import average_precision, roc_auc
from goldenrule.metrics.uncertainty.calibration import brier_score, calibration_error

NamedMetric = Callable[[Predictions], Estimate]

METRICS: dict[str, NamedMetric] = {
    "accuracy": accuracy,
    "average_precision": average_precision,
    "balanced_accuracy": balanced_accuracy,
    "brier_score": brier_score,
    "calibration_error": calibration_error,
    "f1": f_beta,
    "f2": partial(f_beta, beta=2),
    "kappa": cohen_kappa,
    "linear_kappa": partial(cohen_kappa, weights="linear"),
    "log_loss": log_loss,
    "matthews_correlation": matthews_correlation,
    "quadratic_kappa": partial(cohen_kappa, weights="quadratic"),
    "roc_auc": roc_auc,
    "weighted_average_precision": partial(average_precision, average="weighted"),
    "weighted_roc_auc": partial(roc_auc, average="weighted"),
    **{f"{how}_f{beta}": partial(f_beta, beta=beta, average=how) for how in get_args(Average) for beta in (1, 2)},
}


def metric_named(name: str) -> NamedMetric:
    """Return the metric of this name, a function of `Predictions`.

    f1 and f2 are macro averages, multi-label: at the predictions' thresholds.
    top_5_accuracy is there with any number. Of log_loss, brier_score and calibration_error less is better, of all
    others more.
    Raises `OptionError` with the names for any other.

    >>> both = Predictions.from_logits([[2, 0], [0, 1], [0, 2]], ["cat", "dog"], truth=[0, 0, 1])
    >>> print(metric_named("top_1_accuracy")(both))
    67 % [21, 94] n=3
    """
    if top := re.fullmatch(r"top_([1-9]\d{0,8})_accuracy", name):
        return partial(top_k_accuracy, k=int(top[1]))
    if name in METRICS:
        return METRICS[name]
    names = [*sorted(METRICS), "top_5_accuracy"]
    guess = nearest(name, names, most=1)
    meant = f" Did you mean {guess[0]}?" if guess else ""
    raise OptionError(f"there is no metric {name!r}; wanted one of {', '.join(names)} (or with another number).{meant}")
