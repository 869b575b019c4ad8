"""The tables of a report as plain values: what stands in which row, in which order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from goldenrule.core.messages import Message, count, say, word
from goldenrule.metrics import ClassScore, Estimate, Predictions, confusion, per_class
from goldenrule.metrics.estimate import Basis
from goldenrule.metrics.prediction_checks import require_single_label

Counts = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreRow:
    """The estimates of one split or candidate, a column per metric; None where there is none."""

    name: str
    estimates: tuple[Estimate | None, ...]
    marked: bool
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreTable:
    """Rows of estimates under shared metrics."""

    metrics: tuple[str, ...]
    rows: tuple[ScoreRow, ...]

    @property
    def axis(self) -> float:
        """Where an axis that all shares of this table are drawn on begins."""
        return axis_start([e for row in self.rows for e in row.estimates if e])

    @property
    def methods(self) -> str:
        """How each metric's interval was made."""
        found = {e.name: e.method for row in self.rows for e in row.estimates if e is not None and e.defined}
        return "; ".join(f"{word(name)}: {method}" for name, method in found.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class DataRow:
    """How many images of a class each split has."""

    name: str
    counts: Counts

    @property
    def total(self) -> int:
        """Over all splits."""
        return sum(self.counts)


@dataclass(frozen=True, slots=True, kw_only=True)
class DataTable:
    """Images per class and split; `unlabelled` is None where every image has a label."""

    splits: tuple[str, ...]
    rows: tuple[DataRow, ...]
    unlabelled: DataRow | None
    totals: DataRow

    @property
    def largest(self) -> int:
        """The size of the largest class."""
        return max((row.total for row in self.rows), default=0)

    @property
    def sentence(self) -> str:
        """Return how much there is, and how evenly."""
        splits = say("list.comma").join(
            say("list.split", n=f"{n:,}", split=word(split))
            for split, n in zip(self.splits, self.totals.counts, strict=True)
        )
        images, classes = count(self.totals.total, "image"), count(len(self.rows), "class")
        said = (
            say("data.size", images=images, classes=classes, splits=splits)
            if self.splits != ("all",)
            else say("data.size-alone", images=images, classes=classes)
        )
        if len(self.rows) < 2:
            return said
        small, large = min(self.rows, key=lambda row: row.total), max(self.rows, key=lambda row: row.total)
        if small.total == large.total:
            return f"{said} {say('data.even', images=count(small.total, 'image'))}"
        sizes = say(
            "data.uneven",
            small=small.name,
            fewest=f"{small.total:,}",
            large=large.name,
            most=f"{large.total:,}",
        )
        return f"{said} {sizes}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """How many images of one class were called another; `share` is of the images of the true class."""

    predicted: str
    count: int
    share: float
    hit: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfusionRow:
    """What the images of one true class were called."""

    truth: str
    cells: tuple[Cell, ...]
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A stage of a run; where it begins and how wide it is on a timeline, in percent of the whole."""

    name: str
    seconds: float
    start: float
    width: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """`count` of the `total` images of a class were called another."""

    truth: str
    predicted: str
    count: int
    total: int


def split_scores(
    estimates: Mapping[str, Mapping[str, Estimate]], headline_split: str, bases: Mapping[str, Message] | None = None
) -> ScoreTable:
    """Return a row per split, in order; the headline's split is marked."""
    metrics = _metrics(estimates.values())
    return ScoreTable(
        metrics=metrics,
        rows=tuple(
            ScoreRow(
                name=split,
                estimates=tuple(map(estimate.get, metrics)),
                marked=split == headline_split,
                note=_basis((bases or {}).get(split), estimate),
            )
            for split, estimate in estimates.items()
        ),
    )


def candidate_scores(candidates: Sequence[Mapping[str, Any]]) -> ScoreTable:
    """Return a row per candidate, in order; the one that stays is marked."""
    metrics = _metrics([candidate["estimates"] for candidate in candidates])
    return ScoreTable(
        metrics=metrics,
        rows=tuple(
            ScoreRow(
                name=candidate["name"],
                estimates=tuple(map(candidate["estimates"].get, metrics)),
                marked=bool(candidate["chosen"]),
                note=candidate["comparison"] or "",
            )
            for candidate in candidates
        ),
    )


def data_table(counts: Mapping[str, Mapping[str, int]], images: Mapping[str, int] | None = None) -> DataTable:
    """Return a row per class, in order, with a column per split; `images` per split, where one has several classes."""
    names = list(dict.fromkeys(name for per_class in counts.values() for name in per_class if name))
    rows = tuple(
        DataRow(name=name, counts=tuple(per_class.get(name, 0) for per_class in counts.values())) for name in names
    )
    unlabelled = DataRow(name="", counts=tuple(per_class.get("", 0) for per_class in counts.values()))
    totals = DataRow(
        name="all",
        counts=tuple((images or {}).get(split, sum(per_class.values())) for split, per_class in counts.items()),
    )
    return DataTable(
        splits=tuple(counts), rows=rows, unlabelled=unlabelled if unlabelled.total else None, totals=totals
    )


def timeline(stages: Sequence[tuple[str, float]]) -> tuple[Stage, ...]:
    """Return the stages in the order they ran, each with its place on a bar that stands for the whole time.

    >>> [(stage.start, stage.width) for stage in timeline([("read", 1.0), ("precompute", 3.0)])]
    [(0.0, 25.0), (25.0, 75.0)]
    """
    whole = sum(seconds for _, seconds in stages) or 1.0
    found, before = [], 0.0
    for name, seconds in stages:
        start, width = 100 * before / whole, 100 * seconds / whole
        found.append(Stage(name=name, seconds=seconds, start=round(start, 1), width=round(width, 1)))
        before += seconds
    return tuple(found)


def unscored_splits(counts: Mapping[str, Mapping[str, int]]) -> tuple[tuple[str, int], ...]:
    """Return the splits in which no image has a label, and how many images they have."""
    sums = ((split, per_class.get("", 0), sum(per_class.values())) for split, per_class in counts.items())
    return tuple((split, total) for split, unlabelled, total in sums if total and unlabelled == total)


def confusion_rows(predictions: Predictions, order: Sequence[int] | None = None) -> tuple[ConfusionRow, ...]:
    """Return a row per true class with a cell per predicted class, in an order of class numbers; single label."""
    require_single_label(predictions.task, "a table of the confusion matrix")
    order = range(len(predictions.classes)) if order is None else order
    table, classes = confusion(predictions)[np.ix_(order, order)], [predictions.classes[label] for label in order]
    totals = table.sum(axis=1)
    shares = table / np.maximum(totals, 1)[:, np.newaxis]
    return tuple(
        ConfusionRow(
            truth=truth,
            cells=tuple(
                Cell(predicted=name, count=int(table[row, k]), share=float(shares[row, k]), hit=row == k)
                for k, name in enumerate(classes)
            ),
            total=int(totals[row]),
        )
        for row, truth in enumerate(classes)
    )


def confused_pairs(predictions: Predictions, most: int = 15) -> tuple[Pair, ...]:
    """Return the pairs of classes that are mistaken most often, the most frequent first; single label."""
    require_single_label(predictions.task, "a pair of mistaken classes")
    table, classes = confusion(predictions), predictions.classes
    totals = table.sum(axis=1)
    wrong = table - np.diag(np.diag(table))
    order = np.lexsort((-(wrong / np.maximum(totals, 1)[:, np.newaxis]).ravel(), -wrong.ravel()))[:most]
    pairs = [divmod(int(cell), len(classes)) for cell in order if wrong.flat[cell]]
    return tuple(
        Pair(truth=classes[t], predicted=classes[p], count=int(wrong[t, p]), total=int(totals[t])) for t, p in pairs
    )


def weakest_first(predictions: Predictions) -> tuple[ClassScore, ...]:
    """Return the scores per class by rising recall, classes without an image last."""

    def weakness(score: ClassScore) -> tuple[bool, float, float]:
        recall = score.recall
        low = recall.low if recall.bounded else recall.value
        return (not recall.defined, recall.value, low) if recall.defined else (True, 0.0, 0.0)

    return tuple(sorted(per_class(predictions), key=weakness))


def axis_start(estimates: Sequence[Estimate]) -> float:
    """Return where an axis that ends at 100 % begins, so that every interval of these shares is well inside.

    >>> axis_start([Estimate.of_share("accuracy", 199, 200)]), axis_start([Estimate.of_share("recall", 5, 9)])
    (0.95, 0.0)
    """
    lows = [estimate.low for estimate in estimates if estimate.bounded and estimate.kind == "share"]
    lowest = min(lows, default=0.0)
    starts = (0.999, 0.995, 0.99, 0.98, 0.95, 0.9, 0.8, 0.5)
    return next((start for start in starts if lowest - start >= 0.2 * (1 - start)), 0.0)


def _metrics(rows: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(metric for row in rows for metric in row))


def _basis(given: Message | None, estimates: Mapping[str, Estimate]) -> str:
    """Return in words what the numbers of a split rest on, "" where there are none."""
    bases = {estimate.basis for estimate in estimates.values()}
    chosen = Message(f"word.{Basis.USED_FOR_SELECTION if Basis.USED_FOR_SELECTION in bases else Basis.HELD_OUT}")
    match given or chosen:
        case Message(id="word.held out"):
            return say("scores.held-out") if bases else ""
        case Message(id="word.used for selection"):
            return say("scores.used-for-selection")
        case other:
            return str(other)
