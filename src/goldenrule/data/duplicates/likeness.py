"""Pictures that are nearly the same: copies that were resized, encoded again, cropped a little, mirrored, brightened.

A short description finds candidates: the low frequencies of the gray picture (discrete cosine transform, as in pHash),
kept as numbers instead of bits. Brightness is not in it and contrast is divided out; a mirrored picture has the same
numbers with other signs. `registration` then tells whether one lies on the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from goldenrule.core.progress import Progress
from goldenrule.data.duplicates.close_vectors import Floats, close_pairs
from goldenrule.data.duplicates.registration import shrunk

SIDE_PX, FREQUENCIES = 32, 12
"""A description is made at SIDE_PX x SIDE_PX and has FREQUENCIES ** 2 - 1 numbers: the mean is left out."""
LEAST_CONTRAST = 2.0
"""A picture whose gray values vary less (standard deviation, 0-255) has no description: all flat ones are alike."""
CANDIDATE, SURE = 0.9, 0.985
"""The cosines of descriptions from which on a pair is looked at more closely, and needs no closer look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NearDuplicate:
    """Two rows whose pictures are nearly the same, and the cosine they were found by."""

    first: int
    second: int
    cosine: float
    mirrored: bool


_COSINES = np.cos(np.pi / SIDE_PX * np.outer(np.arange(FREQUENCIES), np.arange(SIDE_PX) + 0.5)).astype(np.float32)
_COSINES[0] /= np.sqrt(2)  # rows of the orthonormal cosine transform (DCT-II), but for a common factor


def description(gray: npt.NDArray[np.uint8]) -> Floats | None:
    """Return the description (143,) of a gray picture (height, width), of length 1; None for a flat one."""
    values = shrunk(gray, SIDE_PX)
    if values.std() < LEAST_CONTRAST:
        return None
    low = (_COSINES @ values @ _COSINES.T).reshape(-1)[1:]
    return np.asarray(low / max(float(np.linalg.norm(low)), 1e-6), np.float32)


def mirrored(descriptions: Floats) -> Floats:
    """Return the descriptions (n, 143) of the same pictures flipped from left to right."""
    odd = np.arange(FREQUENCIES**2)[1:] % FREQUENCIES % 2
    return np.asarray(descriptions * np.where(odd, -1, 1), np.float32)


def alike(
    descriptions: Sequence[Floats | None], *, least: float = CANDIDATE, progress: Progress | None = None
) -> list[NearDuplicate]:
    """Return the pairs of rows whose cosine, plain or mirrored, is `least` or more, the smaller row first.

    Nearly all of them: see `close_pairs`.
    """
    rows = np.array([row for row, description in enumerate(descriptions) if description is not None], np.int64)
    count = len(rows)
    if count < 2:
        return []
    both = np.empty((2 * count, FREQUENCIES**2 - 1), np.float32)
    for number, row in enumerate(rows):
        both[number] = descriptions[row]
    both[count:] = mirrored(both[:count])
    best: dict[tuple[int, int], tuple[float, bool]] = {}
    for first, second, cosine in zip(*close_pairs(both, least=least, among=count, progress=progress), strict=True):
        low, high = sorted((int(rows[first]), int(rows[second % count])))
        best[low, high] = max(best.get((low, high), (-1.0, False)), (float(cosine), bool(second >= count)))
    return [
        NearDuplicate(first=first, second=second, cosine=cosine, mirrored=flipped)
        for (first, second), (cosine, flipped) in sorted(best.items())
    ]
