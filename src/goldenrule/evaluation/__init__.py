"""Predictions and what follows: metrics with intervals, scores per class, comparisons, calibration, conformal sets."""

from goldenrule.evaluation.calibration import ReliabilityBin, brier_score, calibration_error, reliability
from goldenrule.evaluation.class_averages import AverageScore, averages, f_beta
from goldenrule.evaluation.class_scores import ClassScore, confusion, per_class
from goldenrule.evaluation.comparison import Comparison, McNemar, mcnemar, paired_bootstrap
from goldenrule.evaluation.conformal import (
    ConformalSets,
    images_needed,
    mean_set_size,
    set_coverage,
    singletons,
)
from goldenrule.evaluation.estimate import Basis, Estimate, render, value_and_interval
from goldenrule.evaluation.intervals import bootstrap, clopper_pearson, wilson
from goldenrule.evaluation.metrics import (
    Mistake,
    accuracy,
    image_losses,
    log_loss,
    most_confident_mistakes,
    top_k_accuracy,
)
from goldenrule.evaluation.predictions import Predictions, Task
from goldenrule.evaluation.scaling import (
    Calibration,
    PlattScaling,
    Temperature,
    calibrated_by_fold,
    calibration_from_json,
    fit_calibration,
    fit_platt,
    fit_temperature,
)

__all__ = [
    "AverageScore",
    "Basis",
    "Calibration",
    "ClassScore",
    "Comparison",
    "ConformalSets",
    "Estimate",
    "McNemar",
    "Mistake",
    "PlattScaling",
    "Predictions",
    "ReliabilityBin",
    "Task",
    "Temperature",
    "accuracy",
    "averages",
    "bootstrap",
    "brier_score",
    "calibrated_by_fold",
    "calibration_error",
    "calibration_from_json",
    "clopper_pearson",
    "confusion",
    "f_beta",
    "fit_calibration",
    "fit_platt",
    "fit_temperature",
    "image_losses",
    "images_needed",
    "log_loss",
    "mcnemar",
    "mean_set_size",
    "most_confident_mistakes",
    "paired_bootstrap",
    "per_class",
    "reliability",
    "render",
    "set_coverage",
    "singletons",
    "top_k_accuracy",
    "value_and_interval",
    "wilson",
]
