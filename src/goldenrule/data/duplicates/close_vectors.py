"""Which of many vectors point nearly the same way, found without comparing each with each.

By random projections (Charikar 2002, "Similarity estimation techniques from rounding algorithms"): the sides of some
random planes on which a vector lies are its key, and only vectors of one key are compared; many tables of other planes
make it likely that close ones share a key once. Costs grow with the number of vectors, not with its square.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from goldenrule.core.progress import Progress, Silent
from goldenrule.core.randomness import generator

FEW = 2048
"""Of so many rows every pair is compared: that takes less time than the tables."""
_TABLES, _WINDOW, _MOST_BITS = 48, 64, 15
_BLOCK, _ROWS = 1 << 14, 512  # pairs, or rows with all others, that are compared at once
_MANY = 4_000_000  # pairs that are kept before the less close ones go, 80 MB

Floats = npt.NDArray[np.float32]


class Pairs(NamedTuple):
    """Pairs of rows, the smaller number first, and their cosines: three arrays (n,)."""

    first: npt.NDArray[np.int64]
    second: npt.NDArray[np.int64]
    cosine: Floats


def close_pairs(
    rows: Floats,
    *,
    least: float,
    most: int = _WINDOW,
    among: int | None = None,
    origin: Floats | None = None,
    per_bucket: int = 2,
    progress: Progress | None = None,
) -> Pairs:
    """Return the pairs of `rows` (n, features), each of length 1, whose cosine is `least` or more, sorted.

    All of up to `FEW` rows; nearly all of more: with two rows to a key, a pair of cosine .9 is found with a probability
    above 98 %. Of very many that are all close, each is compared with its next ones only. A pair stays where it is one
    of the `most` closest of either row.

    `among`: only the first so many rows are looked for, among all; row `among` + i is another face of row i. `origin`
    (features,): the planes go through it; the mean of the rows, where they all point one way.
    """
    among = len(rows) if among is None else among
    nothing = np.empty(0, np.int64)
    best = Pairs(nothing, nothing, np.empty(0, np.float32))
    if len(rows) <= FEW:
        for block in _every(rows, among, least):
            best = _joined(best, block, most=most)
        return _closest(best, most)
    bits = min(max(round(math.log2(among / per_bucket)), 4), _MOST_BITS)
    with (progress or Silent()).task("match", _TABLES, "tables") as task:
        for table in range(_TABLES):
            planes = generator(0, "likeness", table).standard_normal((rows.shape[1], bits)).astype(np.float32)
            offset = 0.0 if origin is None else origin @ planes
            keys = (rows @ planes > offset) @ (1 << np.arange(bits))
            best = _joined(best, *_sharing(keys, rows, among, least), most=most)
            task.advance()
    return _closest(best, most)


def _every(rows: Floats, among: int, least: float) -> Iterator[Pairs]:
    """Return all pairs whose cosine is large enough, in blocks."""
    for start in range(0, among, _ROWS):
        cosines = rows[start : min(start + _ROWS, among)] @ rows.T
        one, other = np.nonzero(cosines >= least)
        kept = (other > one + start) & (other % among != one + start)
        yield Pairs(one[kept] + start, other[kept], cosines[one[kept], other[kept]])


def _sharing(keys: npt.NDArray[np.int64], rows: Floats, among: int, least: float) -> Iterator[Pairs]:
    """Return the pairs of equal keys whose cosine is large enough, in blocks."""
    order = np.argsort(keys, kind="stable")
    for step in range(1, _WINDOW + 1):
        same = np.flatnonzero(keys[order[step:]] == keys[order[:-step]])
        if not len(same):
            return
        one, other = order[same], order[same + step]  # one is the smaller: the sort is stable
        kept = (one < among) & (other % among != one)
        one, other = one[kept], other[kept]
        for start in range(0, len(one), _BLOCK):
            block = slice(start, start + _BLOCK)
            cosines = np.einsum("ij,ij->i", rows[one[block]], rows[other[block]])
            close = cosines >= least
            yield Pairs(one[block][close], other[block][close], cosines[close])


def _joined(*found: Pairs, most: int) -> Pairs:
    """Return each pair of some collections once, sorted; of very many only the closest."""
    first, second, cosine = (np.concatenate(column) for column in zip(*found, strict=True))
    _, new = np.unique(first << 32 | second, return_index=True)
    pairs = Pairs(first[new], second[new], cosine[new])
    return _closest(pairs, most) if len(new) > _MANY else pairs


def _closest(pairs: Pairs, most: int) -> Pairs:
    """Return the pairs that are among the `most` closest of one of their rows."""
    first, second, cosine = pairs
    rows, numbers = np.concatenate([first, second]), np.tile(np.arange(len(first)), 2)
    order = np.lexsort((numbers, -cosine[numbers], rows))
    places = np.arange(len(order))
    begins = np.ones(len(order), bool)
    begins[1:] = rows[order[1:]] != rows[order[:-1]]
    rank = places - np.maximum.accumulate(np.where(begins, places, 0))
    kept = np.unique(numbers[order[rank < most]])
    return Pairs(first[kept], second[kept], cosine[kept])
