"""The head on square roots: each part by scikit-learn, the sum by its out-of-fold log loss."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from scipy.optimize import minimize
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from goldenrule.features import root_head
from goldenrule.features.likelihood import losses
from goldenrule.features.linear import Rows, fit_linear
from goldenrule.features.root_head import SHRINKAGES, fit_root
from goldenrule.metrics.probabilities import softmax

TALL, WIDE = (240, 12, 4), (60, 150, 3)


def rows_of(n: int, features: int, classes: int, *, seed: int = 0) -> tuple[npt.NDArray[np.float32], Rows]:
    """Return the square roots of features as averages of ReLUs are, and the rows of the features."""
    draws = np.random.default_rng(seed)
    targets = np.arange(n) % classes
    means = draws.uniform(0.2, 1.5, size=(classes, features))
    roots = np.maximum(means[targets] + draws.normal(size=(n, features)), 0).astype(np.float32)
    values = roots**2
    rows = Rows(
        read=lambda start, stop: values[start:stop],
        targets=targets,
        weights=np.ones(n, np.float32),
        folds=np.arange(n) // classes % 5,
        features=features,
        classes=classes,
        scored=n,
    )
    return roots, rows


def analysis(
    roots: npt.NDArray[np.float32], targets: npt.NDArray[np.int64], shrinkage: float
) -> LinearDiscriminantAnalysis:
    return LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage).fit(roots.astype(np.float64), targets)


@pytest.mark.parametrize("number", [0, 4, len(SHRINKAGES) - 1])
@pytest.mark.parametrize("shape", [TALL, WIDE], ids=str)
def test_the_discriminants_are_those_of_scikit_learn_on_all_rows_and_without_each_fold(
    shape: tuple[int, int, int], number: int
) -> None:
    roots, rows = rows_of(*shape)
    found = root_head._Discriminants(replace(rows, read=lambda start, stop: roots[start:stop]))
    weight, bias = found.head(number)
    whole = analysis(roots, rows.targets, SHRINKAGES[number])
    np.testing.assert_allclose(softmax(roots @ weight.T + bias), whole.predict_proba(roots), atol=1e-5)
    logits = found.fold_logits()[number]
    for fold in range(5):
        mine = rows.folds == fold
        others = analysis(roots[~mine], rows.targets[~mine], SHRINKAGES[number])
        np.testing.assert_allclose(softmax(logits[mine]), others.predict_proba(roots[mine]), atol=1e-5)


def test_the_blocks_that_rows_are_read_in_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    _, rows = rows_of(700, 12, 4)
    whole = fit_root(rows)
    monkeypatch.setattr(root_head, "BLOCK_BYTES", 1)
    np.testing.assert_allclose(fit_root(rows).fold_logits, whole.fold_logits, atol=1e-3)


def test_of_many_rows_some_choose_and_all_have_logits(monkeypatch: pytest.MonkeyPatch) -> None:
    _, rows = rows_of(900, 12, 4)
    whole = fit_root(rows)
    monkeypatch.setattr(root_head, "MOST_CHOOSING", 300)
    found = fit_root(rows)
    assert found.fold_logits.shape == whole.fold_logits.shape
    assert not np.array_equal(found.fold_logits, whole.fold_logits), "fewer have chosen"
    assert losses(found.fold_logits, rows.targets).mean() == pytest.approx(
        losses(whole.fold_logits, rows.targets).mean(), rel=0.05
    )


def test_a_row_that_counts_twice_is_as_two_rows() -> None:
    roots, rows = rows_of(*TALL)
    twice = np.arange(len(rows)) < 40
    once = replace(rows, read=lambda start, stop: roots[start:stop], weights=(1 + twice).astype(np.float32))
    order = np.concatenate([np.arange(len(rows)), np.flatnonzero(twice)])
    copies = replace(
        once,
        read=lambda start, stop: roots[order[start:stop]],
        targets=rows.targets[order],
        weights=np.ones(len(order), np.float32),
        folds=rows.folds[order],
    )
    mean = (roots.sum(axis=0) / len(rows))[np.newaxis]  # the middle that they are seen from differs, and cancels out
    of_weights, of_copies = (
        softmax(np.concatenate([roots, mean]) @ weight.T + bias)
        for weight, bias in (root_head._Discriminants(one).head(3) for one in (once, copies))
    )
    np.testing.assert_allclose(of_weights, of_copies, atol=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_the_shares_have_the_lowest_log_loss(seed: int) -> None:
    draws = np.random.default_rng(seed)
    targets = draws.integers(3, size=80)
    both = draws.normal(size=(2, 80, 3)) * np.array([3.0, 40.0])[:, np.newaxis, np.newaxis]
    both[:, np.arange(80), targets] += np.array([seed - 1, 30.0])[:, np.newaxis]

    def loss(shares: npt.NDArray[np.float64]) -> float:
        logits = np.tensordot(shares, both, axes=1)
        of_unknown = np.mean([losses(logits, np.full(80, label)) for label in range(3)])
        return float((80 * losses(logits, targets).mean() + of_unknown) / 81)

    found, value = root_head._best_shares(both, targets, np.ones(80))
    best = minimize(
        loss, [0.5, 0.05], bounds=[(0, None)] * 2, method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12}
    )
    assert (found >= 0).all()
    assert value == pytest.approx(loss(found), abs=1e-9)
    assert value <= best.fun + 1e-6


def test_where_all_are_right_the_sum_is_not_ever_surer_of_itself() -> None:
    targets = np.arange(40) % 2
    right = np.where(np.eye(2, dtype=bool)[targets], 1.0, 0.0)
    shares, _ = root_head._best_shares(np.stack([right, right]), targets, np.ones(40))
    assert 1 - softmax(shares.sum() * right).max() == pytest.approx(1 / 41 / 2, rel=0.01)


@pytest.mark.parametrize("shape", [TALL, WIDE], ids=str)
def test_the_head_gives_the_sum_of_both_and_its_fold_logits_have_a_lower_loss(shape: tuple[int, int, int]) -> None:
    roots, rows = rows_of(*shape)
    found = fit_root(rows)
    values = rows.read(0, len(rows))
    rooted = replace(rows, read=lambda start, stop: roots[start:stop])
    logistic = fit_linear(rooted)
    best = SHRINKAGES.index(found.shrinkage or 0.0)
    weight, bias = root_head._Discriminants(rooted).head(best)
    first, second = found.shares
    wanted = first * logistic.head.logits(roots) + second * (roots @ weight.T + bias)
    np.testing.assert_allclose(softmax(found.head.logits(values)), softmax(wanted), atol=2e-3)
    assert losses(found.fold_logits, rows.targets).mean() < losses(logistic.fold_logits, rows.targets).mean()


def test_a_class_without_rows_is_never_predicted() -> None:
    _, rows = rows_of(*TALL)
    found = fit_root(replace(rows, classes=6))
    probabilities = softmax(found.head.logits(rows.read(0, len(rows))))
    assert probabilities[:, 4:].max() < 1e-6
    assert softmax(found.fold_logits)[:, 4:].max() < 1e-6


def test_a_class_that_a_fold_alone_has_ends_nothing() -> None:
    _, rows = rows_of(*TALL)
    targets = np.where(rows.folds == 2, 4, rows.targets)
    assert np.isfinite(fit_root(replace(rows, targets=targets, classes=5)).fold_logits).all()


@pytest.mark.parametrize("most", [5, 2048])
def test_several_labels_and_too_many_features_have_the_logistic_regression_alone(
    most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(root_head, "MOST_AXES", most)
    roots, rows = rows_of(*TALL)
    if most > rows.features:
        rows = replace(rows, targets=np.eye(4, dtype=np.int8)[rows.targets])
    found, alone = fit_root(rows), fit_linear(replace(rows, read=lambda start, stop: roots[start:stop]))
    assert (found.shares, found.shrinkage) == ((1.0, 0.0), None)
    np.testing.assert_allclose(found.fold_logits, alone.fold_logits, atol=1e-2)
    assert found.head.kind == "root"
