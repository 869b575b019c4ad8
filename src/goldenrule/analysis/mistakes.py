"""Which images tell most about a classifier: its most confident mistakes, where it wavers, and what it knows best."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from goldenrule.core.cells import between_labels
from goldenrule.metrics import Mistake, Predictions
from goldenrule.metrics.basic import WITHOUT, hits


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
    """Return up to k labelled images whose two likeliest classes are closest, the closest first.

    Multi-label: those with a label that is nearest to be there or not (a probability of .5).
    """
    scored = predictions.scored
    if scored.task == "multi":
        return _undecided(scored, k)
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


def most_confident_right(predictions: Predictions, k: int = 12) -> tuple[Mistake, ...]:
    """Return up to k images that are recognised, the most probable first: what the classifier knows best.

    Multi-label: those that are all called rightly, by the least sure of them.
    """
    scored = predictions.scored
    if scored.task == "multi":
        return _all_right(scored, k)
    right = np.flatnonzero(hits(scored))
    confidence = scored.probabilities.max(axis=1, initial=0)
    order = right[np.argsort(-confidence[right], kind="stable")][: max(k, 0)]
    names = [scored.classes[label] for label in scored.truth[order]]
    return tuple(
        Mistake(id=scored.ids[row], truth=name, predicted=name, probability=float(confidence[row]))
        for row, name in zip(order, names, strict=True)
    )


def _undecided(scored: Predictions, k: int) -> tuple[Wavering, ...]:
    gaps = np.abs(scored.probabilities - 0.5)
    order = np.argsort(gaps.min(axis=1, initial=1), kind="stable")[: max(k, 0)]
    between = between_labels(scored.classes)
    shown = []
    for row in order:
        label = int(gaps[row].argmin())
        name, chance = scored.classes[label], float(scored.probabilities[row, label])
        there = (name, chance), (f"{WITHOUT} {name}", 1 - chance)
        (first, probability), (second, other) = sorted(there, key=lambda one: -one[1])
        shown.append(
            Wavering(
                id=scored.ids[row],
                truth=between.join(scored.true_names(row)),
                first=first,
                second=second,
                probability=probability,
                second_probability=other,
            )
        )
    return tuple(shown)


def _all_right(scored: Predictions, k: int) -> tuple[Mistake, ...]:
    right = np.flatnonzero((scored.called == (scored.truth == 1)).all(axis=1))
    least = np.where(scored.called, scored.probabilities, 1 - scored.probabilities).min(axis=1, initial=1)
    between = between_labels(scored.classes)
    return tuple(
        Mistake(id=scored.ids[row], truth=names, predicted=names, probability=float(least[row]))
        for row in right[np.argsort(-least[right], kind="stable")][: max(k, 0)]
        for names in [between.join(scored.true_names(row))]
    )
