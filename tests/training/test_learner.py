"""The verbs of lesson 2, on real photos: what they learn, what they leave alone, what they replay."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import goldenrule as gr
from goldenrule.core.errors import OptionError
from goldenrule.core.progress import Silent
from goldenrule.models.heads import linear_head
from goldenrule.training import fitting

Learner = Callable[..., gr.Learner]


class Told(Silent):
    """Keeps what was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, message: str) -> None:
        self.lines.append(message)


@pytest.fixture
def learner(small_photos: Path, cache: Path, tmp_path: Path) -> Learner:
    """Make a learner of the tiny network on 40 cats and dogs whose run lies in tmp_path."""
    return learners_of(small_photos, tmp_path)


@pytest.fixture
def real_learner(small_photos: Path, real_cache: Path, tmp_path: Path) -> Learner:
    """Make a learner of the real backbone on the same photos."""
    return learners_of(small_photos, tmp_path)


def learners_of(photos: Path, folder: Path) -> Learner:
    images = gr.from_folder(photos)

    def make(**options: Any) -> gr.Learner:
        return gr.Learner(images, **({"folder": folder / "steps", "progress": Told()} | options))

    return make


def said(learn: gr.Learner) -> list[str]:
    told = learn.data.progress
    assert isinstance(told, Told)
    return told.lines


def weights(learn: gr.Learner) -> dict[str, bytes]:
    """All tensors of backbone and head, as bytes."""
    head = {name: value.tobytes() for name, value in learn.state.head.tensors.items()}
    return head | {"backbone": learn.state.backbone.weights_file.read_bytes()}


def rows(learn: gr.Learner) -> list[dict[str, Any]]:
    return [asdict(row) for row in learn.history]


def test_the_head_learns_from_precomputed_activations(real_learner: Learner) -> None:
    learn = real_learner(precompute=True)
    before = gr.metrics.accuracy(learn.evaluate()).value
    history = learn.fit(1e-2, 4)
    assert len(history) == 4
    assert history.rows[-1].train_loss < history.rows[0].train_loss
    assert gr.metrics.accuracy(learn.evaluate()).value > max(before, 0.85)
    assert any("train loss" in line for line in said(learn))


def test_with_and_without_precompute_the_same_head_is_learned(learner: Learner, tmp_path: Path) -> None:
    cached, live = learner(precompute=True, folder=tmp_path / "a"), learner(folder=tmp_path / "b")
    for learn in (cached, live):
        learn.fit(1e-2, 2)
    assert weights(cached) == weights(live)


def test_augmentation_works_with_precompute(learner: Learner, tmp_path: Path) -> None:
    plain = learner(precompute=True, folder=tmp_path / "a")
    varied = learner(precompute=True, augment=gr.data.side_on(max_zoom=1.1), augmented_views=1, folder=tmp_path / "b")
    for learn in (plain, varied):
        learn.fit(1e-2, 2)
    assert rows(plain)[0]["train_loss"] == rows(varied)[0]["train_loss"]  # the first epoch sees the plain views
    assert rows(plain)[1]["train_loss"] != rows(varied)[1]["train_loss"]


def test_live_augmentation_is_drawn_anew_in_every_epoch(learner: Learner) -> None:
    learn = learner(augment=gr.data.side_on(max_zoom=1.1))
    source = learn.data.source(learn.state)
    first, second, again = (next(iter(source.batches(epoch, 0))).inputs for epoch in (0, 1, 0))
    assert torch.equal(first, again)
    assert not torch.equal(first, second)


STATES: dict[str, Callable[[gr.Learner], object]] = {
    "new": lambda learn: None,
    "after a fit": lambda learn: learn.fit(1e-2, 1),
    "precomputed": lambda learn: setattr(learn, "precompute", True),
    "late layers": lambda learn: learn.freeze_to(1),
    "unfrozen": lambda learn: learn.unfreeze(),
    "unfrozen, late BatchNorms free": lambda learn: (learn.unfreeze(), learn.bn_freeze("early")),
    "unfrozen, BatchNorm free": lambda learn: (learn.unfreeze(), learn.bn_freeze(False)),
}


