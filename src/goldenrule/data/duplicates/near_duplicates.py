"""Near duplicates among the files of a table: candidates, looked at closely where they leave a doubt."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from goldenrule.core.blas import one_blas_thread
from goldenrule.core.errors import UnreadableImage
from goldenrule.core.progress import Progress, Silent
from goldenrule.data.duplicates.likeness import SURE, NearDuplicate, alike
from goldenrule.data.duplicates.registration import OVERLAP, Overlay, overlaps, overlay, wide_overlaps
from goldenrule.data.pictures.header import Header, header
from goldenrule.data.scan import FileScan, gray_of
from goldenrule.data.table import ImageTable

MOST_CHECKS = 4
"""So many doubtful pairs of an image are looked at closely: costs grow with the images, not with their pairs."""
_AT_ONCE = 64


def near_duplicates(
    table: ImageTable, looks: Sequence[FileScan], *, threads: int = 4, progress: Progress | None = None
) -> list[NearDuplicate]:
    """Return the pairs of different files whose pictures are nearly the same, the closest of each image.

    Files with equal bytes are no such pair (one of them stands for all), nor are two of one group. Where the
    descriptions leave a doubt, both files are read again; at most `MOST_CHECKS` times per image, the likeliest first.
    """
    first = {scan.digest: row for row, scan in reversed(list(enumerate(looks)))}
    descriptions = [scan.likeness if first[scan.digest] == row else None for row, scan in enumerate(looks)]
    pairs = apart(table, alike(descriptions, progress=progress))

    def same(
        pairs: Sequence[NearDuplicate], ones: Sequence[Overlay], others: Sequence[Overlay]
    ) -> Iterator[NearDuplicate]:
        turned = [overlay.mirrored() if pair.mirrored else overlay for pair, overlay in zip(pairs, others, strict=True)]
        yield from (pair for pair, found in zip(pairs, overlaps(ones, turned), strict=True) if found >= OVERLAP)

    doubtful = [pair for pair in pairs if pair.cosine < SURE]
    headers = [scan.header for scan in looks]
    checked = _checked(table, doubtful, same, headers=headers, threads=threads, progress=progress)
    return sorted([*(pair for pair in pairs if pair.cosine >= SURE), *checked], key=_place)


def widely_alike(
    table: ImageTable, pairs: Sequence[NearDuplicate], *, threads: int = 4, progress: Progress | None = None
) -> list[NearDuplicate]:
    """Return those of some candidates where one picture lies on the other, shifted, scaled, turned, perhaps mirrored.

    Both files are read again; at most `MOST_CHECKS` pairs of an image are looked at, the likeliest first.
    """

    def same(
        pairs: Sequence[NearDuplicate], ones: Sequence[Overlay], others: Sequence[Overlay]
    ) -> Iterator[NearDuplicate]:
        for pair, found, mirrored in zip(pairs, *wide_overlaps(ones, others), strict=True):
            if found >= OVERLAP:
                yield replace(pair, mirrored=bool(mirrored))

    return sorted(_checked(table, pairs, same, headers=None, threads=threads, progress=progress), key=_place)


def apart(table: ImageTable, pairs: Iterable[NearDuplicate]) -> list[NearDuplicate]:
    """Return the pairs that are not of one group: those of one group stay together anyway."""
    groups = table.rows["group"].to_pylist()
    return [pair for pair in pairs if groups[pair.first] is None or groups[pair.first] != groups[pair.second]]


def _place(pair: NearDuplicate) -> tuple[int, int]:
    return pair.first, pair.second


def _checked(
    table: ImageTable,
    pairs: Sequence[NearDuplicate],
    same: Callable[[Sequence[NearDuplicate], Sequence[Overlay], Sequence[Overlay]], Iterable[NearDuplicate]],
    *,
    headers: Sequence[Header | None] | None,
    threads: int,
    progress: Progress | None,
) -> list[NearDuplicate]:
    """Return what `same` keeps of the likeliest pairs of each image, both of whose files are read again."""
    checks: Counter[int] = Counter()
    doubtful = []
    for pair in sorted(pairs, key=lambda pair: -pair.cosine):
        if max(checks[pair.first], checks[pair.second]) < MOST_CHECKS:
            checks.update((pair.first, pair.second))
            doubtful.append(pair)
    doubtful.sort(key=_place)  # an image's pairs follow each other, so that it is read about once
    uris = table.uris

    @functools.lru_cache(maxsize=4096)
    def of(row: int) -> Overlay | None:
        try:
            content = table.read(uris[row])
            known = (headers[row] if headers else None) or header(content)
            with known.room:
                return overlay(gray_of(content, known))
        except (OSError, UnreadableImage):  # it went away meanwhile
            return None

    found: list[NearDuplicate] = []
    with (
        (progress or Silent()).task("compare", len(doubtful), "pairs") as task,
        one_blas_thread(),  # its threads would wait for each other over small matrices
        ThreadPoolExecutor(max_workers=threads) as pool,
    ):
        for start in range(0, len(doubtful), _AT_ONCE):
            block = doubtful[start : start + _AT_ONCE]
            rows = sorted({row for pair in block for row in _place(pair)})
            seen = {
                row: covering for row, covering in zip(rows, pool.map(of, rows), strict=True) if covering is not None
            }
            kept = [pair for pair in block if {pair.first, pair.second} <= seen.keys()]
            found += same(kept, [seen[pair.first] for pair in kept], [seen[pair.second] for pair in kept])
            task.advance(len(block))
    return found
