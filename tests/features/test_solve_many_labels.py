"""Heads for many labels: a logistic regression per class, all with one penalty."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from goldenrule.features.likelihood import losses
from goldenrule.features.linear import Rows, fit_linear, fit_linear_at

Floats = npt.NDArray[np.float32]
Marks = npt.NDArray[np.int8]


def random_data(n: int = 300, features: int = 20, classes: int = 4, *, seed: int = 0) -> tuple[Floats, Marks]:
    draws = np.random.default_rng(seed)
    x = 5 + draws.normal(size=(n, features)) * np.linspace(0.2, 3, features)
    plane = draws.normal(size=(features, classes))
    marks = ((x - 5) @ plane + draws.normal(size=(n, classes)) * 4 > 2).astype(np.int8)
    return x.astype(np.float32), marks


def rows_of(x: Floats, marks: Marks, **changes: Any) -> Rows:
    about: dict[str, Any] = {
        "read": lambda start, stop: x[start:stop],
        "targets": marks,
        "weights": np.ones(len(x), np.float32),
        "folds": np.arange(len(x)) % 5,
        "features": x.shape[1],
        "classes": marks.shape[1],
        "scored": len(x),
    }
    return Rows(**about | changes)


@pytest.mark.parametrize("l2", [1e-1, 1e-3])
@pytest.mark.parametrize("budget", [4 << 30, 0])
def test_the_head_is_one_logistic_regression_per_class_in_memory_or_streamed(l2: float, budget: int) -> None:
    x, marks = random_data()
    head = fit_linear_at(rows_of(x, marks, budget_bytes=budget), l2, tolerance=1e-9)
    centred = x.astype(np.float64) - x.mean(axis=0, dtype=np.float64)
    scaled = centred / np.sqrt(np.mean(centred**2))
    ours = expit(head.logits(x).astype(np.float64))
    for label in range(marks.shape[1]):
        model = LogisticRegression(C=1 / (l2 * len(x)), tol=1e-10, max_iter=10_000).fit(scaled, marks[:, label])
        assert ours[:, label] == pytest.approx(model.predict_proba(scaled)[:, 1], abs=2e-3)


def test_the_penalty_is_the_one_with_the_lowest_loss_of_rows_that_no_fold_has_seen() -> None:
    x, marks = random_data(seed=1)
    linear = fit_linear(rows_of(x, marks))
    out_of_fold = expit(linear.fold_logits.astype(np.float64))
    mean_over_classes = np.mean([log_loss(marks[:, k], out_of_fold[:, k]) for k in range(marks.shape[1])])
    assert dict(linear.path)[linear.l2] == pytest.approx(mean_over_classes, rel=1e-5)
    assert dict(linear.path)[linear.l2] == min(dict(linear.path).values())


def test_a_label_that_no_image_has_or_all_have_is_taken_for_certain_and_spoils_nothing() -> None:
    x, marks = random_data()
    more = np.column_stack([marks, np.zeros(len(x), np.int8), np.ones(len(x), np.int8)])
    plain, wider = fit_linear_at(rows_of(x, marks), 1e-2), fit_linear_at(rows_of(x, more), 1e-2)
    shown = expit(wider.logits(x).astype(np.float64))
    assert shown[:, :4] == pytest.approx(expit(plain.logits(x).astype(np.float64)), abs=2e-3)
    assert shown[:, 4].max() < 1e-6
    assert shown[:, 5].min() > 1 - 1e-6


def test_a_label_that_only_one_fold_has_leaves_all_numbers_finite() -> None:
    x, marks = random_data()
    rare = np.zeros(len(x), np.int8)
    rare[0] = 1
    linear = fit_linear(rows_of(x, np.column_stack([marks, rare])))
    assert np.isfinite(linear.fold_logits).all()
    assert linear.fold_logits[0, 4] < 0, "the fold that evaluates the only such image has not seen it"


def test_the_loss_is_the_mean_over_labels_of_the_binary_cross_entropy() -> None:
    logits, marks = np.array([[2.0, -1.0]], np.float32), np.array([[1, 1]], np.int8)
    expected = -(np.log(expit(2.0)) + np.log(expit(-1.0))) / 2
    assert losses(logits, marks) == pytest.approx([expected])