@pytest.mark.parametrize("state", STATES)
def test_looking_changes_nothing(learner: Learner, state: str) -> None:
    learn = learner(augment=gr.data.side_on(), replay=False)
    STATES[state](learn)
    look(learn)
    assert len(learn.history) == (1 if state == "after a fit" else 0)


@pytest.mark.exhaustive
def test_looking_changes_nothing_about_the_real_network_either(real_learner: Learner) -> None:
    learn = real_learner(augment=gr.data.side_on(), replay=False)
    learn.unfreeze()
    look(learn)


def look(learn: gr.Learner) -> None:
    """Look at a learner in every way there is: weights, key and random states stay what they were."""
    before, key, draws = weights(learn), learn.state.key, torch.random.get_rng_state()
    legacy = copy.deepcopy(np.random.get_state())  # noqa: NPY002 - that nobody touches it is the point
    tests = [learn.lr_find(steps=3), learn.lr_find(steps=3)]
    learn.evaluate()
    learn.tta(augmented_views=1)
    assert tests[0].losses == tests[1].losses
    assert weights(learn) == before
    assert learn.state.key == key
    assert torch.equal(torch.random.get_rng_state(), draws)
    after = np.random.get_state()  # noqa: NPY002
    assert all(np.array_equal(one, other) for one, other in zip(legacy, after, strict=True))


def test_the_whole_network_trains_below_its_start_and_is_served_by_the_engine(real_learner: Learner) -> None:
    learn = real_learner(precompute=True)
    learn.fit(1e-2, 4)
    backbone = learn.state.backbone.spec.weights
    start = gr.metrics.log_loss(learn.evaluate()).value
    learn.unfreeze()
    assert not learn.precompute
    history = learn.fit(1e-4, 1, cycle_len=1, spread=3)
    assert learn.state.backbone.spec.weights != backbone
    assert history.rows[-1].rates == pytest.approx((1e-4 / 9, 1e-4 / 3, 1e-4))
    predictions = learn.evaluate()
    assert gr.metrics.log_loss(predictions).value < start + 0.05
    assert history.rows[-1].valid_loss == pytest.approx(gr.metrics.log_loss(predictions).value, abs=0.05)  # bf16 serves


def test_the_same_script_is_replayed(learner: Learner) -> None:
    def script() -> gr.Learner:
        learn = learner(precompute=True, augment=gr.data.side_on(), augmented_views=1)
        learn.lr_find(steps=10)
        learn.fit(1e-2, 2)
        learn.precompute = False
        learn.fit(1e-2, 1, cycle_len=1)
        return learn

    first, second = script(), script()
    assert weights(first) == weights(second)
    assert rows(first) == rows(second)
    assert first.state.key == second.state.key
    assert sum("replayed" in line for line in said(second)) == 3
    assert not any("replayed" in line for line in said(first))


@pytest.mark.parametrize(
    "change",
    [{"seed": 1}, {"optimizer": "sgd"}, {"weight_decay": 0.5}, {"batch_size": 8}, {"augment": gr.data.basic()}],
    ids=str,
)
def test_another_story_is_not_replayed(learner: Learner, change: dict[str, Any]) -> None:
    learner(precompute=True).fit(1e-2, 1)
    other = learner(precompute=True, **change)
    other.fit(1e-2, 1)
    assert not any("replayed" in line for line in said(other))


class Killed(BaseException):
    """Stands for SIGKILL inside one process."""


