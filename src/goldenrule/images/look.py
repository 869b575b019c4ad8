"""What can be told of every file at one reading: its digests, its kind, and what its picture looks like."""

from __future__ import annotations

import functools
import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image

from goldenrule.foundation.errors import UnreadableImage
from goldenrule.foundation.files import digest
from goldenrule.foundation.findings import Finding
from goldenrule.foundation.progress import Progress, Silent
from goldenrule.images.likeness import (
    OVERLAP,
    OVERLAY_PX,
    SURE,
    Alike,
    Floats,
    alike,
    description,
    overlap,
    overlay,
)
from goldenrule.images.read import Header, decode, header, unreadable, upright
from goldenrule.images.table import ImageTable

MOST_CHECKS = 4
"""So many doubtful pairs of an image are looked at closely: costs grow with the images, not with their pairs."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Look:
    """One file: its bytes, its header, its description; `problem` says why it is no picture."""

    size: int = 0  # bytes
    digest: bytes | None = None  # blake2b; None where the file could not be opened
    sha256: str | None = None  # where it was asked for
    header: Header | None = None  # None where even that can't be read
    likeness: Floats | None = None  # None for flat pictures and for what is none
    problem: str | None = None


def glance(content: bytes) -> Look:
    """Give the digest and the header of a file only: no picture is decoded, so damage further on is not seen."""
    known = Look(size=len(content), digest=digest(content))
    try:
        return replace(known, header=header(content))
    except UnreadableImage as error:
        return replace(known, problem=str(error))


def look(content: bytes) -> Look:
    """Give what can be told of a file by its bytes; the picture is decoded to its end."""
    known = glance(content)
    if known.problem is not None:
        return known
    try:
        return replace(known, likeness=description(_gray(content, known.header)))
    except UnreadableImage as error:
        return replace(known, problem=str(error))


def look_to_copy(content: bytes) -> Look:
    """Give a look with the sha256 by which a copy of the file is proved."""
    return replace(look(content), sha256=hashlib.sha256(content).hexdigest())


def looked(
    table: ImageTable,
    *,
    by: Callable[[bytes], Look] = look,
    threads: int = 4,
    progress: Progress | None = None,
) -> list[Look]:
    """Look at every file of a table, in its order; one that can't be opened has its reason as `problem`."""

    def of(uri: str) -> Look:
        try:
            return by(table.read(uri))
        except OSError as error:
            return Look(problem=error.strerror or str(error))

    uris, found = table.uris, []
    with (
        (progress or Silent()).task("read" if by is glance else "look", len(uris), "files") as task,
        ThreadPoolExecutor(max_workers=threads) as pool,
    ):
        for own in pool.map(of, uris):
            found.append(own)
            task.advance()
    return found


def unreadable_files(table: ImageTable, looks: Sequence[Look]) -> Iterator[Finding]:
    """Give the finding for files that are no pictures, where there are such."""
    if reasons := [f"{uri}: {own.problem}" for uri, own in zip(table.uris, looks, strict=True) if own.problem]:
        yield unreadable(reasons)


def near_duplicates(
    table: ImageTable, looks: Sequence[Look], *, threads: int = 4, progress: Progress | None = None
) -> list[Alike]:
    """Give the pairs of different files whose pictures are nearly the same, the closest of each image.

    Files with equal bytes are no such pair (one of them stands for all), nor are two of one group. Where the
    descriptions leave a doubt, both files are read again; at most `MOST_CHECKS` times per image, the likeliest first.
    """
    first = {own.digest: row for row, own in reversed(list(enumerate(looks)))}
    descriptions = [own.likeness if first[own.digest] == row else None for row, own in enumerate(looks)]
    pairs = alike(descriptions, progress=progress)
    groups, uris = table.rows["group"].to_pylist(), table.uris
    apart = [pair for pair in pairs if groups[pair.first] is None or groups[pair.first] != groups[pair.second]]
    sure = [pair for pair in apart if pair.cosine >= SURE]
    checks: Counter[int] = Counter()
    doubtful = []
    for pair in sorted((pair for pair in apart if pair.cosine < SURE), key=lambda pair: -pair.cosine):
        if max(checks[pair.first], checks[pair.second]) < MOST_CHECKS:
            checks.update((pair.first, pair.second))
            doubtful.append(pair)

    @functools.lru_cache(maxsize=4096)
    def of(row: int) -> Floats | None:
        try:
            return overlay(_gray(table.read(uris[row]), looks[row].header))
        except (OSError, UnreadableImage):  # it went away meanwhile
            return None

    def same(pair: Alike) -> bool:
        one, other = of(pair.first), of(pair.second)
        if one is None or other is None:
            return False
        return overlap(one, np.ascontiguousarray(other[:, ::-1]) if pair.mirrored else other) >= OVERLAP

    with (
        (progress or Silent()).task("compare", len(doubtful), "pairs") as task,
        ThreadPoolExecutor(max_workers=threads) as pool,
    ):
        for pair, found in zip(doubtful, pool.map(same, doubtful), strict=True):
            if found:
                sure.append(pair)
            task.advance()
    return sorted(sure, key=lambda pair: (pair.first, pair.second))


def _gray(content: bytes, own: Header | None) -> npt.NDArray[np.uint8]:
    if own and own.is_plain_jpeg:
        try:  # to the end of the file, but only as many pixels as are needed
            gray = simplejpeg.decode_jpeg(content, "GRAY", min_height=2 * OVERLAY_PX, min_width=2 * OVERLAY_PX)
            return upright(np.asarray(gray)[:, :, 0], own.orientation)
        except ValueError:
            pass  # Pillow decides
    return np.asarray(Image.fromarray(decode(content)).convert("L"))
