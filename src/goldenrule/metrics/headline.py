"""The one number that a headline quotes."""

from __future__ import annotations

from goldenrule.metrics.basic import accuracy
from goldenrule.metrics.class_averages import f_beta
from goldenrule.metrics.estimate import Estimate
from goldenrule.metrics.predictions import Predictions
from goldenrule.metrics.uncertainty.thresholds import best_thresholds, with_thresholds_by_fold


def quality(predictions: Predictions, *, beta: float = 1) -> Estimate:
    """Return the accuracy; multi-label: F-beta averaged over images, at the predictions' thresholds.

    >>> print(quality(Predictions.from_logits([[2, 0], [0, 1], [3, 0]], ["cat", "dog"], truth=[0, 0, 0])))
    67 % [21, 94] n=3
    """
    if predictions.task == "single":
        return accuracy(predictions)
    return f_beta(predictions, beta, average="samples")


def with_class_thresholds(predictions: Predictions, *, beta: float = 1) -> Predictions:
    """Return multi-label predictions with the best thresholds for F-beta, each fold's selected on the others.

    Those of a single label, or without a labelled image, stay as they are.
    """
    if predictions.task == "single" or not len(predictions.scored):
        return predictions
    return with_thresholds_by_fold(predictions, best_thresholds(predictions, beta=beta))
