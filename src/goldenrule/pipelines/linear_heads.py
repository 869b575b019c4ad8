"""Fitting a head on a cache's rows: folds, out-of-fold predictions, and the replay of what was done before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil

from goldenrule.core.errors import OptionError, TooFewImages
from goldenrule.core.option import HeadKind
from goldenrule.core.progress import Progress
from goldenrule.data.splits.evaluated_classes import NOT_EVALUATED
from goldenrule.data.splits.folds import dealt_folds, evaluation_folds
from goldenrule.data.table import ImageTable, LabelledTable
from goldenrule.features.extractor import Features
from goldenrule.features.linear import Rows, fit_linear
from goldenrule.features.root_head import fit_root
from goldenrule.metrics import Predictions
from goldenrule.metrics.estimate import Basis
from goldenrule.models.heads import Head, head_from_tensors
from goldenrule.runs.store import Outcome
from goldenrule.storage.tensors import Tensors

FOLDS = 5
SOLVER_VERSION = 4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FittedHead:
    """A head with the out-of-fold predictions that evaluate it and what was tried on the way."""

    head: Head
    out_of_fold: Predictions
    facts: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"FittedHead({self.head.kind}; out-of-fold {self.out_of_fold!r})"


def fit_head(
    train: ImageTable,
    features: Features,
    *,
    views: int = 0,
    kind: HeadKind = "linear",
    seed: int = 0,
    near: float | None = None,
    folds: int | None = None,
    progress: Progress | None = None,
) -> FittedHead:
    """Fit a head on the features of readable images; folds keep duplicates and views together.

    Images without a label take no part.

    `views` is the number of augmented views to learn from beside the plain one. The linear head is fitted, its
    penalty chosen out-of-fold (the search begins beside `near`); the others are trained by AdamW.
    With `folds` the linear head is the average of the heads of so many folds instead of one fitted on all images.
    Raises `OptionError` where an image has no features, `TooFewImages` where a fold would stay empty.
    """
    labelled = train.only_labelled()
    outcome = fit_outcome(
        labelled, features, views=views, kind=kind, seed=seed, near=near, folds=folds, progress=progress
    )
    return fitted(labelled, outcome, kind)


def fit_outcome(
    train: LabelledTable,
    features: Features,
    *,
    views: int,
    kind: HeadKind,
    seed: int,
    near: float | None = None,
    folds: int | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """Return what `fit_head` found as plain arrays, to be stored in a run."""
    rows = training_rows(train, features, views=views, seed=seed, folds=folds)
    if kind != "linear" and folds is not None:
        raise OptionError(f"folds={folds} averages linear heads, and kind={kind!r}: leave one of them away.")
    if kind == "root":
        return _root_outcome(rows, near=near, progress=progress)
    if kind != "linear":
        from goldenrule.training.inputs.hidden_heads import train_head

        return train_head(rows, kind=kind, seed=seed, progress=progress)
    linear = fit_linear(rows, near=near, average=folds is not None, progress=progress)
    tensors: Tensors = {f"head.{name}": value for name, value in linear.head.tensors.items()}
    facts: dict[str, Any] = {"l2": linear.l2, "path": [list(step) for step in linear.path]}
    facts |= {"iterations": linear.iterations} | ({"averaged_folds": folds} if folds else {})
    tensors["fold_logits"], tensors["fold"] = linear.fold_logits[: len(train)], rows.folds[: len(train)]
    return Outcome(tensors, facts)


def _root_outcome(rows: Rows, *, near: float | None, progress: Progress | None) -> Outcome:
    found = fit_root(rows, near=near, progress=progress)
    tensors: Tensors = {f"head.{name}": value for name, value in found.head.tensors.items()}
    tensors["fold_logits"], tensors["fold"] = found.fold_logits, rows.folds[: rows.scored]
    facts: dict[str, Any] = {"l2": found.l2, "path": [list(step) for step in found.path]}
    logistic, discriminant = found.shares
    facts |= {"iterations": found.iterations, "logistic": logistic, "discriminant": discriminant}
    return Outcome(tensors, facts | {"shrinkage": found.shrinkage})


def fitted(train: LabelledTable, outcome: Outcome, kind: HeadKind) -> FittedHead:
    """Return the head and the out-of-fold predictions that an outcome holds, of the images that a fold evaluates."""
    heads = {name.removeprefix("head."): v for name, v in outcome.tensors.items() if name.startswith("head.")}
    out_of_fold = Predictions.from_logits(
        outcome.tensors["fold_logits"],
        train.classes,
        truth=train.truth,
        ids=train.uris,
        fold=outcome.tensors["fold"],
        task=train.task,
        basis=Basis.USED_FOR_SELECTION,
    )
    evaluated = outcome.tensors["fold"] != NOT_EVALUATED
    if not evaluated.all():
        out_of_fold = out_of_fold.select(evaluated)
    return FittedHead(head=head_from_tensors(kind, heads), out_of_fold=out_of_fold, facts=outcome.facts)


def head_folds(train: LabelledTable, *, seed: int, folds: int | None = None) -> npt.NDArray[np.int64]:
    """Return the fold (n,) that evaluates each image; `NOT_EVALUATED` for what always trains.

    Without `folds` there are `FOLDS`, or fewer where no class has as many images. Raises `TooFewImages` where no
    image can be evaluated.
    """
    found = evaluation_folds(train, FOLDS, seed=seed) if folds is None else dealt_folds(train, folds, seed=seed)
    if (found == NOT_EVALUATED).all():
        groups = sorted({group for group in train.rows["group"].to_pylist() if group is not None})
        named = f" ({', '.join(groups[:4])}{', ...' if len(groups) > 4 else ''})" if groups else ""
        raise TooFewImages(
            f"Each class of the training split is one image or one group{named}: nothing could be evaluated by what "
            "has not seen it. Add images or groups, or do without groups (--group-by none)."
        )
    return found


def training_rows(train: LabelledTable, features: Features, *, views: int, seed: int, folds: int | None = None) -> Rows:
    """Return the rows of all views, plain first, each image counting once; read from the cache in blocks.

    The folds are `head_folds`.
    """
    digests = [digest for digest in train.digests if digest is not None]
    if not 0 <= views < len(features.caches):
        raise OptionError(f"views={views}: these features have {len(features.caches) - 1} augmented views.")
    if len(digests) != len(train) or any(digest not in features.caches[0] for digest in digests):
        raise OptionError("Some of these images have no features: precompute them first.")
    fold = head_folds(train, seed=seed, folds=folds)
    truth, count = train.truth, views + 1

    def read(start: int, stop: int) -> npt.NDArray[np.float16]:
        pieces = []
        for view in range(start // len(digests), (stop - 1) // len(digests) + 1):
            low, high = max(start - view * len(digests), 0), min(stop - view * len(digests), len(digests))
            pieces.append(features.rows(digests[low:high], view))
        return np.concatenate(pieces)

    return Rows(
        read=read,
        targets=np.concatenate([truth] * count),
        weights=np.tile(train.rows["weight"].to_numpy() / np.float32(count), count).astype(np.float32),
        folds=np.tile(fold, count),
        features=features.caches[0].features,
        classes=len(train.classes),
        scored=len(train),
        budget_bytes=psutil.virtual_memory().total // 4,
    )
