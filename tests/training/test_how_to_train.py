"""How a learner trains is its user's choice: optimizers, weights, averages, splits of batches, a loss of one's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import goldenrule as gr
from goldenrule.core.errors import OptionError
from goldenrule.core.progress import Silent
from goldenrule.data.table import image_table
from goldenrule.runs.optimizers import UNFIT, optimizer_class
from goldenrule.training import fitting
from goldenrule.training.inputs.batches import balanced_weights, order
from goldenrule.training.loop import optimizer_for
from goldenrule.training.schedule import OneCycle

Learner = Callable[..., gr.Learner]
labels = st.lists(st.integers(0, 3), min_size=2, max_size=60)


class Told(Silent):
    """Keeps what was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, message: str) -> None:
        self.lines.append(message)


@pytest.fixture
def learner(small_photos: Path, cache: Path, tmp_path: Path) -> Learner:
    """Make a learner with activations of 40 cats and dogs, one step per epoch; its run lies in tmp_path."""
    images = gr.from_folder(small_photos)

    def make(**options: Any) -> gr.Learner:
        usual = {"folder": tmp_path / "steps", "progress": Told(), "precompute": True, "batch_size": 40}
        return gr.Learner(images, **(usual | options))

    return make


def weight(learn: gr.Learner) -> np.ndarray:
    return learn.state.head.tensors["weight"].copy()


def trained(learn: gr.Learner, epochs: int, rate: float = 1e-2, **how: Any) -> np.ndarray:
    learn.fit(rate, epochs, **how)
    return weight(learn)


MORE = pytest.mark.exhaustive
DEFAULTS: dict[str, Any] = {"clip_norm": None, "accumulate": 1, "sampling": "uniform"}

OPTIMIZERS = sorted(
    name for name, kind in vars(torch.optim).items() if isinstance(kind, type) and hasattr(kind, "step")
)


