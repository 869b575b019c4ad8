"""Confidence beside accuracy, before and after calibration: measured once, drawn for a page and for a notebook."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from goldenrule.core.errors import OptionError
from goldenrule.metrics import Predictions, ReliabilityBin, calibration_error, reliability, value_and_interval
from goldenrule.metrics.uncertainty.calibration import claims
from goldenrule.report.figures.drawing import Axes, Ticks, decimals_of, nice_ticks, polyline
from goldenrule.report.figures.plots import HIT, MISTAKE, shortened

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HEIGHT = 340
_HISTOGRAM_BINS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One set of predictions in bins of about the same confidence; it is called "before", "after" or nothing."""

    name: str
    predictions: Predictions
    bins: tuple[ReliabilityBin, ...]


def measured(
    predictions: Predictions, calibrated: Predictions | None = None, *, of: str | None = None, bins: int | None = None
) -> tuple[Measured, ...]:
    """Return what both drawings show: the predictions, and the same images after calibration."""
    named = {"": predictions} if calibrated is None else {"before": predictions, "after": calibrated}
    return tuple(
        Measured(name=name, predictions=one, bins=tuple(reliability(one, of=of, bins=bins)))
        for name, one in named.items()
    )


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
        return polyline([(dot.x, dot.y) for dot in self.dots])


@dataclass(frozen=True, slots=True, kw_only=True)
class ReliabilityDrawing:
    """A drawing: its axes, series, and the ends of the line where confidence and accuracy agree."""

    axes: Axes
    series: tuple[Series, ...]
    x_ticks: Ticks
    y_ticks: Ticks
    diagonal: tuple[float, float, float, float]


def reliability_drawing(after: Predictions, before: Predictions | None = None) -> ReliabilityDrawing | None:
    """Return the drawing of one label as it is and before calibration; None where no image is scored."""
    if after.task != "single" or not len(after.scored):
        return None
    shown = measured(after) if before is None else measured(before, after)
    bins = [bin_ for one in shown for bin_ in one.bins]
    confidences = [bin_.confidence for bin_ in bins]
    x_values = nice_ticks(min(0.99, *confidences), 1.0, most=6)
    y_values = nice_ticks(min(0.99, *confidences, *(bin_.accuracy.low for bin_ in bins)), 1.0, most=6)
    axes = Axes(height=HEIGHT, left=x_values[0], right=1.0, bottom=y_values[0], top=1.0)

    def dot(bin_: ReliabilityBin) -> Dot:
        return Dot(
            x=axes.x(bin_.confidence),
            y=axes.y(bin_.accuracy.value),
            low=axes.y(bin_.accuracy.low),
            high=axes.y(bin_.accuracy.high),
            claimed=percent(bin_.confidence),
            right=value_and_interval(bin_.accuracy),
            n=bin_.n,
        )

    start = max(axes.left, axes.bottom)
    return ReliabilityDrawing(
        axes=axes,
        series=tuple(
            Series(name=one.name, css="miss" if one.name == "before" else "hit", dots=tuple(map(dot, one.bins)))
            for one in shown
        ),
        x_ticks=_ticks(x_values, axes.x),
        y_ticks=_ticks(y_values, axes.y),
        diagonal=(axes.x(start), axes.y(start), axes.x(1), axes.y(1)),
    )


def reliability_figure(
    predictions: Predictions, calibrated: Predictions | None = None, *, of: str | None = None, bins: int | None = None
) -> Figure:
    """Return a reliability diagram: accuracy over confidence, with Wilson intervals, above a histogram of confidences.

    On the dashed line probabilities are what they say; below it the network is too sure. With `calibrated`, the same
    images after calibration, both are drawn. `of` and `bins` as for `metrics.reliability`.

    Raises `OptionError` where nothing is scored, for many labels without `of`, and for an unknown class.
    """
    from matplotlib.figure import Figure

    if any(len(one.scored) == 0 for one in (predictions, calibrated) if one is not None):
        raise OptionError("nothing to draw: wanted images that are readable and labelled, got none")
    figure = Figure(figsize=(4.6, 5.2), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    shown = measured(predictions, calibrated, of=of, bins=bins)
    stated = [claims(one.predictions, of)[0] for one in shown]
    least = min(float(confidence.min()) for confidence in stated)
    left = min(math.floor(10 * least) / 10, 0.9)
    edges = np.linspace(left, 1, _HISTOGRAM_BINS + 1).tolist()
    for one, confidence in zip(shown, stated, strict=True):
        colour = MISTAKE if one.name == "before" else HIT
        error = value_and_interval(calibration_error(one.predictions, of=of, bins=bins))
        _draw_bins(above, one.bins, colour=colour, label=f"{one.name}: {error}" if one.name else error)
        below.hist(confidence, bins=edges, color=colour, histtype="stepfilled", alpha=0.25)
        below.hist(confidence, bins=edges, color=colour, histtype="step", linewidth=1.2)
    above.plot([left, 1], [left, 1], linestyle="--", color="#808080", linewidth=1, zorder=0)
    above.set_ylabel("share that is right" if of is None else "share that is", fontsize=9)
    above.legend(
        title="calibration error", fontsize=8, title_fontsize=8, frameon=False, loc="upper left", alignment="left"
    )
    below.set_ylabel("images", fontsize=9)
    below.set_xlabel("confidence" if of is None else "probability", fontsize=9)
    if of is not None:
        above.set_title(shortened(of), fontsize=9, parse_math=False)
    for axes in (above, below):
        axes.set_facecolor("none")
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    margin = 0.02 * (1 - left)
    above.set_xlim(left - margin, 1 + margin)
    above.set_ylim(top=1 + margin)
    return figure


def percent(share: float) -> str:
    """Return a confidence in percent that never reads as certain.

    >>> percent(0.874), percent(0.99712), percent(0.9999999)
    ('87.4 %', '99.71 %', '> 99.99 %')
    """
    if share >= 0.99995:
        return "> 99.99 %"
    return f"{100 * share:.2f} %" if share >= 0.99 else f"{100 * share:.1f} %"


def _ticks(values: Sequence[float], place: Callable[[float], float]) -> Ticks:
    decimals = decimals_of(100 * (values[1] - values[0]))
    return tuple((place(value), f"{100 * value:.{decimals}f} %") for value in values)


def _draw_bins(axes: Any, parts: Sequence[ReliabilityBin], *, colour: str, label: str) -> None:
    """Draw the bins of one set of predictions as a curve with intervals."""
    middle = np.array([part.accuracy.value for part in parts])
    reach = [middle - [part.accuracy.low for part in parts], [part.accuracy.high for part in parts] - middle]
    axes.errorbar(
        [part.confidence for part in parts],
        middle,
        yerr=np.maximum(reach, 0),
        color=colour,
        marker="o",
        markersize=4,
        linewidth=1.4,
        elinewidth=0.8,
        capsize=2,
        label=label,
    )
