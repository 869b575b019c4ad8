"""`goldenrule fit --log`: what is said on the command line reaches the trackers."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.exhaustive
def test_the_golden_rule_logs_every_fit_once_and_a_second_run_adds_nothing(
    command: Command, picture_folder: Callable[..., Path], tmp_path: Path
) -> None:
    photos = picture_folder("photos", each=12)

    def files() -> dict[str, int]:
        return {
            path.parent.name: path.stat().st_size for path in (tmp_path / "logs/photos").rglob("events.out.tfevents.*")
        }

    first = command("fit", photos, "--size", "64", "--sample", "6", "--log", "tensorboard:logs")
    assert first.returncode == 0, first.stderr
    stages = {name.rpartition("-")[0] for name in files()}
    assert {"head-precomputed", "head-live", "whole-network"} <= stages
    written = files()
    again = command("fit", photos, "--size", "64", "--sample", "6", "--log", "tensorboard:logs")
    assert "replayed" in again.stderr
    assert "(runs/photos)" not in again.stderr
    assert files() == written
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["photos"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--log", "comet"], "--log comet: wanted tensorboard:FOLDER"),
        (["--quick", "--log", "tensorboard:logs"], "--quick trains in none"),
    ],
)
def test_a_log_that_can_not_be_written_is_told_at_once(
    command: Command, picture_folder: Callable[..., Path], arguments: list[str], said: str
) -> None:
    done = command("fit", picture_folder(), *arguments)
    assert done.returncode == 2
    assert said in done.stderr
