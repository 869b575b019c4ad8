"""Predictions and what follows from them: metrics with intervals, scores per class, paired comparisons."""

from goldenrule.evaluation.agreement import balanced_accuracy, cohen_kappa, matthews_correlation
from goldenrule.evaluation.class_averages import AverageScore, averages, f_beta
from goldenrule.evaluation.class_scores import ClassScore, called_labels, confusion, per_class
from goldenrule.evaluation.comparison import Comparison, McNemar, mcnemar, paired_bootstrap
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
from goldenrule.evaluation.named import NamedMetric, metric_named
from goldenrule.evaluation.predictions import Predictions, Task
from goldenrule.evaluation.ranking import RankingScore, average_precision, ranking_per_class, roc_auc

__all__ = [
    "AverageScore",
    "Basis",
    "ClassScore",
    "Comparison",
    "Estimate",
    "McNemar",
    "Mistake",
    "NamedMetric",
    "Predictions",
    "RankingScore",
    "Task",
    "accuracy",
    "average_precision",
    "averages",
    "balanced_accuracy",
    "bootstrap",
    "called_labels",
    "clopper_pearson",
    "cohen_kappa",
    "confusion",
    "f_beta",
    "image_losses",
    "log_loss",
    "matthews_correlation",
    "mcnemar",
    "metric_named",
    "most_confident_mistakes",
    "paired_bootstrap",
    "per_class",
    "ranking_per_class",
    "render",
    "roc_auc",
    "top_k_accuracy",
    "value_and_interval",
    "wilson",
]
