"""Intervals of metrics that are no means, where images come in groups: by leaving out groups in turn.

Quenouille (1956), Biometrika 43:353-360; delete-a-group: Kott (2001), Journal of Official Statistics 17:521-526.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Concatenate, ParamSpec

import numpy as np

from goldenrule.core.extras import Late
from goldenrule.metrics.estimate import Estimate
from goldenrule.metrics.grouped.clusters import FEWEST_GROUPS
from goldenrule.metrics.predictions import Predictions

Options = ParamSpec("Options")
Metric = Callable[Concatenate[Predictions, Options], Estimate]

MOST_LEFT_OUT = 40
"""More groups are left out some at a time: the variance is known well enough by so many."""


def over_groups(metric: Metric[Options]) -> Metric[Options]:
    """Return a metric whose interval takes the groups of predictions that have such for the sample.

    It is never narrower than for independent images; of fewer than six groups there is none. What is left out in turn
    is asked for its value alone: a metric that takes `resamples` draws one sample of it, not all.
    """
    resampling = "resamples" in inspect.signature(metric).parameters

    @functools.wraps(metric)
    def grouped(predictions: Predictions, /, *arguments: Options.args, **options: Options.kwargs) -> Estimate:
        if predictions.group is None:
            return metric(predictions, *arguments, **options)
        alone = replace(predictions.scored, group=None)
        found = metric(alone, *arguments, **options)
        groups = predictions.scored.group
        if groups is None or not found.defined:
            return found

        value_alone: dict[str, Any] = {**options, "resamples": 1} if resampling else options

        def value(rows: np.ndarray) -> float:
            return metric(alone.select(rows), *arguments, **value_alone).value

        return _jackknifed(found, value, groups)

    return grouped


def _jackknifed(found: Estimate, value: Callable[[np.ndarray], float], groups: np.ndarray) -> Estimate:
    stdtrit = Late("scipy.special").stdtrit

    codes = np.unique(groups, return_inverse=True)[1]
    count = int(codes.max()) + 1
    if count < FEWEST_GROUPS:
        nothing = "no interval: too few groups"
        return replace(found, low=np.nan, high=np.nan, groups=count, effective_n=float(count), method=nothing)
    left_out = min(count, MOST_LEFT_OUT)
    pieces = np.random.default_rng(0).permutation(count)[codes] % left_out
    values = np.array([value(np.flatnonzero(pieces != piece)) for piece in range(left_out)])
    values = values[np.isfinite(values)]
    error = float(np.sqrt((len(values) - 1) / len(values) * np.square(values - values.mean()).sum()))
    half = float(stdtrit(len(values) - 1, 0.975)) * error
    low, high = min(found.low, found.value - half), max(found.high, found.value + half)
    if found.kind != "number":  # a share, or how far two shares are apart
        low, high = max(low, 0.0), min(high, 1.0)
    share = ((found.high - found.low) / (high - low)) ** 2 if high > low else 1.0
    return replace(
        found,
        low=low,
        high=high,
        groups=count,
        effective_n=found.n * min(share, 1.0),
        method=f"jackknife 95 % over groups, else {found.method}",
    )
