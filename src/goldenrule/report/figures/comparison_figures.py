"""A comparison of networks as figures: accuracy against time, and every interval beside the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from goldenrule.core.errors import OptionError
from goldenrule.metrics import Estimate
from goldenrule.report.figures.page_width import PAGE_INCHES
from goldenrule.report.figures.plots import GOLD, HIT, MISTAKE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKERS = {"fromzero": "s", "transfer_learning": "o", "fine_tuning": "^"}
LINE = 0.045
"""The height of a line of text in the figure, as a share of its axis."""
SHADES = {"valid": MISTAKE, "test": HIT}


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """What a figure shows of a row: a label, the way of training, seconds and shares by split ("valid", "test")."""

    label: str
    type: str
    seconds: float
    shares: Mapping[str, Estimate]
    chosen: bool
    on_front: bool


def pareto_figure(points: Sequence[Point]) -> Figure:
    """Return accuracy on validation against seconds on a logarithmic axis, with 95 % intervals and the Pareto front.

    The front joins what nothing else beats in both. Raises `OptionError` where there is no point.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogFormatter

    _check(points)
    figure = Figure(figsize=(PAGE_INCHES, 4.0), layout="constrained")
    axes = figure.add_subplot(facecolor="none")
    front = sorted((point for point in points if point.on_front), key=lambda point: point.seconds)
    heights = [100 * point.shares["valid"].value for point in front]
    axes.step([point.seconds for point in front], heights, where="post", color=GOLD, linewidth=1.2, zorder=1)
    for point in points:
        estimate = point.shares["valid"]
        axes.errorbar(
            point.seconds,
            100 * estimate.value,
            yerr=[[100 * (estimate.value - estimate.low)], [100 * (estimate.high - estimate.value)]],
            fmt=MARKERS.get(point.type, "o"),
            markersize=9 if point.chosen else 6,
            color=GOLD if point.chosen else HIT,
            elinewidth=0.8,
        )
    _named(axes, points)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(LogFormatter(minor_thresholds=(1, 0.4)))  # 6, 20 instead of powers of ten
    axes.margins(x=0.25)
    axes.set_xlabel(
        "seconds to train\n(square: from scratch, circle: transfer learning, triangle: fine-tuning)", fontsize=8
    )
    axes.set_ylabel(f"{points[0].shares['valid'].name} on validation, %")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def intervals_figure(points: Sequence[Point]) -> Figure:
    """Return every row's accuracy on validation and on test with its interval, the first row on top."""
    from matplotlib.figure import Figure

    _check(points)
    figure = Figure(figsize=(PAGE_INCHES, 1.0 + 0.5 * len(points)), layout="constrained")
    axes = figure.add_subplot(facecolor="none")
    shown = [split for split in SHADES if any(split in point.shares for point in points)]
    for split, shift in zip(shown, (-0.14, 0.14) if len(shown) > 1 else (0.0,), strict=True):
        here = [(place, point.shares[split]) for place, point in enumerate(points) if split in point.shares]
        values = [100 * estimate.value for _, estimate in here]
        below = [100 * (estimate.value - estimate.low) for _, estimate in here]
        above = [100 * (estimate.high - estimate.value) for _, estimate in here]
        places = [place + shift for place, _ in here]
        shade, n = SHADES[split], here[0][1].n
        axes.errorbar(
            values, places, xerr=[below, above], fmt="o", color=shade, label=f"{split}, n={n:,}", elinewidth=1
        )
    axes.set_yticks(range(len(points)), [point.label for point in points], parse_math=False)
    axes.set_ylim(len(points) - 0.5, -0.5)  # no row lies on the axis
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(f"{points[0].shares['valid'].name}, % (95 % intervals)")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False, fontsize=8)
    return figure


def _named(axes: Axes, points: Sequence[Point]) -> None:
    """Write the names beside the points, towards the middle, one above the other where they would lie on each other."""
    middle = sorted(point.seconds for point in points)[len(points) // 2]
    low, high = axes.get_ylim()
    line, lowest = (high - low) * LINE, {True: float("inf"), False: float("inf")}
    for point in sorted(points, key=lambda point: -point.shares["valid"].value):
        left, height = point.seconds > middle, 100 * point.shares["valid"].value
        lowest[left] = written = min(height + line / 3, lowest[left] - line)
        axes.annotate(
            point.label,
            (point.seconds, written),
            xytext=(-8 if left else 8, 0),
            textcoords="offset points",
            ha="right" if left else "left",
            fontsize=8,
            parse_math=False,
        )


def _check(points: Sequence[Point]) -> None:
    if not points:
        raise OptionError("There is no network to draw.")
