"""Metrics of one's own: functions of `Predictions`, computed on the validation images after every epoch."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from goldenrule.evaluation import Estimate, Predictions
from goldenrule.foundation.errors import OptionError
from goldenrule.foundation.functions import function_name, key_of
from goldenrule.training.history import COLUMNS


@dataclass(frozen=True, slots=True)
class Metric:
    """A function of predictions that gives a number or an `Estimate`, its name in a history, and its key (law 7)."""

    name: str
    function: Callable[[Predictions], float | Estimate]
    key: str

    def __call__(self, predictions: Predictions) -> float:
        """Give the number; `OptionError` where the function gives something else."""
        found = self.function(predictions)
        value = found.value if isinstance(found, Estimate) else found
        if not isinstance(value, numbers.Real):
            raise OptionError(f"The metric {self.name} gave {type(found).__name__}; wanted a number or an Estimate.")
        return float(value)


def own_metric(
    function: Callable[[Predictions], float | Estimate], *, name: str | None = None, key: str | None = None
) -> Metric:
    """Give a metric for `Learner(metrics=[...])`: `function(predictions)` gives a number or an `Estimate`.

    It is called `name`, by default as the function is, and known by the function's source or by `key`; `OptionError`
    where it has neither.
    """
    what = "the epochs with this metric"
    return Metric(name or function_name(function), function, key or key_of(function, what, "my-metric-v1"))


def metrics_of(given: Sequence[Metric | Callable[[Predictions], float | Estimate]]) -> tuple[Metric, ...]:
    """Give metrics of functions; `OptionError` where two have one name, or that of a column of every history."""
    found = tuple(one if isinstance(one, Metric) else own_metric(one) for one in given)
    names = [metric.name for metric in found]
    for name in names:
        if names.count(name) > 1 or name in COLUMNS:
            raise OptionError(
                f"metrics: the name {name!r} is taken. Give another one: gr.own_metric(function, name='mine')."
            )
    return found


def measured(
    metrics: Sequence[Metric],
    classes: Sequence[str],
    logits: npt.NDArray[np.float64],
    truth: npt.NDArray[np.int64],
) -> dict[str, float]:
    """Give the metrics by name, of logits (n, classes) and class numbers (n,); none where a logit is no number."""
    if not metrics or not np.isfinite(logits).all():
        return {}
    seen = Predictions.from_logits(logits.astype(np.float32), classes, truth=truth, basis="chosen on")
    return {metric.name: metric(seen) for metric in metrics}
