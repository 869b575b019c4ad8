"""Files to features at hardware speed: decoding overlaps the engine, and nothing is computed twice."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Protocol

import numpy as np
import numpy.typing as npt

from goldenrule.core.errors import BackboneError, StorageError
from goldenrule.core.interrupts import held_back
from goldenrule.core.progress import Progress, Silent
from goldenrule.core.reason import Reason
from goldenrule.core.schema import as_json
from goldenrule.data.augmentation.augment import PLAIN, View
from goldenrule.data.loader import Batch, DecodeJob, batches
from goldenrule.data.pictures.decode import DECODING
from goldenrule.data.table import ImageTable
from goldenrule.engines import Engine, EngineKind, as_halves
from goldenrule.features.cache import ChunkWriter, FeatureCache, Halves
from goldenrule.models.backbone import Backbone, BackboneSpec
from goldenrule.models.graphs.compiled import available_threads, check_threads, compiled, engine_kind
from goldenrule.storage.files import digest as digest_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """The rows of a table's images in one cache per view (plain first), and what it took to have them."""

    caches: tuple[FeatureCache, ...]
    views: tuple[View, ...]
    computed: tuple[int, ...]  # rows of each view that went through the engine now
    reused: tuple[int, ...]  # rows of each view that were there
    failures: dict[str, Reason] = field(default_factory=dict)  # uri -> why it has no row

    def __repr__(self) -> str:
        made = f"{sum(self.computed):,} rows computed, {sum(self.reused):,} from the cache"
        return f"Features({len(self.views):,} views, {made}, {len(self.failures):,} unreadable)"

    def has(self, digests: Sequence[bytes | None], *, views: bool = False) -> npt.NDArray[np.bool_]:
        """Return which of these images have a row of the plain view, with `views` one of every view, (n,)."""
        caches = self.caches if views else self.caches[:1]
        there: npt.NDArray[np.bool_] = np.logical_and.reduce([cache.has(digests) for cache in caches])
        return there

    def rows(self, digests: Sequence[bytes], view: int = 0) -> Halves:
        """Return the features (n, features) of these images, in their order."""
        return self.caches[view].rows(digests)


def bank_for(spec: BackboneSpec, kind: EngineKind, view: View) -> FeatureCache:
    """Return the cache of a backbone's features, at the tap its description names, for one view through one engine."""
    key = {
        "weights": spec.weights,
        "network": spec.timm_name,
        "tap": spec.tap,
        "pooling": spec.pooling,
        "preprocessing": spec.preprocessing,
        "decoding": DECODING,
        "view": view,
        "engine": kind,
    }
    return FeatureCache(as_json(key), spec.features)


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingRows:
    """What the caches lack of one image: the numbers of the views, and the files that had its bytes."""

    number: int
    uris: tuple[str, ...]
    digest: bytes
    views: tuple[int, ...]


MadeRow = tuple[bytes, int, Halves | Reason]
"""The digest of an image, the number of a view, and its features (features,), or why it can't be read."""


class Elsewhere(Protocol):
    """What computes rows in other processes than this one."""

    def rows(
        self, extractor: FeatureExtractor, table: ImageTable, missing: Sequence[MissingRows], views: Sequence[View]
    ) -> Iterator[Sequence[MadeRow]]:
        """Yield rows as they come, in any order; nothing, from time to time, where none has come."""


Computed = tuple[dict[bytes, Reason], tuple[int, ...]]
"""Why images failed, by digest, and how many rows each view got."""


class Helpers(Protocol):
    """Other processes, on other machines or devices, that compute features together with this one."""

    def extracted(self, work: Extraction) -> Computed:
        """Write the missing rows, each process its share."""


