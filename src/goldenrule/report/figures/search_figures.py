"""A search as figures: how its trials went, and which settings made the difference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from goldenrule.core.errors import OptionError
from goldenrule.report.figures.page_width import PAGE_INCHES
from goldenrule.report.figures.plots import GOLD, HIT, MISTAKE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FARTHEST = 3.0
"""A log loss above so many times the default's is drawn at the upper edge."""


def trials_figure(losses: Mapping[str, Sequence[tuple[int, float | None]]], *, default: float) -> Figure:
    """Return the log loss of each trial (number, loss) by study, a line at the best so far and one at the default.

    Trials that were given up have None: a mark at the upper edge. Those far above the default have another there.
    Raises `OptionError` where there is none.
    """
    from matplotlib.figure import Figure

    if not any(losses.values()):
        raise OptionError("There is no trial to draw.")
    figure = Figure(figsize=(PAGE_INCHES, 3.0), layout="constrained")
    axes = figure.add_subplot(facecolor="none")
    ended = [loss for points in losses.values() for _, loss in points if loss is not None]
    top = min(max([*ended, default]), FARTHEST * default) if ended else default
    offset = 0
    for name, points in losses.items():
        places = np.array([offset + number for number, _ in points])
        values = np.array([np.inf if loss is None else loss for _, loss in points])
        here = np.isfinite(values)
        above = here & (values > top)
        inside = here & ~above
        axes.plot(places[inside], values[inside], "o", markersize=4, color=HIT, label=f"trial ({name})")
        axes.plot(places[above], np.full(above.sum(), top), "^", markersize=5, color=HIT)
        axes.plot(places[~here], np.full((~here).sum(), top), "x", markersize=5, color=MISTAKE)
        best = np.minimum(np.minimum.accumulate(values), top)
        axes.step(places, best, where="post", color=GOLD, linewidth=1.5)
        offset += len(points)
    axes.axhline(default, color="black", linewidth=0.8, linestyle="--")
    axes.annotate("default", (offset - 1, default), ha="right", va="bottom", fontsize=8)
    higher = "triangle: higher than drawn; " if max(ended, default=top) > top else ""
    axes.set_xlabel(f"trial (x: given up; {higher}the line: the best so far)", fontsize=8)
    axes.set_ylabel("log loss on validation")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def importance_figure(importance: Mapping[str, Mapping[str, float]]) -> Figure:
    """Return a bar for each setting, its share in what tells good trials from bad ones; a panel for each study."""
    from matplotlib.figure import Figure

    shown = {name: shares for name, shares in importance.items() if shares}
    if not shown:
        raise OptionError("There is no importance to draw.")
    figure = Figure(figsize=(PAGE_INCHES, 0.9 + 0.28 * sum(map(len, shown.values()))), layout="constrained")
    panels = figure.subplots(len(shown), 1, squeeze=False, height_ratios=[len(shares) for shares in shown.values()])[
        :, 0
    ]
    for axes, (name, shares) in zip(panels, shown.items(), strict=True):
        axes.set_facecolor("none")
        ordered = sorted(shares.items(), key=lambda pair: pair[1])
        axes.barh([label for label, _ in ordered], [share for _, share in ordered], color=HIT)
        for place, (_, share) in enumerate(ordered):
            axes.text(share, place, f" {100 * share:.0f} %", va="center", fontsize=8)
        axes.set_xlim(0, 1.12 * max(0.01, *shares.values()))
        axes.set_xticks([])
        axes.tick_params(length=0)
        axes.set_xlabel(f"share in what tells the better trials from the others ({name})", fontsize=8)
        axes.spines[["top", "right", "bottom"]].set_visible(False)
    return figure
