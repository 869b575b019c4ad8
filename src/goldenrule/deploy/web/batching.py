"""Pictures of many callers, predicted together: a bounded queue, and threads that take what waits there.

A thread that is free takes its share of what waits, and never waits for more: alone a picture is answered at once, and
the more there are, the larger the batches become. Each thread decodes its own pictures.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any

from goldenrule.core.blas import one_blas_thread
from goldenrule.deploy.bulk import RowRules, columns_of, with_top
from goldenrule.deploy.row_formats import values_of
from goldenrule.engines.openvino import BATCH_SIZE
from goldenrule.metrics.predictions_csv import rows_of
from goldenrule.models.classifier import Classifier

MOST_AT_ONCE = BATCH_SIZE
"""So many pictures a thread takes at most."""
TRIAL = b"P5 8 8 255\n" + bytes(range(0, 256, 4))
"""A grey picture of 8 x 8 pixels, as a PGM."""
Row = dict[str, Any]


class Busy(Exception):
    """There is no room for more: come again."""


@dataclass(frozen=True, slots=True, eq=False)
class Served:
    """A classifier at work, and what it is known by: the digest of its manifest."""

    classifier: Classifier
    name: str


@dataclass(slots=True, eq=False)
class Waiting:
    """A picture that waits for its row: it is predicted by the classifier that was at work when it came."""

    served: Served
    name: str
    content: bytes
    top: int
    until: float
    row: Future[Row] = field(default_factory=Future)


class Batcher:
    """Threads that predict what is submitted."""

    def __init__(
        self,
        served: Served,
        *,
        rules: RowRules,
        threads: int,
        most_waiting: int,
        seen: Callable[[int, float], None] = lambda _, __: None,
    ) -> None:
        """Start `threads` threads; `seen` is told of every batch how many pictures it had, and how long it took."""
        self.served, self.rules, self.threads, self.most_waiting = served, rules, threads, most_waiting
        self._seen = seen
        self._queue: deque[Waiting] = deque()
        self._changed = threading.Condition()
        self._closed = False
        workers = 1 if served.classifier.engine.name == "torch" else threads
        self._workers = [
            threading.Thread(target=self._work, name=f"predict-{number}", daemon=True) for number in range(workers)
        ]
        for worker in self._workers:
            worker.start()

    @property
    def waiting(self) -> int:
        """How many pictures wait."""
        return len(self._queue)

    @property
    def works(self) -> bool:
        """Whether all its threads are alive."""
        return all(worker.is_alive() for worker in self._workers)

    def submit(
        self, files: Sequence[tuple[str, bytes]], *, top: int, seconds: float
    ) -> tuple[Served, list[Future[Row]]]:
        """Return the classifier that answers, and the rows to come, of all of these files.

        Raises `Busy` where there is no room for all. A picture that has waited so many seconds is not predicted.
        """
        until = time.monotonic() + seconds
        with self._changed:
            if self._closed or len(self._queue) + len(files) > self.most_waiting:
                raise Busy
            served = self.served
            new = [Waiting(served, name, content, top, until) for name, content in files]
            self._queue += new
            self._changed.notify(len(new))
        return served, [one.row for one in new]

    def close(self) -> None:
        """End the threads when nothing waits any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for worker in self._workers:
            worker.join()

    def _work(self) -> None:
        with one_blas_thread():  # for good: to look for the libraries again would take a part of each picture's time
            while batch := self._next():
                began = time.perf_counter()
                _answer(batch, self.rules, self.threads)
                self._seen(len(batch), time.perf_counter() - began)
                batch.clear()  # until the next one comes, nothing of this one is kept

    def _next(self) -> list[Waiting]:
        """Return this thread's share of what waits, for one classifier; nothing where it has to end."""
        with self._changed:
            while True:
                self._changed.wait_for(lambda: self._queue or self._closed)
                if not self._queue:
                    return []
                share = min(-(-len(self._queue) // len(self._workers)), MOST_AT_ONCE)
                batch: list[Waiting] = []
                while self._queue and len(batch) < share and (not batch or batch[0].served is self._queue[0].served):
                    one = self._queue.popleft()
                    if one.row.set_running_or_notify_cancel():
                        batch.append(one)
                if batch:
                    return batch


def _answer(batch: Sequence[Waiting], rules: RowRules, threads: int) -> None:
    now = time.monotonic()
    for late in (one for one in batch if one.until < now):
        late.row.set_exception(TimeoutError())
    batch = [one for one in batch if one.until >= now]
    if not batch:
        return
    try:
        rows = _rows(batch, rules, threads)
    except BaseException as error:  # noqa: BLE001 - whoever waits for the row gets it, and the thread goes on
        for one in batch:
            one.row.set_exception(error)
        return
    for one, row in zip(batch, rows, strict=True):
        one.row.set_result(row)


def _rows(batch: Sequence[Waiting], rules: RowRules, threads: int) -> list[Row]:
    """Return the rows of pictures as predictions.jsonl has them; one that can't be read says why, as `reason`."""
    classifier = batch[0].served.classifier
    predictions, _ = classifier.predict_here([(one.name, one.content) for one in batch], threads=threads)
    made = rows_of(
        predictions,
        min_confidence=rules.min_confidence,
        when_ood=rules.when_ood,
        reasons=True,
        told=True,
    )
    return [
        values_of(with_top(row, one.top), columns_of(classifier, replace(rules, top=one.top)))
        for one, row in zip(batch, made, strict=True)
    ]
