"""Drawings of a page as SVG: where points, lines and ticks lie. No plotting library needed.

A page that every quick fit writes has two of them; matplotlib would take longer than the fit (decision 43).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

LEFT, RIGHT, TOP, BOTTOM, WIDTH = 62, 542, 16, 48, 560
"""In units of the drawing: where the axes begin and end, and the room below them for ticks and a name."""
SIDE = 12
"""Room between the axes and what is drawn."""
_SMALLEST_SPAN = 1e-5  # of values: what differs less is drawn as a level line

Ticks = tuple[tuple[float, str], ...]
"""Where each tick lies, and what stands at it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Axes:
    """Axes from `left` to `right` and from `bottom` to `top`, on a drawing `WIDTH` x `height`."""

    height: int
    left: float
    right: float
    bottom: float
    top: float

    @property
    def floor(self) -> int:
        """Where the axis across lies."""
        return self.height - BOTTOM

    def x(self, value: float) -> float:
        """Return where a value lies across."""
        share = (value - self.left) / (self.right - self.left)
        return round(LEFT + SIDE + share * (RIGHT - LEFT - 2 * SIDE), 1)

    def y(self, value: float) -> float:
        """Return how far down a value lies."""
        share = (value - self.bottom) / (self.top - self.bottom)
        return round(self.floor - share * (self.floor - TOP), 1)


def polyline(dots: Sequence[tuple[float, float]]) -> str:
    """Return the points of an SVG polyline.

    >>> polyline([(1.0, 2.5), (3.0, 4.0)])
    '1.0,2.5 3.0,4.0'
    """
    return " ".join(f"{x},{y}" for x, y in dots)


def decimals_of(step: float) -> int:
    """Return how many decimals tell values apart that lie a step from each other.

    >>> decimals_of(0.05), decimals_of(20)
    (2, 0)
    """
    return max(0, -math.floor(math.log10(step) + 1e-9))


def nice_ticks(low: float, high: float, most: int = 5) -> tuple[float, ...]:
    """Return round numbers from at or below `low` to at or above `high`, in steps of 1, 2 or 5.

    >>> nice_ticks(0.018, 0.69)
    (0.0, 0.2, 0.4, 0.6, 0.8)
    """
    span = high - low if high - low > _SMALLEST_SPAN else max(abs(high), 0.001)
    rough = span / (most - 1)
    power = 10 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return tuple(round(number * step, 12) for number in range(first, max(last, first + 1) + 1))
