"""`goldenrule compare-models PHOTOS -m ...` as processes; two runs are compared in test_learning_curve."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.exhaustive
def test_names_after_the_first_are_networks_and_ways_of_training_too(
    command: Command, small_photos: Path, tmp_path: Path
) -> None:
    found = command(
        "compare-models",
        small_photos,
        "-m",
        "original@32",
        "efficientnet@32",
        "-t",
        "transfer_learning",
        "fromzero",
        "--sample",
        "8",
        "--epochs",
        "1",
        "--threads",
        "1",
        "--json",
        "compared.json",
    )
    assert found.returncode == 0, found.stderr
    rows = {(row["network"], row["type"]) for row in json.loads((tmp_path / "compared.json").read_text())["rows"]}
    assert rows == {
        ("original@32", "fromzero"),
        ("efficientnet_lite0@32", "fromzero"),
        ("efficientnet_lite0@32", "transfer_learning"),
    }
    assert "Take efficientnet_lite0@32, transfer learning." in found.stdout
    assert "Left out: original@32, transfer learning." in found.stdout
    assert "goldenrule predict runs/dogscats-compare/efficientnet_lite0@32-transfer_learning" in found.stdout
    assert (tmp_path / "runs" / "dogscats-compare" / "comparison.html").is_file()


def test_a_broken_image_is_named_and_stops_nothing(command: Command, small_photos: Path, tmp_path: Path) -> None:
    photos = Path(shutil.copytree(small_photos, tmp_path / "photos"))
    whole = next((photos / "train" / "cats").iterdir())
    (photos / "train" / "cats" / "broken.jpg").write_bytes(whole.read_bytes()[:3000])
    found = command("compare-models", photos, "-m", "efficientnet", "-t", "transfer_learning", "--threads", "1")
    assert found.returncode == 0, found.stderr
    assert "1 file can't be read (train/cats/broken.jpg" in found.stdout


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        (["-m", "original", "{photos}"], "the images first"),
        (["{photos}", "-m", "orignal"], "original"),
        (["{photos}", "-m", "original", "-t", "tuning"], "fine_tuning"),
        (["{photos}", "-m", "original", "--weights-of", "resnet"], "NAME=FILE"),
        (["nowhere", "-m", "original"], "nowhere"),
        (["{run}"], "goldenrule compare-runs RUN OTHER"),
        (["{run}", "{run}"], "goldenrule compare-runs RUN OTHER"),
    ],
)
def test_what_is_no_comparison_is_said_with_exit_code_2(
    command: Command, small_photos: Path, fitted: Any, said: list[str], wanted: str
) -> None:
    words = [word.format(photos=small_photos, run=fitted.folder) for word in said]
    if words[0] == "-m":
        words = ["-m", "original", "resnet18", str(small_photos)]
    found = command("compare-models", *words)
    assert found.returncode == 2
    assert wanted in found.stderr
