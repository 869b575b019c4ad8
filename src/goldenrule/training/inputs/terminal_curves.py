"""The same curves for a terminal, in braille characters, by plotille."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from goldenrule.core.progress import Progress
from goldenrule.runs.history import EpochRow, History, header, line
from goldenrule.training.lr_finder import RangeTest

WIDTH, HEIGHT = 62, 10


def range_text(test: RangeTest) -> str:
    """Return the smoothed loss over the rate; S marks the suggestion, M the minimum."""
    highest = 1.3 * max(test.smoothed[: max(len(test.smoothed) // 2, 1)])
    points = [(math.log10(r), loss) for r, loss in zip(test.rates, test.smoothed, strict=True) if loss <= highest]
    if not points or not math.isfinite(highest):
        return "(every loss is too large to be drawn)"
    figure = _figure("rate", "loss", [x for x, _ in points], [y for _, y in points])
    figure.x_ticks_fkt = lambda low, _: f"{10**low:.0e}"
    figure.plot([x for x, _ in points], [y for _, y in points])
    for mark, rate in (("M", test.minimum), ("S", test.suggestion)):
        if rate is not None:
            x, y = min(points, key=lambda point: abs(point[0] - math.log10(rate)))
            figure.text([x], [y], [mark])
    return str(figure.show())


def history_text(history: History) -> str:
    """Return the losses on train (dotted) and valid (line) over the epochs; o marks the ends of cycles."""
    valid = [(row.epoch, row.valid_loss) for row in history if row.valid_loss is not None]
    train = [(row.epoch, row.train_loss) for row in history]
    every = [*valid, *train]
    figure = _figure("epoch", "loss", [x for x, _ in every], [y for _, y in every])
    figure.x_ticks_fkt = lambda low, _: f"{low:.0f}"
    figure.scatter([x for x, _ in train], [y for _, y in train], marker=".")
    if valid:
        figure.plot([x for x, _ in valid], [y for _, y in valid])
    ends = [(row.epoch, row.valid_loss) for row in history if row.cycle_end and row.valid_loss is not None]
    if ends:
        figure.scatter([x for x, _ in ends], [y for _, y in ends], marker="o")
    return str(figure.show())


class LiveCurves:
    """Prints a row as soon as its epoch is over, under a head where a fit begins, and draws the losses so far."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._rows: list[EpochRow] = []

    def begin(self) -> None:
        """Begin a fit: the next row is its first."""
        self._rows = []

    def show(self, row: EpochRow) -> None:
        """Print a row and draw the curves of two rows and more."""
        if not self._rows:
            self._progress.detail(f"{row.stage}\n{header(list(row.metrics))}")
        self._rows.append(row)
        self._progress.detail(line(row, list(row.metrics)))
        rows = tuple(self._rows)
        self._progress.picture((lambda: history_text(History(rows))) if len(rows) > 1 else None)

    def end(self) -> None:
        """Erase the drawing."""
        self._progress.picture(None)


def _figure(x_label: str, y_label: str, xs: Sequence[float], ys: Sequence[float]) -> Any:
    import plotille

    figure = plotille.Figure()
    figure.width, figure.height = WIDTH, HEIGHT
    figure.with_colors, figure.origin = False, False
    figure.x_label, figure.y_label = x_label, y_label
    low, high = min(ys), max(ys)
    margin = max(0.05 * (high - low), 1e-6 * max(abs(high), 1))
    figure.set_y_limits(min_=max(0.0, low - margin), max_=high + margin)
    figure.set_x_limits(min_=min(xs), max_=max(max(xs), min(xs) + 1e-9))
    figure.y_ticks_fkt = lambda low, _: f"{low:.3f}"
    return figure
