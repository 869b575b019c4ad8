"""`goldenrule lesson`: a list, a lesson with its figures, and an error for what is none."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

LESSONS = Path(__file__).parents[2] / "lessons"
Command = Callable[..., subprocess.CompletedProcess[str]]


def test_without_a_name_the_lessons_are_listed(command: Command, tmp_path: Path) -> None:
    found = command("lesson")
    assert found.returncode == 0
    assert "A line through five points" in found.stdout
    assert "Begin with: goldenrule lesson regression" in found.stdout
    assert not list(tmp_path.glob("demo")), "listing writes nothing"
    command("lesson", "--json", "lessons.json")
    assert json.loads((tmp_path / "lessons.json").read_text())["lessons"][0]["name"] == "regression"


def test_a_lesson_shows_words_code_results_and_where_its_figures_are(command: Command, tmp_path: Path) -> None:
    found = command("lesson", "regression", "--out", "figures", "--json", "told.json")
    assert found.returncode == 0
    shown = json.loads((tmp_path / "told.json").read_text())["figures"]
    assert shown["figures/regression/line.svg"].startswith("Left: lines after 0, 1, 5 and 50 epochs")
    for part in ("Which way is down?", "bias -= RATE * 2 * error", "by formula: y = 2.0000 x + 1.0000"):
        assert part in found.stdout
    assert "Figure: figures/regression/line.svg" in found.stdout
    assert (tmp_path / "figures" / "regression" / "line.svg").is_file()
    assert "bias -= RATE * 2 * error" not in command("lesson", "1", "--no-code").stdout


def test_no_line_of_code_is_broken_in_a_narrow_terminal(command: Command) -> None:
    shown = command("lesson", "regression", env={"COLUMNS": "60"}).stdout.splitlines()
    long = [line for line in (LESSONS / "regression.py").read_text().splitlines() if "after epoch" in line]
    assert len(long[0]) > 60
    assert long[0] in shown


def test_an_unknown_lesson_is_exit_code_2(command: Command) -> None:
    found = command("lesson", "astrology")
    assert found.returncode == 2
    assert "regression, xor" in found.stderr


def test_a_file_in_the_way_is_exit_code_2(command: Command, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("mine")
    found = command("lesson", "regression", "--out", "taken")
    assert found.returncode == 2
    assert (tmp_path / "taken").read_text() == "mine"
