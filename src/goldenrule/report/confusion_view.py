"""The confusion of classes for a page: an order in which confused classes stand together, cells, and their pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from goldenrule.metrics import Predictions, confusion
from goldenrule.report.tables import Pair, confused_pairs

MOST_CELL_PICTURES, LEAST_OF_CELL, MOST_OF_CELL, MOST_PAIRS = 90, 6, 24, 30
"""So many pictures of mistakes a page holds in all; of one cell from so many to so many; so many cells are listed."""
SHADES = 6
"""A heat map has so many steps of opacity."""

Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfusedCell:
    """A pair of classes that are confused, the place of its cell, and the ids of images to show, most confident first.

    `row` and `column` count in the order of `confusion_order`.
    """

    pair: Pair
    row: int
    column: int
    images: tuple[str, ...]

    @property
    def anchor(self) -> str:
        """The id of its pictures on the page."""
        return f"cell-{self.row}-{self.column}"

    @property
    def left_out(self) -> int:
        """How many of its images are not shown."""
        return self.pair.count - len(self.images)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shade:
    """All cells of a heat map of one opacity as one SVG path, a unit square for each."""

    opacity: float
    hit: bool
    path: str


def confusion_order(table: Counts) -> tuple[int, ...]:
    """Return the classes so that those which are confused stand side by side; classes never confused keep their order.

    The pairs that are confused most are joined first, ends of chains to ends of chains, as Kruskal's algorithm joins
    trees; chains stand in the order of their first classes.

    >>> confusion_order(np.array([[9, 0, 4], [0, 9, 0], [3, 0, 9]]))
    (0, 2, 1)
    """
    both = table + table.T
    rows, columns = np.nonzero(np.triu(both, 1))
    order = np.lexsort((columns, rows, -both[rows, columns]))
    chains = {label: [label] for label in range(len(table))}
    for place in order:
        one, other = chains[int(rows[place])], chains[int(columns[place])]
        if one is other:
            continue
        if int(rows[place]) not in (one[0], one[-1]) or int(columns[place]) not in (other[0], other[-1]):
            continue
        joined = (one if one[-1] == rows[place] else one[::-1]) + (other if other[0] == columns[place] else other[::-1])
        joined = joined if min(joined[0], joined[-1]) == joined[0] else joined[::-1]
        chains.update(dict.fromkeys(joined, joined))
    distinct = {id(chain): chain for chain in chains.values()}.values()
    return tuple(label for chain in sorted(distinct, key=min) for label in chain)


def confused_cells(predictions: Predictions, order: Sequence[int]) -> tuple[ConfusedCell, ...]:
    """Return the cells off the diagonal with most images, with the ids to show as far as a page has room for them."""
    scored = predictions.scored
    place = {scored.classes[label]: position for position, label in enumerate(order)}
    number = {name: label for label, name in enumerate(scored.classes)}
    predicted, confidence = scored.predicted, scored.probabilities.max(axis=1, initial=0)
    pairs, cells = confused_pairs(predictions, MOST_PAIRS), []
    room = MOST_CELL_PICTURES
    each = min(max(room // max(len(pairs), 1), LEAST_OF_CELL), MOST_OF_CELL)
    for pair in pairs:
        here = (scored.truth == number[pair.truth]) & (predicted == number[pair.predicted])
        rows = np.flatnonzero(here)
        shown = rows[np.argsort(-confidence[rows], kind="stable")][: min(each, room)]
        room -= len(shown)
        images = tuple(scored.ids[row] for row in shown)
        cells.append(ConfusedCell(pair=pair, row=place[pair.truth], column=place[pair.predicted], images=images))
    return tuple(cells)


def shades(predictions: Predictions, order: Sequence[int]) -> tuple[Shade, ...]:
    """Return a heat map of many classes: what is right and what is wrong, by the share of the row, in few paths."""
    table = confusion(predictions)[np.ix_(order, order)]
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    steps = np.where(table > 0, np.ceil(shares * SHADES), 0).astype(int)
    hits = np.eye(len(table), dtype=bool)
    found = []
    for hit in (True, False):
        for step in range(1, SHADES + 1):
            cells = np.argwhere((steps == step) & (hits == hit)).tolist()
            if cells:
                path = "".join(f"M{column} {row}h1v1h-1z" for row, column in cells)
                found.append(Shade(opacity=round(0.25 + 0.75 * step / SHADES, 2), hit=hit, path=path))
    return tuple(found)
