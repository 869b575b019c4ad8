"""Epochs kept by --save-every: classifiers that can be used, whole after a kill, none twice."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import goldenrule as gr
from goldenrule.core.errors import OptionError, StorageError
from goldenrule.core.progress import Silent
from goldenrule.core.schema import as_json, from_json
from goldenrule.models.backbone import backbone
from goldenrule.models.classifier import Classifier
from goldenrule.runs.training_options import TrainingOptions

Start = Callable[..., subprocess.Popen[str]]


def learner(photos: Path, folder: Path | None) -> gr.Learner:
    """A head on rows from the bank."""
    return gr.Learner(gr.from_folder(photos), precompute=True, threads=1, folder=folder, progress=Silent())


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_every_second_epoch_is_a_classifier_as_the_weights_stood_then(
    small_photos: Path, cache: Path, tmp_path: Path
) -> None:
    del cache
    learn = learner(small_photos, tmp_path / "run")
    learn.fit(1e-2, 3, save_every=2)
    learn.fit(1e-2, 2, save_every=2)
    assert names(tmp_path / "run" / "epochs") == ["epoch-002", "epoch-004"]
    rows, last = learn.history.rows, learn.evaluate()
    for epoch in (2, 4):
        learn.load(tmp_path / "run" / "epochs" / f"epoch-{epoch:03d}")
        assert gr.metrics.log_loss(learn.evaluate()).value == pytest.approx(rows[epoch - 1].valid_loss, abs=1e-4)
    kept = Classifier.load(tmp_path / "run" / "epochs" / "epoch-004")
    said = kept.predict_table(learn.data.table.split("valid"), threads=1)
    assert said.classes == last.classes
    assert not np.array_equal(said.logits, last.logits)


def test_without_a_folder_there_is_nowhere_to_keep_them(small_photos: Path, cache: Path) -> None:
    del cache
    with pytest.raises(OptionError, match=r"save_every=2: wanted .* folder="):
        learner(small_photos, None).fit(1e-2, 2, save_every=2)


def test_a_full_disk_is_told_and_the_same_script_goes_on_and_keeps_what_was_missing(
    small_photos: Path, cache: Path, tmp_path: Path, tiny_disk: Callable[[str], Path]
) -> None:
    """There is room for what comes first, and for half of the backbone."""
    del cache
    disk = tiny_disk(f"{backbone().weights_file.stat().st_size // 2000}k")
    with pytest.raises(StorageError, match=r"The disk is full: .*epoch-002"):
        learner(small_photos, disk / "run").fit(1e-2, 3, save_every=2)
    assert names(disk / "run" / "epochs") == []
    subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
    again, whole = learner(small_photos, disk / "run"), learner(small_photos, tmp_path / "whole")
    for learn in (again, whole):
        learn.fit(1e-2, 3, save_every=2)
    assert again.history == whole.history
    assert files_of(disk / "run" / "epochs") == files_of(tmp_path / "whole" / "epochs")


@pytest.mark.exhaustive
def test_a_killed_training_ends_with_the_kept_epochs_of_an_unbroken_one(
    start: Start, command: Callable[..., subprocess.CompletedProcess[str]], small_photos: Path, tmp_path: Path
) -> None:
    how = ("-m", "original", "-t", "fromzero", "--size", "32", "--lr", "1e-3", "--threads", "1")
    training = ("train", small_photos, *how, "--epochs", "4", "--save-every", "2", "--out")
    broken, second = start("-m", "goldenrule", *training, "broken"), tmp_path / "broken" / "epochs" / "epoch-002"
    end = time.monotonic() + 120
    while not second.exists():
        assert broken.poll() is None, "it ended before the moment came"
        assert time.monotonic() < end
        time.sleep(0.002)
    broken.kill()
    broken.wait()
    kept = second.stat().st_ino
    for run in ("broken", "whole"):
        done = command(*training, run)
        assert done.returncode == 0, done.stdout + done.stderr
    assert second.stat().st_ino == kept
    assert names(second.parent) == ["epoch-002", "epoch-004"]
    assert files_of(second.parent) == files_of(tmp_path / "whole" / "epochs")
    assert Classifier.load(second.parent / "epoch-004").backbone.spec.name == "original"


def test_options_are_read_as_they_were_written() -> None:
    told = TrainingOptions(type="fine_tuning", save_every=5, stop=("overfit:2",))
    assert from_json(as_json(told), TrainingOptions) == told


def test_epochs_that_never_come_are_not_asked_for() -> None:
    with pytest.raises(OptionError, match=r"--save-every 4: wanted .*1 to 3"):
        TrainingOptions(type="fine_tuning", epochs=3, save_every=4)
    with pytest.raises(OptionError, match="--save-every -1"):
        TrainingOptions(type="fine_tuning", save_every=-1)


def test_a_head_whose_epochs_are_kept_is_trained_not_solved() -> None:
    assert TrainingOptions(type="transfer_learning").linear
    assert not TrainingOptions(type="transfer_learning", save_every=1).linear
