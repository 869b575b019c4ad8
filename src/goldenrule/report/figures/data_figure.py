"""A learning curve as a figure: points with intervals, the forecast's band, the target, the images there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from goldenrule.analysis.data_size import RULES
from goldenrule.analysis.learning_curve import LearningCurve

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MEASURED, FORECAST, TARGET, RULE = "#2f6f94", "#2f6f94", "#a87400", "#8a5a83"


def curve_figure(curve: LearningCurve, *, target: float | None = None) -> Figure:
    """Return accuracy (or log loss) over images per class, which are on a logarithmic axis."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    share = 100 if curve.metric == "accuracy" else 1
    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axes = figure.add_subplot(facecolor="none")
    first, last = curve.points[0].images_per_class, curve.points[-1].images_per_class
    forecast_to = np.geomspace(first, curve.farthest * 0.999999, 60)
    forecasts = [curve.forecast(float(number)) for number in forecast_to]
    low, middle, high = (share * np.array([getattr(one, end) for one in forecasts]) for end in ("low", "value", "high"))
    axes.fill_between(forecast_to, low, high, color=FORECAST, alpha=0.15, linewidth=0, label="forecast, 95 %")
    axes.plot(forecast_to, middle, color=FORECAST, linewidth=1.2)
    where = [point.images_per_class for point in curve.points]
    value = share * np.array([point.estimate.value for point in curve.points])
    ends = [share * np.array([getattr(point.estimate, end) for point in curve.points]) for end in ("low", "high")]
    reach = np.maximum([value - ends[0], ends[1] - value], 0)
    axes.errorbar(
        where, value, yerr=reach, color=MEASURED, fmt="o", markersize=4, elinewidth=0.8, capsize=2, label="measured"
    )
    if target is not None:
        named = f"{share * target:.6g}{' %' if share == 100 else ''}"
        axes.axhline(share * target, color=TARGET, linewidth=1.2, linestyle="--", label=f"target {named}")
    axes.axvline(curve.images_per_class, color="#808080", linewidth=1, linestyle=":", zorder=0)
    axes.annotate(
        f"there are {curve.images_per_class:,.0f}",
        (curve.images_per_class, 1.01),
        xycoords=("data", "axes fraction"),
        ha="center",
        fontsize=8,
    )
    for bound in (rule.least for rule in RULES if first < rule.least < curve.farthest):
        axes.axvline(bound, color=RULE, linewidth=1, linestyle="-.", zorder=0)
        axes.annotate(
            f"rule of thumb: {bound:,}",
            (bound, 0.98 if share == 100 else 0.02),  # away from the legend
            xycoords=("data", "axes fraction"),
            rotation=90,
            ha="right",
            va="top" if share == 100 else "bottom",
            fontsize=7,
            color=RULE,
        )
    axes.set_xscale("log")
    axes.set_xlim(first * 0.9, curve.farthest * 1.05)
    axes.xaxis.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda number, _: f"{number:,.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    shown = [*low[forecast_to <= 2 * last], *ends[0], *ends[1], *middle, *([share * target] if target else [])]
    margin = 0.06 * (max(shown) - min(shown)) or 1.0
    bounds = (0.0, 100.5) if share == 100 else (0.0, float("inf"))
    axes.set_ylim(max(min(shown) - margin, bounds[0]), min(max(shown) + margin, bounds[1]))
    axes.set_xlabel("images per class (on average)", fontsize=9)
    axes.set_ylabel("accuracy, %" if share == 100 else "log loss", fontsize=9)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, frameon=False, loc="lower right" if share == 100 else "upper right")
    return figure
