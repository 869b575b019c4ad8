"""Values in a notebook: as figures and tables. Nothing is imported before a value is shown."""

from __future__ import annotations

import base64
import html
import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from goldenrule.pipelines.comparison.compared_networks import ComparedNetworks


def register(shell: Any) -> None:
    """Let IPython's shell show these values as HTML; `shell` is what `get_ipython()` returns."""
    formatter = shell.display_formatter.formatters["text/html"]
    formatter.for_type_by_name("goldenrule.training.lr_finder", "RangeTest", figure_html)
    formatter.for_type_by_name("goldenrule.analysis.learning_curve", "LearningCurve", figure_html)
    formatter.for_type_by_name("goldenrule.pipelines.comparison.compared_networks", "ComparedNetworks", table_html)


def figure_html(value: object) -> str:
    """Return the figure of a value as an inline picture, and what the value says below it."""
    from goldenrule.report.figures.plot import plot

    file = io.BytesIO()
    plot(value).savefig(file, format="png", dpi=110)
    picture = base64.b64encode(file.getvalue()).decode()
    return f'<img alt="" src="data:image/png;base64,{picture}"><p>{html.escape(str(value))}</p>'


def table_html(found: ComparedNetworks) -> str:
    """Return a comparison of networks as a table, the best first."""
    from goldenrule.pipelines.comparison.comparison_report import cells, columns

    head = "".join(f"<th>{html.escape(name)}</th>" for name in columns(found))
    rows = "".join(
        f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in cells(found, row))}</tr>" for row in found.ranked
    )
    return f"<p>{html.escape(found.headline)}.</p><table><tr>{head}</tr>{rows}</table>"
