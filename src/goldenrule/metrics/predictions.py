"""`Predictions`: what a network said about a list of images, beside what is true. All scoring starts here."""

from __future__ import annotations

import copy
import importlib.util
import math
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from goldenrule.core.errors import MissingExtra, OptionError
from goldenrule.core.lazy import from_above
from goldenrule.metrics import prediction_checks as checks
from goldenrule.metrics.estimate import Basis
from goldenrule.metrics.probabilities import sigmoid, softmax
from goldenrule.storage.outputs import Kind, check_output, csv_like, write_output

Task = Literal["single", "multi"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictedImage:
    """What is predicted of one image; without `labels`, and nan, where it has another `status` than "ok".

    `reason` says why it can't be read; `ood` and `set` are None where the classifier does not tell.
    """

    id: str
    status: str
    labels: tuple[str, ...]
    probability: float
    probabilities: Mapping[str, float]
    reason: str = ""
    ood: bool | None = None
    set: tuple[str, ...] | None = None

    @property
    def label(self) -> str | None:
        """The class; multi-label: the likeliest that is called, None where none is."""
        return self.labels[0] if self.labels else None


FIRST_COLUMNS = ("path", "status", "prediction", "probability")
"""By these a file of predictions is known."""
_NUMBERS_AT_ONCE = 2**20  # of logits, as float64: 8 MB


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Predictions:
    """n images, `views` ways of looking at each, C classes; the arrays are read-only.

    - `logits` (n, views, C) float32; nan in the rows whose `status` is not "ok". View 0 is the plain one.
    - `status` (n,): "ok", "unreadable" (a file that is no image) or "missing" (no such file).
    - `truth`: for a single label the class number (n,) int64, -1 where unlabelled; for many labels 0 or 1
      per class, (n, C) int8, a row of -1 where unlabelled.
    - `fold` (n,) int64: the fold that held the image out; None where there are no folds.
    - `group` (n,) int64: images with the same number belong together, and intervals resample them as one (films,
      patients, stretches of neighbours that are alike); None where images are independent.
    - `thresholds` (n, C) float64, many labels only: from what probability each is called; None is .5 for all.
    - `distance` (n,) float32: how far the image is from those of the training (`OODDetector`), nan where it is not ok;
      None where that was not measured.
    - `reason` (n,): why an image can't be read, "" where it is ok; None where all can, or nothing is known.
    - `ood` (n,), `inside` (n, C): what a classifier flags as out-of-distribution, and which classes it can't rule out
      (its prediction sets); None where it does not tell. They follow from the rest, and are not compared.
    - `basis`: "used for selection" once these images have helped to choose the network, as in
      `dataclasses.replace(predictions, basis="used for selection")`; every metric passes it on.

    Raises `OptionError` where shapes, types or values do not fit, with what was wanted and what was got.

    >>> Predictions.from_logits([[2.0, 0.0], [0.0, 1.0]], classes=["cat", "dog"], truth=[0, 0])
    Predictions(2 images, 2 classes, 1 view, single label, 2 scored)
    """

    task: Task = "single"
    classes: tuple[str, ...]
    ids: tuple[str, ...]
    status: NDArray[np.str_]
    truth: NDArray[np.int64] | NDArray[np.int8]
    logits: NDArray[np.float32]
    fold: NDArray[np.int64] | None = None
    group: NDArray[np.int64] | None = None
    thresholds: NDArray[np.float64] | None = None
    distance: NDArray[np.float32] | None = None
    reason: NDArray[np.str_] | None = field(default=None, compare=False)
    ood: NDArray[np.bool_] | None = field(default=None, compare=False)
    inside: NDArray[np.bool_] | None = field(default=None, compare=False)
    basis: Basis = Basis.HELD_OUT

    def __post_init__(self) -> None:
        """Bring every field into its type, check it and make it read-only."""
        for name, value in checks.checked_fields({one.name: getattr(self, one.name) for one in fields(self)}).items():
            object.__setattr__(self, name, value)

    @classmethod
    def from_logits(
        cls,
        logits: ArrayLike,
        classes: Sequence[str],
        *,
        truth: ArrayLike | None = None,
        ids: Sequence[str] | None = None,
        status: ArrayLike | None = None,
        fold: ArrayLike | None = None,
        group: ArrayLike | None = None,
        distance: ArrayLike | None = None,
        reason: ArrayLike | None = None,
        task: Task = "single",
        basis: Basis = Basis.HELD_OUT,
    ) -> Predictions:
        """Predictions from logits (n, C), one view, or (n, views, C).

        What is left out is filled in: every image readable, none labelled, ids "0", "1", ...
        """
        rows = np.asarray(logits)
        rows = rows[:, np.newaxis, :] if rows.ndim == 2 else rows
        unlabelled = np.full((len(rows), len(classes)) if task == "multi" else len(rows), -1)
        return cls(
            task=task,
            classes=tuple(classes),
            ids=tuple(map(str, range(len(rows)))) if ids is None else tuple(ids),
            status=np.full(len(rows), "ok") if status is None else np.asarray(status),
            truth=np.asarray(unlabelled if truth is None else truth),
            logits=rows,
            fold=None if fold is None else np.asarray(fold),
            group=None if group is None else np.asarray(group),
            distance=None if distance is None else np.asarray(distance),
            reason=None if reason is None else np.asarray(reason, dtype=np.str_),
            basis=basis,
        )

    @property
    def views(self) -> int:
        """How many views each image has."""
        return int(self.logits.shape[1])

    @property
    def ok(self) -> NDArray[np.bool_]:
        """Which images could be read, (n,)."""
        return np.asarray(self.status == "ok")

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """Which images have a truth, (n,)."""
        return np.asarray((self.truth if self.truth.ndim == 1 else self.truth.max(axis=1, initial=-1)) >= 0)

    @property
    def scored(self) -> Predictions:
        """The images that metrics count: readable and labelled. Kept after the first use."""
        return self if (self.ok & self.labelled).all() else self._scored_split

    @property
    def status_counts(self) -> Mapping[str, int]:
        """How many images have each status that occurs, such as {"ok": 198, "unreadable": 2}."""
        return dict(Counter(self.status.tolist()))

    @cached_property
    def probabilities(self) -> NDArray[np.float64]:
        """Probabilities (n, C): softmax (many labels: sigmoid) of each view, averaged over the views.

        A row of nan where the image is not ok. Kept after the first use.
        """
        from_logits = softmax if self.task == "single" else sigmoid
        averaged = np.full((len(self), len(self.classes)), np.nan)
        ok = np.flatnonzero(self.ok)
        block = max(1, _NUMBERS_AT_ONCE // (self.views * len(self.classes)))
        for start in range(0, len(ok), block):
            rows = ok[start : start + block]
            averaged[rows] = from_logits(self.logits[rows].astype(np.float64)).mean(axis=1)
        averaged.flags.writeable = False
        return averaged

    @property
    def predicted(self) -> NDArray[np.int64]:
        """The most probable class (n,), the first of equals; -1 where the image is not ok.

        Raises `OptionError` for many labels: which of them are predicted is a matter of thresholds.
        """
        checks.require_single_label(self.task, "the predicted class")
        classes = np.full(len(self), -1, dtype=np.int64)
        classes[self.ok] = self.probabilities[self.ok].argmax(axis=1)
        return classes

    @cached_property
    def called(self) -> NDArray[np.bool_]:
        """What is said to be there, (n, C); multi-label: those that reach their threshold, else the likeliest class.

        None where the image is not ok.
        """
        if self.task == "single":
            return np.asarray(self.predicted[:, np.newaxis] == np.arange(len(self.classes)))
        limits = 0.5 if self.thresholds is None else self.thresholds
        return np.asarray(np.nan_to_num(self.probabilities, nan=-1.0) >= limits)

    def true_names(self, row: int) -> list[str]:
        """Return the names of what is true of an image; none where it is unlabelled."""
        truth = self.truth[row]
        if self.task == "single":
            return [self.classes[truth]] if truth >= 0 else []
        return [self.classes[label] for label in np.flatnonzero(truth == 1)]

    def called_names(self, row: int) -> list[str]:
        """Return the names of what is said to be in an image, the most probable first."""
        called = np.flatnonzero(self.called[row])
        order = np.argsort(-self.probabilities[row, called], kind="stable")
        return [self.classes[label] for label in called[order]]

    def select(self, rows: ArrayLike) -> Predictions:
        """Return the images of a boolean mask (n,) or of row numbers, in their order."""
        chosen = checks.row_numbers(rows, len(self))
        return replace(
            self,
            ids=tuple(self.ids[row] for row in chosen),
            status=self.status[chosen],
            truth=self.truth[chosen],
            logits=self.logits[chosen],
            fold=None if self.fold is None else self.fold[chosen],
            group=None if self.group is None else self.group[chosen],
            thresholds=None if self.thresholds is None else self.thresholds[chosen],
            distance=None if self.distance is None else self.distance[chosen],
            reason=None if self.reason is None else self.reason[chosen],
            ood=None if self.ood is None else self.ood[chosen],
            inside=None if self.inside is None else self.inside[chosen],
        )

    def with_flags(self, *, ood: ArrayLike | None = None, inside: ArrayLike | None = None) -> Predictions:
        """Return the same predictions with what a classifier flags: `ood` (n,) and `inside` (n, C), None for neither.

        All else was checked before, and neither probabilities nor what is called are computed again.
        """
        flagged = copy.copy(self)
        flagged.__dict__.pop("_scored_split", None)  # it has the flags of before
        object.__setattr__(flagged, "ood", checks.checked_flags("ood", ood, (len(self),)))
        object.__setattr__(flagged, "inside", checks.checked_flags("inside", inside, (len(self), len(self.classes))))
        return flagged

    def groups_of(self, rows: ArrayLike) -> NDArray[np.int64] | None:
        """Return the groups of these rows (a mask or numbers), None where images are independent."""
        return None if self.group is None else self.group[checks.row_numbers(rows, len(self))]

    def only_views(self, *views: int) -> Predictions:
        """Return the same images seen through some of their views: `only_views(0)` is the plain one."""
        if not views or not all(0 <= view < self.views for view in views):
            raise OptionError(f"views {views}: wanted some of 0 to {self.views - 1}")
        return replace(self, logits=self.logits[:, list(views)], inside=None)

    def aligned_to(self, classes: Sequence[str]) -> Predictions:
        """Return the same predictions with the classes in another order, matched by name.

        Raises `OptionError` unless both have the same names: a missing class is never a shift.
        """
        if tuple(classes) == self.classes:
            return self
        checks.require_same_classes(wanted=classes, got=self.classes)
        order = np.array([self.classes.index(name) for name in classes])
        truth = self.truth[:, order] if self.task == "multi" else np.append(np.argsort(order), -1)[self.truth]
        limits = None if self.thresholds is None else self.thresholds[:, order]
        inside = None if self.inside is None else self.inside[:, order]
        changed: dict[str, Any] = {"truth": truth, "thresholds": limits, "inside": inside}
        return replace(self, classes=tuple(classes), logits=self.logits[:, :, order], **changed)

    @staticmethod
    def concatenate(splits: Sequence[Predictions]) -> Predictions:
        """All images of `splits` in their order, with the classes of the first; such as folds put together.

        One split that was used for selection makes the whole so; distances, groups and what is told of single images
        are kept where all splits have them, the same number being the same group. Raises `OptionError` for no splits,
        other classes, another task or number of views, or folds or thresholds in some splits only.
        """
        _require_alike(splits)
        first, *_ = splits
        aligned = [split.aligned_to(first.classes) for split in splits]
        folds = [split.fold for split in aligned if split.fold is not None]
        limits = [split.thresholds for split in aligned if split.thresholds is not None]
        kept = {name: _of_all(aligned, name) for name in ("group", "distance", "ood", "inside")}
        reasons = [_reasons_of(split) for split in aligned] if any(one.reason is not None for one in aligned) else []
        return replace(
            first,
            ids=tuple(name for split in aligned for name in split.ids),
            status=np.concatenate([split.status for split in aligned]),
            truth=np.concatenate([split.truth for split in aligned]),
            logits=np.concatenate([split.logits for split in aligned]),
            fold=np.concatenate(folds) if folds else None,
            thresholds=np.concatenate(limits) if limits else None,
            reason=np.concatenate(reasons) if reasons else None,
            **kept,
            basis=Basis.USED_FOR_SELECTION
            if any(split.basis == Basis.USED_FOR_SELECTION for split in splits)
            else Basis.HELD_OUT,
        )

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[PredictedImage]:
        """Yield a `PredictedImage` per image.

        >>> [(one.label, round(one.probability, 2)) for one in Predictions.from_logits([[2.0, 0.0]], ["cat", "dog"])]
        [('cat', 0.88)]
        """
        probabilities, ok = self.probabilities, self.ok
        for row, (name, status) in enumerate(zip(self.ids, self.status, strict=True)):
            labels = tuple(self.called_names(row)) if ok[row] else ()
            highest = float(probabilities[row].max()) if ok[row] else math.nan
            yield PredictedImage(
                id=name,
                status=str(status),
                labels=labels,
                probability=highest,
                probabilities=dict(zip(self.classes, probabilities[row].tolist(), strict=True)),
                reason="" if self.reason is None else str(self.reason[row]),
                ood=None if self.ood is None or not ok[row] else bool(self.ood[row]),
                set=None if self.inside is None or not ok[row] else self._set(row),
            )

    def __getitem__(self, row: int) -> PredictedImage:
        """Return one image's prediction, by its row; negative rows count from the end. `IndexError` where it is not.

        >>> Predictions.from_logits([[2.0, 0.0], [0.0, 1.0]], ["cat", "dog"])[-1].label
        'dog'
        """
        if not -len(self) <= row < len(self):
            raise IndexError(f"row {row}: there are {len(self)} images")
        return next(iter(self.select([row])))

    def to_frame(self) -> Any:
        """Return a pandas DataFrame with the columns of predictions.csv: path, status, prediction, probability, p:NAME.

        Beside them, where they are known: set, the classes that can't be ruled out, the likeliest first; ood, whether
        the image is out-of-distribution; distance, that to the training images; truth. `reason` says why an
        image can't be read, and is empty where it can; such an image has no prediction, and nan as probabilities.
        Raises `MissingExtra` without pandas.
        """
        if importlib.util.find_spec("pandas") is None:
            raise MissingExtra("A data frame needs pandas: pip install pandas.")
        import pandas as pd

        rows = list(self)
        columns: dict[str, Any] = {
            "path": [row.id for row in rows],
            "status": [row.status for row in rows],
            "prediction": [row.label if self.task == "single" else list(row.labels) for row in rows],
            "probability": [row.probability for row in rows],
        }
        if self.inside is not None:
            columns["set"] = [list(row.set or ()) for row in rows]
        if self.ood is not None:
            columns["ood"] = self.ood
        if self.distance is not None:
            columns["distance"] = self.distance
        columns["reason"] = [row.reason or "" for row in rows]
        if bool(self.labelled.any()):
            truth = [self.true_names(row) for row in range(len(self))]
            columns["truth"] = [(names[0] if names else None) if self.task == "single" else names for names in truth]
        columns |= {f"p:{name}": self.probabilities[:, place] for place, name in enumerate(self.classes)}
        return pd.DataFrame(columns)

    def to_csv(self, path: str | os.PathLike[str] | None = None) -> str:
        """Return the text of predictions.csv, with what the classifier tells of each image; write it to `path` too.

        Nothing is overwritten but such a file. Raises `OptionError` where something else is there.
        """
        text = cast("str", from_above("metrics.predictions_csv", "to_csv")(self, told=True))
        if path is not None:
            kind = Kind(name="a CSV file", example="predictions.csv", ours=csv_like(*FIRST_COLUMNS))
            check_output(Path(path), kind, option="to_csv")
            write_output(Path(path), text)
        return text

    def __eq__(self, other: object) -> bool:
        """Equal in every field and bit; nan equals nan."""
        return isinstance(other, Predictions) and all(
            checks.same(getattr(self, one.name), getattr(other, one.name)) for one in fields(self) if one.compare
        )

    def __repr__(self) -> str:
        counts = [_count(len(self), "image"), _count(len(self.classes), "class"), _count(self.views, "view")]
        bad = [f"{n:,} {status}" for status, n in self.status_counts.items() if status != "ok"]
        scored = f"{int((self.ok & self.labelled).sum()):,} scored"
        label = "single label" if self.task == "single" else "many labels"
        return f"Predictions({', '.join([*counts, label, scored, *bad])})"

    def _set(self, row: int) -> tuple[str, ...]:
        assert self.inside is not None
        order = np.argsort(-self.probabilities[row], kind="stable")
        return tuple(self.classes[label] for label in order if self.inside[row, label])

    @cached_property
    def _scored_split(self) -> Predictions:
        return self.select(self.ok & self.labelled)


def _of_all(splits: Sequence[Predictions], name: str) -> Any:
    """Return a field of all splits, one after the other; None where one of them lacks it."""
    each = [getattr(split, name) for split in splits]
    return None if any(one is None for one in each) else np.concatenate(each)


def _reasons_of(split: Predictions) -> NDArray[np.str_]:
    return np.full(len(split), "") if split.reason is None else split.reason


def _count(n: int, noun: str) -> str:
    """Return a number and its noun.

    >>> _count(2, "class"), _count(1, "image")
    ('2 classes', '1 image')
    """
    plural = noun + ("es" if noun.endswith("s") else "s")
    return f"{n:,} {noun if n == 1 else plural}"


def _require_alike(splits: Sequence[Predictions]) -> None:
    """Refuse splits that can't be put one after the other."""
    if not splits:
        raise OptionError("nothing to concatenate: wanted one Predictions or more, got none")
    kinds = {(split.task, split.views, split.fold is not None, split.thresholds is not None) for split in splits}
    if len(kinds) > 1:
        yes = ("without", "with")
        listed = sorted(
            f"{task}, {views} views, {yes[folds]} folds, {yes[limits]} thresholds"
            for task, views, folds, limits in kinds
        )
        raise OptionError(f"can't concatenate unlike predictions: wanted one kind, got {'; '.join(listed)}")
