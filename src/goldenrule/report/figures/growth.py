"""A learning curve as a drawing for the report: what was measured, and what is forecast."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from goldenrule.report.content import Growth, GrowthPoint
from goldenrule.report.figures.drawing import Axes, Ticks, decimals_of, nice_ticks, polyline

HEIGHT = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowthDot:
    """A point with its interval, drawn, and in words."""

    x: float
    y: float
    low: float
    high: float
    images: str
    accuracy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowthDrawing:
    """A drawing: its axes, measured and forecast dots, the line through both, and where the run stands."""

    axes: Axes
    measured: tuple[GrowthDot, ...]
    forecast: tuple[GrowthDot, ...]
    line: str
    dashed: str
    x_ticks: Ticks
    y_ticks: Ticks


def growth_drawing(growth: Growth) -> GrowthDrawing | None:
    """Return accuracy over images per class on a logarithmic axis; None for fewer than two points."""
    points = [one for one in growth.points if one.images_per_class > 0]
    if len(points) < 2:
        return None
    last = points[-1].images_per_class
    ahead = [one for one in growth.forecasts if one.images_per_class > last]
    every = [*points, *ahead]
    values = nice_ticks(min(one.low for one in every), max(one.high for one in every))
    axes = Axes(
        height=HEIGHT,
        left=math.log10(every[0].images_per_class),
        right=math.log10(every[-1].images_per_class),
        bottom=values[0],
        top=values[-1],
    )
    decimals = decimals_of(100 * (values[1] - values[0]))
    measured, forecast = _dots(points, axes), _dots(ahead, axes)
    return GrowthDrawing(
        axes=axes,
        measured=measured,
        forecast=forecast,
        line=polyline([(dot.x, dot.y) for dot in measured]),
        dashed=polyline([(dot.x, dot.y) for dot in (measured[-1], *forecast)]),
        x_ticks=_thinned([(dot.x, dot.images) for dot in (*measured, *forecast)]),
        y_ticks=tuple((axes.y(value), f"{100 * value:.{decimals}f} %") for value in values),
    )


def _dots(points: Sequence[GrowthPoint], axes: Axes) -> tuple[GrowthDot, ...]:
    return tuple(
        GrowthDot(
            x=axes.x(math.log10(one.images_per_class)),
            y=axes.y(one.value),
            low=axes.y(one.low),
            high=axes.y(one.high),
            images=f"{one.images_per_class:,.0f}",
            accuracy=f"{100 * one.value:.1f} % [{100 * one.low:.1f}, {100 * one.high:.1f}]",
        )
        for one in points
    )


def _thinned(ticks: Sequence[tuple[float, str]], room: float = 44) -> Ticks:
    """Return ticks that do not stand on each other."""
    kept: list[tuple[float, str]] = []
    for tick in ticks:
        if not kept or tick[0] - kept[-1][0] >= room:
            kept.append(tick)
    return tuple(kept)
