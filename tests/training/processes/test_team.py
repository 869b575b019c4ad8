"""Two real processes train one network: as one process does, and without losing or counting twice an image."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch

import goldenrule as gr
from goldenrule.core.errors import OptionError, ProcessLost, StorageError
from goldenrule.core.progress import Silent
from goldenrule.data.augmentation.augment import views
from goldenrule.data.pictures import file_digests
from goldenrule.features.extractor import HELPERS, FeatureExtractor
from goldenrule.runs.machines import Machines
from goldenrule.training import fitting, loop
from goldenrule.training.runtime import end_teams, runtime

Learner = Callable[..., gr.Learner]


@pytest.fixture(scope="module", autouse=True)
def _one_team() -> Iterator[None]:
    """Let all tests of this file train with the same second process, as the fits of one run do."""
    yield
    end_teams()


@pytest.fixture
def learner(small_photos: Path, cache: Path, tmp_path: Path) -> Learner:
    """Make a learner of the tiny network, all of it trained, by SGD, in batches that two processes can't halve."""
    images = gr.from_folder(small_photos)

    def make(devices: int, **options: Any) -> gr.Learner:
        usual = {"batch_size": 7, "optimizer": "sgd", "progress": Silent(), "replay": False}
        learn = gr.Learner(images, devices=devices, **(usual | options))
        learn.freeze_to(0)
        return learn

    return make


def losses(learn: gr.Learner) -> list[float | None]:
    return [loss for row in learn.history.rows for loss in (row.train_loss, row.valid_loss)]


def followers() -> list[psutil.Process]:
    """Return the processes of this one that follow it in training."""
    children = psutil.Process().children()
    return [one for one in children if "goldenrule.training.processes.follower" in one.cmdline()]


@pytest.mark.parametrize("rest", [{"accumulate": 2, "clip_norm": 0.5}, {"batch_size": 39}], ids=["parts", "last alone"])
def test_two_processes_have_the_loss_curve_of_one(learner: Learner, rest: dict[str, Any]) -> None:
    """The same batches, BatchNorm keeps its statistics; in batches of 39 the last of 40 images is alone."""
    alone, both = learner(1, **rest), learner(2, **rest)
    for one in (alone, both):
        one.fit(1e-3, 3, cycle_len=1, keep="best", ema=0.5)
    assert losses(both) == pytest.approx(losses(alone), abs=1e-4)
    assert losses(alone)[0] != pytest.approx(losses(alone)[-2], abs=1e-2), "something was learned"


def test_late_layers_learn_from_kept_rows_as_in_one_process(learner: Learner) -> None:
    alone, both = learner(1), learner(2)
    for one in (alone, both):
        one.freeze_to(1)
        one.precompute = True
        one.fit(1e-3, 2)
    assert losses(both) == pytest.approx(losses(alone), abs=1e-4)


def test_the_rate_is_found_by_both(learner: Learner) -> None:
    alone, both = (learner(devices).lr_find(steps=8) for devices in (1, 2))
    assert both.losses == pytest.approx(alone.losses, abs=1e-3)


def test_every_validation_image_is_seen_once(learner: Learner, monkeypatch: pytest.MonkeyPatch) -> None:
    """The leader joins what the two say: 16 images, in their order, each with what one process says of it."""
    seen = []
    real = fitting._validated

    def noted(fit: fitting.Fit) -> Any:
        found, alone = real(fit), fit.validate and fit.validate(fit.network)
        seen.append((found, alone))
        return found

    monkeypatch.setattr(fitting, "_validated", noted)
    learner(2).fit(1e-3, 2)
    for found, alone in seen:
        assert found.rows.tolist() == alone.rows.tolist() == list(range(16))
        np.testing.assert_allclose(found.seen.logits, alone.seen.logits, atol=1e-5)
        assert (found.seen.truth == alone.seen.truth).all()
    assert len(seen) == 2


