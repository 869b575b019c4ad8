"""Metrics of one's own: computed after every epoch on validation, shown wherever epochs are, no part of any key."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import goldenrule as gr
from goldenrule.core.errors import OptionError
from goldenrule.core.progress import Silent
from goldenrule.metrics import Predictions
from goldenrule.notebook import history_html
from goldenrule.report.figures.plot import plot
from goldenrule.training import checkpoint
from goldenrule.training.custom_metrics import measured, metrics_of
from goldenrule.training.inputs.batches import ValidationLogits
from goldenrule.training.loggers import numbers

Learner = Callable[..., gr.Learner]


def missed_dogs(predictions: Predictions) -> float:
    """The share of dogs that are taken for cats."""
    dogs = predictions.truth == 1
    return float(np.mean(predictions.predicted[dogs] == 0))


@pytest.fixture
def learner(small_photos: Path, cache: Path, tmp_path: Path) -> Learner:
    images = gr.from_folder(small_photos)

    def make(**options: Any) -> gr.Learner:
        usual = {"folder": tmp_path / "steps", "progress": Silent(), "precompute": True, "batch_size": 40}
        return gr.Learner(images, **(usual | options))

    return make


def test_every_epoch_has_the_metric_of_its_weights_and_the_last_one_is_that_of_the_learner(learner: Learner) -> None:
    learn = learner(metrics={"missed": missed_dogs, "right": gr.metrics.accuracy, "nats": gr.metrics.log_loss})
    rows = learn.fit(1e-2, 3).rows
    assert [list(row.metrics) for row in rows] == [["missed", "right", "nats"]] * 3
    assert all(row.metrics["right"] == row.accuracy for row in rows)
    assert all(row.metrics["nats"] == pytest.approx(row.valid_loss, abs=1e-5) for row in rows)
    assert rows[-1].metrics["missed"] == pytest.approx(missed_dogs(learn.evaluate()))


def test_one_that_is_added_later_shows_without_training_again(
    learner: Learner, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = learner()
    plain = before.fit(1e-2, 2)
    monkeypatch.setattr("goldenrule.training.verb_runner.run", None)  # nothing can be trained any more
    later = learner(metrics=[missed_dogs, lambda predictions: len(predictions.ids)])
    rows = later.fit(1e-2, 2).rows
    assert [replace(row, metrics={}) for row in rows] == list(plain)
    assert [row.metrics["missed_dogs"] for row in rows][-1] == pytest.approx(missed_dogs(before.evaluate()))
    assert {value for row in rows for name, value in row.metrics.items() if "lambda" in name} == {16.0}
    assert later.state.key == before.state.key


def test_a_killed_fit_that_goes_on_has_them_of_all_epochs(learner: Learner, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = learner(metrics=[missed_dogs], folder=None, replay=False).fit(1e-2, 3)
    save = checkpoint.save

    def killed(path: Path, state: checkpoint.Checkpoint) -> None:
        save(path, state)
        if len(state.rows) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("goldenrule.training.checkpoint.save", killed)
        with pytest.raises(KeyboardInterrupt):
            learner().fit(1e-2, 3)
    assert learner(metrics=[missed_dogs]).fit(1e-2, 3) == whole


def test_they_are_shown_in_the_table_the_csv_the_frame_the_plot_and_the_logs(learner: Learner) -> None:
    history = learner(metrics=[missed_dogs]).fit(1e-2, 2)
    head, *lines = str(history).splitlines()
    value = f"{history.rows[0].metrics['missed_dogs']:.4f}"
    before_rate = len(head) - len("  rate")
    assert head[:before_rate].endswith(" missed_dogs")
    assert lines[0][:before_rate].endswith(f" {value}")
    assert "<th>missed_dogs</th>" in history_html(history)
    rows = list(csv.DictReader(io.StringIO(history.to_csv())))
    assert [float(row["missed_dogs"]) for row in rows] == [row.metrics["missed_dogs"] for row in history]
    assert list(history.to_frame()["missed_dogs"]) == [row.metrics["missed_dogs"] for row in history]
    assert [axes.get_ylabel() for axes in plot(history).axes][2] == "custom metrics on valid"
    assert numbers(history.rows[0])["missed_dogs/valid"] == history.rows[0].metrics["missed_dogs"]


def test_what_is_wrong_with_a_metric_is_said(learner: Learner) -> None:
    with pytest.raises(OptionError, match="'accuracy' is taken"):
        metrics_of([gr.metrics.accuracy])
    with pytest.raises(OptionError, match="'missed_dogs' is taken"):
        metrics_of([missed_dogs, missed_dogs])
    with pytest.raises(OptionError, match="'f1' was given; wanted a function of Predictions"):
        metrics_of(["f1"])  # type: ignore[list-item]
    with pytest.raises(OptionError, match="gave str; wanted a number or an Estimate"):
        learner(metrics={"wrong": lambda _: "high"}).fit(1e-2, 1)


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True, width=32), min_size=2, max_size=8))
@settings(max_examples=30, deadline=None)
def test_logits_that_are_no_numbers_are_not_measured(values: list[float]) -> None:
    logits = np.array(values[: len(values) // 2 * 2], np.float32).reshape(-1, 2)
    found = measured({"missed": missed_dogs}, ("cat", "dog"), ValidationLogits(logits, np.ones(len(logits), np.int64)))
    assert bool(found) == bool(np.isfinite(logits).all())
