"""`FeatureCache`: the features of one backbone, view and engine, kept by the content of the image (law 3).

A cache is a folder named by its key, the digest of everything a row depends on beside the image: weights,
tap and pooling, preprocessing, view, engine and precision, format. It holds chunks, Arrow files that are
written whole and never changed, each with columns digest (of the image's bytes), crc (of the row) and row
(float16). Whoever finishes a chunk first has written it; a killed process loses its open chunk only.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import time
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import filelock
import numpy as np
import numpy.typing as npt

from goldenrule.core.errors import FormatError, OptionError
from goldenrule.core.extras import Late
from goldenrule.core.memory import readable_bytes
from goldenrule.features.row_index import RowIndex
from goldenrule.storage.cache_folder import cache_folder
from goldenrule.storage.files import (
    DIGEST_BYTES,
    atomic_path,
    json_digest,
    make_folder,
    read_json,
    storage_errors,
    write_json,
)
from goldenrule.storage.unfinished import remove_leftovers

if TYPE_CHECKING:
    import pyarrow as pa
else:
    pa = Late("pyarrow")  # `goldenrule cache` shows and clears what lies there without it

FORMAT = 2
"""2: a row's checksum also covers whose row it is, and of which cache."""
CHUNK_ROWS = 2048
CHUNK_BYTES = 32 << 20
CHUNK_SECONDS = 5.0
FEWEST_BYTES = 1_000_000
"""The smallest limit of all caches together."""

Halves = npt.NDArray[np.float16]


class FeatureCache:
    """The rows of one key; safe to share between processes."""

    def __init__(self, key: Mapping[str, Any], features: int, *, folder: Path | None = None) -> None:
        self.key = dict(key) | {"format": FORMAT, "features": features}
        self.features = features
        self.name = json_digest(self.key)[:32]
        self.folder = (folder or banks_folder()) / self.name  # made by the first row: looking writes nothing
        self.damaged = 0
        with contextlib.suppress(OSError):
            os.utime(self.folder / "key.json")  # when it was last used
        self._chunks: dict[str, Halves] = {}
        self._mapped: list[Halves] = []  # the same, by the number that the index has
        self._index = RowIndex()
        self.refresh()

    def __len__(self) -> int:
        return len(self._index)

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._index

    def has(self, digests: Sequence[bytes | None]) -> npt.NDArray[np.bool_]:
        """Return which of these images have a row, (n,); of None, an image that could not be read, there is none."""
        return self._index.has([digest or b"" for digest in digests])

    def missing(self, digests: Collection[bytes]) -> int:
        """Return how many of these images have no row."""
        return int((~self._index.has(list(digests))).sum())

    def refresh(self) -> None:
        """See what other processes have added."""
        for path in sorted(self.folder.glob("*.arrow")):
            if path.name not in self._chunks:
                self._open(path)

    def rows(self, digests: Sequence[bytes]) -> Halves:
        """Return the rows (n, features) float16 of these images, in their order; `KeyError` for one that is missing."""
        result = np.empty((len(digests), self.features), np.float16)
        chunks, places = self._index.find(digests)
        for number, (chunk, place) in enumerate(zip(chunks.tolist(), places.tolist(), strict=True)):
            result[number] = self._mapped[chunk][place]
        return result

    def add(self, digests: Sequence[bytes], rows: Halves) -> None:
        """Write rows (n, features) as one chunk, atomically; images that have a row already are left out."""
        if rows.shape != (len(digests), self.features):
            raise FormatError(f"Rows of shape {rows.shape}, wanted ({len(digests)}, {self.features}).")
        with self._lock():
            if key_of(self.folder):
                remove_leftovers(self.folder)
            else:  # new, damaged, or cleared by somebody since
                write_json(self.folder / "key.json", self.key)
            self.refresh()
            first = {digest: number for number, digest in reversed(list(enumerate(digests)))}
            new = ~self.has(digests)
            keep = [number for number in sorted(first.values()) if new[number]]
            if not keep:
                return
            path = self.folder / f"{time.time_ns():020d}-{secrets.token_hex(4)}.arrow"
            self._write(path, [digests[number] for number in keep], np.ascontiguousarray(rows[keep], np.float16))
            self._open(path)

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        with storage_errors(self.folder), filelock.FileLock(make_folder(self.folder) / "lock"):
            yield

    def _write(self, path: Path, digests: list[bytes], rows: Halves) -> None:
        columns = [
            pa.array(digests, pa.binary(DIGEST_BYTES)),
            pa.array(self._checksums(digests, rows), pa.uint32()),
            pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1), pa.float16()), self.features),
        ]
        batch = pa.RecordBatch.from_arrays(columns, names=["digest", "crc", "row"])
        with atomic_path(path) as temporary, pa.ipc.new_file(str(temporary), batch.schema) as writer:
            writer.write_batch(batch)

    def _open(self, path: Path) -> None:
        """Index a chunk; rows whose checksum is wrong are left out, so that they are computed again."""
        try:
            batch = pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0)
            batch.validate(full=True)  # lengths that point beyond the file would be a bus error
            rows = batch["row"].values.to_numpy(zero_copy_only=True).reshape(-1, self.features)
            digests, sums = batch["digest"].to_pylist(), batch["crc"].to_numpy()
            good = self._checksums(digests, rows) == sums
        except (pa.ArrowException, OSError, KeyError, TypeError, ValueError, AttributeError):
            self._set_aside(path)
            return
        self._chunks[path.name] = rows
        self._index.add(
            [digest if fine else b"" for digest, fine in zip(digests, good, strict=True)], len(self._mapped)
        )
        self._mapped.append(rows)
        self.damaged += int((~good).sum())

    def _checksums(self, digests: Sequence[bytes], rows: Halves) -> npt.NDArray[np.uint32]:
        """Return the CRC-32 of each row with its image and cache: the row of another is no row."""
        start = zlib.crc32(self.name.encode())
        pairs = zip(digests, rows, strict=True)
        return np.fromiter((zlib.crc32(row, zlib.crc32(digest, start)) for digest, row in pairs), np.uint32, len(rows))

    def _set_aside(self, path: Path) -> None:
        self.damaged += 1
        self._chunks[path.name] = np.empty((0, self.features), np.float16)
        with contextlib.suppress(OSError):
            path.rename(path.with_suffix(".damaged"))