@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if name not in UNFIT])
def test_every_optimizer_learns_and_goes_on_where_it_was_killed(
    learner: Learner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    rate = {"Adadelta": 1.0, "ASGD": 0.03, "SGD": 0.03, "RMSprop": 1e-3}.get(name, 1e-2)
    whole = learner(optimizer=name.lower(), folder=tmp_path / "whole")
    wanted = trained(whole, 4, rate)
    assert whole.history.rows[-1].train_loss < whole.history.rows[0].train_loss
    real = fitting.train

    def killed(*arguments: Any, **options: Any) -> Iterator[Any]:
        for number, event in enumerate(real(*arguments, **options)):
            if number == 5:
                raise KeyboardInterrupt
            yield event

    monkeypatch.setattr(fitting, "train", killed)
    with pytest.raises(KeyboardInterrupt):
        trained(learner(optimizer=name.lower(), folder=tmp_path / "broken"), 4, rate)
    monkeypatch.setattr(fitting, "train", real)
    found = trained(learner(optimizer=name.lower(), folder=tmp_path / "broken"), 4, rate)
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("how", [{"clip_norm": 0.05}, {"accumulate": 3}, {"sampling": "balanced"}], ids=str)
@pytest.mark.parametrize(
    "moments", [(0, 4, 5), *(pytest.param(value, marks=MORE) for value in ((1,), (7, 2, 3)))], ids=str
)
def test_a_fit_goes_on_to_the_same_bits_however_it_trains(
    learner: Learner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, how: dict[str, Any], moments: tuple[int, ...]
) -> None:
    """Law 6: `moments` says after how many steps and epochs each of the processes is killed."""
    options = {"batch_size": 8, "augment": gr.data.side_on(), "augmented_views": 1, **how}
    monkeypatch.setattr(fitting, "CHECKPOINT_SECONDS", 0.0)
    wanted = trained(whole := learner(folder=tmp_path / "whole", **options), 3, mixup=0.4)
    assert np.abs(wanted - trained(learner(folder=tmp_path / "plain", **(options | DEFAULTS)), 3, mixup=0.4)).max()
    real = fitting.train

    def killed_after(count: int) -> Callable[..., Iterator[Any]]:
        def events(*arguments: Any, **settings: Any) -> Iterator[Any]:
            for number, event in enumerate(real(*arguments, **settings)):
                yield event
                if number == count:
                    raise KeyboardInterrupt

        return events

    for count in moments:
        monkeypatch.setattr(fitting, "train", killed_after(count))
        with pytest.raises(KeyboardInterrupt):
            trained(learner(folder=tmp_path / "broken", **options), 3, mixup=0.4)
    monkeypatch.setattr(fitting, "train", real)
    found = trained(broken := learner(folder=tmp_path / "broken", **options), 3, mixup=0.4)
    np.testing.assert_array_equal(found, wanted)
    assert broken.history == whole.history


def test_the_moving_average_is_that_of_the_weights_after_each_step(learner: Learner, tmp_path: Path) -> None:
    begin = weight(learner())
    after = [trained(learner(folder=tmp_path / str(count)), count) for count in (1, 2, 3)]
    average = begin
    for ours in after:
        average = 0.7 * average + 0.3 * ours
    learn = learner()
    np.testing.assert_allclose(trained(learn, 3, ema=0.7), average, atol=1e-6)
    plain = learner(folder=tmp_path / "3")
    plain.fit(1e-2, 3)
    losses = [[row.valid_loss for row in one.history] for one in (learn, plain)]
    assert losses[0] != losses[1], "what is validated is the average"
    assert [row.train_loss for row in learn.history] == [row.train_loss for row in plain.history]


def test_a_batch_in_parts_makes_the_same_step(learner: Learner, tmp_path: Path) -> None:
    whole = trained(learner(folder=tmp_path / "1"), 3, mixup=0.4)
    for splits in (3, 40, 99):
        found = trained(learner(accumulate=splits, folder=tmp_path / f"in {splits}"), 3, mixup=0.4)
        np.testing.assert_allclose(found, whole, atol=2e-4)


def test_gradients_are_shortened_to_the_norm_that_was_asked_for(learner: Learner) -> None:
    learn = learner(optimizer="sgd", weight_decay=0.0, clip_norm=0.01)
    before = {name: value.copy() for name, value in learn.state.head.tensors.items()}
    learn.fit(0.5, 1)
    moved = np.concatenate([(learn.state.head.tensors[name] - before[name]).ravel() for name in before])
    assert np.linalg.norm(moved) == pytest.approx(0.5 * 0.01, rel=1e-3)


@settings(deadline=None, max_examples=50)
@given(labels)
def test_balanced_weights_make_every_class_count_the_same(truth: list[int]) -> None:
    table = images_of(truth)
    weights = balanced_weights(table)
    sums = [weights[np.array(truth) == label].sum() for label in set(truth)]
    assert sums == pytest.approx([len(truth) / len(sums)] * len(sums), rel=1e-4)
    assert weights.mean() == pytest.approx(1, rel=1e-4)


@settings(deadline=None, max_examples=50)
@given(labels, st.integers(0, 99), st.integers(0, 9))
def test_an_epoch_has_each_image_once_or_is_drawn_so_that_classes_come_equally_often(
    truth: list[int], seed: int, epoch: int
) -> None:
    table = images_of(truth)
    assert sorted(order(table, seed, epoch)) == list(range(len(truth)))
    drawn = order(table, seed, epoch, "balanced")
    assert len(drawn) == len(truth)
    np.testing.assert_array_equal(drawn, order(table, seed, epoch, "balanced"))


def test_drawn_epochs_have_as_many_of_a_rare_class_as_of_a_common_one() -> None:
    truth = [0] * 90 + [1] * 10
    table = images_of(truth)
    rare = np.mean([np.array(truth)[order(table, 0, epoch, "balanced")].mean() for epoch in range(50)])
    assert 0.47 < rare < 0.53


@pytest.mark.parametrize("how", [{"class_weights": "balanced"}, {"sampling": "balanced"}])
def test_balancing_finds_more_of_a_rare_class(
    small_photos: Path, cache: Path, tmp_path: Path, how: dict[str, Any]
) -> None:
    images = gr.from_folder(small_photos)
    dogs = [uri for uri in images.uris if uri.startswith("train/dogs")][4:]
    images = images.where(np.array([uri not in dogs for uri in images.uris]))
    shares = []
    for number, found in enumerate(({}, how)):
        learn = gr.Learner(images, precompute=True, folder=tmp_path / str(number), progress=Told(), **found)
        learn.fit(3e-3, 3)
        shares.append(learn.evaluate().probabilities[:, 1].mean())
    assert shares[1] > shares[0] + 0.03


def images_of(truth: list[int]) -> gr.ImageTable:
    """A table of images that need not be there."""
    classes = tuple(f"class {number}" for number in range(4))
    uris = [f"{row}.png" for row in range(len(truth))]
    splits = ["train"] * len(truth)
    return image_table(Path("nowhere"), classes, uris=uris, splits=splits, labels=[[value] for value in truth])


def test_weight_decay_may_differ_from_group_to_group() -> None:
    groups = [[torch.nn.Parameter(torch.ones(2))] for _ in range(3)]
    groups[0][0].requires_grad_(False)
    found = optimizer_for(groups, "adamw", weight_decay=[0.1, 0.2, 0.3])
    assert [group["weight_decay"] for group in found.param_groups] == [0.2, 0.3]
    assert [group["weight_decay"] for group in optimizer_for(groups, "SGD", weight_decay=0.5).param_groups] == [0.5] * 2


def test_one_cycle_is_a_fit_by_that_schedule(learner: Learner, tmp_path: Path) -> None:
    one, other = learner(folder=tmp_path / "a"), learner(folder=tmp_path / "b")
    one.fit_one_cycle(1e-2, 4)
    other.fit(1e-2, schedule=OneCycle(epochs=4))
    np.testing.assert_array_equal(weight(one), weight(other))
    rates = [max(row.rates) for row in one.history]
    assert max(rates) == pytest.approx(1e-2)
    assert rates[-1] < rates[1]


def test_fit_until_overfit_keeps_the_best_cycle(learner: Learner) -> None:
    learn = learner(batch_size=8)
    learn.fit_until_overfit(0.1, most_cycles=6, cycle_mult=1)
    best = min(row.tempered_loss for row in learn.history if row.tempered_loss is not None)
    learn.calibrate()
    assert gr.metrics.log_loss(learn.evaluate()).value <= best + 0.005
    assert len(learn.history) <= 6


def focal(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    surprise = torch.nn.functional.cross_entropy(logits, targets, reduction="none")
    return (1 - torch.exp(-surprise)) ** 2 * surprise


def test_a_loss_of_ones_own_is_trained_by_and_replayed_by_its_source(learner: Learner) -> None:
    plain = trained(learner(), 2)
    first = learner(loss=focal)
    ours = trained(first, 2)
    assert np.abs(ours - plain).max() > 1e-4
    again = learner(loss=focal)
    np.testing.assert_array_equal(trained(again, 2), ours)
    assert isinstance(again.data.progress, Told)
    assert any("replayed" in line for line in again.data.progress.lines)
    other = learner(loss=focal, loss_key="focal-v2")
    trained(other, 2)
    assert isinstance(other.data.progress, Told)
    assert not any("replayed" in line for line in other.data.progress.lines)
    assert first.lr_find().losses[0] < learner().lr_find().losses[0], "the finder looks at the same loss"


def test_a_loss_that_can_not_be_told_apart_from_another_is_trained_by_anew_every_time(
    learner: Learner, tmp_path: Path
) -> None:
    calls = []
    names: dict[str, Any] = {"calls": calls, "cross_entropy": torch.nn.functional.cross_entropy}
    exec(
        "def typed(logits, targets):\n calls.append(1)\n return cross_entropy(logits, targets, reduction='none')", names
    )

    def script(**options: Any) -> tuple[gr.Learner, np.ndarray]:
        calls.clear()
        learn = learner(loss=names["typed"], **options)
        learn.lr_find(steps=3)
        learn.fit(1e-2, 2)
        learn.blend()
        learn.calibrate()
        return learn, weight(learn)

    runs = [script() for _ in range(2)]
    for learn, ours in runs:
        assert isinstance(learn.data.progress, Told)
        lines = learn.data.progress.lines
        assert sum("typed can't be told from" in line and 'loss_key="my-loss-v1"' in line for line in lines) == 1
        assert not any("replayed" in line for line in lines)
        np.testing.assert_array_equal(ours, runs[0][1])
    assert len(calls) == 5, "it was called again: three steps of the finder, two of the fit"
    assert not (tmp_path / "steps").exists()
    np.testing.assert_array_equal(script(loss_key="typed-v1")[1], runs[0][1])
    assert len(calls) == 5
    script(loss_key="typed-v1")
    assert not calls, "with a key all is replayed"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"optimizer": "adamz"}, r"optimizer='adamz': wanted one of .*adamw.*sgd"),
        ({"weight_decay": -1}, "weight_decay=-1"),
        ({"weight_decay": [0.1, 0.1]}, "one per group: early, late, head"),
        ({"clip_norm": 0}, "clip_norm=0"),
        ({"accumulate": 0}, "accumulate=0"),
        ({"class_weights": "rare"}, "class_weights='rare'"),
        ({"sampling": "rare"}, "sampling='rare'"),
        ({"sampling": "balanced", "class_weights": "balanced"}, "wanted one of them"),
        ({"loss": "focal"}, "'focal' was given; wanted a function"),
    ],
)
def test_mistakes_are_told_before_anything_is_done(learner: Learner, options: dict[str, Any], said: str) -> None:
    with pytest.raises(OptionError, match=said):
        learner(**options)


def test_mistakes_of_a_fit_are_told(learner: Learner) -> None:
    learn = learner()
    for how, said in (
        ({"ema": 1.0}, "ema=1"),
        ({"cutmix": 1.0}, r"unfreeze\(\) first"),
        ({"label_smoothing": 2}, "label_smoothing=2"),
    ):
        with pytest.raises(OptionError, match=said):
            learn.fit(1e-3, 1, **how)
    with pytest.raises(OptionError, match="wanted one of"):
        optimizer_class("LBFGS")
