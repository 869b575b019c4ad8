"""Predictions -> the confusion matrix as a heat map, for a notebook or a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from goldenrule.metrics import Predictions, confusion
from goldenrule.metrics.prediction_checks import require_single_label
from goldenrule.report.figures.plots import HIT, MISTAKE, shortened

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_COUNTS, MOST_NAMES = 15, 45


def confusion_figure(predictions: Predictions) -> Figure:
    """Return the confusion matrix as a heat map: a row per true class, shaded by the share of that class.

    Up to 15 classes have their counts written in, up to 45 their names. Raises `OptionError` for many labels.
    """
    from matplotlib.figure import Figure

    require_single_label(predictions.task, "a picture of the confusion matrix")
    table, names = confusion(predictions), [shortened(name) for name in predictions.classes]
    size = min(max(3.2, 1.4 + 0.24 * len(names)), 9.0)
    label = 9 if len(names) <= MOST_COUNTS else 13
    figure = Figure(figsize=(size, size), layout="constrained")
    axes = figure.add_subplot(facecolor="none")
    axes.imshow(_heat(table), interpolation="none", aspect="equal")
    axes.set_xlabel("mistaken for", fontsize=label)
    axes.set_ylabel("true class", fontsize=label)
    axes.tick_params(length=0, labelsize=8)
    if len(names) <= MOST_NAMES:
        axes.set_xticks(range(len(names)), names, rotation=90, parse_math=False)
        axes.set_yticks(range(len(names)), names, parse_math=False)
    else:
        axes.set_xticks([])
        axes.set_yticks([])
    if len(names) <= MOST_COUNTS:
        for row, column in np.argwhere(table > 0):
            axes.text(column, row, f"{table[row, column]:,}", ha="center", va="center", fontsize=8)
    return figure


def _heat(table: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return colours (C, C, 4): hits blue, mistakes orange, more opaque for a larger share."""
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    heat = np.empty((*table.shape, 4))
    heat[..., :3] = _rgb(MISTAKE)
    heat[np.eye(len(table), dtype=bool), :3] = _rgb(HIT)
    heat[..., 3] = np.where(table > 0, 0.3 + 0.65 * shares, 0)
    return heat


def _rgb(colour: str) -> list[float]:
    return [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