HELPERS: ContextVar[Helpers | None] = ContextVar("helpers", default=None)
"""Who helps this process; None: nobody, one engine has all the cores of a machine."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FeatureExtractor:
    """A backbone, ready to turn images into features on this machine: the one way from files to rows.

    It is compiled when a row is missing, once, and stays so. `kind` is the engine that the rows are kept under: no
    other one computes them. With `elsewhere` other processes do, and this one writes what they give into the cache.
    """

    backbone: Backbone
    kind: EngineKind
    threads: int = field(default_factory=available_threads)
    progress: Progress = field(default_factory=Silent)
    elsewhere: Elsewhere | None = None

    @classmethod
    def of(
        cls,
        backbone: Backbone,
        *,
        device: str = "cpu",
        threads: int | None = None,
        progress: Progress | None = None,
        elsewhere: Elsewhere | None = None,
    ) -> FeatureExtractor:
        """Return the extractor with the best engine that this device has; see `compiled.engine_kind`.

        Raises `OptionError` for a device that is not there, or a number of threads that no machine has.
        """
        check_threads(threads)
        progress = progress or Silent()
        kind = engine_kind(backbone, device=device, progress=progress)
        threads = threads or available_threads()
        return cls(backbone=backbone, kind=kind, threads=threads, progress=progress, elsewhere=elsewhere)

    @property
    def spec(self) -> BackboneSpec:
        """What is known of the backbone."""
        return self.backbone.spec

    @cached_property
    def engine(self) -> Engine:
        """The compiled backbone. Raises `BackboneError` where that is another engine than the rows are kept under."""
        engine = compiled(self.backbone, self.kind, threads=self.threads)
        if engine.kind != self.kind:
            raise BackboneError(
                f"{self.spec.name} runs {engine.kind} here, and its features are kept under {self.kind}: nothing was "
                "computed."
            )
        return engine

    def cache(self, view: View = PLAIN) -> FeatureCache:
        """Return where the features of one view are kept."""
        return bank_for(self.spec, self.kind, view)

    def features(
        self,
        table: ImageTable,
        *,
        views: Sequence[View] = (PLAIN,),
        augmented: npt.NDArray[np.bool_] | None = None,
    ) -> Features:
        """Return the features of all images: the plain view of each, the others where `augmented` (n,) is true.

        Rows that are kept are not computed again; images with equal bytes have one row. Ctrl-C and SIGTERM let the
        batch come to its end, and the open chunks be written.
        """
        caches = tuple(self.cache(view) for view in views)
        missing, reused = _missing(table, caches, augmented)
        if not missing:
            return Features(caches=caches, views=tuple(views), computed=(0,) * len(caches), reused=reused)
        helpers = HELPERS.get()
        if helpers is None:
            failed, computed = self._computed(table, missing, views, [ChunkWriter(cache) for cache in caches])
        else:
            work = Extraction(extractor=self, table=table, views=tuple(views), augmented=augmented)
            failed, computed = helpers.extracted(work)
            for cache in caches:
                cache.refresh()
            left, _ = _missing(table, caches, augmented)
            if any(one.digest not in failed for one in left):
                raise StorageError(
                    f"Rows that other processes wrote are not in {caches[0].folder.parent}: all machines need the same "
                    "feature cache. Set GOLDENRULE_CACHE to a folder that they share."
                )
        named = zip(table.uris, table.digests, strict=True)
        failures = {uri: failed[digest] for uri, digest in named if digest in failed}
        return Features(caches=caches, views=tuple(views), computed=computed, reused=reused, failures=failures)

    def rows_here(
        self, missing: Sequence[MissingRows], views: Sequence[View], read: Callable[[str], bytes]
    ) -> Iterator[Sequence[MadeRow]]:
        """Yield the rows of these images a batch at a time, by the engine of this process; `read` opens files."""
        engine = self.engine
        digests = {one.number: one.digest for one in missing}
        jobs = (
            DecodeJob(
                row=one.number, read=partial(_first_of, read, one.uris, one.digest), views=one.views, digest=one.digest
            )
            for one in missing
        )
        decoded = batches(jobs, views, self.spec.preprocessing, batch_size=engine.batch_size, threads=self.threads)
        for batch, found in engine.run(_with_pixels(decoded)):
            good = [slot for slot in range(len(batch.slots)) if slot not in batch.failures]
            made: dict[int, Halves | Reason] = {**batch.failures}
            made.update(zip(good, as_halves(found[good], self.spec.name), strict=True))
            yield [(digests[number], view, made[slot]) for slot, (number, view) in enumerate(batch.slots)]

    def _computed(
        self, table: ImageTable, missing: Sequence[MissingRows], views: Sequence[View], writers: Sequence[ChunkWriter]
    ) -> Computed:
        """Write these rows; return why images failed, by digest, and how many rows each view got."""
        if self.elsewhere is not None:
            coming = self.elsewhere.rows(self, table, missing, views)
        else:
            assert self.engine  # compiled before the clock of the task runs
            coming = self.rows_here(missing, views, table.read)
        failed: dict[bytes, Reason] = {}
        computed = [0] * len(views)
        wanted = sum(len(one.views) for one in missing)
        with self.progress.task("precompute", wanted, "views") as task, held_back() as held:
            try:
                for rows in coming:
                    for digest, view, row in rows:
                        if isinstance(row, Reason):
                            failed[digest] = row
                            continue
                        writers[view].add(digest, row)
                        computed[view] += 1
                    task.advance(len(rows))
                    if held:
                        _flush(writers)
                        held.deliver()
            except StorageError:
                raise  # the disk is full: flushing would only fail again
            except BaseException:
                _flush(writers)
                raise
            _flush(writers)
        return failed, tuple(computed)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Extraction:
    """Features that several processes compute: what `FeatureExtractor.features` was asked."""

    extractor: FeatureExtractor
    table: ImageTable
    views: tuple[View, ...]
    augmented: npt.NDArray[np.bool_] | None

    def share(self, *, rank: int, world: int, all_have_looked: Callable[[], None]) -> Computed:
        """Write one process's share of the missing rows: chunks of its own, in the cache of all.

        Nobody writes before all have looked what is missing.
        """
        caches = tuple(self.extractor.cache(view) for view in self.views)
        missing, _ = _missing(self.table, caches, self.augmented)
        all_have_looked()
        return self.extractor._computed(
            self.table, missing[rank::world], self.views, [ChunkWriter(cache) for cache in caches]
        )


def _flush(writers: Sequence[ChunkWriter]) -> None:
    for writer in writers:
        writer.flush()


def _missing(
    table: ImageTable, caches: Sequence[FeatureCache], augmented: npt.NDArray[np.bool_] | None
) -> tuple[list[MissingRows], tuple[int, ...]]:
    """Return what no cache has, once per distinct image, and how many rows each cache has."""
    wanted: dict[bytes, tuple[list[int], set[int]]] = {}
    for row, digest in enumerate(table.digests):
        if digest is not None:
            rows, columns = wanted.setdefault(digest, ([], set()))
            rows.append(row)
            columns.update(range(len(caches)) if augmented is not None and augmented[row] else (0,))
    found, reused = [], [0] * len(caches)
    uris, there = table.uris, [cache.has(list(wanted)).tolist() for cache in caches]
    for number, (digest, (rows, columns)) in enumerate(wanted.items()):
        missing = [view for view in sorted(columns) if not there[view][number]]
        for view in columns.difference(missing):
            reused[view] += 1
        if missing:
            names = tuple(uris[row] for row in rows)
            found.append(MissingRows(number=rows[0], uris=names, digest=digest, views=tuple(missing)))
    return found, tuple(reused)


def _first_of(read: Callable[[str], bytes], uris: Sequence[str], digest: bytes) -> bytes:
    """Read an image from the first of its equal files that still has these bytes."""
    for uri in uris[:-1]:
        with contextlib.suppress(OSError):
            if digest_of(content := read(uri)) == digest:
                return content
    return read(uris[-1])


def _with_pixels(decoded: Iterator[Batch]) -> Iterator[tuple[Batch, npt.NDArray[np.float32]]]:
    for batch in decoded:
        yield batch, batch.pixels