@pytest.mark.parametrize("unfrozen", [False, True])
def test_a_killed_fit_goes_on_where_it_stopped(
    learner: Learner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, unfrozen: bool
) -> None:
    def script(folder: str) -> gr.Learner:
        learn = learner(augment=gr.data.side_on(), folder=tmp_path / folder)
        if unfrozen:
            learn.freeze_to(1)
        learn.fit(
            1e-3,
            2,
            cycle_len=1,
            cycle_mult=2,
            keep="best",
            mixup=0.4,
            cutmix=0.5 * unfrozen,
            ema=0.9,
            label_smoothing=0.1,
        )
        return learn

    whole = script("whole")
    monkeypatch.setattr(fitting, "CHECKPOINT_SECONDS", 0.0)
    real, steps = fitting.train, [0]

    def killed_after(count: int) -> Callable[..., Iterator[Any]]:
        def events(*arguments: Any, **options: Any) -> Iterator[Any]:
            for number, event in enumerate(real(*arguments, **options)):
                yield event
                steps[0] += 1
                if number == count:
                    raise Killed

        return events

    for count in (1, 3, 7, 2):
        monkeypatch.setattr(fitting, "train", killed_after(count))
        with pytest.raises(Killed):
            script("broken")
    monkeypatch.setattr(fitting, "train", real)
    broken = script("broken")
    assert weights(broken) == weights(whole)
    assert rows(broken) == rows(whole)
    assert not list((tmp_path / "broken").rglob("*.checkpoint"))


def test_the_best_cycle_is_kept_and_a_blend_is_never_worse_on_validation(learner: Learner) -> None:
    learn = learner(precompute=True)
    learn.fit(1e-2, 3)
    learn.fit(3.0, 2, keep="best")  # far too high
    end = min(row.tempered_loss for row in learn.history.rows[3:])
    start = learn.history.rows[2].tempered_loss
    share = learn.blend()
    assert 0 <= share <= 1
    learn.calibrate()
    found = gr.metrics.log_loss(learn.evaluate()).value
    assert found <= min(start, end) + 1e-3


def test_the_mean_of_the_ends_is_kept_where_it_validates_better(
    learner: Learner, monkeypatch: pytest.MonkeyPatch
) -> None:
    learn = learner(precompute=True)
    ends: list[dict[str, torch.Tensor]] = []
    snapshot = fitting._end_cycle

    def noted(fit: fitting.Fit, *arguments: Any) -> None:
        ends.append({name: value.clone() for name, value in fit.network.state_dict().items()})
        snapshot(fit, *arguments)

    monkeypatch.setattr(fitting, "_end_cycle", noted)
    learn.fit(3.0, 4, keep="best")  # far too high: the ends lie around the minimum
    kept = torch.from_numpy(learn.state.head.tensors["weight"])
    weights = [end["weight"] for end in ends]
    means = [torch.stack(weights[: count + 1]).mean(0) for count in range(4)]
    assert any(torch.allclose(kept, one, atol=1e-4) for one in [*weights, *means])
    mean_was_better = any("the mean of the weights" in line for line in said(learn))
    assert mean_was_better == (not any(torch.equal(kept, one) for one in weights))


def test_calibrating_takes_over_confidence_back_and_changes_no_prediction(real_learner: Learner) -> None:
    learn = real_learner(precompute=True)
    learn.load(
        replace(learn.classifier(), head=learn.state.head.with_temperature(0.02))
    )  # random, and 50 times too sure
    before = learn.evaluate()
    temperature = learn.calibrate()
    after = learn.evaluate()
    assert temperature > 1
    assert gr.metrics.log_loss(after).value < gr.metrics.log_loss(before).value
    assert np.array_equal(after.logits.argmax(-1), before.logits.argmax(-1))
    assert abs(np.log(learn.calibrate())) < 0.1 * np.log(temperature), "little is left to be taken back"


def test_a_loss_that_is_no_number_ends_the_fit_with_the_weights_of_the_start(learner: Learner) -> None:
    learn = learner(precompute=True, optimizer="sgd")
    before = weights(learn)
    learn.fit(1e30, 3)
    assert weights(learn) == before
    assert any("take a lower rate" in line for line in said(learn))


def test_validation_that_is_no_number_ends_the_fit_too(learner: Learner, monkeypatch: pytest.MonkeyPatch) -> None:
    learn = learner(precompute=True)
    before = weights(learn)
    real = fitting._validated
    monkeypatch.setattr(fitting, "_validated", lambda fit: real(fit)._replace(loss=float("nan")))
    learn.fit(1e-2, 3)
    assert weights(learn) == before
    assert len(learn.history) == 0
    assert any("take a lower rate" in line for line in said(learn))


