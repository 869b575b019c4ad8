"""Metrics that are no means, of images in groups: never narrower than alone, wider where a group goes together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

import goldenrule as gr
from goldenrule.metrics import Estimate, Predictions
from goldenrule.metrics.class_averages import f_beta
from goldenrule.metrics.class_scores import per_class
from goldenrule.metrics.grouped.jackknife import over_groups

METRICS: dict[str, Callable[[Predictions], Estimate]] = {
    "macro F1": f_beta,
    "balanced accuracy": gr.metrics.balanced_accuracy,
    "kappa": gr.metrics.cohen_kappa,
    "correlation": gr.metrics.matthews_correlation,
    "area": gr.metrics.roc_auc,
    "precision": gr.metrics.average_precision,
    "calibration": gr.metrics.calibration_error,
}


def films(seed: int, *, count: int = 24, frames: int = 10, together: float = 1.5) -> Predictions:
    """Films that are easy or hard as a whole."""
    draws = np.random.default_rng(seed)
    truth = np.repeat(np.arange(count) % 2, frames)
    group = np.repeat(np.arange(count), frames)
    skill = 1.0 + together * draws.normal(size=count)[group]
    logits = draws.normal(size=(count * frames, 2)) + skill[:, np.newaxis] * np.eye(2)[truth]
    return Predictions.from_logits(logits, ["cat", "dog"], truth=truth, group=group)


@pytest.mark.parametrize("name", METRICS)
def test_groups_make_no_interval_narrower_and_leave_the_value(name: str) -> None:
    grouped = films(0)
    alone, found = METRICS[name](replace(grouped, group=None)), METRICS[name](grouped)
    assert found.value == alone.value
    assert found.low <= alone.low <= alone.high <= found.high
    assert found.groups == 24
    assert found.effective_n is not None
    assert found.effective_n < alone.n


@pytest.mark.parametrize("name", METRICS)
def test_of_five_groups_there_is_no_interval(name: str) -> None:
    found = METRICS[name](films(1, count=5))
    assert not found.bounded
    assert "5 groups" in str(found)


@pytest.mark.exhaustive
def test_the_interval_of_macro_f_holds_where_films_go_together() -> None:
    truth = f_beta(replace(films(99, count=4000), group=None)).value
    held = [estimate.low <= truth <= estimate.high for estimate in (f_beta(films(seed)) for seed in range(60))]
    alone = [
        estimate.low <= truth <= estimate.high
        for estimate in (f_beta(replace(films(seed), group=None)) for seed in range(60))
    ]
    assert np.mean(held) >= 0.86, "93 %, less two standard errors"
    assert np.mean(alone) < 0.8


def test_precision_and_recall_of_a_class_rest_on_its_groups() -> None:
    cat, _ = per_class(films(2))
    assert cat.recall.groups == 12
    assert cat.recall.n == 120
    assert (cat.recall.effective_n or 0) < 120
    assert cat.recall.value == cat.true_positives / cat.support


def test_what_is_left_out_in_turn_is_asked_for_its_value_alone() -> None:
    drawn: list[int] = []

    def metric(predictions: Predictions, *, resamples: int = 2000) -> Estimate:
        drawn.append(resamples)
        return f_beta(replace(predictions, group=None))

    found, wanted = over_groups(metric)(films(3)), f_beta(films(3))
    assert drawn == [2000] + [1] * 24
    assert (found.low, found.value, found.high) == (wanted.low, wanted.value, wanted.high)
