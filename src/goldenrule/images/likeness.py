"""Pictures that are nearly the same: copies that were resized, encoded again, cropped a little, mirrored, brightened.

Two steps. A short description finds candidates: the low frequencies of the gray picture (discrete cosine transform,
as in pHash), kept as numbers instead of bits. Brightness is not in it and contrast is divided out; a mirrored
picture has the same numbers with other signs. They are found by random projections (Charikar 2002, "Similarity
estimation techniques from rounding algorithms"), so that costs grow with the number of pictures, not with its
square. Then the one is shifted and scaled until it lies on the other (Lucas and Kanade 1981, "An iterative image
registration technique"), and their correlation decides.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from goldenrule.foundation.progress import Progress, Silent
from goldenrule.foundation.randomness import generator

SIDE_PX, FREQUENCIES = 32, 12
"""A description is made at SIDE_PX x SIDE_PX and has FREQUENCIES ** 2 - 1 numbers: the mean is left out."""
LEAST_CONTRAST = 2.0
"""A picture whose gray values vary less (standard deviation, 0-255) has no description: all flat ones are alike."""
CANDIDATE, SURE = 0.9, 0.985
"""The cosines of descriptions from which on a pair is looked at more closely, and needs no closer look."""
OVERLAP = 0.98
"""The correlation after registration from which on two pictures are near duplicates (docs/results)."""
OVERLAY_PX, _EDGE_PX, _STEPS, _HOPELESS, _WORTH = 48, 3, 12, 0.9, 0.93
_TABLES, _PER_BUCKET, _WINDOW = 48, 2, 64

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alike:
    """Two rows whose pictures are nearly the same, and how much: the cosine of their descriptions."""

    first: int
    second: int
    cosine: float
    mirrored: bool


_COSINES = np.cos(np.pi / SIDE_PX * np.outer(np.arange(FREQUENCIES), np.arange(SIDE_PX) + 0.5)).astype(np.float32)
_COSINES[0] /= np.sqrt(2)  # rows of the orthonormal cosine transform (DCT-II), but for a common factor


def description(gray: npt.NDArray[np.uint8]) -> Floats | None:
    """Give the description (143,) of a gray picture (height, width), of length 1; None for a flat one."""
    values = _shrunk(gray, SIDE_PX)
    if values.std() < LEAST_CONTRAST:
        return None
    low = (_COSINES @ values @ _COSINES.T).reshape(-1)[1:]
    return np.asarray(low / max(float(np.linalg.norm(low)), 1e-6), np.float32)


def mirrored(descriptions: Floats) -> Floats:
    """Give the descriptions (n, 143) of the same pictures flipped from left to right."""
    odd = np.arange(FREQUENCIES**2)[1:] % FREQUENCIES % 2
    return np.asarray(descriptions * np.where(odd, -1, 1), np.float32)


def alike(
    descriptions: Sequence[Floats | None], *, least: float = CANDIDATE, progress: Progress | None = None
) -> list[Alike]:
    """Give the pairs of rows whose cosine, plain or mirrored, is `least` or more, the smaller row first.

    Nearly all of them: at .9 a pair is found with a probability above 98 %. Of very many that are all alike, each is
    compared with its next ones only.
    """
    rows = np.array([row for row, own in enumerate(descriptions) if own is not None], np.int64)
    count = len(rows)
    if count < 2:
        return []
    plain = np.stack([own for own in descriptions if own is not None])
    both = np.concatenate([plain, mirrored(plain)])
    bits = min(max(round(math.log2(count / _PER_BUCKET)), 4), 15)
    best: dict[tuple[int, int], tuple[float, bool]] = {}
    with (progress or Silent()).task("match", _TABLES, "tables") as task:
        for table in range(_TABLES):
            planes = generator(0, "likeness", table).standard_normal((both.shape[1], bits)).astype(np.float32)
            keys = (both @ planes > 0) @ (1 << np.arange(bits))
            for first, second, cosine in _sharing(keys, both, count, least):
                low, high = sorted((int(rows[first]), int(rows[second % count])))
                best[low, high] = max(best.get((low, high), (-1.0, False)), (cosine, second >= count))
            task.advance()
    return [
        Alike(first=first, second=second, cosine=cosine, mirrored=flipped)
        for (first, second), (cosine, flipped) in sorted(best.items())
    ]


def _sharing(keys: npt.NDArray[np.int64], both: Floats, count: int, least: float) -> Iterator[tuple[int, int, float]]:
    """Give the pairs of equal keys, a plain picture first, whose cosine is large enough."""
    order = np.argsort(keys, kind="stable")
    for step in range(1, _WINDOW + 1):
        same = np.flatnonzero(keys[order[step:]] == keys[order[:-step]])
        if not len(same):
            return
        one, other = order[same], order[same + step]  # one is the smaller: the sort is stable
        kept = (one < count) & (other % count != one)  # two mirrored ones are seen as two plain ones
        one, other = one[kept], other[kept]
        cosines = np.einsum("ij,ij->i", both[one], both[other])
        close = cosines >= least
        yield from zip(one[close].tolist(), other[close].tolist(), cosines[close].tolist(), strict=True)


def overlay(gray: npt.NDArray[np.uint8]) -> Floats:
    """Give what `overlap` compares of a gray picture (height, width): it, small and a little blurred."""
    from scipy.ndimage import gaussian_filter  # not at the top: most commands do without

    return np.asarray(gaussian_filter(_shrunk(gray, OVERLAY_PX), 1.0), np.float32)


def overlap(one: Floats, other: Floats) -> float:
    """Give the correlation (-1 to 1) of two overlays where one is shifted and scaled to lie best on the other."""
    forth = _registered(one, other)
    return max(forth, _registered(other, one)) if _WORTH <= forth < OVERLAP else forth


def _shrunk(gray: npt.NDArray[np.uint8], side: int) -> Floats:
    return np.asarray(Image.fromarray(gray).resize((side, side), Image.Resampling.BOX), np.float32)


_OFFSETS = np.arange(OVERLAY_PX, dtype=np.float32)[_EDGE_PX:-_EDGE_PX] - np.float32((OVERLAY_PX - 1) / 2)
_DOWN, _RIGHT = (axis.ravel() for axis in np.meshgrid(_OFFSETS, _OFFSETS, indexing="ij"))


def _registered(one: Floats, other: Floats) -> float:
    """Give the best correlation of `other` with a window of `one`: Gauss-Newton over shift, scale and light."""
    from scipy.ndimage import map_coordinates

    slopes = np.gradient(one)
    target = other[_EDGE_PX:-_EDGE_PX, _EDGE_PX:-_EDGE_PX].ravel()
    target = target - target.mean()
    target /= max(float(np.linalg.norm(target)), 1e-6)
    place: npt.NDArray[Any] = np.zeros(4)  # shift down, right (px); scale down, right (logarithm, nearly)
    best = -1.0
    for step in range(_STEPS):
        where = np.stack([_DOWN * (1 + place[2]) + place[0], _RIGHT * (1 + place[3]) + place[1]]) + (OVERLAY_PX - 1) / 2
        seen, down, right = (map_coordinates(a, where, order=1, mode="nearest") for a in (one, *slopes))
        seen = seen - seen.mean()
        contrast = max(float(np.linalg.norm(seen)), 1e-6)
        correlation = float(seen @ target) / contrast
        if correlation <= best + 1e-4 or (step > 3 and correlation < _HOPELESS):
            return max(best, correlation)
        best = correlation
        ways = np.stack([down, right, down * _DOWN, right * _RIGHT, seen, np.ones_like(seen)])
        normal = ways @ ways.T + 1e-3 * np.eye(6)
        place = place + np.linalg.solve(normal, ways @ (target * contrast - seen))[:4]
        place = np.clip(place, [-6, -6, -0.15, -0.15], [6, 6, 0.15, 0.15])
    return best
