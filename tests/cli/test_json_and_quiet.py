"""Every command has --json and --quiet: numbers for programs, silence for scripts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from goldenrule.cli.main import app

Command = Callable[..., Any]
ROOT: Any = typer.main.get_command(app)
SAID = {
    "audit": ("audit", "{photos}"),
    "cache": ("cache",),
    "cache clear": ("cache", "clear", "--leftovers"),
    "cache limit": ("cache", "limit", "none"),
    "compare-runs": ("compare-runs", "run", "other"),
    "doctor": ("doctor", "--no-speed"),
    "evaluate": ("evaluate", "run", "{photos}/test"),
    "explain": ("explain", "run", "{image}", "--no-heat"),
    "export": ("export", "run", "-o", "run.safetensors"),
    "fit": ("fit", "{photos}", "--quick", "--out", "run"),
    "labels": ("labels", "run"),
    "learning-curve": ("learning-curve", "run"),
    "lesson": ("lesson",),
    "lr-find": ("lr-find", "{photos}", "--steps", "5"),
    "precompute": ("precompute", "{photos}"),
    "predict": ("predict", "run", "{image}"),
    "report": ("report", "run", "--lang", "ja"),
    "runs": ("runs", "--runs", "."),
    "runs rm": ("runs", "rm", "other", "--yes"),
    "share": ("share", "run"),
    "show-augment": ("show-augment", "{photos}", "--num-images", "1", "--views", "1"),
    "split": ("split", "{photos}", "dealt", "--anew"),
    "submit": ("submit", "run", "{photos}/test", "--sample-submission", "sample.csv"),
    "summary": ("summary", "-m", "original"),
    "train": ("train", "{photos}", "-t", "transfer_learning"),
}
LONG = {"demo", "compare-models", "review", "serve", "tune"}
"""Seconds each, or without an end: they are tried beside what they are about."""


def every() -> list[str]:
    names = []
    for name, one in ROOT.commands.items():
        names += [name, *(f"{name} {below}" for below in getattr(one, "commands", ()))]
    return names


@pytest.fixture
def place(fitted: Any, small_photos: Path, tmp_path: Path) -> dict[str, str]:
    for name in ("run", "other"):
        shutil.copytree(fitted.folder, tmp_path / name)
    images = sorted((small_photos / "test").rglob("*.jpg"))
    rows = "".join(f"{image.relative_to(small_photos / 'test')},0.5\n" for image in images)
    (tmp_path / "sample.csv").write_text(f"id,label\n{rows}")
    return {"photos": str(small_photos), "image": str(images[0])}


def test_every_command_is_tried_here() -> None:
    assert {*every()} == {*SAID} | LONG


@pytest.mark.parametrize("name", sorted(SAID))
def test_numbers_go_to_a_file_and_nothing_is_printed(
    name: str, command: Command, place: dict[str, str], tmp_path: Path
) -> None:
    done = command(*(word.format(**place) for word in SAID[name]), "--json", "numbers.json", "--quiet")
    assert done.returncode == 0, done.stderr
    assert (done.stdout, done.stderr) == ("", "")
    value = json.loads((tmp_path / "numbers.json").read_text())
    assert value["command"] == name.split()[-1]
    assert len(value) > 2, "it has numbers"


def test_a_dash_is_the_screen_which_holds_the_numbers_alone(command: Command, place: dict[str, str]) -> None:
    done = command("predict", "run", place["image"], "--json", "-")
    assert json.loads(done.stdout)["images"] == 1
    assert done.stderr, "people read there"


def test_a_file_of_the_users_stays(command: Command, tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text('{"command": "mine"}')
    done = command("summary", "-m", "original", "--json", "mine.json")
    assert done.returncode == 2
    assert (tmp_path / "mine.json").read_text() == '{"command": "mine"}'


def test_errors_are_printed_all_the_same(command: Command) -> None:
    done = command("predict", "nowhere", "x.jpg", "--quiet")
    assert done.returncode == 2
    assert "error:" in done.stderr


@pytest.mark.parametrize(("before", "now"), [("insight", "labels"), ("search", "tune"), ("compare", "compare-runs")])
def test_a_command_that_was_renamed_says_so(command: Command, before: str, now: str) -> None:
    done = command(before, "run")
    assert done.returncode == 2
    assert now in done.stderr
