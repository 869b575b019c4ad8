"""`render_comparison`: compared networks, their figures and their table as one HTML file that loads nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from goldenrule.report.figures.plots import figure_svg
from goldenrule.report.pages.run_page import environment, printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LABELS = {
    "pareto": "Accuracy on validation against the seconds to train, and the front of those that nothing beats in both.",
    "intervals": "Accuracy on validation and test of every network and way of training, with 95 % intervals.",
}


def render_comparison(
    title: str,
    created: str,
    *,
    head: str,
    sentences: Sequence[str],
    columns: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
    asked: str,
    figures: Mapping[str, Figure],
    next_steps: Sequence[str],
    on_front: int = 0,
) -> str:
    """Return the whole page; a row has `cells`, one for each of `columns`, `report` (a link) and `chosen`.

    A line joins what is `on_front` in the figure, where that is more than one row. `asked` is what the last column
    asks.
    """
    page = (
        environment()
        .get_template("comparison.html")
        .render(
            title=title,
            created=created,
            head=head,
            sentences=sentences,
            columns=columns,
            rows=rows,
            asked=asked,
            drawings={name: figure_svg(figure, label=LABELS[name]) for name, figure in figures.items()},
            next_steps=next_steps,
            on_front=on_front,
        )
    )
    return printable(page)
