"""The path of penalties as a drawing: where its points, lines and ticks lie. No plotting library needed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from goldenrule.core.messages import say

WIDTH, HEIGHT = 560, 270
LEFT, RIGHT, TOP, BOTTOM = 62, 18, 16, 48
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_MOST_TICKS = 7
_SMALLEST_SPAN = 1e-5  # of log losses: what differs less is drawn as a level line


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
    """A drawing `WIDTH` x `HEIGHT`: points from left to right, ticks as (position, label)."""

    points: tuple[Point, ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    sentence: str

    @property
    def line(self) -> str:
        """The points of the polyline."""
        return " ".join(f"{point.x},{point.y}" for point in self.points)


def penalty_curve(path: Sequence[tuple[float, float]], chosen: float) -> Curve | None:
    """Give the drawing of (l2, log loss) over a logarithmic axis; None for fewer than two points.

    A penalty of 0 has no place on that axis and is left out, as is a loss that is not finite.
    """
    pairs = drawable(path)
    if len(pairs) < 2:
        return None
    left, right = math.log10(pairs[0][0]), math.log10(pairs[-1][0])
    losses = [loss for _, loss in pairs]
    y_values = nice_ticks(min(losses), max(losses))
    bottom, top = min(y_values[0], *losses), max(y_values[-1], *losses)

    def x(exponent: float) -> float:
        return round(LEFT + 12 + (exponent - left) / (right - left) * (WIDTH - LEFT - RIGHT - 24), 1)

    def y(loss: float) -> float:
        return round(HEIGHT - BOTTOM - (loss - bottom) / (top - bottom) * (HEIGHT - BOTTOM - TOP), 1)

    decimals = max(0, -math.floor(math.log10(y_values[1] - y_values[0]) + 1e-9))
    return Curve(
        points=tuple(
            Point(
                l2=penalty_text(l2),
                loss=loss_text(loss),
                x=x(math.log10(l2)),
                y=y(loss),
                chosen=_same(l2, chosen),
            )
            for l2, loss in pairs
        ),
        x_ticks=tuple(
            (x(exponent), f"10{str(exponent).translate(_SUPERSCRIPTS)}") for exponent in _decades(left, right)
        ),
        y_ticks=tuple((y(value), loss_text(value, decimals)) for value in y_values),
        sentence=_sentence(pairs, chosen),
    )


def drawable(path: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Give the pairs that have a place on a logarithmic axis, by rising penalty, each penalty once."""
    pairs = {float(l2): float(loss) for l2, loss in path if l2 > 0 and math.isfinite(l2) and math.isfinite(loss)}
    return sorted(pairs.items())


def penalty_text(l2: float) -> str:
    """Give a penalty in both ways of writing it where they differ.

    >>> penalty_text(0.001), penalty_text(3.0), penalty_text(2e-6)
    ('0.001 (1e-3)', '3', '0.000002 (2e-6)')
    """
    if l2 == 0 or 0.01 <= l2 < 1000:
        return f"{l2:.3g}"
    mantissa, exponent = f"{l2:.2e}".split("e")
    short = f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    return f"{float(short):.12f}".rstrip("0") + f" ({short})" if 1e-8 < l2 < 1 else short


def loss_text(loss: float, decimals: int | None = None) -> str:
    """Give a log loss without its leading zero, as `evaluation.render` prints one; two digits at least.

    >>> loss_text(0.0184), loss_text(1.2), loss_text(0.00042), loss_text(0.4, 1)
    ('.018', '1.200', '.00042', '.4')
    """
    if decimals is None:
        decimals = min(max(3, 1 - math.floor(math.log10(loss))), 6) if loss > 0 else 3
    return f"{loss:.{decimals}f}".removeprefix("0") if decimals else f"{loss:.0f}"


def nice_ticks(low: float, high: float, most: int = 5) -> tuple[float, ...]:
    """Give round numbers from at or below `low` to at or above `high`, in steps of 1, 2 or 5.

    >>> nice_ticks(0.018, 0.69)
    (0.0, 0.2, 0.4, 0.6, 0.8)
    """
    span = high - low if high - low > _SMALLEST_SPAN else max(abs(high), 0.001)
    rough = span / (most - 1)
    power = 10 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return tuple(round(number * step, 12) for number in range(first, max(last, first + 1) + 1))


def _decades(left: float, right: float) -> range:
    """Give the whole exponents between two, thinned out where there are many."""
    first, last = math.ceil(left - 1e-9), math.floor(right + 1e-9)
    return range(first, last + 1, max(1, math.ceil((last - first + 1) / _MOST_TICKS)))


def _sentence(pairs: Sequence[tuple[float, float]], chosen: float) -> str:
    first, last = pairs[0][0], pairs[-1][0]
    best, lowest = min(pairs, key=lambda pair: pair[1])
    tried = say(
        "penalty.several-tried",
        count=len(pairs),
        first=penalty_text(first),
        last=penalty_text(last),
    )
    own, taken = penalty_text(chosen), [loss for l2, loss in pairs if _same(l2, chosen)]
    if not taken:
        return f"{tried} {say('penalty.solved-with', own=own)}"
    loss = loss_text(taken[0])
    if _same(best, chosen):
        said = say("penalty.lowest", own=own, loss=loss)
    else:
        said = say(
            "penalty.not-lowest",
            own=own,
            loss=loss,
            lowest=loss_text(lowest),
            best=penalty_text(best),
        )
    if _same(chosen, first) or _same(chosen, last):
        end = say("penalty.end-of-range")
        return f"{tried} {said} {end}"
    return f"{tried} {said}"


def _same(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-6)
