"""The path of penalties as a drawing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from goldenrule.core.messages import say
from goldenrule.report.figures.drawing import Axes, Ticks, decimals_of, nice_ticks, polyline

HEIGHT = 270
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_MOST_TICKS = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A penalty that was tried, its log loss, and where it is drawn."""

    l2: str
    loss: str
    x: float
    y: float
    chosen: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A drawing: its axes, points from left to right, and what it says."""

    axes: Axes
    points: tuple[Point, ...]
    x_ticks: Ticks
    y_ticks: Ticks
    sentence: str

    @property
    def line(self) -> str:
        """The points of the polyline."""
        return polyline([(point.x, point.y) for point in self.points])


def penalty_curve(
    path: Sequence[tuple[float, float]], chosen: float, *, shrinkage: float | None = None
) -> Curve | None:
    """Return the drawing of (l2, log loss) over a logarithmic axis; None for fewer than two points.

    `shrinkage` is that of a discriminant analysis which the head adds to what the losses are of, None without one.

    A penalty of 0 has no place on that axis and is left out, as is a loss that is not finite.
    """
    pairs = drawable(path)
    if len(pairs) < 2:
        return None
    left, right = math.log10(pairs[0][0]), math.log10(pairs[-1][0])
    losses = [loss for _, loss in pairs]
    values = nice_ticks(min(losses), max(losses))
    bottom, top = min(values[0], *losses), max(values[-1], *losses)
    axes = Axes(height=HEIGHT, left=left, right=right, bottom=bottom, top=top)
    decimals = decimals_of(values[1] - values[0])
    exponents = _decades(left, right)
    return Curve(
        axes=axes,
        points=tuple(
            Point(
                l2=penalty_text(l2),
                loss=loss_text(loss),
                x=axes.x(math.log10(l2)),
                y=axes.y(loss),
                chosen=_same(l2, chosen),
            )
            for l2, loss in pairs
        ),
        x_ticks=tuple((axes.x(one), f"10{str(one).translate(_SUPERSCRIPTS)}") for one in exponents),
        y_ticks=tuple((axes.y(value), loss_text(value, decimals)) for value in values),
        sentence=_sentence(pairs, chosen, shrinkage),
    )


def drawable(path: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the pairs that have a place on a logarithmic axis, by rising penalty, each penalty once."""
    pairs = {float(l2): float(loss) for l2, loss in path if l2 > 0 and math.isfinite(l2) and math.isfinite(loss)}
    return sorted(pairs.items())


def penalty_text(l2: float) -> str:
    """Return a penalty in both ways of writing it where they differ.

    >>> penalty_text(0.001), penalty_text(3.0), penalty_text(2e-6)
    ('0.001 (1e-3)', '3', '0.000002 (2e-6)')
    """
    if l2 == 0 or 0.01 <= l2 < 1000:
        return f"{l2:.3g}"
    mantissa, exponent = f"{l2:.2e}".split("e")
    short = f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    return f"{float(short):.12f}".rstrip("0") + f" ({short})" if 1e-8 < l2 < 1 else short


def loss_text(loss: float, decimals: int | None = None) -> str:
    """Return a log loss without its leading zero, as `metrics.render` prints one; two digits at least.

    >>> loss_text(0.0184), loss_text(1.2), loss_text(0.00042), loss_text(0.4, 1)
    ('0.018', '1.200', '0.00042', '0.4')
    """
    if decimals is None:
        decimals = min(max(3, 1 - math.floor(math.log10(loss))), 6) if loss > 0 else 3
    return f"{loss:.{decimals}f}" if decimals else f"{loss:.0f}"


def _decades(left: float, right: float) -> range:
    """Return the whole exponents between two, thinned out where there are many."""
    first, last = math.ceil(left - 1e-9), math.floor(right + 1e-9)
    return range(first, last + 1, max(1, math.ceil((last - first + 1) / _MOST_TICKS)))


def _sentence(pairs: Sequence[tuple[float, float]], chosen: float, shrinkage: float | None) -> str:
    first, last = pairs[0][0], pairs[-1][0]
    best, lowest = min(pairs, key=lambda pair: pair[1])
    tried = say(
        "penalty.several-tried",
        count=len(pairs),
        first=penalty_text(first),
        last=penalty_text(last),
    )
    label, taken = penalty_text(chosen), [loss for l2, loss in pairs if _same(l2, chosen)]
    if not taken:
        return f"{tried} {say('penalty.fitted-with', penalty=label)}"
    loss = loss_text(taken[0])
    if _same(best, chosen):
        said = say("penalty.lowest", penalty=label, loss=loss)
    else:
        said = say(
            "penalty.not-lowest",
            penalty=label,
            loss=loss,
            lowest=loss_text(lowest),
            best=penalty_text(best),
        )
    if _same(chosen, first) or _same(chosen, last):
        said += f" {say('penalty.end-of-range')}"
    if shrinkage is not None:
        said += f" {say('penalty.added', shrinkage=f'{shrinkage:g}')}"
    return f"{tried} {said}"


def _same(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-6)
