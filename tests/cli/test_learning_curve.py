"""`goldenrule learning-curve` and `goldenrule compare-runs` as processes."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(fitted: Any, tmp_path: Path) -> Path:
    """A copy of the run on cats and dogs."""
    return Path(shutil.copytree(fitted.folder, tmp_path / "run"))


def test_the_learning_curve_is_shown_answered_and_written(command: Command, fitted: Any, run: Path) -> None:
    cache = str(fitted.folder.parent / "cache")
    found = command("learning-curve", "run", "--target", "0.95", env={"GOLDENRULE_CACHE": cache})
    assert found.returncode == 0, found.stderr
    assert "measured" in found.stdout
    assert "forecast: all there are" in found.stdout
    assert "95 % accuracy" in found.stdout
    assert (run / "learning-curve" / "learning_curve.svg").is_file()
    value = json.loads((run / "learning-curve" / "learning_curve.json").read_text())
    said = " ".join(found.stdout.split())
    assert " ".join(value["says"].split()) in said
    assert "How much is enough? There are 20 images in each of 2 classes." in said
    assert "fine-tuning 1,000-5,000: 980 short not tried here" in said
    assert value["enough"]["says"] in said


def test_a_wrong_target_is_told(command: Command, fitted: Any, run: Path) -> None:
    cache = str(fitted.folder.parent / "cache")
    found = command("learning-curve", run, "--target", "99", env={"GOLDENRULE_CACHE": cache})
    assert found.returncode == 2
    assert "wanted a share between 0 and 1" in found.stderr
    assert not (run / "learning-curve").exists()


def test_two_runs_are_compared_in_a_sentence_and_in_json(
    command: Command, fitted: Any, run: Path, tmp_path: Path
) -> None:
    found = command("compare-runs", fitted.folder, run, "--json", "compared.json")
    assert found.returncode == 0, found.stderr
    assert "12 common images: test." in found.stdout
    assert "are tied on 12 images; by what is seen no number of images would do" in found.stdout
    value = json.loads((tmp_path / "compared.json").read_text())
    assert value["n"] == 12
    assert value["mcnemar"]["images_needed"] is None


def test_a_folder_that_is_no_run_is_told(command: Command, fitted: Any, run: Path, tmp_path: Path) -> None:
    found = command("compare-runs", fitted.folder, tmp_path)
    assert found.returncode == 2
    assert "holds no finished run" in found.stderr
    assert "--on train" in command("compare-runs", fitted.folder, run, "--on", "train").stderr
    assert "is given twice" in command("compare-runs", run, run).stderr
    done = command("compare-runs", fitted.folder, run, "--epochs", "3")
    assert done.returncode == 2
    assert "It is an option of" in " ".join(done.stderr.replace("│", " ").split())
