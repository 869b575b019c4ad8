"""Two pictures laid on each other: the one is moved until it fits, and their correlation tells whether they are one.

Lucas and Kanade 1981, "An iterative image registration technique": Gauss-Newton over the place and the light.
`overlaps` shifts and scales. `wide_overlaps` also turns and shears, and begins with smaller, smoother pictures (as in
Bergen and others 1992, "Hierarchical model-based motion estimation"), so that it finds windows far apart and turned
copies. Pairs are registered many at once, which is several times faster than one by one.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

OVERLAP = 0.98
"""The correlation after registration from which on two pictures are near duplicates (docs/results)."""
OVERLAY_PX, COARSE_PX = 48, 24
_STEPS, _HOPELESS, _WORTH = 12, 0.9, 0.93
_COARSE_HOPELESS, _COARSE_WORTH = 0.4, 0.7
_FURTHEST = np.array([0.125, 0.125, 0.15, 0.15, 0.0, 0.0])
_FURTHEST_WIDE = np.array([0.17, 0.17, 0.3, 0.3, 0.15, 0.15])
"""How far a picture may go: down and right (shares of its side), scale down and right, shear right and down."""
_CLEARER = 0.1
"""A picture is only tried mirrored, or only as it is, where its correlation is so much higher before registration."""

Floats = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Overlay:
    """What is compared of a picture, or of many: it, gray and a little blurred, at two sizes."""

    fine: Floats  # (..., OVERLAY_PX, OVERLAY_PX)
    coarse: Floats  # (..., COARSE_PX, COARSE_PX)

    def mirrored(self) -> Overlay:
        """Return that of the picture flipped from left to right."""
        return Overlay(fine=self.fine[..., ::-1], coarse=self.coarse[..., ::-1])

    def where(self, rows: npt.NDArray[np.int64]) -> Overlay:
        """Return those of some of many pictures."""
        return Overlay(fine=self.fine[rows], coarse=self.coarse[rows])


def overlay(gray: npt.NDArray[np.uint8]) -> Overlay:
    """Return what is compared of a gray picture (height, width)."""
    from scipy.ndimage import gaussian_filter  # not at the top: most commands do without

    fine, coarse = (gaussian_filter(shrunk(gray, side), 1.0) for side in (OVERLAY_PX, COARSE_PX))
    return Overlay(fine=np.asarray(fine, np.float32), coarse=np.asarray(coarse, np.float32))


def overlaps(ones: Sequence[Overlay], others: Sequence[Overlay]) -> Numbers:
    """Return the correlations (n,), -1 to 1, of pairs of pictures where one is shifted and scaled to lie best."""

    def forth(one: Overlay, other: Overlay) -> Numbers:
        return _registered(one.fine, other.fine, np.zeros((len(one.fine), 6)), _FURTHEST, _HOPELESS)[0]

    one, other = _stacked(ones), _stacked(others)
    return _and_back(forth, one, other, forth(one, other), _WORTH)


def wide_overlaps(ones: Sequence[Overlay], others: Sequence[Overlay]) -> tuple[Numbers, npt.NDArray[np.bool_]]:
    """Return correlations where one may be turned, sheared and mirrored too, and where it was mirrored: two of (n,)."""
    one, plain = _stacked(ones), _stacked(others)
    flipped = plain.mirrored()
    before = [np.einsum("ijk,ijk->i", _normal(one.coarse), _normal(overlay.coarse)) for overlay in (plain, flipped)]
    best, mirrored = np.full(len(ones), -1.0), np.zeros(len(ones), bool)
    for turned, overlay in enumerate((plain, flipped)):
        rows = np.flatnonzero(before[turned] > before[1 - turned] - _CLEARER)
        found = _and_back(
            _wide, one.where(rows), overlay.where(rows), _wide(one.where(rows), overlay.where(rows)), _HOPELESS
        )
        better = found > best[rows]
        best[rows[better]], mirrored[rows[better]] = found[better], bool(turned)
    return best, mirrored


def shrunk(gray: npt.NDArray[np.uint8], side: int) -> Floats:
    """Return a gray picture at side x side px."""
    return np.asarray(Image.fromarray(gray).resize((side, side), Image.Resampling.BOX), np.float32)


def _stacked(overlays: Sequence[Overlay]) -> Overlay:
    fine = np.array([overlay.fine for overlay in overlays], np.float32).reshape(-1, OVERLAY_PX, OVERLAY_PX)
    coarse = np.array([overlay.coarse for overlay in overlays], np.float32).reshape(-1, COARSE_PX, COARSE_PX)
    return Overlay(fine=fine, coarse=coarse)


def _normal(pictures: Floats) -> Floats:
    """Return pictures (n, height, width) of mean 0 and length 1."""
    centred = pictures - pictures.mean(axis=(1, 2), keepdims=True)
    return np.asarray(centred / np.maximum(np.linalg.norm(centred, axis=(1, 2), keepdims=True), 1e-6), np.float32)


def _and_back(
    forth: Callable[[Overlay, Overlay], Numbers], one: Overlay, other: Overlay, found: Numbers, worth: float
) -> Numbers:
    """Return the better of laying the other on the one and, where that nearly fits, the one on the other."""
    rows = np.flatnonzero((found >= worth) & (found < OVERLAP))
    found[rows] = np.maximum(found[rows], forth(other.where(rows), one.where(rows)))
    return found


def _wide(one: Overlay, other: Overlay) -> Numbers:
    nowhere = np.zeros((len(one.coarse), 6))
    found, places = _registered(one.coarse, other.coarse, nowhere, _FURTHEST_WIDE, _COARSE_HOPELESS)
    rows = np.flatnonzero(found >= _COARSE_WORTH)
    found[rows] = _registered(one.fine[rows], other.fine[rows], places[rows], _FURTHEST_WIDE, _HOPELESS)[0]
    return found


@functools.cache
def _grid(side: int) -> Floats:
    """Return how far the pixels of a square without its edge lie below and right of its centre (2, p), in its sides."""
    edge = side // 16
    offsets = ((np.arange(side)[edge:-edge] - (side - 1) / 2) / side).astype(np.float32)
    return np.stack([axis.ravel() for axis in np.meshgrid(offsets, offsets, indexing="ij")])


def _registered(
    ones: Floats, others: Floats, places: Numbers, furthest: Numbers, hopeless: float
) -> tuple[Numbers, Numbers]:
    """Return the best correlations (n,) of `others` (n, side, side) with windows of `ones`, and their places (n, 6).

    What a place is says `_FURTHEST`. The steps are the inverse ones of Baker and Matthews 2004, "Lucas-Kanade 20 years
    on": the others are what is moved, so that their slopes and the matrices to solve with stay the same.
    """
    side, edge = ones.shape[1], ones.shape[1] // 16
    inner = (slice(None), slice(edge, -edge), slice(edge, -edge))
    grid, count = _grid(side), len(ones)
    targets, contrasts = _unit(others[inner].reshape(count, grid.shape[1]))
    slopes = np.gradient(others, axis=(1, 2))
    fall, rise = (np.asarray(slope)[inner].reshape(targets.shape) * (side / contrasts) for slope in slopes)
    moves = (fall, rise, fall * grid[0], rise * grid[1], fall * grid[1], rise * grid[0])
    ways = np.stack([*moves, targets, np.ones_like(targets)], axis=1)
    ways[:, :6][:, furthest == 0] = 0
    solver = np.linalg.inv((ways @ ways.transpose(0, 2, 1)).astype(np.float64) + 1e-3 * np.eye(8))[:, :6]
    best, found, going, places = np.full(count, -1.0), places.copy(), np.arange(count), places.copy()
    for step in range(_STEPS):
        place = places[going]
        turns = np.eye(2) + place[:, [[2, 4], [5, 3]]]
        seen, _ = _unit(_sampled(ones[going], (turns @ grid + place[:, :2, None]).astype(np.float32)))
        correlations = np.einsum("ij,ij->i", seen, targets[going])
        better = correlations > best[going] + 1e-4
        best[going[better]], found[going[better]] = correlations[better], place[better]
        more = better & ((step <= 3) | (correlations >= hopeless))
        going, turns, seen, place = going[more], turns[more], seen[more], place[more]
        if not len(going):
            break
        move = (solver[going] @ (ways[going] @ (seen - targets[going])[:, :, None]))[:, :, 0]
        turns = turns @ np.linalg.inv(np.eye(2) + move[:, [[2, 4], [5, 3]]])
        shifts = place[:, :2] - np.einsum("ijk,ik->ij", turns, move[:, :2])
        bent = turns - np.eye(2)
        moved = np.column_stack([shifts, bent[:, 0, 0], bent[:, 1, 1], bent[:, 0, 1], bent[:, 1, 0]])
        places[going] = np.clip(moved, -furthest, furthest)
    return best, found


def _unit(rows: Floats) -> tuple[Floats, Floats]:
    """Return rows (n, p) of mean 0 and length 1, and the lengths (n, 1) they had."""
    centred = rows - rows.mean(axis=1, keepdims=True)
    lengths = np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-6)
    return centred / lengths, lengths


def _sampled(pictures: Floats, where: Floats) -> Floats:
    """Return the values (n, p) of pictures (n, side, side) at points (n, 2, p) given in sides from the centre."""
    side = pictures.shape[1]
    points = np.clip(where * side + (side - 1) / 2, 0, side - 1)
    corners = np.minimum(points.astype(np.int32), side - 2)
    (down, right), (top, left) = (
        np.moveaxis(points_of, 1, 0) for points_of in (points - corners.astype(np.float32), corners)
    )
    flat, start = pictures.reshape(-1), np.arange(len(pictures))[:, None] * side**2 + top * side + left
    above = flat[start] * (1 - right) + flat[start + 1] * right
    below = flat[start + side] * (1 - right) + flat[start + side + 1] * right
    return np.asarray(above * (1 - down) + below * down)