class ChunkWriter:
    """Collects rows for a cache and writes a chunk when it has CHUNK_ROWS or CHUNK_BYTES, or is some seconds old."""

    def __init__(self, cache: FeatureCache) -> None:
        self._bank = cache
        self._most = min(CHUNK_ROWS, CHUNK_BYTES // (2 * cache.features) + 1)
        self._digests: list[bytes] = []
        self._rows: list[Halves] = []
        self._since = time.monotonic()

    def add(self, digest: bytes, row: npt.NDArray[Any]) -> None:
        """Add one row (features,)."""
        self._digests.append(digest)
        self._rows.append(row.astype(np.float16))
        if len(self._rows) >= self._most or time.monotonic() - self._since > CHUNK_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what was collected."""
        if self._rows:
            self._bank.add(self._digests, np.stack(self._rows))
        self._digests, self._rows, self._since = [], [], time.monotonic()


def banks_folder() -> Path:
    """Return the folder of all caches."""
    return cache_folder() / "banks"


def key_of(folder: Path) -> dict[str, Any]:
    """Return the key of a cache, whose digest is the folder's name; {} where it is damaged: its next row mends it."""
    try:
        key = read_json(folder / "key.json")
        return key if json_digest(key)[:32] == folder.name else {}
    except (FormatError, ValueError):
        return {}


def stored() -> list[dict[str, Any]]:
    """Return every cache: name, key, rows, bytes and when it was last used (seconds since 1970), newest first.

    The key is {} where its file is damaged.
    """
    found = []
    for folder in sorted(banks_folder().glob("*")) if banks_folder().is_dir() else []:
        if not (folder / "key.json").exists():
            continue
        key = key_of(folder)
        chunks = list(folder.glob("*.arrow"))
        size = sum(path.stat().st_size for path in chunks)
        rows = sum(map(_count_rows, chunks))
        used = (folder / "key.json").stat().st_mtime
        found.append({"name": folder.name, "key": key, "rows": rows, "bytes": size, "used": used})
    return sorted(found, key=lambda cache: -cache["used"])


def digests_in(name: str) -> Iterator[bytes]:
    """Return the images that a cache has rows of, as its chunks say; no row is checked, and this is no use of it."""
    for path in (banks_folder() / name).glob("*.arrow"):
        with contextlib.suppress(pa.ArrowException, OSError, KeyError, ValueError):
            yield from pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0)["digest"].to_pylist()


def clear(names: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Remove caches by name (or its beginning), or all; give what was removed."""
    caches = [
        cache for cache in stored() if json_digest(cache["key"])[:32] == cache["name"] or _holds_rows_alone(cache)
    ]
    if names is not None:
        for name in names:
            if not name or not any(cache["name"].startswith(name) for cache in caches):
                known = ", ".join(cache["name"][:8] for cache in caches) or "none"
                raise OptionError(f"There is no feature cache {name!r}; there are: {known}.")
        caches = [cache for cache in caches if any(cache["name"].startswith(name) for name in names)]
    for cache in caches:
        folder = banks_folder() / cache["name"]
        with storage_errors(folder), filelock.FileLock(folder / "lock"):
            (folder / "key.json").unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
    return caches


def _holds_rows_alone(cache: dict[str, Any]) -> bool:
    """Return whether a cache whose key is damaged holds nothing but what caches do: else it may be another's folder."""
    names = [path.name for path in (banks_folder() / cache["name"]).iterdir()]
    return all(name in ("key.json", "lock") or name.endswith(".arrow") for name in names)


def limit() -> int | None:
    """Return the most bytes all caches together may take, None where no limit was set."""
    path = cache_folder() / "limits.json"
    if not path.exists():
        return None
    found = read_json(path).get("banks_bytes")
    if type(found) is not int or found < FEWEST_BYTES:
        raise FormatError(f"{path} is damaged. Set the limit again: goldenrule cache limit 20GB, or none.")
    return found


def set_limit(count: int | None) -> None:
    """Limit the bytes of all caches together; None lifts the limit."""
    path = cache_folder() / "limits.json"
    if count is None:
        path.unlink(missing_ok=True)
        return
    if count < FEWEST_BYTES:
        raise OptionError(f"A limit of {readable_bytes(count)} holds nothing; wanted at least 1 MB.")
    write_json(path, {"banks_bytes": count})


def enforce_limit(keep: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Remove the caches used longest ago until the limit is kept, never those named in `keep`."""
    most = limit()
    caches = stored() if most is not None else []
    total, removed = sum(cache["bytes"] for cache in caches), []
    for cache in reversed(caches):
        if most is not None and total > most and cache["name"] not in keep:
            removed += clear([cache["name"]])
            total -= cache["bytes"]
    return removed


def _count_rows(chunk: Path) -> int:
    """Return the rows of a chunk, 0 where it is damaged: whoever uses its cache sets it aside."""
    try:
        return int(pa.ipc.open_file(pa.memory_map(str(chunk))).get_batch(0).num_rows)
    except (pa.ArrowException, OSError, ValueError):
        return 0
