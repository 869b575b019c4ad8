"""Confidence beside accuracy, before and after calibration, as a matplotlib figure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from goldenrule.core.errors import OptionError
from goldenrule.metrics import Predictions, ReliabilityBin, calibration_error, reliability, value_and_interval
from goldenrule.metrics.uncertainty.calibration import claims
from goldenrule.report.figures.plots import HIT, MISTAKE, shortened

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_HISTOGRAM_BINS = 20


def reliability_figure(
    predictions: Predictions, calibrated: Predictions | None = None, *, of: str | None = None, bins: int | None = None
) -> Figure:
    """Give a reliability diagram: accuracy over confidence, with Wilson intervals, above a histogram of confidences.

    On the dashed line probabilities are what they say; below it the network is too sure. With `calibrated`, the same
    images after calibration, both are drawn. `of` and `bins` as for `evaluation.reliability`.

    Raises `OptionError` where nothing is scored, for many labels without `of`, and for an unknown class.
    """
    from matplotlib.figure import Figure

    shown = {"": (predictions, HIT)}
    if calibrated is not None:
        shown = {"before: ": (predictions, MISTAKE), "after: ": (calibrated, HIT)}
    if any(len(one.scored) == 0 for one, _ in shown.values()):
        raise OptionError("nothing to draw: wanted images that are readable and labelled, got none")
    figure = Figure(figsize=(4.6, 5.2), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    least = min(float(claims(one, of)[0].min()) for one, _ in shown.values())
    left = min(math.floor(10 * least) / 10, 0.9)
    for name, (one, colour) in shown.items():
        error = value_and_interval(calibration_error(one, of=of, bins=bins))
        _draw_bins(above, reliability(one, of=of, bins=bins), colour=colour, label=f"{name}{error}")
        edges = np.linspace(left, 1, _HISTOGRAM_BINS + 1).tolist()
        below.hist(claims(one, of)[0], bins=edges, color=colour, histtype="stepfilled", alpha=0.25)
        below.hist(claims(one, of)[0], bins=edges, color=colour, histtype="step", linewidth=1.2)
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
