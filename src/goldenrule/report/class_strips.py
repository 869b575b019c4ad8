"""A strip of pictures for each class: what is predicted of a few of its images, drawn by the hash of their names."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from goldenrule.core.randomness import key
from goldenrule.metrics import Predictions

MOST_PICTURES, MOST_OF_CLASS, LEAST_OF_CLASS = 72, 6, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownImage:
    """An image, what is predicted of it, how probable that is, and whether it is right."""

    id: str
    predicted: str
    probability: float
    right: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassStrip:
    """Some of the `total` images of a class."""

    name: str
    total: int
    images: tuple[ShownImage, ...]


def class_strips(predictions: Predictions, order: Sequence[str]) -> tuple[ClassStrip, ...]:
    """Return a strip for each class that has images, in this order of names; of many classes for the first.

    A page holds `MOST_PICTURES` of them at most, the same number of each class; an image with several labels stands in
    the strip of each.
    """
    scored = predictions.scored
    truth = scored.truth[:, None] == np.arange(len(scored.classes)) if scored.task == "single" else scored.truth == 1
    rows_of = {name: np.flatnonzero(truth[:, label]).tolist() for label, name in enumerate(scored.classes)}
    with_images = [name for name in order if rows_of[name]]
    each = min(max(MOST_PICTURES // max(len(with_images), 1), LEAST_OF_CLASS), MOST_OF_CLASS)
    strips = []
    for name in with_images[: MOST_PICTURES // each]:
        drawn = sorted(rows_of[name], key=lambda row: key(0, "strip", os.fsencode(scored.ids[row])))[:each]
        images = tuple(_shown(scored, row, scored.classes.index(name)) for row in drawn)
        strips.append(ClassStrip(name=name, total=len(rows_of[name]), images=images))
    return tuple(strips)


def _shown(scored: Predictions, row: int, label: int) -> ShownImage:
    if scored.task == "single":
        predicted = int(scored.predicted[row])
        chance = float(scored.probabilities[row, predicted])
        name = scored.classes[predicted]
        return ShownImage(id=scored.ids[row], predicted=name, probability=chance, right=predicted == label)
    chance, called = float(scored.probabilities[row, label]), bool(scored.called[row, label])
    return ShownImage(
        id=scored.ids[row], predicted=scored.classes[label] if called else "", probability=chance, right=called
    )
