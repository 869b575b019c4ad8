"""Which images tell most about a classifier: its surest mistakes, where it wavers, and what it knows best."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from goldenrule.evaluation import Mistake, Predictions
from goldenrule.evaluation.checks import require_single_label
from goldenrule.evaluation.metrics import hits


@dataclass(frozen=True, slots=True, kw_only=True)
class Wavering:
    """An image between two classes: what it is, the two likeliest classes, and the probability of each."""

    id: str
    truth: str
    first: str
    second: str
    probability: float
    second_probability: float


def most_uncertain(predictions: Predictions, k: int = 12) -> tuple[Wavering, ...]:
    """Give up to k labelled images whose two likeliest classes are closest, the closest first.

    Raises `OptionError` for many labels.
    """
    require_single_label(predictions, "the margin between two classes")
    scored = predictions.scored
    if len(scored.classes) < 2 or not len(scored):
        return ()
    two = np.argpartition(-scored.probabilities, 1, axis=1)[:, :2]
    chances = np.take_along_axis(scored.probabilities, two, axis=1)
    order = np.argsort(np.abs(chances[:, 0] - chances[:, 1]), kind="stable")[: max(k, 0)]
    shown = []
    for row in order:
        first, second = sorted(two[row], key=lambda label: -scored.probabilities[row, label])
        shown.append(
            Wavering(
                id=scored.ids[row],
                truth=scored.classes[scored.truth[row]],
                first=scored.classes[first],
                second=scored.classes[second],
                probability=float(scored.probabilities[row, first]),
                second_probability=float(scored.probabilities[row, second]),
            )
        )
    return tuple(shown)


def surest_right(predictions: Predictions, k: int = 12) -> tuple[Mistake, ...]:
    """Give up to k images that are recognised, the most probable first: what the classifier knows best.

    Raises `OptionError` for many labels.
    """
    scored = predictions.scored
    right = np.flatnonzero(hits(scored))
    confidence = scored.probabilities.max(axis=1, initial=0)
    order = right[np.argsort(-confidence[right], kind="stable")][: max(k, 0)]
    names = [scored.classes[label] for label in scored.truth[order]]
    return tuple(
        Mistake(id=scored.ids[row], truth=name, predicted=name, probability=float(confidence[row]))
        for row, name in zip(order, names, strict=True)
    )
