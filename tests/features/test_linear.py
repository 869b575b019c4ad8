"""Heads by convex optimisation: the minimum, however it is reached."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.linear_model import LogisticRegression

from goldenrule.features import linear as solving
from goldenrule.features.linear import Rows, fit_linear, fit_linear_at, fold_logits
from goldenrule.metrics.probabilities import softmax
from goldenrule.models.heads import LayeredHead

Data = tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]


def random_data(n: int = 300, features: int = 20, classes: int = 4, *, seed: int = 0, spread: float = 1.0) -> Data:
    draws = np.random.default_rng(seed)
    targets = draws.integers(classes, size=n)
    means = draws.normal(size=(classes, features))
    x = 5 + means[targets] + draws.normal(size=(n, features)) * np.linspace(0.2, 3, features) * spread
    return x.astype(np.float32), targets


def rows_of(
    x: npt.NDArray[np.float32], y: npt.NDArray[np.int64], *, classes: int | None = None, **changes: Any
) -> Rows:
    value = Rows(
        read=lambda start, stop: x[start:stop],
        targets=y,
        weights=np.ones(len(y), np.float32),
        folds=np.arange(len(y)) % 5,
        features=x.shape[1],
        classes=classes or int(y.max()) + 1,
        scored=len(y),
    )
    return dataclasses.replace(value, **changes)


def probabilities(head: LayeredHead, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    return softmax(x.astype(np.float64) @ head.tensors["weight"].astype(np.float64).T + head.tensors["bias"])


def sklearn_probabilities(x: npt.NDArray[np.float32], y: npt.NDArray[np.int64], l2: float) -> npt.NDArray[np.float64]:
    """The same objective by scikit-learn: its C weighs the sum of losses against |W|^2 / 2."""
    centred = x.astype(np.float64) - x.mean(axis=0, dtype=np.float64)
    scaled = centred / np.sqrt(np.mean(centred**2))
    ours = l2 / 2 if y.max() == 1 else l2  # for two classes it has one weight vector: the difference of ours
    model = LogisticRegression(C=1 / (ours * len(x)), tol=1e-10, max_iter=10_000).fit(scaled, y)
    return np.asarray(model.predict_proba(scaled))


@pytest.fixture(scope="module")
def real(really_fitted: Any) -> Data:
    """The stored activations of forty real photos, cats and dogs."""
    (path,) = [
        path
        for path in (really_fitted.folder.parent / "cache" / "banks").iterdir()
        if '"plain"' in (path / "key.json").read_text()
    ]
    from goldenrule.features.cache import FeatureCache
    from goldenrule.storage.files import read_json

    key = {name: value for name, value in read_json(path / "key.json").items() if name not in ("format", "features")}
    cache = FeatureCache(key, 1280, folder=path.parent)
    table = really_fitted.table.split("train")
    return cache.rows([digest for digest in table.digests if digest]).astype(np.float32), table.targets


@pytest.mark.parametrize("l2", [1e-3, 1e-1, 3.0])
@pytest.mark.parametrize("shape", [(300, 20, 4), (60, 200, 3), (200, 10, 2)], ids=str)
def test_the_head_is_that_of_scikit_learn_on_random_rows(shape: tuple[int, int, int], l2: float) -> None:
    x, y = random_data(*shape)
    ours = probabilities(fit_linear_at(rows_of(x, y), l2), x)
    assert np.abs(ours - sklearn_probabilities(x, y, l2)).max() < 2e-3


@pytest.mark.parametrize("l2", [1e-3, 1e-1])
def test_the_head_is_that_of_scikit_learn_on_real_activations(real: Data, l2: float) -> None:
    x, y = real
    ours = probabilities(fit_linear_at(rows_of(x, y), l2), x)
    assert np.abs(ours - sklearn_probabilities(x, y, l2)).max() < 1e-3


def test_the_average_of_folds_is_one_head_with_the_mean_of_their_logits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solving, "FINAL_TOLERANCE", 1e-6)
    x, y = random_data(200, 12, 3, spread=4.0)
    rows = rows_of(x, y)
    linear = fit_linear(rows, average=True)
    heads = []
    for fold in range(5):
        ours = rows.folds != fold
        heads.append(fit_linear_at(rows_of(x, y, weights=ours.astype(np.float32)), linear.l2))
    members = np.stack([head.logits(x) for head in heads])
    np.testing.assert_allclose(softmax(linear.head.logits(x)), softmax(members.mean(axis=0)), atol=2e-3)
    held_out = members[rows.folds, np.arange(len(x))]
    np.testing.assert_allclose(softmax(linear.fold_logits), softmax(held_out), atol=4e-3)


def test_the_penalty_of_the_average_is_that_of_the_head_on_everything() -> None:
    x, y = random_data(200, 12, 3, spread=2.0)
    one, average = fit_linear(rows_of(x, y)), fit_linear(rows_of(x, y), average=True)
    assert (one.l2, one.path) == (average.l2, average.path)


@pytest.mark.parametrize("weights", [np.ones(300), np.linspace(0.2, 3, 300)], ids=["equal", "unequal"])
def test_a_row_counts_as_much_as_its_weight(weights: npt.NDArray[np.float64]) -> None:
    x, y = random_data()
    ours = probabilities(fit_linear_at(rows_of(x, y, weights=weights.astype(np.float32)), 0.1), x)
    centred = x.astype(np.float64) - x.mean(axis=0, dtype=np.float64)
    scaled = centred / np.sqrt(np.mean(centred**2))
    model = LogisticRegression(C=1 / (0.1 * weights.sum()), tol=1e-10, max_iter=10_000)
    wanted = model.fit(scaled, y, sample_weight=weights).predict_proba(scaled)
    assert np.abs(ours - wanted).max() < 2e-3


def test_rows_in_twice_are_rows_of_twice_the_weight() -> None:
    x, y = random_data(100)
    twice = fit_linear_at(rows_of(np.concatenate([x, x]), np.concatenate([y, y])), 0.01)
    assert np.abs(probabilities(twice, x) - probabilities(fit_linear_at(rows_of(x, y), 0.01), x)).max() < 1e-3


@pytest.mark.parametrize("shape", [(700, 20, 4), (300, 400, 3)], ids=str)
def test_streaming_gives_the_head_of_memory(shape: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = random_data(*shape)
    asked: list[tuple[int, int]] = []

    def read(start: int, stop: int) -> npt.NDArray[np.float32]:
        asked.append((start, stop))
        return x[start:stop]

    monkeypatch.setattr(solving, "BLOCK_BYTES", 1)  # blocks of 256 rows
    in_memory = fit_linear(rows_of(x, y, read=read))
    assert len(asked) == -(-len(x) // 256)  # each block once
    asked.clear()
    streamed = fit_linear(rows_of(x, y, read=read, budget_bytes=1000))
    assert len(asked) > 20
    assert max(stop - start for start, stop in asked) == 256
    assert streamed.l2 == in_memory.l2
    assert np.abs(probabilities(streamed.head, x) - probabilities(in_memory.head, x)).max() < 1e-4


def objective_of(rows: Rows, l2: float) -> tuple[Callable[[npt.NDArray[np.float32]], Any], tuple[int, ...]]:
    problem = solving._Problem(rows)
    masks = np.stack([rows.folds != fold for fold in range(5)])
    weights = masks * rows.weights
    weights /= weights.sum(axis=1, keepdims=True)
    shape = (5, len(problem.variances) + 1, len(problem.present))
    return lambda z: problem._objective(z, weights, l2), shape


@pytest.mark.parametrize("budget_bytes", [4 << 30, 100], ids=["in memory", "streaming"])
def test_the_gradient_is_that_of_finite_differences(budget_bytes: int) -> None:
    x, y = random_data(120, 6, 3)
    objective, shape = objective_of(rows_of(x, y, budget_bytes=budget_bytes), 0.05)
    draws = np.random.default_rng(1)
    z = draws.normal(size=shape).astype(np.float32)
    _, gradient = objective(z)
    step = 1e-2
    for _ in range(10):
        direction = draws.normal(size=shape).astype(np.float32)
        ahead, behind = (objective(z + sign * step * direction)[0] for sign in (np.float32(1), np.float32(-1)))
        along = (gradient * direction).sum(axis=(1, 2))
        assert (ahead - behind) / (2 * step) == pytest.approx(along, rel=5e-3, abs=2e-3)


def test_a_class_without_training_images_gets_no_probability_and_no_nan() -> None:
    x, y = random_data(120, 10, 3)
    y = np.array([0, 2, 5])[y]
    linear = fit_linear(rows_of(x, y, classes=7))
    assert linear.head.tensors["weight"].shape == (7, 10)
    ours = probabilities(linear.head, x)
    assert np.isfinite(ours).all()
    assert ours[:, [1, 3, 4, 6]].max() < 1e-5
    assert np.isfinite(linear.fold_logits).all()
    assert softmax(linear.fold_logits.astype(np.float64))[:, [1, 3, 4, 6]].max() < 1e-5
    without = fit_linear(rows_of(x, np.searchsorted([0, 2, 5], y)))
    assert ours[:, [0, 2, 5]] == pytest.approx(probabilities(without.head, x), abs=1e-5)


def test_a_class_that_a_fold_alone_has_gives_no_nan() -> None:
    x, y = random_data(60, 10, 2)
    y[7] = 2
    linear = fit_linear(rows_of(x, y))
    assert np.isfinite(linear.fold_logits).all()
    assert np.isfinite(linear.head.tensors["weight"]).all()


def test_features_that_never_change_do_no_harm() -> None:
    x, y = random_data(100, 10, 2)
    x[:, 3:] = 7.0
    ours = probabilities(fit_linear_at(rows_of(x, y), 0.01), x)
    assert np.abs(ours - sklearn_probabilities(x, y, 0.01)).max() < 2e-3


def test_rows_that_are_all_equal_give_the_shares_of_the_classes() -> None:
    y = np.array([0, 0, 0, 1] * 10)
    x = np.ones((40, 5), np.float32)
    ours = probabilities(fit_linear_at(rows_of(x, y), 0.01), x)
    assert ours[0] == pytest.approx([0.75, 0.25], abs=1e-2)


def test_the_penalty_with_the_lowest_out_of_fold_loss_is_chosen() -> None:
    x, y = random_data(200, 30, 3, spread=2)
    linear = fit_linear(rows_of(x, y))
    losses = dict(linear.path)
    assert losses[linear.l2] == min(losses.values())
    ours = linear.fold_logits.astype(np.float64)
    loss = -np.log(softmax(ours)[np.arange(200), y]).mean()
    assert losses[linear.l2] == pytest.approx(loss, rel=1e-5)
    assert len(losses) >= 4


def test_noise_asks_for_more_penalty_than_what_can_be_told_apart() -> None:
    draws = np.random.default_rng(0)
    noise = draws.normal(size=(200, 20)).astype(np.float32)
    y = draws.integers(2, size=200)
    clear = noise.copy()
    clear[:, 0] += 8 * y
    assert fit_linear(rows_of(noise, y)).l2 > 100 * fit_linear(rows_of(clear, y)).l2


def test_heads_of_folds_get_to_the_minimum_of_a_small_penalty_too() -> None:
    """Classes that can be told apart: the smaller the penalty, the better the heads tell them apart."""
    x, y = random_data(300, 400, 3, spread=4.0)
    rows = rows_of(x * np.logspace(0, -1.5, 400, dtype=np.float32), y)
    losses = []
    for l2 in (1e-2, 1e-3, 1e-4, 1e-5):
        found = softmax(fold_logits(rows, l2).astype(np.float64))
        assert (found.argmax(axis=1) == y).all(), l2
        losses.append(-np.log(found[np.arange(len(y)), y]).mean())
    assert losses == sorted(losses, reverse=True)


def test_a_row_is_judged_by_a_head_that_has_not_seen_it() -> None:
    draws = np.random.default_rng(0)
    x = draws.normal(size=(50, 400)).astype(np.float32)  # room enough to learn every label by heart
    y = draws.integers(2, size=50)
    rows = rows_of(x, y)
    linear = fit_linear(rows)
    seen = probabilities(fit_linear_at(rows, 1e-6), x)
    assert (seen.argmax(axis=1) == y).mean() == 1
    assert (linear.fold_logits.argmax(axis=1) == y).mean() < 0.75


def test_copies_in_one_fold_teach_their_own_judge_nothing() -> None:
    """Views of an image share its fold: were they in others, the head would know the answer."""
    draws = np.random.default_rng(0)
    x = draws.normal(size=(50, 400)).astype(np.float32)
    y = draws.integers(2, size=50)
    folds = np.arange(50) % 5
    doubled = rows_of(np.tile(x, (2, 1)), np.tile(y, 2), scored=50)
    together = fit_linear(dataclasses.replace(doubled, folds=np.tile(folds, 2)))
    apart = fit_linear(dataclasses.replace(doubled, folds=np.concatenate([folds, (folds + 1) % 5])))
    assert (together.fold_logits[:50].argmax(axis=1) == y).mean() < 0.75
    assert (apart.fold_logits[:50].argmax(axis=1) == y).mean() > 0.95


def test_the_same_rows_give_the_same_bits() -> None:
    x, y = random_data()
    one, other = fit_linear(rows_of(x, y)), fit_linear(rows_of(x.copy(), y.copy()))
    assert one.head.tensors["weight"].tobytes() == other.head.tensors["weight"].tobytes()
    assert one.head.tensors["bias"].tobytes() == other.head.tensors["bias"].tobytes()
    assert one.fold_logits.tobytes() == other.fold_logits.tobytes()
    assert one.path == other.path


def test_reading_gives_half_precision_rows_as_the_bank_keeps_them() -> None:
    x, y = random_data()
    half = x.astype(np.float16)
    one = fit_linear_at(rows_of(x, y, read=lambda start, stop: half[start:stop]), 0.01)
    other = fit_linear_at(rows_of(half.astype(np.float32), y), 0.01)
    assert one.tensors["weight"].tobytes() == other.tensors["weight"].tobytes()


def test_real_photos_are_told_apart_out_of_fold(real: Data, really_fitted: Any) -> None:
    x, y = real
    linear = fit_linear(rows_of(x, y))
    assert (linear.fold_logits.argmax(axis=1) == y).mean() >= 0.95
    assert Path(really_fitted.report).is_file()
