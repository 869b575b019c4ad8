"""Predictions by workers of a cluster: the same network, the same blocks of whole batches, so the same numbers."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from goldenrule.core.errors import ClusterError, OptionError
from goldenrule.core.extras import Late
from goldenrule.core.progress import Progress, Silent
from goldenrule.core.schema import as_json
from goldenrule.data.sources.picture_files import read_picture
from goldenrule.data.sources.streams import Picture
from goldenrule.metrics import Predictions
from goldenrule.models.classifier import Classifier
from goldenrule.models.graphs.compiled import serving_kind
from goldenrule.models.seen import Odd, Seen
from goldenrule.storage.cache_folder import VARIABLE, cache_folder
from goldenrule.tasks.cluster.block_stream import reason_columns, reasons_in
from goldenrule.tasks.cluster.ray_cluster import Cluster

pa = Late("pyarrow")
LONGEST_SECONDS = 5.0
"""What has come is given on after so long, though it is less than was asked for: it is what a kill can't take."""


def predictions_on(
    cluster: Cluster,
    classifier: Classifier,
    pictures: Iterable[Picture],
    *,
    rows: int,
    progress: Progress | None = None,
) -> Iterator[Predictions]:
    """Yield what `Classifier.stream` does, computed on a cluster: in order, in blocks of about `rows`.

    Raises `OptionError` for pictures that are no files, and for a classifier that only this process can run.
    """
    progress, listed = progress or Silent(), list(pictures)
    if not listed:
        return
    paths = [_path(picture) for picture in listed]
    views, classes = len(classifier.views), len(classifier.classes)
    told = _told(classifier, of=len(listed) * views, progress=progress)
    table = pa.table({"path": pa.array(paths, pa.binary())})
    files = [os.fsencode(classifier_folder(classifier) / "classifier.json"), *paths]
    names, odd, waiting, since = deque(picture.name for picture in listed), Odd(), list[Seen](), time.monotonic()
    coming = cluster.stream(table, PictureWorker, told, files=files, in_order=True)
    with progress.task("predict", len(listed) * views, "views") as task:
        for found in coming:
            if found is not None:
                waiting.append(_seen(found, views, classes))
                odd.beyond += found["beyond"].to_pylist()[0]
                odd.dark += found["dark"].to_pylist()[0]
                task.advance(len(found) * views)
            come = sum(len(seen.failed) for seen in waiting)
            if come >= rows or (come and time.monotonic() - since > LONGEST_SECONDS):
                yield classifier.predictions_of(joined(waiting), [names.popleft() for _ in range(come)])
                waiting, since = [], time.monotonic()
        if waiting:
            yield classifier.predictions_of(joined(waiting), [*names])
            names.clear()
    if names:
        raise ClusterError(
            f"--cluster {cluster.where}: {len(names):,} pictures came to no end. Give the command again."
        )
    odd.tell(classifier.preprocessing.levels, progress)


def classifier_folder(classifier: Classifier) -> Path:
    """Return where a classifier lies, for workers to load it from; `OptionError` for one that lies nowhere."""
    if classifier.folder is None:
        raise OptionError("--cluster: workers load the classifier from its folder, and this one was never saved.")
    return classifier.folder.absolute()


def _told(classifier: Classifier, *, of: int, progress: Progress) -> dict[str, Any]:
    if classifier.device != "cpu":
        raise OptionError(f"--device {classifier.device} and --cluster: workers compute on processors. Omit one.")
    if classifier.backbone.maker is not None or classifier.head.kind == "custom":
        raise OptionError(
            "--cluster: this classifier has a head or a backbone of its owner's own, whose function is known to this "
            "process alone. Omit --cluster."
        )
    return {
        "cache": str(cache_folder().absolute()),
        "folder": str(classifier_folder(classifier)),
        "kind": as_json(serving_kind(classifier.backbone, classifier.engine, progress=progress)),
        "of": of,
    }


def _path(picture: Picture) -> bytes:
    if picture.path is None:
        raise OptionError(f"--cluster: workers open files, and {picture.name} lies in an archive. Unpack it first.")
    return os.fsencode(picture.path.absolute())


class PictureWorker:
    """A worker: the classifier is loaded once, then every block of files becomes logits."""

    def __init__(self, *, cache: str, folder: str, kind: Mapping[str, Any], of: int, threads: int) -> None:
        os.environ[VARIABLE] = cache
        self.classifier, self.of, self.threads = Classifier.load(folder), of, threads
        here = as_json(serving_kind(self.classifier.backbone, self.classifier.engine))
        if here != kind:
            raise ClusterError(f"A worker would predict with {here}, the others with {kind}: nothing was predicted.")

    def __call__(self, block: Any) -> Any:
        """Return what is seen of a block of files: a table of logits, distance, and why a file can't be read."""
        readers = [partial(read_picture, Path(os.fsdecode(path))) for path in block["path"].to_pylist()]
        odd = Odd()
        seen = self.classifier.seen(readers, of=self.of, threads=self.threads, odd=odd)
        return pa.table(
            {
                "logits": pa.array([row.tobytes() for row in seen.logits], pa.binary()),
                "distance": pa.array([row.tobytes() for row in seen.distance], pa.binary()),
                "failed": pa.array(seen.failed.tolist(), pa.bool_()),
                "beyond": pa.array([odd.beyond] * len(readers), pa.int64()),  # of the whole block
                "dark": pa.array([odd.dark] * len(readers), pa.int64()),
                **reason_columns([seen.reasons.get(row) for row in range(len(readers))]),
            }
        )


def _seen(table: Any, views: int, classes: int) -> Seen:
    """Return what a worker has seen."""
    logits = np.frombuffer(b"".join(table["logits"].to_pylist()), np.float32).reshape(len(table), views, classes)
    distance = np.frombuffer(b"".join(table["distance"].to_pylist()), np.float32)
    reasons = {row: reason for row, reason in enumerate(reasons_in(table)) if reason is not None}
    return Seen(logits, np.array(table["failed"].to_pylist(), bool), distance, reasons=reasons)


def joined(blocks: list[Seen]) -> Seen:
    """Return consecutive blocks as one."""
    reasons, start = {}, 0
    for block in blocks:
        reasons.update({start + row: reason for row, reason in block.reasons.items()})
        start += len(block.failed)
    parts = ([getattr(block, name) for block in blocks] for name in ("logits", "failed", "distance"))
    logits, failed, distance = (np.concatenate(part) for part in parts)
    return Seen(logits, failed, distance, reasons=reasons)
