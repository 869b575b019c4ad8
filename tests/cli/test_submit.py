"""`goldenrule submit` as a process."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

Command = Callable[..., subprocess.CompletedProcess[str]]


def test_a_submission_is_written_and_explained(
    command: Command, fitted: Any, small_photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "test1").mkdir()
    for number, file in enumerate(sorted((small_photos / "test").rglob("*.jpg")), start=1):
        shutil.copy(file, tmp_path / "test1" / f"{number}.jpg")
    (tmp_path / "sample.csv").write_text("id,label\n" + "".join(f"{n},0.5\n" for n in range(1, 13)))
    found = command("submit", fitted.folder, "test1", "--sample-submission", "sample.csv", "-o", "mine.csv")
    assert found.returncode == 0, found.stderr
    assert "12 rows: id, the probability of dogs." in found.stdout
    assert "log loss" in found.stdout
    assert "No probability is below" in found.stdout
    assert "ood" not in found.stdout, "they are like those of the training"
    assert len((tmp_path / "mine.csv").read_text().splitlines()) == 13
    assert (tmp_path / "mine.json").exists()


def test_a_wrong_folder_is_told(command: Command, fitted: Any, small_photos: Path, tmp_path: Path) -> None:
    (tmp_path / "sample.csv").write_text("id,label\n1,0.5\n2,0.5\n")
    found = command("submit", fitted.folder, small_photos / "test", "--sample-submission", "sample.csv")
    assert found.returncode == 2
    assert "2 ids of the sample have no image" in found.stderr
    assert "Traceback" not in found.stderr
    assert not (tmp_path / "submission.csv").exists()


def test_test_images_unlike_those_of_the_training_are_warned_of(
    command: Command, really_fitted: Any, photos: Callable[[str], Path], tmp_path: Path
) -> None:
    (tmp_path / "test1").mkdir()
    for number, file in enumerate(sorted(photos("surface_crack").glob("Negative/*"))[:12], start=1):
        shutil.copy(file, tmp_path / "test1" / f"{number}.jpg")
    (tmp_path / "sample.csv").write_text("id,label\n" + "".join(f"{n},0.5\n" for n in range(1, 13)))
    found = command("submit", really_fitted.folder, "test1", "--sample-submission", "sample.csv", "-o", "mine.csv")
    assert found.returncode == 0, found.stderr
    assert "of the images are out-of-distribution; of images like the training images it would be 2.4 %" in found.stdout
    stated = json.loads((tmp_path / "mine.json").read_text())["ood"]
    assert stated["n"] == 12
    assert stated["value"] > 0.9