def test_saved_and_loaded_it_goes_on_from_the_same_weights(learner: Learner, tmp_path: Path) -> None:
    learn = learner(precompute=True)
    learn.fit(1e-2, 2)
    learn.save(tmp_path / "saved")
    other = learner(seed=3)
    other.load(tmp_path / "saved")
    assert weights(other) == weights(learn)
    assert np.array_equal(other.evaluate().logits, learn.evaluate().logits)


def test_tta_looks_at_more_views_and_averages(learner: Learner) -> None:
    learn = learner(precompute=True, augment=gr.data.side_on(max_zoom=1.1), augmented_views=0)
    learn.fit(1e-2, 2)
    predictions = learn.tta(augmented_views=3)
    assert predictions.views == 4
    assert np.array_equal(predictions.only_views(0).logits, learn.evaluate().logits)


def test_mistakes_are_told(learner: Learner, tmp_path: Path) -> None:
    learn = learner()
    with pytest.raises(OptionError, match="early, late, head"):
        learn.fit([1e-3, 1e-2], 1)
    with pytest.raises(OptionError, match="whole number"):
        learn.fit(1e-3, 0)
    with pytest.raises(OptionError, match="mixup=-1"):
        learn.fit(1e-3, 1, mixup=-1)
    with pytest.raises(OptionError, match=r"freeze_to\(3\)"):
        learn.freeze_to(3)
    with pytest.raises(OptionError, match="augment"):
        learn.tta()
    with pytest.raises(OptionError, match="after a fit"):
        learn.blend()
    learn.unfreeze()
    with pytest.raises(OptionError, match="freeze"):
        learn.precompute = True


def test_a_head_of_ones_own_is_the_start(learner: Learner) -> None:
    features = gr.backbone().spec.features
    head = linear_head(np.zeros((2, features), np.float32), np.zeros(2, np.float32))
    learn = learner(head=head, precompute=True)
    assert gr.metrics.log_loss(learn.evaluate()).value == pytest.approx(np.log(2), abs=1e-6)
    assert "Learner(" in repr(learn)


def test_the_same_weights_go_on_at_another_size(learner: Learner, tmp_path: Path) -> None:
    def script() -> gr.Learner:
        learn = learner(precompute=True)
        learn.set_size(64)
        learn.fit(1e-2, 2)
        small = weights(learn)
        assert learn.evaluate().ids == learner().evaluate().ids
        learn.set_size(128)
        assert weights(learn) == small
        learn.freeze_to(1)
        learn.fit(1e-4, 1)
        return learn

    learn = script()
    assert learn.classifier().preprocessing.size == 128
    saved = learn.save(tmp_path / "saved")
    assert gr.Classifier.load(saved).preprocessing.size == 128
    again = script()
    assert weights(again) == weights(learn)
    assert sum("replayed" in line for line in said(again)) == 2


def test_rows_and_pictures_of_another_size_are_not_taken_for_this_one(learner: Learner, tmp_path: Path) -> None:
    changed = learner(augment=gr.data.side_on(), folder=tmp_path / "changed", precompute=False)
    changed.fit(1e-2, 1)
    changed.set_size(96)
    straight = learner(augment=gr.data.side_on(), folder=tmp_path / "straight", precompute=False)
    straight.set_size(96)
    state = replace(straight.state, head=changed.state.head, epochs=1)
    for learner_state in (changed.state, state):
        (batch, *_) = changed.data.source(learner_state).batches(1, 0)
        assert batch.inputs.shape[1] == learner_state.backbone.spec.features
    first = next(iter(changed.data.source(changed.state).batches(1, 0))).inputs
    second = next(iter(straight.data.source(state).batches(1, 0))).inputs
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    valid = [digest or b"" for digest in changed.data.split("valid").digests]
    backbones = changed.state.backbone, changed.data.base
    small, large = (changed.data.features(backbone, views=0).rows(valid) for backbone in backbones)
    assert np.abs(small - large).max() > 0.1


def test_a_size_that_the_network_can_not_take_is_refused(learner: Learner) -> None:
    with pytest.raises(OptionError, match="size of 20 px"):
        learner().set_size(20)
