"""`render_search`: a search's outcome, figures and trials as one HTML file that loads nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from goldenrule.report.figures.plots import figure_svg
from goldenrule.report.pages.run_page import MOST_OPEN_ROWS, environment, printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LABELS = {
    "trials": "The log loss of each trial, and the best so far.",
    "importance": "How much each setting tells the better trials from the others.",
}


def render_search(
    title: str,
    created: str,
    *,
    head: str,
    sentences: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
    figures: Mapping[str, Figure],
    next_steps: Sequence[str],
    code: str,
) -> str:
    """Return the whole page; `figures` are called trials and importance, `code` may be empty."""
    page = (
        environment()
        .get_template("search.html")
        .render(
            title=title,
            created=created,
            head=head,
            sentences=sentences,
            rows=rows,
            open_rows=MOST_OPEN_ROWS,
            drawings={name: figure_svg(figure, label=LABELS[name]) for name, figure in figures.items()},
            next_steps=next_steps,
            code=code,
        )
    )
    return printable(page)
