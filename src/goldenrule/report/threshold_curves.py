"""Precision, recall and false alarms of one class as its threshold moves: counts and intervals, and two curves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from goldenrule.metrics import Estimate, Predictions, RankingScore, ranking_per_class, value_and_interval
from goldenrule.report.figures.drawing import Axes, Ticks, nice_ticks, polyline

MOST_STEPS, MOST_CURVES = 80, 24
"""A slider has so many positions; so many classes have one."""
HEIGHT = 400
DEFAULT = 0.5

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdStep:
    """What is called at a threshold: found, missed and false alarms as counts, shares in words, dots on the curves."""

    threshold: str
    found: int
    missed: int
    false_alarms: int
    recall: str
    precision: str
    dots: tuple[float, float, float, float]

    @property
    def cells(self) -> list[str | int | float]:
        """The same as a list, for the page's script."""
        counts = (self.found, self.missed, self.false_alarms)
        return [self.threshold, *(f"{count:,}" for count in counts), self.recall, self.precision, *self.dots]


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdCurves:
    """A class against the rest: precision over recall, recall over false alarms, and a step for each threshold.

    `start` is the step that the classifier itself takes.
    """

    name: str
    ranking: RankingScore
    n: int
    steps: tuple[ThresholdStep, ...]
    start: int
    axes: Axes
    x_ticks: Ticks
    y_ticks: Ticks
    precision_line: str
    roc_line: str
    chance: tuple[float, float, float, float]


def threshold_curves(
    predictions: Predictions, thresholds: Mapping[str, float] | None = None
) -> tuple[ThresholdCurves, ...]:
    """Return the curves of both of two classes, the rarer first, or of each of several labels, the most frequent first.

    Classes without two kinds of images have none, nor have more than two classes of a single label.
    """
    scored = predictions.scored
    if not len(scored) or (scored.task == "single" and len(scored.classes) != 2):
        return ()
    single = scored.task == "single"
    rankings = [one for one in ranking_per_class(predictions) if 0 < one.support < len(scored)]
    rankings = sorted(rankings, key=lambda one: one.support if single else -one.support)[:MOST_CURVES]
    limits = thresholds or {}
    return tuple(_curves(scored, one, limits.get(one.name, DEFAULT)) for one in rankings)


def step_values(probabilities: Floats, threshold: float) -> tuple[list[float], int]:
    """Return rising thresholds, at most `MOST_STEPS`, that tell the images apart evenly; and the place of one of them.

    >>> step_values(np.array([0.2, 0.4, 0.8]), 0.5)
    ([0.2, 0.4, 0.5, 0.8], 2)
    """
    distinct = np.unique(probabilities)
    if len(distinct) > MOST_STEPS - 1:
        distinct = np.unique(np.quantile(probabilities, np.linspace(0, 1, MOST_STEPS - 1), method="nearest"))
    values = sorted({*distinct.tolist(), threshold})
    return values, values.index(threshold)


def _curves(scored: Predictions, ranking: RankingScore, threshold: float) -> ThresholdCurves:
    label = scored.classes.index(ranking.name)
    probabilities = scored.probabilities[:, label]
    true = scored.truth == label if scored.task == "single" else scored.truth[:, label] == 1
    values, start = step_values(probabilities, threshold)
    ticks = nice_ticks(0, 1, most=6)
    axes = Axes(height=HEIGHT, left=0.0, right=1.0, bottom=0.0, top=1.0)
    steps = tuple(_step(scored, probabilities, true, value, axes) for value in values)
    percent = [(tick, f"{100 * tick:.0f} %") for tick in ticks]
    return ThresholdCurves(
        name=ranking.name,
        ranking=ranking,
        n=len(scored),
        steps=steps,
        start=start,
        axes=axes,
        x_ticks=tuple((axes.x(tick), said) for tick, said in percent),
        y_ticks=tuple((axes.y(tick), said) for tick, said in percent),
        precision_line=polyline([step.dots[:2] for step in steps]),
        roc_line=polyline([(axes.x(1.0), axes.y(1.0)), *(step.dots[2:] for step in steps), (axes.x(0.0), axes.y(0.0))]),
        chance=(axes.x(0.0), axes.y(0.0), axes.x(1.0), axes.y(1.0)),
    )


def _step(scored: Predictions, probabilities: Floats, true: Flags, threshold: float, axes: Axes) -> ThresholdStep:
    called = probabilities >= threshold
    found, alarms = int((called & true).sum()), int((called & ~true).sum())
    recall = Estimate.of_right("recall", called[true], scored.groups_of(true))
    precision = Estimate.of_right("precision", true[called], scored.groups_of(called))
    alarm_rate = alarms / int((~true).sum())
    return ThresholdStep(
        threshold=f"{threshold:.7g}" if threshold > 0.999 else f"{threshold:.3g}",
        found=found,
        missed=int(true.sum()) - found,
        false_alarms=alarms,
        recall=value_and_interval(recall),
        precision=value_and_interval(precision),
        dots=(
            axes.x(recall.value),
            axes.y(precision.value if precision.defined else 1.0),
            axes.x(alarm_rate),
            axes.y(recall.value),
        ),
    )
