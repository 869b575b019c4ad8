"""Predictions and what follows: metrics with intervals, scores per class, comparisons, calibration, prediction sets.

Reading order: predictions, prediction_checks, probabilities · estimate, intervals, score_intervals, resampling ·
basic · class_scores, class_averages, label_averages · agreement, ranking, rank_statistics · registry, headline ·
selection_rules · predictions_csv, arrow; then grouped and uncertainty.
"""

from typing import TYPE_CHECKING

from goldenrule.core.lazy import lazy
from goldenrule.metrics.agreement import balanced_accuracy, cohen_kappa, matthews_correlation
from goldenrule.metrics.basic import (
    Mistake,
    accuracy,
    image_losses,
    log_loss,
    most_confident_mistakes,
    top_k_accuracy,
)
from goldenrule.metrics.class_averages import AverageScore, averages, f_beta
from goldenrule.metrics.class_scores import ClassScore, called_labels, confusion, per_class
from goldenrule.metrics.estimate import Basis, Estimate, render, value_and_interval
from goldenrule.metrics.headline import quality, with_class_thresholds
from goldenrule.metrics.intervals import bootstrap, clopper_pearson, wilson
from goldenrule.metrics.predictions import Predictions, Task
from goldenrule.metrics.ranking import RankingScore, average_precision, ranking_per_class, roc_auc
from goldenrule.metrics.registry import NamedMetric, metric_named
from goldenrule.metrics.uncertainty.calibration import ReliabilityBin, brier_score, calibration_error, reliability
from goldenrule.metrics.uncertainty.conformal import (
    PredictionSets,
    images_needed,
    mean_set_size,
    set_coverage,
    singletons,
)
from goldenrule.metrics.uncertainty.ood import OODDetector
from goldenrule.metrics.uncertainty.paired import Comparison, McNemar, mcnemar, paired_bootstrap
from goldenrule.metrics.uncertainty.power import images_for_mcnemar, images_for_mean
from goldenrule.metrics.uncertainty.scaling import (
    Calibration,
    PlattScaling,
    Temperature,
    calibrated_by_fold,
    fit_calibration,
    fit_platt,
    fit_temperature,
)
from goldenrule.metrics.uncertainty.thresholds import Thresholds, best_thresholds, with_thresholds_by_fold

if TYPE_CHECKING:
    from goldenrule.metrics.arrow import from_arrow, to_arrow

__all__ = [
    "AverageScore",
    "Basis",
    "Calibration",
    "ClassScore",
    "Comparison",
    "Estimate",
    "McNemar",
    "Mistake",
    "NamedMetric",
    "OODDetector",
    "PlattScaling",
    "PredictionSets",
    "Predictions",
    "RankingScore",
    "ReliabilityBin",
    "Task",
    "Temperature",
    "Thresholds",
    "accuracy",
    "average_precision",
    "averages",
    "balanced_accuracy",
    "best_thresholds",
    "bootstrap",
    "brier_score",
    "calibrated_by_fold",
    "calibration_error",
    "called_labels",
    "clopper_pearson",
    "cohen_kappa",
    "confusion",
    "f_beta",
    "fit_calibration",
    "fit_platt",
    "fit_temperature",
    "from_arrow",
    "image_losses",
    "images_for_mcnemar",
    "images_for_mean",
    "images_needed",
    "log_loss",
    "matthews_correlation",
    "mcnemar",
    "mean_set_size",
    "metric_named",
    "most_confident_mistakes",
    "paired_bootstrap",
    "per_class",
    "quality",
    "ranking_per_class",
    "reliability",
    "render",
    "roc_auc",
    "set_coverage",
    "singletons",
    "to_arrow",
    "top_k_accuracy",
    "value_and_interval",
    "wilson",
    "with_class_thresholds",
    "with_thresholds_by_fold",
]

__getattr__, __dir__ = lazy(__name__, {"from_arrow": "arrow", "to_arrow": "arrow"})  # pyarrow is slow to import
