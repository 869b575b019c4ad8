"""Scores of each class: precision, recall, F-beta, and the counts behind them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from goldenrule.core.errors import OptionError
from goldenrule.metrics.estimate import Basis, Estimate
from goldenrule.metrics.predictions import Predictions
from goldenrule.metrics.score_intervals import f_score, f_score_interval


def confusion(predictions: Predictions, *, thresholds: ArrayLike | None = None) -> NDArray[np.int64]:
    """Return the counts of scored images by what is true and what is predicted.

    Single label: (C, C), a row per true class, a column per predicted class. Many labels: (C, 2, 2), for each
    class [[true negatives, false positives], [false negatives, true positives]] at the `thresholds` of
    `called_labels`.

    >>> confusion(Predictions.from_logits([[2, 0], [0, 1], [3, 0]], ["cat", "dog"], truth=[0, 0, 1])).tolist()
    [[1, 1], [1, 0]]
    """
    if predictions.task == "multi":
        called, true = called_labels(predictions, thresholds), predictions.scored.truth == 1
        cells = [[~true & ~called, ~true & called], [true & ~called, true & called]]
        return np.asarray(np.asarray(cells).sum(axis=2, dtype=np.int64).transpose(2, 0, 1))
    _require_no_thresholds(thresholds)
    scored, size = predictions.scored, len(predictions.classes)
    table = np.bincount(scored.truth * size + scored.predicted, minlength=size * size)
    return np.asarray(table, np.int64).reshape(size, size)


def called_labels(predictions: Predictions, thresholds: ArrayLike | None = None) -> NDArray[np.bool_]:
    """Give, for each scored image and class, whether its probability reaches the threshold: (n scored, C).

    `thresholds` is a number from 0 to 1 or one per class, (C,); None is the predictions' own, .5 where they have none.
    For many labels.
    Raises `OptionError` for anything else.

    >>> both = Predictions.from_logits([[0, -1], [2, 1]], ["cat", "dog"], truth=[[1, 0], [1, 1]], task="multi")
    >>> called_labels(both).tolist(), called_labels(both, [0.6, 0.2]).tolist()
    ([[True, False], [True, True]], [[False, True], [True, True]])
    """
    if predictions.task != "multi":
        raise OptionError("labels above a threshold: wanted many labels per image, these predictions have one")
    if thresholds is None:
        return predictions.scored.called
    limits = np.asarray(thresholds)
    size = len(predictions.classes)
    numbers = limits.dtype.kind in "fiu" and limits.shape in ((), (size,))
    if not (numbers and ((limits >= 0) & (limits <= 1)).all()):
        raise OptionError(f"thresholds = {thresholds!r:.80}: wanted a number from 0 to 1, or {size}, one per class")
    return np.asarray(predictions.scored.probabilities >= limits)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassScore:
    """One class against the rest: four counts of images, and what follows from them."""

    name: str
    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int
    basis: Basis = Basis.HELD_OUT
    grouped: tuple[Estimate, Estimate] | None = None  # precision and recall, where images come in groups

    @property
    def support(self) -> int:
        """How many scored images are of this class."""
        return self.true_positives + self.false_negatives

    @property
    def precision(self) -> Estimate:
        """Of the images called so, the share that are; undefined where none is called so."""
        if self.grouped is not None:
            return self.grouped[0]
        called = self.true_positives + self.false_positives
        return Estimate.of_share(f"precision of {self.name}", self.true_positives, called, basis=self.basis)

    @property
    def recall(self) -> Estimate:
        """Of the images of this class, the share that is found; undefined where there are none."""
        if self.grouped is not None:
            return self.grouped[1]
        return Estimate.of_share(f"recall of {self.name}", self.true_positives, self.support, basis=self.basis)

    @property
    def f1(self) -> Estimate:
        """The harmonic mean of precision and recall."""
        return self.f_beta(1)

    def f_beta(self, beta: float) -> Estimate:
        """Return F-beta, in which recall counts beta times as much as precision.

        n is the number of images that are of the class or called so; without any the score is undefined.
        """
        require_positive_beta(beta)
        counts = self.true_positives, self.false_positives, self.false_negatives
        name, method = f"F{beta:g} of {self.name}", "score interval 95 %"
        if sum(counts) == 0:
            return Estimate.undefined(name, method, kind="share", basis=self.basis)
        low, high = map(float, f_score_interval(*counts, beta))
        return Estimate(
            name=name,
            value=float(f_score(*counts, beta)),
            low=low,
            high=high,
            n=sum(counts),
            method=method,
            kind="share",
            basis=self.basis,
        )


def per_class(predictions: Predictions, *, thresholds: ArrayLike | None = None) -> tuple[ClassScore, ...]:
    """Return the scores of each class, in the order of the classes.

    With many labels a class is predicted where its probability reaches its threshold, see `called_labels`.
    """
    table = confusion(predictions, thresholds=thresholds)
    if predictions.task == "multi":
        counts = table.reshape(-1, 4).T
    else:
        hit, true, called = np.diag(table), table.sum(axis=1), table.sum(axis=0)
        counts = np.stack([table.sum() - true - called + hit, called - hit, true - hit, hit])
    rest, alarms, misses, hits = counts.tolist()
    return tuple(
        ClassScore(
            name=name,
            true_positives=hits[k],
            false_positives=alarms[k],
            false_negatives=misses[k],
            true_negatives=rest[k],
            basis=predictions.basis,
            grouped=_grouped(predictions, k, thresholds),
        )
        for k, name in enumerate(predictions.classes)
    )


def _grouped(predictions: Predictions, label: int, thresholds: ArrayLike | None) -> tuple[Estimate, Estimate] | None:
    """Return precision and recall of a class over groups, None where images are independent."""
    scored, groups = predictions.scored, predictions.scored.group
    if groups is None:
        return None
    single = scored.task == "single"
    true = scored.truth == label if single else scored.truth[:, label] == 1
    called = scored.predicted == label if single else called_labels(predictions, thresholds)[:, label]
    name, basis = predictions.classes[label], predictions.basis
    return (
        Estimate.of_right(f"precision of {name}", true[called], groups[called], basis=basis),
        Estimate.of_right(f"recall of {name}", called[true], groups[true], basis=basis),
    )


def require_positive_beta(beta: float) -> None:
    """Refuse a beta for which F-beta is no score."""
    if not 0 < beta < np.inf:
        raise OptionError(f"beta = {beta}: wanted a number above 0, such as 1 or 2")


def _require_no_thresholds(thresholds: ArrayLike | None) -> None:
    if thresholds is not None:
        raise OptionError(
            f"thresholds = {thresholds!r:.80}: they are for many labels; of a single label the most probable "
            "class is predicted, leave them out"
        )
