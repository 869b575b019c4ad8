"""The report of a run: one HTML file that needs nothing but itself, and the figures for a notebook.

Reading order: content, content_files · sentences, tables, facts, advice · album, thumbnails · class_strips,
confusion_view, threshold_curves, training_curves · project_notes, model_card; then pages and figures.
"""

from typing import TYPE_CHECKING

from goldenrule.core.lazy import lazy

if TYPE_CHECKING:
    from goldenrule.report.figures.heat import explanation_figure
    from goldenrule.report.figures.reliability import reliability_figure

__all__ = [
    "explanation_figure",
    "reliability_figure",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "explanation_figure": "figures.heat",
        "reliability_figure": "figures.reliability",
    },
)
