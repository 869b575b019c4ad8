"""Metrics of one's own: computed after every epoch on validation, kept in the history, logged, and part of its key."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import goldenrule as gr
from goldenrule.evaluation import Predictions
from goldenrule.foundation.errors import OptionError
from goldenrule.foundation.progress import Silent
from goldenrule.training.loggers import numbers
from goldenrule.training.metrics import measured, metrics_of

Learner = Callable[..., gr.Learner]


def missed_dogs(predictions: Predictions) -> float:
    """The share of dogs that are taken for cats."""
    dogs = predictions.truth == 1
    return float(np.mean(predictions.predicted[dogs] == 0))


@pytest.fixture
def learner(small_photos: Path, cache: Path, tmp_path: Path) -> Learner:
    images = gr.from_folder(small_photos)

    def make(**options: Any) -> gr.Learner:
        usual = {"folder": tmp_path / "story", "progress": Silent(), "precompute": True, "batch_size": 40}
        return gr.Learner(images, **(usual | options))

    return make


def test_every_epoch_has_the_metric_of_its_weights_and_the_last_one_is_that_of_the_learner(learner: Learner) -> None:
    learn = learner(
        metrics=[missed_dogs, gr.own_metric(gr.accuracy, name="right"), gr.own_metric(gr.log_loss, name="nats")]
    )
    rows = learn.fit(1e-2, 3).rows
    assert [list(row.metrics) for row in rows] == [["missed_dogs", "right", "nats"]] * 3
    assert all(row.metrics["right"] == row.accuracy for row in rows)
    assert all(row.metrics["nats"] == pytest.approx(row.valid_loss, abs=1e-5) for row in rows)
    assert rows[-1].metrics["missed_dogs"] == pytest.approx(missed_dogs(learn.evaluate()))


def test_they_change_nothing_of_what_is_learned(learner: Learner) -> None:
    plain, looked_at = learner(), learner(metrics=[missed_dogs])
    plain.fit(1e-2, 2)
    looked_at.fit(1e-2, 2)
    assert np.array_equal(plain.state.head.tensors["weight"], looked_at.state.head.tensors["weight"])


def test_a_replayed_fit_shows_them_again_and_a_changed_metric_is_computed(learner: Learner) -> None:
    calls = []

    def counted(weight: float) -> Callable[[Predictions], float]:
        def metric(predictions: Predictions) -> float:
            return weight * len(predictions.ids)

        return lambda predictions: calls.append(weight) or metric(predictions)

    def own(weight: float, key: str) -> Any:
        return gr.own_metric(counted(weight), name="weighted", key=key)

    first = learner(metrics=[own(1.0, "a")]).fit(1e-2, 2)
    again = learner(metrics=[own(1.0, "a")]).fit(1e-2, 2)
    other = learner(metrics=[own(2.0, "b")]).fit(1e-2, 2)
    assert again == first
    assert [row.metrics["weighted"] for row in other] == [2 * row.metrics["weighted"] for row in first]
    assert calls == [1.0, 1.0, 2.0, 2.0]


def test_they_are_shown_in_the_table_the_csv_the_frame_the_plot_and_the_logs(learner: Learner) -> None:
    history = learner(metrics=[missed_dogs]).fit(1e-2, 2)
    head, *lines = str(history).splitlines()
    value = f"{history.rows[0].metrics['missed_dogs']:.4f}"
    before_rate = len(head) - len("  rate")
    assert head[:before_rate].endswith(" missed_dogs")
    assert lines[0][:before_rate].endswith(f" {value}")
    assert "<th>missed_dogs</th>" in history._repr_html_()
    rows = list(csv.DictReader(io.StringIO(history.to_csv())))
    assert [float(row["missed_dogs"]) for row in rows] == [row.metrics["missed_dogs"] for row in history]
    assert list(history.to_frame()["missed_dogs"]) == [row.metrics["missed_dogs"] for row in history]
    assert [axes.get_ylabel() for axes in history.plot().axes][2] == "own metrics on valid"
    assert numbers(history.rows[0])["missed_dogs/valid"] == history.rows[0].metrics["missed_dogs"]


def test_what_is_wrong_with_a_metric_is_said(learner: Learner) -> None:
    with pytest.raises(OptionError, match="'accuracy' is taken"):
        metrics_of([gr.own_metric(missed_dogs, name="accuracy")])
    with pytest.raises(OptionError, match="'missed_dogs' is taken"):
        metrics_of([missed_dogs, missed_dogs])
    with pytest.raises(OptionError, match='key="my-metric-v1"'):
        metrics_of([eval("lambda predictions: 0.0")])
    with pytest.raises(OptionError, match="was given; wanted a function"):
        metrics_of(["f1"])  # type: ignore[list-item]
    with pytest.raises(OptionError, match="gave str; wanted a number or an Estimate"):
        learner(metrics=[gr.own_metric(lambda _: "high", name="wrong", key="1")]).fit(1e-2, 1)  # type: ignore[arg-type, return-value]


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True, width=32), min_size=2, max_size=8))
@settings(max_examples=30, deadline=None)
def test_logits_that_are_no_numbers_are_not_measured(values: list[float]) -> None:
    logits = np.array(values[: len(values) // 2 * 2], np.float64).reshape(-1, 2)
    found = measured(metrics_of([missed_dogs]), ("cat", "dog"), logits, np.ones(len(logits), np.int64))
    assert bool(found) == bool(np.isfinite(logits).all())
