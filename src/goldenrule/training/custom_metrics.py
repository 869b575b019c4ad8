"""Metrics of one's own: functions of `Predictions`, by name, for the validation images after every epoch.

They are no part of what a fit is kept under: the logits of every epoch are kept with it, and a metric that is
asked for later is computed from them.
"""

from __future__ import annotations

import numbers
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from goldenrule.core.errors import OptionError
from goldenrule.core.functions import function_name
from goldenrule.metrics import Estimate, Predictions, Task
from goldenrule.metrics.estimate import Basis
from goldenrule.runs.history import COLUMNS
from goldenrule.training.inputs.batches import ValidationLogits

Metric = Callable[[Predictions], float | Estimate]
Metrics = Mapping[str, Metric]


def metrics_of(given: Metrics | Sequence[Metric]) -> Metrics:
    """Return metrics by name, of functions or as they are; `OptionError` for what is none, or a name that is taken."""
    found = list(given.items()) if isinstance(given, Mapping) else [(_name(one), one) for one in given]
    for name, metric in found:
        if not callable(metric):
            raise OptionError(f"metrics: {metric!r:.80} was given; wanted a function of Predictions.")
        if name in COLUMNS or [other for other, _ in found].count(name) > 1:
            raise OptionError(f'metrics: the name {name!r} is taken. Name them: metrics={{"mine": function}}.')
    return dict(found)


def measured(metrics: Metrics, classes: Sequence[str], seen: ValidationLogits) -> dict[str, float]:
    """Return the metrics of what was seen; none where a logit is no number."""
    if not metrics or not np.isfinite(seen.logits).all():
        return {}
    task: Task = "single" if seen.truth.ndim == 1 else "multi"
    predictions = Predictions.from_logits(
        seen.logits, classes, truth=seen.truth, task=task, basis=Basis.USED_FOR_SELECTION
    )
    return {name: _number(name, metric(predictions)) for name, metric in metrics.items()}


def _name(metric: Any) -> str:
    return function_name(metric) if callable(metric) else str(metric)


def _number(name: str, found: Any) -> float:
    value = found.value if isinstance(found, Estimate) else found
    if not isinstance(value, numbers.Real):
        raise OptionError(f"The metric {name} gave {type(found).__name__}; wanted a number or an Estimate.")
    return float(value)
