"""A learner with a head and a backbone of the user's own: it learns, is killed, replayed, saved like any other."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import goldenrule as gr
from goldenrule.core.progress import Silent
from goldenrule.training import fitting

SEEN = gr.data.Preprocessing(size=32, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
MAKERS = """
from torch import nn

def head(features, classes):
    layers = [nn.BatchNorm1d(features), nn.Dropout(0.5), nn.Linear(features, 16), nn.ReLU(), nn.Linear(16, classes)]
    return nn.Sequential(*layers)

def backbone():
    layers = [nn.Conv2d(3, 8, 3, 2), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 16, 3, 2), nn.BatchNorm2d(16)]
    return nn.Sequential(*layers, nn.Dropout(0.1), nn.ReLU())
"""


def make_head(features: int, classes: int) -> nn.Module:
    layers = [nn.BatchNorm1d(features), nn.Dropout(0.5), nn.Linear(features, 16), nn.ReLU(), nn.Linear(16, classes)]
    return nn.Sequential(*layers)


def make_other(features: int, classes: int) -> nn.Module:
    return nn.Linear(features, classes)


def make_backbone() -> nn.Module:
    layers = [nn.Conv2d(3, 8, 3, 2), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 16, 3, 2), nn.BatchNorm2d(16)]
    return nn.Sequential(*layers, nn.Dropout(0.1), nn.ReLU())


class Told(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, message: str) -> None:
        self.lines.append(message)


@pytest.fixture
def learner(picture_folder: Callable[..., Path], cache: Path, tmp_path: Path) -> Callable[..., gr.Learner]:
    """Make a learner on 34 pictures of two hues, 26 of which train: in batches of 5 the last one is alone."""
    images = gr.from_folder(picture_folder(each=17))

    def make(**options: Any) -> gr.Learner:
        backbone = gr.models.custom_backbone(make_backbone, preprocessing=SEEN)
        options = {"folder": tmp_path / "steps", "progress": Told(), "head": make_head, "batch_size": 5} | options
        return gr.Learner(images, options.pop("backbone", backbone), **options)

    return make


def weights(learn: gr.Learner) -> dict[str, bytes]:
    head = {name: value.tobytes() for name, value in learn.state.head.tensors.items()}
    return head | {"backbone": learn.state.backbone.weights_file.read_bytes()}


def replayed(learn: gr.Learner) -> int:
    told: Any = learn.data.progress
    return sum("replayed" in line for line in told.lines)


def test_the_head_learns_on_kept_rows_and_on_live_images_to_the_same_bits(
    learner: Callable[..., gr.Learner], tmp_path: Path
) -> None:
    kept, live = learner(precompute=True, folder=tmp_path / "a"), learner(folder=tmp_path / "b")
    before = {name: value.copy() for name, value in kept.state.head.tensors.items()}
    for one in (kept, live):
        one.fit(1e-2, 3)
    assert len(kept.data.split("train")) % 5 == 1
    assert weights(kept) == weights(live)
    changed = {name for name, value in kept.state.head.tensors.items() if not np.array_equal(value, before[name])}
    assert {"module.0.running_mean", "module.0.num_batches_tracked", "module.4.bias"} <= changed
    assert kept.history.rows[-1].valid_loss == pytest.approx(gr.metrics.log_loss(kept.evaluate()).value, abs=0.02)


def test_the_whole_network_learns_and_what_was_saved_says_the_same(
    learner: Callable[..., gr.Learner], tmp_path: Path
) -> None:
    learn = learner(precompute=True, augment=gr.data.side_on(), augmented_views=1)
    learn.lr_find(steps=5)
    learn.fit(1e-2, 2)
    backbone = learn.state.backbone.spec.weights
    learn.freeze_to(1)
    learn.fit(1e-3, 1)
    learn.unfreeze()
    learn.bn_freeze(False)
    learn.fit_one_cycle(1e-2, 8, ema=0.5, mixup=0.2)
    assert 0 <= learn.blend((0, 0.5, 1)) <= 1
    assert learn.calibrate() >= 1
    assert learn.state.backbone.spec.weights != backbone
    assert gr.metrics.accuracy(learn.evaluate()).value == 1
    learn.save(tmp_path / "saved")
    other = learner(seed=3)
    other.load(tmp_path / "saved")
    assert weights(other) == weights(learn)
    valid = learn.data.table.split("valid")
    assert np.array_equal(other.classifier().predict_table(valid).logits, learn.evaluate().logits)
    assert learn.tta(augmented_views=2).views == 3
    learn.set_size(48)
    assert gr.Classifier.load(learn.save(tmp_path / "larger")).preprocessing.size == 48


@pytest.mark.parametrize("first_trained", [0, 1, 2])
def test_looking_changes_nothing(learner: Callable[..., gr.Learner], first_trained: int) -> None:
    learn = learner(replay=False, augment=gr.data.side_on())
    learn.freeze_to(first_trained)
    before, key, draws = weights(learn), learn.state.key, torch.random.get_rng_state()
    legacy = copy.deepcopy(np.random.get_state())  # noqa: NPY002 - that nobody touches it is the point
    assert learn.lr_find(steps=3).losses == learn.lr_find(steps=3).losses
    learn.evaluate()
    learn.tta(augmented_views=1)
    assert (weights(learn), learn.state.key) == (before, key)
    assert torch.equal(torch.random.get_rng_state(), draws)
    assert all(np.array_equal(a, b) for a, b in zip(legacy, np.random.get_state(), strict=True))  # noqa: NPY002


def test_late_layers_of_an_own_body_learn_from_the_bank(learner: Callable[..., gr.Learner]) -> None:
    learn = learner(precompute=True)
    learn.freeze_to(1)
    before = learn.state.backbone.module.state_dict()
    learn.fit([0.0, 1e-2, 1e-2], 2)
    assert learn.precompute
    groups = learn.state.backbone.spec.groups
    changed = {
        groups[name.removeprefix("model.")]
        for name, value in learn.state.backbone.module.state_dict().items()
        if not torch.equal(value, before[name])
    }
    assert changed == {"late"}


def test_the_same_script_is_replayed_and_one_with_other_parts_is_not(learner: Callable[..., gr.Learner]) -> None:
    def script(**options: Any) -> gr.Learner:
        learn = learner(precompute=True, **options)
        learn.lr_find(steps=5)
        learn.fit(1e-2, 1)
        learn.unfreeze()
        learn.fit(1e-3, 1)
        return learn

    first, second = script(), script()
    assert weights(first) == weights(second)
    assert (replayed(first), replayed(second)) == (0, 3)
    assert replayed(script(head=make_other)) == 0
    assert replayed(script(head=gr.models.custom_head(make_head, key="v2"))) == 0
    assert replayed(script(backbone=gr.models.custom_backbone(make_backbone, preprocessing=SEEN, key="v2"))) == 0


class Killed(BaseException):
    """Stands for SIGKILL inside one process."""


@pytest.mark.parametrize("first_trained", [0, 2])
def test_a_killed_fit_goes_on_to_the_same_bits(
    learner: Callable[..., gr.Learner], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, first_trained: int
) -> None:
    def script(folder: str) -> gr.Learner:
        learn = learner(augment=gr.data.side_on(), folder=tmp_path / folder)
        learn.bn_freeze(False)
        learn.freeze_to(first_trained)
        learn.fit(1e-2, 2, cycle_len=1, cycle_mult=2, keep="best", mixup=0.4, ema=0.9)
        return learn

    whole = script("whole")
    monkeypatch.setattr(fitting, "CHECKPOINT_SECONDS", 0.0)
    real = fitting.train

    def killed_after(count: int) -> Callable[..., Iterator[Any]]:
        def events(*arguments: Any, **options: Any) -> Iterator[Any]:
            for number, event in enumerate(real(*arguments, **options)):
                yield event
                if number == count:
                    raise Killed

        return events

    for count in (1, 3, 2):
        monkeypatch.setattr(fitting, "train", killed_after(count))
        with pytest.raises(Killed):
            script("broken")
    monkeypatch.setattr(fitting, "train", real)
    broken = script("broken")
    assert weights(broken) == weights(whole)
    assert [asdict(row) for row in broken.history] == [asdict(row) for row in whole.history]


def test_the_command_line_runs_the_file_that_is_named_and_no_other(
    cache: Path,
    picture_folder: Callable[..., Path],
    tmp_path: Path,
    process: Callable[..., Any],
    command: Callable[..., Any],
) -> None:
    from goldenrule.core.functions import from_file

    file, folder = tmp_path / "parts.py", picture_folder()
    file.write_text(MAKERS)
    backbone = gr.models.custom_backbone(from_file(f"{file}:backbone"), preprocessing=SEEN)
    learn = gr.Learner(gr.from_folder(folder), backbone, head=from_file(f"{file}:head"), progress=Silent())
    learn.fit(1e-2, 1)
    learn.save(tmp_path / "saved")
    one = folder / "red" / "00.png"
    refused = process("predict", "saved", one)
    assert refused.returncode == 2
    assert "made by a function of its owner's, parts.py:backbone" in " ".join(refused.stderr.split())
    named = command(
        "predict",
        "saved",
        one,
        "-o",
        "out.csv",
        "--custom-head",
        "parts.py:head",
        "--custom-backbone",
        "parts.py:backbone",
    )
    assert named.returncode == 0, named.stderr
    wanted = learn.classifier().predict(one).probabilities[0]
    found = (tmp_path / "out.csv").read_text().splitlines()[1].split(",")[-2:]
    np.testing.assert_allclose(np.float64(found), wanted, atol=1e-4)
    (tmp_path / "sample.csv").write_text("id,label\n00,0.5\n")
    makers = ("--custom-head", "parts.py:head", "--custom-backbone", "parts.py:backbone")
    submitted = command("submit", "saved", folder / "red", "--sample-submission", "sample.csv", *makers)
    assert "not in the sample: left out" in submitted.stdout
    assert submitted.returncode == 0, submitted.stderr
