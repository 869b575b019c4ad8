"""Confidence beside accuracy as a drawing: where its points, lines and ticks lie. No plotting library needed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from goldenrule.metrics import Predictions, ReliabilityBin, reliability, value_and_interval
from goldenrule.report.figures.penalty_curve import nice_ticks

WIDTH, HEIGHT = 560, 340
LEFT, RIGHT, TOP, BOTTOM = 62, 18, 16, 48
SIDE = 12
"""Room between the axes and what is drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """Images of about the same confidence: where they are drawn, with the interval of their accuracy, and in words."""

    x: float
    y: float
    low: float
    high: float
    claimed: str
    right: str
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """The dots of one set of predictions; `css` is "miss" before calibration, else "hit"."""

    name: str
    css: str
    dots: tuple[Dot, ...]

    @property
    def line(self) -> str:
        """The points of the polyline."""
        return " ".join(f"{dot.x},{dot.y}" for dot in self.dots)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReliabilityDrawing:
    """A drawing `WIDTH` x `HEIGHT`: series, ticks as (position, label), and the ends of the line where both agree."""

    series: tuple[Series, ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    diagonal: tuple[float, float, float, float]


def reliability_drawing(after: Predictions, before: Predictions | None = None) -> ReliabilityDrawing | None:
    """Give the drawing for predictions of one label, as they are and before calibration; None without scored images."""
    if after.task != "single" or not len(after.scored):
        return None
    named = [("before", "miss", reliability(before))] if before is not None else []
    named.append(("after" if before is not None else "", "hit", reliability(after)))
    bins = [own for _, _, group in named for own in group]
    claims = [own.confidence for own in bins]
    x_values = nice_ticks(min(0.99, *claims), 1.0, most=6)
    y_values = nice_ticks(min(0.99, *claims, *(own.accuracy.low for own in bins)), 1.0, most=6)
    left, bottom = x_values[0], y_values[0]

    def x(share: float) -> float:
        return round(LEFT + SIDE + (share - left) / (1 - left) * (WIDTH - LEFT - RIGHT - 2 * SIDE), 1)

    def y(share: float) -> float:
        return round(HEIGHT - BOTTOM - (share - bottom) / (1 - bottom) * (HEIGHT - BOTTOM - TOP), 1)

    def dot(own: ReliabilityBin) -> Dot:
        return Dot(
            x=x(own.confidence),
            y=y(own.accuracy.value),
            low=y(own.accuracy.low),
            high=y(own.accuracy.high),
            claimed=percent(own.confidence),
            right=value_and_interval(own.accuracy),
            n=own.n,
        )

    start = max(left, bottom)
    return ReliabilityDrawing(
        series=tuple(Series(name=name, css=css, dots=tuple(map(dot, group))) for name, css, group in named),
        x_ticks=_ticks(x_values, x),
        y_ticks=_ticks(y_values, y),
        diagonal=(x(start), y(start), x(1), y(1)),
    )


def percent(share: float) -> str:
    """Give a confidence in percent that never reads as certain.

    >>> percent(0.874), percent(0.99712), percent(0.9999999)
    ('87.4 %', '99.71 %', '> 99.99 %')
    """
    if share >= 0.99995:
        return "> 99.99 %"
    return f"{100 * share:.2f} %" if share >= 0.99 else f"{100 * share:.1f} %"


def _ticks(values: Sequence[float], place: Callable[[float], float]) -> tuple[tuple[float, str], ...]:
    step = 100 * (values[1] - values[0])
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return tuple((place(value), f"{100 * value:.{decimals}f} %") for value in values)
