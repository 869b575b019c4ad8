"""From what probability each of several labels is called: chosen for F-beta on images that the network has not seen.

What is measured at thresholds on the very images they were chosen on flatters: `with_thresholds_by_fold` gives each
fold those that were chosen on the other folds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from goldenrule.core.errors import OptionError
from goldenrule.core.schema import Count, Share, as_json, as_type, reads
from goldenrule.metrics.class_scores import require_positive_beta
from goldenrule.metrics.predictions import Predictions

GRID = np.round(np.concatenate([np.arange(0.01, 0.1, 0.01), np.arange(0.1, 0.96, 0.025)]), 3)
"""The thresholds that are tried; finer steps follow noise."""
ROUNDS, FOLDS = 4, 5

Floats = NDArray[np.float64]
Marks = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """A label is called where its probability reaches `values[k]`; found for F-`beta` on n images.

    `per_class` says whether each class has its own threshold, or one serves all because that scored better on folds
    that had not chosen it.
    """

    classes: tuple[str, ...]
    values: tuple[float, ...]
    beta: float
    n: int
    per_class: bool

    def __post_init__(self) -> None:
        if len(self.values) != len(self.classes) or not all(0 <= value <= 1 for value in self.values):
            raise OptionError(
                f"thresholds {self.values}: wanted {len(self.classes)} numbers from 0 to 1, one per class"
            )

    def apply(self, predictions: Predictions) -> Predictions:
        """Return the predictions with these thresholds for all images; classes are matched by name."""
        scored = predictions.aligned_to(self.classes)
        tiled = np.tile(np.asarray(self.values), (len(scored), 1))
        return replace(scored, thresholds=tiled).aligned_to(predictions.classes)

    @property
    def sentence(self) -> str:
        """Return where they come from."""
        found = f"chosen for F{self.beta:g}, averaged over images, on {self.n:,} images it has not learned from"
        if self.per_class:
            return (
                f"A label is called from its own threshold on, {min(self.values):g} to {max(self.values):g}, {found}."
            )
        return f"A label is called from a probability of {self.values[0]:g} on, {found}; one per class was no better."


class _Saved(msgspec.Struct, forbid_unknown_fields=True):
    """Thresholds as JSON."""

    values: dict[str, Share]
    beta: Annotated[float, msgspec.Meta(gt=0, le=1000)]
    n: Count
    per_class: bool


@as_json.register(Thresholds)
def _(value: Thresholds) -> dict[str, Any]:
    by_class = dict(zip(value.classes, value.values, strict=True))
    return {"values": by_class, "beta": value.beta, "n": value.n, "per_class": value.per_class}


@reads(Thresholds)
def _(value: Any) -> Thresholds:
    found = as_type(value, _Saved, what="these thresholds")
    classes, values = tuple(found.values), tuple(found.values.values())
    return Thresholds(classes=classes, values=values, beta=found.beta, n=found.n, per_class=found.per_class)


def best_thresholds(predictions: Predictions, *, beta: float = 1) -> Thresholds:
    """Return the thresholds with the highest F-beta, averaged over images, on predictions of images not learned from.

    First the best one for all classes; then class after class its best one, the others being as they are, until
    nothing changes (coordinate ascent). One per class is taken only where it scores better across folds:
    those of a fold are selected on the others. Without folds every fifth image makes one.

    Raises `OptionError` for a single label, no scored images, or a beta that is not above 0.

    >>> logits = [[2.0, -1.0], [0.5, -0.9], [-3.0, 1.0], [-2.0, -4.0]]
    >>> seen = Predictions.from_logits(logits, ["sea", "trees"], truth=[[1, 1], [1, 1], [0, 1], [0, 0]], task="multi")
    >>> best_thresholds(seen).values
    (0.2, 0.2)
    """
    require_positive_beta(beta)
    true, likely = _scored(predictions)
    fold = _scored_folds(predictions)
    one, several = (_by_fold(true, likely, fold, beta, per_class=per_class) for per_class in (False, True))
    per_class = _score(true, likely >= several, beta) > _score(true, likely >= one, beta)
    found = _best(true, likely, beta, per_class=per_class)
    return Thresholds(
        classes=predictions.classes, values=tuple(found.tolist()), beta=float(beta), n=len(true), per_class=per_class
    )


def with_thresholds_by_fold(predictions: Predictions, chosen: Thresholds) -> Predictions:
    """Return predictions with the thresholds of each fold selected on the others, in the way of `chosen`."""
    true, likely = _scored(predictions)
    values = np.tile(np.asarray(chosen.values), (len(predictions), 1))
    scored = np.flatnonzero(predictions.ok & predictions.labelled)
    values[scored] = _by_fold(true, likely, _scored_folds(predictions), chosen.beta, per_class=chosen.per_class)
    return replace(predictions, thresholds=values)


def _scored(predictions: Predictions) -> tuple[Marks, Floats]:
    scored = predictions.scored
    if predictions.task != "multi" or not len(scored):
        raise OptionError(f"thresholds are selected on labelled images with many labels each; got {predictions!r}")
    return scored.truth == 1, scored.probabilities


def _scored_folds(predictions: Predictions) -> NDArray[np.int64]:
    scored = predictions.scored
    return np.arange(len(scored)) % FOLDS if scored.fold is None else scored.fold


def _by_fold(true: Marks, likely: Floats, fold: NDArray[np.int64], beta: float, *, per_class: bool) -> Floats:
    """Return thresholds (n, C): those of each fold were selected on the others."""
    values = np.full(likely.shape, 0.5)
    for held_out in np.unique(fold):
        others = fold != held_out
        if others.any():
            values[~others] = _best(true[others], likely[others], beta, per_class=per_class)
    return values


def _best(true: Marks, likely: Floats, beta: float, *, per_class: bool) -> Floats:
    scores = [_score(true, likely >= value, beta) for value in GRID]
    values = np.full(likely.shape[1], _middle_of_best(np.array(scores)))
    called = likely >= values
    for _ in range(ROUNDS if per_class else 0):
        before = values.copy()
        for label in range(len(values)):
            scores = []
            for value in GRID:
                called[:, label] = likely[:, label] >= value
                scores.append(_score(true, called, beta))
            values[label] = _middle_of_best(np.array(scores))
            called[:, label] = likely[:, label] >= values[label]
        if (values == before).all():
            break
    return values


def _middle_of_best(scores: Floats) -> float:
    """Return the threshold in the middle of those that score best."""
    best = np.flatnonzero(scores >= scores.max() - 1e-12)
    return float(GRID[best[len(best) // 2]])


def _score(true: Marks, called: Marks, beta: float) -> float:
    """Return F-beta averaged over images; one without labels counts 1 where none is called, else 0."""
    bottom = beta**2 * true.sum(axis=1) + called.sum(axis=1)
    top = (1 + beta**2) * (true & called).sum(axis=1)
    return float(np.divide(top, bottom, out=np.ones(len(true)), where=bottom > 0).mean())
