"""Labelled images as figures: a strip per class, and those that a network finds hardest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from goldenrule.core.errors import OptionError, UnreadableImage
from goldenrule.core.visible import visible
from goldenrule.data.table import ImageTable
from goldenrule.metrics import Predictions
from goldenrule.report.thumbnails import LARGEST_SIDE_PX, small

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Pixels = npt.NDArray[np.uint8]
Cell = tuple[Pixels, str]
MOST_CLASSES, COLUMNS = 12, 6
"""So many classes have a strip; so many pictures stand in a row."""
CELL_INCHES = 1.55


def class_strips(images: ImageTable, *, each: int = COLUMNS) -> Figure:
    """Return a strip of `each` pictures for every class, spread evenly over its images; at most twelve classes."""
    if each < 1:
        raise OptionError(f"each={each}: wanted a number of pictures per class, 1 or more.")
    labels = images.rows["labels"].to_pylist()
    rows = []
    for number, name in enumerate(images.classes[:MOST_CLASSES]):
        of_class = [uri for uri, own in zip(images.uris, labels, strict=True) if number in own]
        cells: list[Cell] = []
        for place in np.linspace(0, max(len(of_class) - 1, 0), min(each, len(of_class))).round().astype(int):
            if (pixels := _pixels(images, of_class[place])) is not None:
                cells.append((pixels, "" if cells else f"{visible(name)} ({len(of_class):,})"))
        rows.append(cells)
    return _sheet(rows, each)


def hardest(images: ImageTable, predictions: Predictions, *, most: int = 2 * COLUMNS) -> Figure:
    """Return the images with the highest loss, the worst first: what is true of each, and what was predicted.

    Raises `OptionError` for several labels an image, and for predictions that know none of these images.
    """
    if predictions.task == "multi":
        raise OptionError("The hardest images are found for one label an image; these have several.")
    known, scored = set(images.uris), predictions.scored
    rows = [row for row, name in enumerate(scored.ids) if name in known]
    if not rows:
        raise OptionError(f"These predictions are of other images than {images.root}, or have no labels.")
    losses = -np.log(np.maximum(scored.probabilities[rows, scored.truth[rows]], np.finfo(float).tiny))
    cells: list[Cell] = []
    for place in np.argsort(-losses, kind="stable"):
        row = rows[place]
        if len(cells) < most and (pixels := _pixels(images, scored.ids[row])) is not None:
            true, guess = scored.classes[scored.truth[row]], scored.classes[scored.predicted[row]]
            share = 100 * scored.probabilities[row].max()
            cells.append((pixels, f"{visible(true)}\n{'=' if true == guess else visible(guess)} {share:.0f} %"))
    return _sheet([cells[start : start + COLUMNS] for start in range(0, len(cells), COLUMNS)], COLUMNS)


def _pixels(images: ImageTable, uri: str) -> Pixels | None:
    """Return a small picture; None where it can't be read."""
    try:
        return small(images.read(uri), LARGEST_SIDE_PX)
    except (OSError, UnreadableImage):
        return None


def _sheet(rows: Sequence[Sequence[Cell]], columns: int) -> Figure:
    from matplotlib.figure import Figure

    count = max(len(rows), 1)
    figure = Figure(figsize=(CELL_INCHES * columns, (CELL_INCHES + 0.35) * count), dpi=100, layout="constrained")
    for axes, cells in zip(figure.subplots(count, columns, squeeze=False), rows or [[]], strict=True):
        for axis in axes:
            axis.set_axis_off()
        for axis, (pixels, title) in zip(axes, cells, strict=False):
            axis.imshow(pixels)
            axis.set_title(title, fontsize=8, loc="left", parse_math=False)
    return figure
