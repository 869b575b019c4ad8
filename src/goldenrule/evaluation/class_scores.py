"""Scores of each class: precision, recall, F-beta, and the counts behind them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from goldenrule.evaluation.checks import require_single_label
from goldenrule.evaluation.estimate import Basis, Estimate
from goldenrule.evaluation.predictions import Predictions
from goldenrule.evaluation.score_intervals import f_score, f_score_interval
from goldenrule.foundation.errors import OptionError


def confusion(predictions: Predictions) -> NDArray[np.int64]:
    """Give the counts (C, C) of scored images: a row per true class, a column per predicted class.

    Raises `OptionError` for many labels.

    >>> confusion(Predictions.from_logits([[2, 0], [0, 1], [3, 0]], ["cat", "dog"], truth=[0, 0, 1])).tolist()
    [[1, 1], [1, 0]]
    """
    require_single_label(predictions, "the confusion matrix")
    scored, size = predictions.scored, len(predictions.classes)
    cells = np.bincount(scored.truth * size + scored.predicted, minlength=size * size)
    return cells.reshape(size, size)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassScore:
    """One class against the rest: four counts of images, and what follows from them."""

    name: str
    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int
    basis: Basis = "clean"

    @property
    def support(self) -> int:
        """How many scored images are of this class."""
        return self.true_positives + self.false_negatives

    @property
    def precision(self) -> Estimate:
        """Of the images called so, the share that are; undefined where none is called so."""
        called = self.true_positives + self.false_positives
        return Estimate.of_share(f"precision of {self.name}", self.true_positives, called, basis=self.basis)

    @property
    def recall(self) -> Estimate:
        """Of the images of this class, the share that is found; undefined where there are none."""
        return Estimate.of_share(f"recall of {self.name}", self.true_positives, self.support, basis=self.basis)

    @property
    def f1(self) -> Estimate:
        """The harmonic mean of precision and recall."""
        return self.f_beta(1)

    def f_beta(self, beta: float) -> Estimate:
        """Give F-beta, in which recall counts beta times as much as precision.

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


def per_class(predictions: Predictions) -> tuple[ClassScore, ...]:
    """Give the scores of each class, in the order of the classes.

    Raises `OptionError` for many labels.
    """
    table = confusion(predictions)
    n = int(table.sum())
    hit, true, called = np.diag(table), table.sum(axis=1), table.sum(axis=0)
    return tuple(
        ClassScore(
            name=name,
            true_positives=int(hit[k]),
            false_positives=int(called[k] - hit[k]),
            false_negatives=int(true[k] - hit[k]),
            true_negatives=int(n - true[k] - called[k] + hit[k]),
            basis=predictions.basis,
        )
        for k, name in enumerate(predictions.classes)
    )


def require_positive_beta(beta: float) -> None:
    """Refuse a beta for which F-beta is no score."""
    if not 0 < beta < np.inf:
        raise OptionError(f"beta = {beta}: wanted a number above 0, such as 1 or 2")
