"""Which labels of a table are probably wrong, and how many: from heads fitted without the image, on the cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from goldenrule.analysis.label_issues import LabelIssues, find_label_issues
from goldenrule.analysis.planted_errors import planted, share_wrong
from goldenrule.core.progress import Progress
from goldenrule.data.table import ImageTable, LabelledTable
from goldenrule.features.extractor import Features
from goldenrule.features.linear import DECADES, Rows, fit_linear, fold_logits
from goldenrule.metrics import Estimate, Predictions
from goldenrule.pipelines.linear_heads import training_rows

MORE_PENALTY = 10**0.5
"""How many times the penalty that is best for the labels as they are: a head that follows wrong ones less."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SuspectedLabels:
    """What is found of labels: the ranking, the predictions it is from, and an estimate of how many are wrong."""

    errors: LabelIssues
    predictions: Predictions
    wrong: Estimate
    planted: int
    l2: float


def suspected(
    images: LabelledTable, features: Features, *, seed: int = 0, progress: Progress | None = None
) -> SuspectedLabels:
    """Evaluate each label by heads that were fitted without the image, its duplicates and its group.

    `images` have features; of all splits alike, as nothing is chosen by them for a classifier. An image whose class
    only its own fold could teach is not evaluated, and left out of the predictions.
    Then some labels are made wrong on purpose, and all is fitted once more, to learn how many others are; not where
    an image has several: `wrong` is undefined there.
    """
    predictions, rows, l2 = without_the_image(images, features, seed=seed, progress=progress)
    if images.task == "multi":
        untold = share_wrong(np.array([]), np.array([]))
        return SuspectedLabels(
            errors=find_label_issues(predictions), predictions=predictions, wrong=untold, planted=0, l2=l2
        )
    labels, planted_rows = planted(images.targets, rows.classes, seed=seed)
    again = replace(rows, targets=labels)
    evaluated = rows.folds >= 0
    found = held_out(images, again, fold_logits(again, l2))
    chances = found.probabilities[np.arange(len(found)), labels[evaluated]]
    is_planted = np.isin(np.arange(len(labels)), planted_rows)[evaluated]
    return SuspectedLabels(
        errors=find_label_issues(predictions),
        predictions=predictions,
        wrong=share_wrong(chances[is_planted], chances[~is_planted]),
        planted=len(planted_rows),
        l2=l2,
    )


def without_the_image(
    images: LabelledTable, features: Features, *, seed: int = 0, progress: Progress | None = None
) -> tuple[Predictions, Rows, float]:
    """Return what heads say of each image that were fitted without it, the rows they learned from, and their penalty.

    The penalty is larger than the best one for the labels as they are.
    """
    rows = training_rows(images, features, views=0, seed=seed)
    l2 = min(fit_linear(rows, progress=progress).l2 * MORE_PENALTY, DECADES[0])
    return held_out(images, rows, fold_logits(rows, l2)), rows, l2


def held_out(images: LabelledTable, rows: Rows, logits: npt.NDArray[np.float32]) -> Predictions:
    """Return the predictions of images by the heads of the folds they are not in; of those that a fold evaluates."""
    found = Predictions.from_logits(
        logits, images.classes, truth=rows.targets, ids=images.uris, fold=rows.folds, task=images.task
    )
    return found if (rows.folds >= 0).all() else found.select(rows.folds >= 0)


def with_features(images: ImageTable, features: Features) -> tuple[LabelledTable, Sequence[str]]:
    """Return the labelled images that have features, and the names of those that could not be read."""
    cache = features.caches[0]
    known = cache.has(images.digests)
    return images.where(known).only_labelled(), images.where(images.labelled & ~known).uris
