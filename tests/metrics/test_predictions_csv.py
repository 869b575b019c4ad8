"""Predictions as CSV, read back: one label or several, with names of any kind."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goldenrule.metrics import Predictions, best_thresholds
from goldenrule.metrics.predictions_csv import from_csv, rows_of, to_csv

NAMES = ["sea", "blow down", "a,b", 'quo"te']


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(2, 4), st.booleans(), st.sampled_from(["single", "multi"]))
def test_what_is_written_is_read_back(seed: int, classes: int, folds: bool, task: str) -> None:
    draws = np.random.default_rng(seed)
    n, names = 6, NAMES[:classes]
    truth = draws.integers(-1, classes, size=n) if task == "single" else draws.integers(0, 2, size=(n, classes))
    if task == "multi":
        truth[truth.sum(axis=1) == 0] = -1
    predictions = Predictions.from_logits(
        draws.normal(size=(n, classes)),
        names,
        truth=truth,
        task=task,  # type: ignore[arg-type]
        fold=draws.integers(0, 3, size=n) if folds else None,
    )
    again = from_csv(to_csv(predictions), task=predictions.task)
    assert again.classes == predictions.classes
    assert (again.truth == predictions.truth).all() or not predictions.labelled.any()
    assert again.probabilities == pytest.approx(predictions.probabilities, abs=1e-7)
    assert (again.fold is None) is (predictions.fold is None)


def test_several_labels_stand_between_spaces_the_likeliest_first() -> None:
    predictions = Predictions.from_logits(
        [[1.0, 2.0, -3.0], [-1.0, -1.0, -1.0]], ["sea", "sky", "trees"], truth=[[1, 1, 0], [0, 0, 1]], task="multi"
    )
    first, second = rows_of(predictions)
    assert (first["prediction"], first["truth"]) == ("sky sea", "sea sky")
    assert (second["prediction"], second["status"]) == ("", "ok"), "nothing is called, and it was read well"
    low = best_thresholds(predictions, beta=4).apply(predictions)
    assert len(next(rows_of(low))["prediction"].split()) >= 2


def test_a_bar_stands_between_labels_where_a_name_has_spaces() -> None:
    predictions = Predictions.from_logits([[1.0, 2.0]], ["blow down", "sea"], truth=[[1, 1]], task="multi")
    assert next(rows_of(predictions))["prediction"] == "sea | blow down"
