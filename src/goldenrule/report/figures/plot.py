"""Values as figures: `plot` takes what the other modules make, none of which knows how it is drawn."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, get_args

from goldenrule.analysis.learning_curve import LearningCurve
from goldenrule.core.errors import OptionError
from goldenrule.data.table import ImageTable
from goldenrule.metrics import Predictions
from goldenrule.report.figures.picture_figures import COLUMNS, class_strips, hardest
from goldenrule.runs.history import History
from goldenrule.training.lr_finder import RangeTest
from goldenrule.training.schedule import Constant, OneCycle, Schedule, Sgdr

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RangeCurve = Literal["loss", "rate"]
"""What is drawn of the learning-rate finder: the loss over the rate, or the rate over the steps."""


@functools.singledispatch
def plot(value: object, **how: Any) -> Figure:
    """Return a matplotlib figure of a value.

    - what `Learner.lr_find` returned: the loss over the rate, with the suggestions; `show="rate"`: the rate over the
      steps (fastai's `plot_lr`);
    - a learner's history: losses, accuracy and rates over the epochs;
    - a schedule: rate and momentum over the epochs; `rate` is the full rate;
    - labelled images: a strip of `each` pictures for every class; with `predictions` of them those of the highest
      loss, the worst first, what is true above what was predicted (fastai's `plot_top_losses`);
    - labelled predictions, or what `fit` or `evaluate` returned: the confusion matrix;
    - a learning curve: points, forecast and its band over images per class; `target` is drawn as a line.

    Raises `OptionError` for anything else.
    """
    found = getattr(value, "predictions", None)  # of a result of the floors above
    if isinstance(found, Mapping):
        found = found.get(getattr(value, "headline_split", ""))
    if isinstance(found, Predictions):
        return plot(found, **how)
    raise OptionError(
        f"There is no figure of {type(value).__name__}. Wanted what lr_find() returned, a learner's history, a "
        "schedule, images, predictions, what fit or evaluate returned, or a learning curve."
    )


@plot.register(RangeTest)
def _(value: RangeTest, *, show: RangeCurve = "loss") -> Figure:
    from goldenrule.report.figures.training_figures import range_figure, rate_figure

    if show not in get_args(RangeCurve):
        raise OptionError(f"show={show!r}: wanted one of {', '.join(get_args(RangeCurve))}.")
    return range_figure(value) if show == "loss" else rate_figure(value)


@plot.register(History)
def _(value: History) -> Figure:
    from goldenrule.report.figures.training_figures import history_figure

    return history_figure(value)


@plot.register(Constant)
@plot.register(Sgdr)
@plot.register(OneCycle)
def _(value: Schedule, *, rate: float = 1.0) -> Figure:
    from goldenrule.report.figures.training_figures import schedule_figure

    return schedule_figure(value, rate)


@plot.register(LearningCurve)
def _(value: LearningCurve, *, target: float | None = None) -> Figure:
    from goldenrule.report.figures.data_figure import curve_figure

    return curve_figure(value, target=target)


@plot.register(ImageTable)
def _(value: ImageTable, *, each: int = COLUMNS, predictions: Predictions | None = None) -> Figure:
    return class_strips(value, each=each) if predictions is None else hardest(value, predictions)


@plot.register(Predictions)
def _(value: Predictions) -> Figure:
    from goldenrule.report.figures.confusion_figure import confusion_figure

    if len(value) and not len(value.scored):
        raise OptionError(
            "These predictions have no labels to be compared with: there is no confusion to draw. Wanted those of "
            "labelled images, such as result.predictions['test'], or what gr.evaluate(run, images) returns."
        )
    return confusion_figure(value)