def test_features_are_computed_by_both_each_its_share(
    small_photos: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    end_teams()  # those that follow so far have the cache of another test
    table = file_digests.with_digests(gr.from_folder(small_photos))
    taught = [digest for digest, teaches in zip(table.digests, table.teaching, strict=True) if teaches and digest]
    backbone = gr.backbone()
    how = {"views": views(gr.data.side_on(), 1), "augmented": table.teaching}
    digests = [digest for digest in table.digests if digest is not None]
    alone = FeatureExtractor.of(backbone, threads=1).features(table, **how)
    rows = [alone.rows(digests).copy(), alone.rows(taught, 1).copy()]
    for one in alone.caches:
        shutil.rmtree(one.folder)
    team = runtime(Machines(devices=2), threads=2).team
    assert team
    token = HELPERS.set(team)
    try:
        both = FeatureExtractor.of(backbone, threads=1).features(table, **how)
        monkeypatch.setenv("GOLDENRULE_CACHE", str(tmp_path / "elsewhere"))  # the followers' is the one before
        with pytest.raises(StorageError, match="all machines need the same feature cache"):
            FeatureExtractor.of(backbone, threads=1).features(table)
    finally:
        HELPERS.reset(token)
    assert (both.computed, both.failures) == (alone.computed, {})
    assert (both.rows(digests) == rows[0]).all()
    assert (both.rows(taught, 1) == rows[1]).all()
    for one in both.caches:
        assert len(list(one.folder.glob("*.arrow"))) >= 2, "a chunk of each"


def test_mixed_precision_learns_nearly_the_same(learner: Learner) -> None:
    usual, mixed = learner(1), learner(1, precision="bf16-mixed")
    for one in (usual, mixed):
        one.fit(1e-3, 2)
    assert losses(mixed) != losses(usual)
    assert losses(mixed) == pytest.approx(losses(usual), rel=0.05)


@pytest.mark.exhaustive
def test_a_follower_that_is_killed_is_named_and_the_fit_goes_on_to_the_same_bits(
    learner: Learner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def script(folder: str) -> gr.Learner:
        learn = learner(2, replay=True, folder=tmp_path / folder, augment=gr.data.side_on())
        learn.fit(1e-3, 2)
        return learn

    whole = script("whole")
    monkeypatch.setattr(fitting, "CHECKPOINT_SECONDS", 0.0)
    real = fitting.train

    def with_a_death(*arguments: Any, **options: Any) -> Iterator[Any]:
        for number, event in enumerate(real(*arguments, **options)):
            yield event
            if number == 8:
                followers()[0].kill()

    monkeypatch.setattr(fitting, "train", with_a_death)
    with pytest.raises(ProcessLost, match=r"process 1: signal SIGKILL.*Give the same command again"):
        script("broken")
    monkeypatch.setattr(fitting, "train", real)
    broken = script("broken")
    assert losses(broken) == losses(whole)
    for name, value in whole.state.head.tensors.items():
        assert (broken.state.head.tensors[name] == value).all()


def test_what_only_this_program_knows_is_refused_before_anything_is_trained(learner: Learner) -> None:
    def focal(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(logits, targets, reduction="none") ** 2

    with pytest.raises(OptionError, match=r"focal is known to this program alone.*--devices 1"):
        learner(2, loss=focal).fit(1e-3, 1)


def test_a_batch_is_no_smaller_than_the_team(learner: Learner) -> None:
    with pytest.raises(OptionError, match="A batch of 1 images for 2 processes"):
        learner(2, batch_size=1).fit(1e-3, 1)


def test_a_head_is_trained_by_one_process(learner: Learner) -> None:
    end_teams()
    learn = learner(2)
    learn.freeze()
    learn.fit(1e-3, 1)
    assert not followers()


@pytest.mark.exhaustive
def test_followers_end_with_their_leader_even_if_it_is_killed(
    small_photos: Path, cache: Path, start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\nimport goldenrule as gr\n"
        f"learn = gr.Learner(gr.from_folder({str(small_photos)!r}), devices=2, batch_size=8, replay=False)\n"
        "learn.freeze_to(0)\nlearn.fit(1e-3, 500)\n"
    )
    leader = psutil.Process(start(script, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).pid)
    started = _until(lambda: [one for one in _children(leader) if "follower" in " ".join(_command(one))])
    os.kill(leader.pid, signal.SIGKILL)
    assert _until(lambda: not any(one.is_running() and one.status() != "zombie" for one in started))


def _children(process: psutil.Process) -> list[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.children()
    return []


def _command(process: psutil.Process) -> list[str]:
    with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
        return process.cmdline()
    return []


def _until(found: Callable[[], Any], seconds: float = 120.0) -> Any:
    until = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < until, "nothing happened"
        time.sleep(0.1)
    return value


@pytest.mark.exhaustive
def test_torchrun_starts_what_devices_would(
    small_photos: Path, cache: Path, tmp_path: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    """Two processes of the whole command: the first writes one run, the second only follows."""
    how = ("train", small_photos, "-t", "fine_tuning", "--epochs", 1, "--lr", "1e-3", "--batch-size", 8)
    found = {}
    for name, by in {
        "torchrun": ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", 2, "-m", "goldenrule"),
        "devices": ("-m", "goldenrule"),
    }.items():
        more = ("--devices", 2) if name == "devices" else ()
        process = start(*by, *how, *more, "--out", tmp_path / name, env={"OMP_NUM_THREADS": "1"})
        out, err = process.communicate(timeout=240)
        assert process.returncode == 0, out + err
        assert (out + err).count("Predict ") == 1, "one process alone speaks"
        found[name] = gr.Classifier.load(tmp_path / name)
    first, second = found.values()
    for name, value in first.head.tensors.items():
        np.testing.assert_array_equal(value, second.head.tensors[name])


@pytest.mark.exhaustive
def test_an_error_of_the_leader_within_a_step_ends_the_others_and_the_next_fit_has_new_ones(
    learner: Learner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that follow wait for gradients that never come: nobody waits for them."""
    learner(2).fit(1e-3, 1)
    before = followers()
    real = loop.loss_of

    def broken(*arguments: Any) -> torch.Tensor:
        raise ZeroDivisionError

    monkeypatch.setattr(loop, "loss_of", broken)
    with pytest.raises(ZeroDivisionError):
        learner(2).fit(1e-3, 1)
    monkeypatch.setattr(loop, "loss_of", real)
    alone, both = learner(1), learner(2)
    for one in (alone, both):
        one.fit(1e-3, 1)
    assert losses(both) == pytest.approx(losses(alone), abs=1e-4)
    assert not {one.pid for one in before} & {one.pid for one in followers()}
