"""What a classifier's network gives for images that are read one after another: blocks of logits, in order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from goldenrule.core.blas import one_blas_thread
from goldenrule.core.errors import FormatError
from goldenrule.core.progress import Progress, Task
from goldenrule.core.reason import Reason
from goldenrule.data.augmentation.augment import View
from goldenrule.data.loader import Batch, DecodeJob, batches
from goldenrule.data.pictures.deep_pixels import Levels, clipped, unlevelled
from goldenrule.data.pictures.preprocess import Preprocessing
from goldenrule.engines import Engine, as_halves


class Scorer(Protocol):
    """What gives features their logits: a classifier."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes."""

    @property
    def preprocessing(self) -> Preprocessing:
        """How a picture becomes the network's input."""

    @property
    def name(self) -> str:
        """What the backbone is called."""

    def logits(self, features: npt.NDArray[np.float16]) -> npt.NDArray[np.float32]:
        """Return the logits (n, classes) of features (n, features)."""

    def distances(self, features: npt.NDArray[np.float16]) -> npt.NDArray[np.float32]:
        """Return the distances (n,) to the reference images, nan where none are known."""


@dataclass(slots=True, eq=False)
class Seen:
    """Consecutive images: logits (n, views, classes) and distance (n,), nan where `failed` (n,).

    The distance to reference images is that of the first view, the plain one. `reasons` say why a row failed.
    """

    logits: npt.NDArray[np.float32]
    failed: npt.NDArray[np.bool_]
    distance: npt.NDArray[np.float32]
    slots: int = 0
    reasons: dict[int, Reason] = field(default_factory=dict)

    @classmethod
    def nothing(cls, rows: int, views: int, classes: int) -> Seen:
        """Return a block in which nothing was seen yet."""
        logits = np.full((rows, views, classes), np.nan, np.float32)
        return cls(logits, np.zeros(rows, bool), np.full(rows, np.nan, np.float32))

    def first(self, rows: int) -> Seen:
        """Return the first rows, those that failed without numbers."""
        logits, failed, distance = self.logits[:rows], self.failed[:rows], self.distance[:rows]
        logits[failed], distance[failed] = np.nan, np.nan
        return Seen(logits, failed, distance, reasons=self.reasons)

    def why(self) -> npt.NDArray[np.str_]:
        """Return why each image can't be read, "" where it can."""
        return np.array([str(self.reasons.get(row, "")) for row in range(len(self.failed))], dtype=np.str_)


class Odd:
    """How many pictures have values outside the levels, or use little of more than 8 bits."""

    def __init__(self) -> None:
        self.beyond, self.dark = 0, 0

    def add(self, batch: Batch) -> None:
        """Count those of a batch, in their first view."""
        self.beyond += sum(batch.slots[slot][1] == 0 for slot in batch.beyond)
        self.dark += sum(batch.slots[slot][1] == 0 for slot in batch.dark)

    def tell(self, levels: Levels | None, progress: Progress) -> None:
        """Say so, where there are some."""
        if self.beyond and levels is not None:
            progress.say(clipped(self.beyond, levels))
        if self.dark:
            progress.say(unlevelled(self.dark))


def seen_in_blocks(
    scorer: Scorer,
    jobs: Iterable[DecodeJob],
    views: Sequence[View],
    *,
    engine: Engine,
    threads: int,
    rows: int,
    task: Task,
    odd: Odd,
) -> Iterator[Seen]:
    """Yield what is seen of the images of `jobs`, whose rows count from 0, in blocks of `rows`; the last has the rest.

    One pipeline goes through all of them: pictures are decoded ahead, also beyond the end of a block. Memory is that of
    some batches and two blocks.
    """
    decoded = batches(jobs, views, scorer.preprocessing, batch_size=engine.batch_size, threads=threads)
    size = len(views), len(scorer.classes)
    start, end = 0, 0
    blocks: dict[int, Seen] = {}
    with one_blas_thread():
        for batch, features in engine.run((batch, batch.pixels) for batch in decoded):
            odd.add(batch)
            for one, (row, _) in enumerate(batch.slots):
                number = row // rows
                if number not in blocks:
                    blocks[number] = Seen.nothing(rows, *size)
                block = blocks[number]
                block.slots += 1
                if one in batch.failures:
                    block.failed[row % rows] = True
                    block.reasons[row % rows] = batch.failures[one]
                end = max(end, row + 1)
            _score(scorer, batch, features, blocks, rows)
            task.advance(len(batch.slots))
            while start in blocks and blocks[start].slots == rows * len(views):
                yield blocks.pop(start).first(rows)
                start += 1
    if start in blocks and (rest := end - start * rows) > 0:
        yield blocks[start].first(rest)


def _score(scorer: Scorer, batch: Batch, features: npt.NDArray[np.float32], blocks: dict[int, Seen], rows: int) -> None:
    """Write logits and distances of a batch's readable slots into their blocks."""
    good = [slot for slot in range(len(batch.slots)) if slot not in batch.failures]
    if not good:
        return
    halves = as_halves(features[good], scorer.name)
    logits = scorer.logits(halves)
    if not np.isfinite(logits).all():
        raise FormatError("The head of this classifier gives NaN: it is damaged. Copy it again, whole.")
    first = [place for place, slot in enumerate(good) if batch.slots[slot][1] == 0]
    distances = dict(zip(first, scorer.distances(halves[first]), strict=True)) if first else {}
    for place, slot in enumerate(good):
        row, view = batch.slots[slot]
        block = blocks[row // rows]
        block.logits[row % rows, view] = logits[place]
        if place in distances:
            block.distance[row % rows] = distances[place]
