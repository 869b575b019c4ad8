"""`goldenrule runs`: what is there, and its removal; nothing but a run's own files ever goes."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from goldenrule.core.errors import RunError, RunInUse, SourceError
from goldenrule.runs.removal import remove_run
from goldenrule.runs.store import opened
from goldenrule.storage.manifest import write_recorded_json

Command = Callable[..., Any]


@pytest.fixture
def runs(fitted: Any, tmp_path: Path) -> Path:
    shutil.copytree(fitted.folder, tmp_path / "runs" / "photos")
    (tmp_path / "runs" / "no run").mkdir()
    return tmp_path / "runs"


def test_runs_are_listed_with_their_numbers(command: Command, fitted: Any, runs: Path) -> None:
    shutil.copytree(runs / "photos", runs / "damaged")
    (runs / "damaged" / "run.json").write_text("{}")
    done = command("runs", "--json", "list.json")
    assert done.returncode == 0
    assert "photos" in done.stdout
    assert f"{fitted.headline.value:.0%}".rstrip("%") in done.stdout
    assert "warning: " in done.stdout, "what is damaged is named"
    damaged, photos = json.loads((runs.parent / "list.json").read_text())["runs"]
    assert (photos["kind"], photos["images"]) == ("quick fit", len(fitted.table))
    assert photos["number"]["value"] == fitted.headline.value
    assert damaged["kind"] == "damaged"


def test_a_fit_that_was_stopped_while_it_trained_is_told_from_a_quick_fit(command: Command, runs: Path) -> None:
    about = json.loads((runs / "photos" / "run.json").read_text())
    write_recorded_json(runs / "photos", "run.json", about | {"quick": False})
    command("runs", "--json", "list.json")
    assert json.loads((runs.parent / "list.json").read_text())["runs"][0]["kind"] == "quick fit, training begun"


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_names_and_numbers_are_there_however_narrow_the_terminal(command: Command, runs: Path, columns: int) -> None:
    shown = command("runs", env={"COLUMNS": str(columns)}).stdout
    assert max(map(len, shown.splitlines())) <= columns
    assert "photos" in shown
    assert "MB" in shown
    if columns >= 80:
        assert " photos " in shown
        assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d", shown), "day and time stand on one line"


def test_a_folder_without_runs_says_so_and_no_folder_is_an_error(command: Command, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "There are no runs in empty." in command("runs", "--runs", "empty").stdout
    assert command("runs", "--runs", "nowhere").returncode == 2


def test_a_run_is_removed_and_all_else_stays(command: Command, runs: Path) -> None:
    done = command("runs", "rm", "runs/photos", "--yes")
    assert done.returncode == 0, done.stderr
    assert "Removed: runs/photos" in done.stdout
    assert [path.name for path in runs.iterdir()] == ["no run"]


def test_a_run_is_named_as_it_is_listed(command: Command, runs: Path) -> None:
    assert command("runs", "rm", "photos", "--yes").returncode == 0
    assert not (runs / "photos").exists()


def test_nobody_to_ask_removes_nothing(command: Command, runs: Path) -> None:
    done = command("runs", "rm", "runs/photos")
    assert done.returncode == 2
    assert "--yes" in done.stderr
    assert (runs / "photos" / "run.json").is_file()


@pytest.mark.parametrize(("answer", "stays"), [("n", True), ("y", False)])
def test_a_terminal_is_asked(runs: Path, answer: str, stays: bool) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "goldenrule", "runs", "rm", "runs/photos"], cwd=runs.parent, stdin=theirs
    )
    os.write(ours, f"{answer}\n".encode())
    assert process.wait() == 0
    assert (runs / "photos").exists() == stays


def test_what_no_run_writes_is_never_removed(runs: Path) -> None:
    (runs / "photos" / "thesis.txt").write_text("mine")
    with pytest.raises(RunError, match=r"thesis\.txt, which no run writes"):
        remove_run(runs / "photos")
    with pytest.raises(SourceError, match="holds no run"):
        remove_run(runs / "no run")
    (runs / "link").symlink_to(runs / "photos")
    with pytest.raises(RunError, match="symbolic link"):
        remove_run(runs / "link")
    assert (runs / "photos" / "thesis.txt").read_text() == "mine"


def test_a_run_that_is_being_written_stays(runs: Path) -> None:
    with opened(runs / "photos"), pytest.raises(RunInUse):
        remove_run(runs / "photos")
    assert (runs / "photos" / "run.json").is_file()


def test_overwrite_asks_before_it_begins_anew(command: Command, runs: Path, small_photos: Path) -> None:
    done = command("fit", small_photos, "--quick", "--out", "runs/photos", "--overwrite")
    assert done.returncode == 2
    assert "removed only after asking" in done.stderr
    assert (runs / "photos" / "run.json").is_file()


def test_a_number_is_listed_with_its_interval_and_the_split_it_is_of(command: Command, runs: Path) -> None:
    done = command("runs")
    assert re.search(r"\d+(\.\d+)? % +\[[\d.]+, [\d.]+\] (test|validation|valid|out-of-fold)", done.stdout)
