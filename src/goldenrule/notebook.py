"""Values in a notebook: as figures and tables. Nothing is imported before a value is shown."""

from __future__ import annotations

import base64
import html
import io
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from goldenrule.analysis.audit import Audit
    from goldenrule.analysis.explanation import Explained
    from goldenrule.analysis.label_issues import LabelIssues
    from goldenrule.core.findings import Finding
    from goldenrule.data.table import ImageTable
    from goldenrule.metrics import Estimate, Predictions
    from goldenrule.models.summary import NetworkSummary
    from goldenrule.pipelines.comparison.compared_networks import ComparedNetworks
    from goldenrule.pipelines.fit_result import FitResult
    from goldenrule.runs.history import History
    from goldenrule.tasks.foreign import Evaluation
    from goldenrule.tasks.label_check import LabelCheck

ROWS_SHOWN, LABELS_SHOWN, NEAREST_SHOWN = 5, 10, 3
"""So many predictions, doubtful labels, and nearest images of one are shown."""


def register(shell: Any) -> None:
    """Register these values with IPython's shell, to be shown as HTML; `shell` is what `get_ipython()` returns."""
    warnings.filterwarnings("ignore", message="IProgress not found")  # tqdm's, which timm and the hub's client import
    formatter = shell.display_formatter.formatters["text/html"]
    for (module, name), shown in SHOWN.items():
        formatter.for_type_by_name(f"goldenrule.{module}", name, shown)
    pictures = shell.display_formatter.formatters["image/png"]  # without pyplot, nobody else registers figures
    pictures.for_type_by_name("matplotlib.figure", "Figure", figure_png)


def figure_png(figure: Any) -> bytes:
    """Return a figure as a picture: `gr.plot` gives one."""
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def figure_html(value: object) -> str:
    """Return the figure of a value as an inline picture, and what the value says below it."""
    from goldenrule.report.figures.plot import plot

    file = io.BytesIO()
    plot(value).savefig(file, format="png", dpi=110)
    picture = base64.b64encode(file.getvalue()).decode()
    return f'<img alt="" src="data:image/png;base64,{picture}">{_paragraph(str(value))}'


def networks_html(found: ComparedNetworks) -> str:
    """Return a comparison of networks as a table, the best first."""
    from goldenrule.pipelines.comparison.comparison_report import cells, columns

    return _paragraph(f"{found.headline}.") + _table(columns(found), (cells(found, row) for row in found.ranked))


def estimate_html(estimate: Estimate) -> str:
    """Return an estimate in one line; pointing at it tells how it was made."""
    title = html.escape(f"{estimate.name}: {estimate.method}, {estimate.basis}")
    return f'<span class="goldenrule-estimate" title="{title}">{html.escape(str(estimate))}</span>'


def predictions_html(found: Predictions) -> str:
    """Return the first predictions as a table, with the likeliest class of each."""
    rows = []
    for row in range(min(len(found), ROWS_SHOWN)):
        likeliest = ""
        if found.status[row] == "ok":
            best = int(found.probabilities[row].argmax())
            likeliest = f"{found.classes[best]} {found.probabilities[row, best]:.3f}"
        rows.append((found.ids[row], str(found.status[row]), ", ".join(found.true_names(row)) or "?", likeliest))
    more = _paragraph(f"… and {len(found) - ROWS_SHOWN:,} more") if len(found) > ROWS_SHOWN else ""
    return _paragraph(repr(found)) + _table(("id", "status", "truth", "probability"), rows) + more


def history_html(history: History) -> str:
    """Return the epochs of a training as a table."""
    from goldenrule.runs.history import cells

    heads = ("epoch", "train loss", "valid loss", "accuracy", *history.metrics, "rate")
    return _table(heads, (cells(row, history.metrics) for row in history.rows))


def evaluation_html(found: Evaluation) -> str:
    """Return what an evaluation measured, and what it says."""
    rows = ((estimate.name, str(estimate)) for estimate in (found.quality, found.log_loss))
    return _table((found.name, "(95 %)"), rows) + "".join(map(_paragraph, found.sentences))


def result_html(found: FitResult) -> str:
    """Return the numbers of every part of a fit."""
    from goldenrule.metrics import log_loss

    rows = (
        (split, str(found.quality(predictions)), str(log_loss(predictions)))
        for split, predictions in found.scored.items()
    )
    return _table(("split", found.headline.name, "log loss"), rows)


