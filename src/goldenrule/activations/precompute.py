"""Files to bank rows at hardware speed: decoding overlaps the engine, and nothing is computed twice."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import numpy.typing as npt

from goldenrule.activations.bank import ActivationBank, ChunkWriter, Halves
from goldenrule.engine import Engine, EngineKind, as_halves
from goldenrule.foundation.errors import BackboneError, StorageError
from goldenrule.foundation.files import digest as digest_of
from goldenrule.foundation.interrupts import held_back
from goldenrule.foundation.progress import Progress, Silent
from goldenrule.images.augment import PLAIN, View
from goldenrule.images.batches import Batch, Job, batches
from goldenrule.images.read import DECODING
from goldenrule.images.table import ImageTable
from goldenrule.models.backbone import BackboneSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Activations:
    """The rows of a table's images in one bank per view (plain first), and what it took to have them."""

    banks: tuple[ActivationBank, ...]
    views: tuple[View, ...]
    computed: tuple[int, ...]  # rows of each view that went through the engine now
    reused: tuple[int, ...]  # rows of each view that were there
    failures: dict[str, str] = field(default_factory=dict)  # uri -> why it has no row

    def has(self, digests: Sequence[bytes | None], *, views: bool = False) -> npt.NDArray[np.bool_]:
        """Say which of these images have a row of the plain view, with `views` one of every view, (n,)."""
        banks = self.banks if views else self.banks[:1]
        return np.array([own is not None and all(own in bank for bank in banks) for own in digests], dtype=bool)

    def rows(self, digests: Sequence[bytes], view: int = 0) -> Halves:
        """Give the activations (n, features) of these images, in their order."""
        return self.banks[view].rows(digests)


def bank_for(spec: BackboneSpec, kind: EngineKind, view: View) -> ActivationBank:
    """Give the bank of a body's activations, at the tap its description names, for one view through one engine."""
    key = {
        "weights": spec.weights,
        "network": spec.timm_name,
        "tap": spec.tap,
        "pooling": spec.pooling,
        "preprocessing": spec.preprocessing.to_json(),
        "decoding": DECODING,
        "view": view.to_json(),
        "engine": kind.to_json(),
    }
    return ActivationBank(key, spec.features)


def precompute(
    table: ImageTable,
    spec: BackboneSpec,
    kind: EngineKind,
    engine: Callable[[], Engine],
    *,
    views: Sequence[View] = (PLAIN,),
    augmented: npt.NDArray[np.bool_] | None = None,
    threads: int = 2,
    progress: Progress | None = None,
) -> Activations:
    """Give the activations of all images: the plain view of each, the others where `augmented` (n,) is true.

    `engine` compiles the body and is called only if a row is missing. Raises `BackboneError` where it gives another
    engine than `kind`, under which the rows are kept (law 3). Images with equal bytes have one row.
    Ctrl-C and SIGTERM let the batch come to its end, and the open chunks be written.
    """
    banks = tuple(bank_for(spec, kind, view) for view in views)
    jobs, reused = _missing(table, banks, augmented)
    wanted = sum(len(job.views) for job in jobs)
    if not jobs:
        return Activations(banks=banks, views=tuple(views), computed=(0,) * len(banks), reused=reused)
    running = engine()
    if running.kind != kind:
        raise BackboneError(
            f"{spec.name} runs {running.kind} here, and its features are kept under {kind}: nothing was computed. "
            "Compile the engine for the kind that is in the key: compiled(backbone, kind)."
        )
    failed: dict[bytes, str] = {}
    computed = [0] * len(banks)
    writers = [ChunkWriter(bank) for bank in banks]
    decoded = batches(jobs, views, spec.preprocessing, batch_size=running.batch_size, threads=threads)
    with (
        (progress or Silent()).task("precompute", wanted, "views") as task,
        held_back() as held,
    ):
        try:
            for batch, found in running.run(_with_pixels(decoded)):
                good = [slot for slot in range(len(batch.slots)) if slot not in batch.failures]
                features = dict(zip(good, as_halves(found[good], spec.name), strict=True))
                for slot, (row, view) in enumerate(batch.slots):
                    digest = table.rows["digest"][row].as_py()
                    if slot in batch.failures:
                        failed[digest] = batch.failures[slot]
                        continue
                    writers[view].add(digest, features[slot])
                    computed[view] += 1
                task.advance(len(batch.slots))
                if held:
                    _flush(writers)
                    held.deliver()
        except StorageError:
            raise  # the disk is full: flushing would only fail again
        except BaseException:
            _flush(writers)
            raise
        _flush(writers)
    named = zip(table.uris, table.digests, strict=True)
    failures = {uri: failed[digest] for uri, digest in named if digest in failed}
    return Activations(banks=banks, views=tuple(views), computed=tuple(computed), reused=reused, failures=failures)


def _flush(writers: Sequence[ChunkWriter]) -> None:
    for writer in writers:
        writer.flush()


def _missing(
    table: ImageTable, banks: Sequence[ActivationBank], augmented: npt.NDArray[np.bool_] | None
) -> tuple[list[Job], tuple[int, ...]]:
    """Give the jobs for the rows that no bank has, one per distinct image, and how many each bank has."""
    wanted: dict[bytes, tuple[list[int], set[int]]] = {}
    for row, digest in enumerate(table.digests):
        if digest is not None:
            rows, own = wanted.setdefault(digest, ([], set()))
            rows.append(row)
            own.update(range(len(banks)) if augmented is not None and augmented[row] else (0,))
    jobs, reused = [], [0] * len(banks)
    uris = table.uris
    for digest, (rows, own) in wanted.items():
        missing = [view for view in sorted(own) if digest not in banks[view]]
        for view in own.difference(missing):
            reused[view] += 1
        if missing:
            read = partial(_first_of, table, [uris[row] for row in rows], digest)
            jobs.append(Job(row=rows[0], read=read, views=missing, digest=digest))
    return jobs, tuple(reused)


def _first_of(table: ImageTable, uris: Sequence[str], digest: bytes) -> bytes:
    """Read an image from the first of its equal files that still has these bytes."""
    for uri in uris[:-1]:
        with contextlib.suppress(OSError):
            if digest_of(content := table.read(uri)) == digest:
                return content
    return table.read(uris[-1])


def _with_pixels(decoded: Iterator[Batch]) -> Iterator[tuple[Batch, npt.NDArray[np.float32]]]:
    for batch in decoded:
        yield batch, batch.pixels
