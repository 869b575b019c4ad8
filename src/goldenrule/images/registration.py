"""Two pictures laid on each other: the one is moved until it fits, and their correlation tells whether they are one.

Lucas and Kanade 1981, "An iterative image registration technique": Gauss-Newton over the place and the light. `overlap`
shifts and scales. `wide_overlap` also turns and shears, and begins with smaller, smoother pictures (as in Bergen and
others 1992, "Hierarchical model-based motion estimation"), so that it finds windows far apart and turned copies.
"""

from __future__ import annotations

import functools
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
Place = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Overlay:
    """What is compared of a picture: it, gray and a little blurred, at two sizes."""

    fine: Floats  # (OVERLAY_PX, OVERLAY_PX)
    coarse: Floats  # (COARSE_PX, COARSE_PX)

    def mirrored(self) -> Overlay:
        """Give that of the picture flipped from left to right."""
        fine, coarse = (np.ascontiguousarray(own[:, ::-1]) for own in (self.fine, self.coarse))
        return Overlay(fine=fine, coarse=coarse)


def overlay(gray: npt.NDArray[np.uint8]) -> Overlay:
    """Give what is compared of a gray picture (height, width)."""
    from scipy.ndimage import gaussian_filter  # not at the top: most commands do without

    fine = np.asarray(gaussian_filter(shrunk(gray, OVERLAY_PX), 1.0), np.float32)
    coarse = np.asarray(gaussian_filter(shrunk(gray, COARSE_PX), 1.0), np.float32)
    return Overlay(fine=fine, coarse=coarse)


def overlap(one: Overlay, other: Overlay) -> float:
    """Give the correlation (-1 to 1) of two pictures where one is shifted and scaled to lie best on the other."""

    def forth(one: Overlay, other: Overlay) -> float:
        return _registered(one.fine, other.fine, np.zeros(6), _FURTHEST, _HOPELESS)[0]

    found = forth(one, other)
    return max(found, forth(other, one)) if _WORTH <= found < OVERLAP else found


def wide_overlap(one: Overlay, other: Overlay) -> tuple[float, bool]:
    """Give the correlation where one is shifted, scaled, turned and sheared, perhaps mirrored, and whether it was."""
    flipped = other.mirrored()
    plain, turned = (_correlation(one.coarse, own.coarse) for own in (other, flipped))
    tried = [(_wide(one, other), False)] if plain > turned - _CLEARER else []
    tried += [(_wide(one, flipped), True)] if turned > plain - _CLEARER else []
    return max(tried)


def shrunk(gray: npt.NDArray[np.uint8], side: int) -> Floats:
    """Give a gray picture at side x side px."""
    return np.asarray(Image.fromarray(gray).resize((side, side), Image.Resampling.BOX), np.float32)


def _wide(one: Overlay, other: Overlay) -> float:
    def forth(one: Overlay, other: Overlay) -> float:
        found, place = _registered(one.coarse, other.coarse, np.zeros(6), _FURTHEST_WIDE, _COARSE_HOPELESS)
        if found < _COARSE_WORTH:
            return found
        return _registered(one.fine, other.fine, place, _FURTHEST_WIDE, _HOPELESS)[0]

    found = forth(one, other)
    return max(found, forth(other, one)) if _HOPELESS <= found < OVERLAP else found


def _correlation(one: Floats, other: Floats) -> float:
    a, b = one - one.mean(), other - other.mean()
    return float((a * b).sum() / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-6))


@functools.cache
def _grid(side: int) -> Floats:
    """Give how far the pixels of a square without its edge lie below and right of its centre (2, n), in its sides."""
    edge = side // 16
    offsets = (np.arange(side, dtype=np.float32)[edge:-edge] - np.float32((side - 1) / 2)) / side
    return np.stack([axis.ravel() for axis in np.meshgrid(offsets, offsets, indexing="ij")])


def _registered(one: Floats, other: Floats, place: Place, furthest: Place, hopeless: float) -> tuple[float, Place]:
    """Give the best correlation of `other` with a window of `one`, and the window's place: see `_FURTHEST`.

    The steps are the inverse ones of Baker and Matthews 2004, "Lucas-Kanade 20 years on": `other` is what is moved, so
    that its slopes and the matrix to solve with stay the same.
    """
    from scipy.ndimage import map_coordinates

    side, edge = len(one), len(one) // 16
    grid = _grid(side)
    inner = slice(edge, -edge)
    target = other[inner, inner].ravel()
    target = target - target.mean()
    contrast = max(float(np.linalg.norm(target)), 1e-6)
    target /= contrast
    fall, rise = (
        np.asarray(np.gradient(other, axis=axis))[inner, inner].ravel() * (side / contrast) for axis in (0, 1)
    )
    moves = (fall, rise, fall * grid[0], rise * grid[1], fall * grid[1], rise * grid[0])
    ways = np.stack([*moves, target, np.ones_like(target)])
    ways[:6][furthest == 0] = 0
    steps = np.linalg.solve(ways @ ways.T + 1e-3 * np.eye(8), ways)[:6]
    best, found = -1.0, place
    for step in range(_STEPS):
        turn = np.array([[1 + place[2], place[4]], [place[5], 1 + place[3]]])
        where = (turn @ grid + place[:2, None]) * side + (side - 1) / 2
        seen = map_coordinates(one, where, order=1, mode="nearest")
        seen -= seen.mean()
        seen /= max(float(np.linalg.norm(seen)), 1e-6)
        correlation = float(seen @ target)
        if correlation <= best + 1e-4:
            break
        best, found = correlation, place
        if step > 3 and correlation < hopeless:
            break
        move = steps @ (seen - target)
        turn = turn @ np.linalg.inv([[1 + move[2], move[4]], [move[5], 1 + move[3]]])
        shift = place[:2] - turn @ move[:2]
        moved = np.array([*shift, turn[0, 0] - 1, turn[1, 1] - 1, turn[0, 1], turn[1, 0]])
        place = np.clip(moved, -furthest, furthest)
    return best, found
