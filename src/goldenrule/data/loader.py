"""Pictures, decoded in threads ahead of whoever consumes them, in batches of fixed size."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from goldenrule.core.blas import one_blas_thread
from goldenrule.core.errors import UnreadableImage
from goldenrule.core.reason import Reason
from goldenrule.data.augmentation.augment import PLAIN, Reflected, View, Warp
from goldenrule.data.pictures.decode import BEYOND, Pixels, decoded
from goldenrule.data.pictures.preprocess import Preprocessing
from goldenrule.storage.files import digest

BATCHES_AHEAD = 3


@dataclass(frozen=True, slots=True)
class DecodeJob:
    """One file to decode once, for the views that are wanted of it; `row` is the caller's own number."""

    row: int
    read: Callable[[], bytes]
    views: Sequence[int]
    digest: bytes | None = None


@dataclass(slots=True, eq=False)
class Batch:
    """Network input (size, 3, side, side) with the (row, view) of each slot in use and what went wrong."""

    pixels: npt.NDArray[np.float32]
    slots: list[tuple[int, int]] = field(default_factory=list)
    unwarped: dict[int, tuple[Reflected, Warp]] = field(default_factory=dict)  # slot -> what its view is made of
    failures: dict[int, Reason] = field(default_factory=dict)
    beyond: set[int] = field(default_factory=set)  # slots whose picture has values outside the levels, more than a few
    dark: set[int] = field(default_factory=set)  # slots whose picture uses little of more than 8 bits, without levels
    pending: list[Future[None]] = field(default_factory=list)

    def wait(self) -> None:
        """Wait until every slot is filled or has failed."""
        for future in self.pending:
            future.result()
        self.pending.clear()


class Canvases:
    """Decoded, resized pictures by digest, up to a number of bytes: epochs decode a file once (law 12)."""

    def __init__(self, budget_bytes: int) -> None:
        self._left = budget_bytes
        self._kept: dict[bytes, Reflected] = {}
        self._lock = threading.Lock()

    def get(self, digest: bytes | None) -> Reflected | None:
        """Return the canvas of an image, None where it is not kept."""
        return self._kept.get(digest) if digest is not None else None

    def add(self, digest: bytes, canvas: Reflected) -> None:
        """Keep a canvas if there is room."""
        with self._lock:
            if canvas.bytes <= self._left and digest not in self._kept:
                self._left -= canvas.bytes
                self._kept[digest] = canvas


def batches(
    jobs: Iterable[DecodeJob],
    views: Sequence[View],
    preprocessing: Preprocessing,
    *,
    batch_size: int,
    threads: int,
    canvases: Canvases | None = None,
    warped: bool = True,
) -> Iterator[Batch]:
    """Return the views of all jobs in order, as full batches (the last may have unused slots).

    Memory is bounded by `BATCHES_AHEAD` batches beside those the consumer keeps. A file that can't be read,
    or whose bytes are not those of its digest any more, is a failure of its slots, never a black picture.
    With `canvases` a file whose augmented views alone are wanted is not read again once it is kept there. With
    `warped=False` augmented views are not made: each slot has the picture and the parameters to make its view of.
    Without threads (0) the caller's own decodes: for one file that is faster than to start another.
    """
    shape = (batch_size, 3, preprocessing.size, preprocessing.size)
    ready: deque[Batch] = deque()
    with one_blas_thread(), _decoders(threads) as pool:
        try:
            batch = Batch(np.zeros(shape, np.float32))
            for job in jobs:
                slots: list[tuple[int, Batch, int]] = []
                touched: list[Batch] = []
                for view in job.views:
                    if len(batch.slots) == batch_size:
                        ready.append(batch)
                        batch = Batch(np.zeros(shape, np.float32))
                    slots.append((view, batch, len(batch.slots)))
                    batch.slots.append((job.row, view))
                    if not touched or touched[-1] is not batch:
                        touched.append(batch)
                future = pool.submit(_fill, job, slots, views, preprocessing, canvases, warped)
                for one in touched:
                    one.pending.append(future)
                while len(ready) >= BATCHES_AHEAD:
                    ready[0].wait()
                    yield ready.popleft()
            if batch.slots:
                ready.append(batch)
            while ready:
                ready[0].wait()
                yield ready.popleft()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


class _Here(Executor):
    """Runs what is submitted at once, in the caller's thread."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        """Return a future that is done."""
        future: Future[Any] = Future()
        try:
            future.set_result(function(*arguments, **named))
        except Exception as error:  # noqa: BLE001 - whoever asks the future gets it
            future.set_exception(error)
        return future


def _decoders(threads: int) -> Executor:
    return ThreadPoolExecutor(max_workers=threads, thread_name_prefix="decode") if threads else _Here()


def _fill(
    job: DecodeJob,
    slots: list[tuple[int, Batch, int]],
    views: Sequence[View],
    preprocessing: Preprocessing,
    canvases: Canvases | None,
    warped: bool,
) -> None:
    kept = canvases.get(job.digest) if canvases else None
    if kept is not None and job.digest is not None and all(views[view].augmentation for view, _, _ in slots):
        _fill_augmented(kept, job.digest, slots, views, preprocessing, warped)
        return
    try:
        content = job.read()
        name = digest(content)
        if job.digest is not None and name != job.digest:
            raise UnreadableImage("its bytes have changed since they were read first")
        with decoded(content, least_side=preprocessing.least_side, levels=preprocessing.levels) as found:
            for _, batch, slot in slots:
                if found.beyond > BEYOND:
                    batch.beyond.add(slot)
                if found.dark:
                    batch.dark.add(slot)
            _fill_decoded(found.pixels, name, slots, views, preprocessing, canvases, warped)
    except (UnreadableImage, OSError) as error:
        reason = error.reason if isinstance(error, UnreadableImage) else Reason(error.strerror or str(error))
        for _, batch, slot in slots:
            batch.failures[slot] = reason


def _fill_decoded(
    rgb: Pixels,
    name: bytes,
    slots: list[tuple[int, Batch, int]],
    views: Sequence[View],
    preprocessing: Preprocessing,
    canvases: Canvases | None,
    warped: bool,
) -> None:
    if all(views[view] == PLAIN for view, _, _ in slots):
        for _, batch, slot in slots:
            preprocessing.pixels(rgb, out=batch.pixels[slot])
        return
    canvas = preprocessing.canvas(rgb)
    rim = max(augmentation.rim for view, _, _ in slots if (augmentation := views[view].augmentation) is not None)
    source = Reflected.of(canvas, preprocessing.size, rim=rim)
    if canvases is not None:
        canvases.add(name, source)
    for view, batch, slot in slots:
        if views[view] == PLAIN:
            preprocessing.crop(canvas, out=batch.pixels[slot])
    _fill_augmented(source, name, slots, views, preprocessing, warped)


def _fill_augmented(
    source: Reflected,
    name: bytes,
    slots: list[tuple[int, Batch, int]],
    views: Sequence[View],
    preprocessing: Preprocessing,
    warped: bool,
) -> None:
    for view, batch, slot in slots:
        augmentation, warp = views[view].augmentation, views[view].warp(name)
        if augmentation is None or warp is None:
            continue
        if warped:
            preprocessing.normalised(augmentation.apply_to(warp, source), out=batch.pixels[slot])
        else:
            batch.unwarped[slot] = source, warp
