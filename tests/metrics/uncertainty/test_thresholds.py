"""From what probability a label is called: what F-beta asks for, evaluated on images that have not chosen it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import fbeta_score

from goldenrule.core.errors import FormatError, OptionError
from goldenrule.core.schema import as_json, from_json
from goldenrule.metrics import (
    Predictions,
    Thresholds,
    best_thresholds,
    called_labels,
    f_beta,
    quality,
    with_class_thresholds,
    with_thresholds_by_fold,
)
from goldenrule.metrics.arrow import from_arrow, to_arrow

CLASSES = ("sea", "sunset", "trees")
light = settings(deadline=None, max_examples=25)


def seen(n: int = 60, *, seed: int = 0, folds: bool = True, noise: float = 1.5) -> Predictions:
    """Return predictions of three labels, each image having one at least; the last is called too rarely at .5."""
    draws = np.random.default_rng(seed)
    truth = draws.integers(0, 2, size=(n, 3))
    truth[truth.sum(axis=1) == 0, 0] = 1
    logits = 3 * truth - 1.5 + noise * draws.normal(size=truth.shape) - np.array([0, 0, 3])
    fold = np.arange(n) % 4 if folds else None
    return Predictions.from_logits(logits, CLASSES, truth=truth, task="multi", fold=fold)


@light
@given(st.integers(0, 1000), st.sampled_from([0.5, 1, 2]))
def test_no_threshold_for_all_scores_better_than_what_was_chosen(seed: int, beta: float) -> None:
    predictions = seen(seed=seed)
    chosen = best_thresholds(predictions, beta=beta).apply(predictions)
    best = f_beta(chosen, beta, average="samples").value
    for common in (0.05, 0.2, 0.5, 0.8):
        assert best >= f_beta(predictions, beta, average="samples", thresholds=common).value - 1e-12


@light
@given(st.integers(0, 1000))
def test_recall_that_counts_more_lowers_the_thresholds(seed: int) -> None:
    predictions = seen(200, seed=seed, noise=3)
    low, high = (np.mean(best_thresholds(predictions, beta=beta).values) for beta in (4, 0.25))
    assert low < high


def test_the_score_is_that_of_scikit_learn() -> None:
    predictions = best_thresholds(seen(), beta=2).apply(seen())
    expected = fbeta_score(
        predictions.truth, predictions.called.astype(int), beta=2, average="samples", zero_division=1
    )
    assert quality(predictions, beta=2).value == pytest.approx(expected)


def test_a_label_that_is_called_too_rarely_gets_a_threshold_of_its_own() -> None:
    chosen = best_thresholds(seen(400), beta=1)
    assert chosen.per_class
    assert chosen.values[2] < min(chosen.values[:2])
    assert "its own threshold" in chosen.sentence


def test_where_all_labels_are_alike_one_threshold_serves_them() -> None:
    draws = np.random.default_rng(1)
    truth = np.maximum(draws.integers(0, 2, size=(40, 3)), np.eye(3, dtype=int)[draws.integers(3, size=40)])
    likely = Predictions.from_logits(8.0 * truth - 4, CLASSES, truth=truth, task="multi")
    chosen = best_thresholds(likely)
    assert not chosen.per_class
    assert len(set(chosen.values)) == 1
    assert quality(chosen.apply(likely)).value == 1


def test_the_thresholds_of_a_fold_are_chosen_without_it() -> None:
    predictions = seen(80, seed=3)
    chosen = best_thresholds(predictions, beta=2)
    by_fold = with_thresholds_by_fold(predictions, chosen)
    assert by_fold.thresholds is not None
    turned = np.where(predictions.fold[:, None] == 0, 1 - predictions.truth, predictions.truth)  # type: ignore[index]
    changed = with_thresholds_by_fold(
        Predictions.from_logits(predictions.logits, CLASSES, truth=turned, task="multi", fold=predictions.fold), chosen
    )
    assert changed.thresholds is not None
    first = np.asarray(predictions.fold) == 0
    assert (by_fold.thresholds[first] == changed.thresholds[first]).all(), "its own truth changes nothing"
    assert (by_fold.thresholds[~first] != changed.thresholds[~first]).any()


def test_what_is_measured_by_fold_does_not_flatter_noise() -> None:
    gains = []
    for seed in range(12):
        draws = np.random.default_rng(seed)
        truth = draws.integers(0, 2, size=(30, 3))
        truth[:, 0] = 1
        noise = Predictions.from_logits(draws.normal(size=(30, 3)), CLASSES, truth=truth, task="multi")
        on_itself = quality(best_thresholds(noise).apply(noise)).value
        gains.append(on_itself - quality(with_class_thresholds(noise)).value)
    assert np.mean(gains) > 0


def test_predictions_keep_their_thresholds_through_everything() -> None:
    predictions = best_thresholds(seen(), beta=2).apply(seen())
    assert (called_labels(predictions) == predictions.called).all()
    assert from_arrow(to_arrow(predictions)) == predictions
    turned = predictions.aligned_to(CLASSES[::-1])
    assert (turned.called == predictions.called[:, ::-1]).all()
    halves = Predictions.concatenate([predictions.select(np.arange(30)), predictions.select(np.arange(30, 60))])
    assert halves == predictions
    with pytest.raises(OptionError, match="with thresholds"):
        Predictions.concatenate([predictions, seen()])


def test_thresholds_are_read_back_and_matched_by_name() -> None:
    chosen = best_thresholds(seen(), beta=2)
    again = from_json(as_json(chosen), Thresholds)
    assert again == chosen
    other = seen().aligned_to(CLASSES[::-1])
    assert (again.apply(other).called[:, ::-1] == again.apply(seen()).called).all()


@pytest.mark.parametrize(
    "value", [None, {}, {"values": [0.5]}, {"values": {"sea": 2.0}, "beta": 1, "n": 3, "per_class": True}]
)
def test_what_is_no_threshold_is_a_clear_error(value: Any) -> None:
    with pytest.raises(FormatError, match="can't be read"):
        from_json(value, Thresholds)


def test_one_label_has_no_thresholds() -> None:
    single = Predictions.from_logits([[1.0, 0.0]], ["cat", "dog"], truth=[0])
    with pytest.raises(OptionError, match="many labels"):
        best_thresholds(single)
    assert with_class_thresholds(single) is single
    with pytest.raises(OptionError, match="many labels"):
        Predictions(
            classes=("cat", "dog"),
            ids=("a",),
            status=np.array(["ok"]),
            truth=np.array([0]),
            logits=np.zeros((1, 1, 2), np.float32),
            thresholds=np.full((1, 2), 0.5),
        )