def images_html(table: ImageTable) -> str:
    """Return how many images each class has in each split."""
    counts = table.counts()
    rows = (
        (name or "(unlabelled)", *(f"{per_class[name]:,}" for per_class in counts.values()))
        for name in (*table.classes, "")
        if any(per_class[name] for per_class in counts.values())
    )
    return _table(("class", *counts), rows)


def summary_html(summary: NetworkSummary) -> str:
    """Return the layers of a network as a table."""
    heads = ("layer", "kind", "output", "parameters", "group")
    return _paragraph(repr(summary)) + _table(heads, (layer.cells for layer in summary.layers))


def label_issues_html(found: LabelIssues) -> str:
    """Return the most doubtful labels as a table."""
    heads = ("rank", "id", "given", "likely", "probability of the given")
    rows = (
        (f"{suspect.rank}", suspect.id, suspect.given, suspect.likely, f"{suspect.probability_given:.3f}")
        for suspect in found.first(LABELS_SHOWN)
    )
    return _paragraph(repr(found)) + _table(heads, rows)


def label_check_html(found: LabelCheck) -> str:
    """Return how the labels of a run stand, the most doubtful of them, and where the page is."""
    return _paragraph(f"{found.headline}.") + label_issues_html(found.suspected.errors) + _paragraph(str(found.page))


def audit_html(found: Audit) -> str:
    """Return what an audit found, the most severe first."""
    return _paragraph(repr(found)) + "".join(_paragraph(str(finding)) for finding in found.findings)


def explained_html(found: Explained) -> str:
    """Return the prediction of each image and the training images nearest to it."""
    rows = (
        (
            one.id,
            one.prediction or f"{one.status} {one.why}",
            f"{one.probability:.3f}" if one.prediction else "",
            ", ".join(near.id for near in one.neighbours.nearest[:NEAREST_SHOWN]),
        )
        for one in found.explanations[:LABELS_SHOWN]
    )
    notes = "".join(map(_paragraph, found.notes))
    return _paragraph(repr(found)) + _table(("image", "prediction", "probability", "nearest"), rows) + notes


def finding_html(finding: Finding) -> str:
    """Return a finding as it is told."""
    return _paragraph(str(finding))


def text_html(value: object) -> str:
    """Return the one line that a value says of itself."""
    return _paragraph(repr(value))


def _paragraph(text: str) -> str:
    return f"<p>{html.escape(text)}</p>"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return cells as a table; they may hold anything, which is shown and never interpreted."""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in heads)
    backbone = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{backbone}</table>"


SHOWN: dict[tuple[str, str], Callable[[Any], str]] = {
    ("metrics.estimate", "Estimate"): estimate_html,
    ("metrics.predictions", "Predictions"): predictions_html,
    ("data.table", "ImageTable"): images_html,
    ("analysis.label_issues", "LabelIssues"): label_issues_html,
    ("analysis.audit", "Audit"): audit_html,
    ("analysis.explanation", "Explained"): explained_html,
    ("analysis.learning_curve", "LearningCurve"): figure_html,
    ("models.summary", "NetworkSummary"): summary_html,
    ("pipelines.comparison.compared_networks", "ComparedNetworks"): networks_html,
    ("tasks.foreign", "Evaluation"): evaluation_html,
    ("pipelines.fit_result", "FitResult"): result_html,
    ("runs.history", "History"): history_html,
    ("tasks.label_check", "LabelCheck"): label_check_html,
    ("tasks.run_comparison", "ComparedRuns"): text_html,
    ("tasks.run_learning_curve", "CurveOfRun"): text_html,
    ("tasks.split_folder", "SplitFolder"): text_html,
    ("core.findings", "Finding"): finding_html,
    ("features.extractor", "Features"): text_html,
    ("models.classifier", "Classifier"): text_html,
    ("pipelines.linear_heads", "FittedHead"): text_html,
    ("pipelines.tuning.search_result", "SearchResult"): text_html,
    ("training.lr_finder", "RangeTest"): figure_html,
}
"""What is shown as HTML: the module below `goldenrule` and the name of each type."""
