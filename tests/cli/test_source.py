"""The options that say how images are found and labelled, on real command lines."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Command = Callable[..., subprocess.CompletedProcess[str]]


def counts(root: Path) -> dict[str, dict[str, int]]:
    numbers = json.loads((root.parent / "audits" / root.name / "audit.json").read_text())
    return {part: {name: count for name, count in row.items() if count} for part, row in numbers["counts"].items()}


def test_part_folders_of_any_name_and_classes_of_another(command: Command, picture_folder: Callable[..., Path]) -> None:
    root = picture_folder(classes=("blau", "grau", "rot"), each=6)
    for part in ("lernen", "pruefen"):
        (root / part).mkdir()
    for label in ("blau", "grau", "rot"):
        (root / "pruefen" / label).mkdir()
        for path in sorted((root / label).iterdir())[:2]:
            path.rename(root / "pruefen" / label / path.name)
        (root / label).rename(root / "lernen" / label)
    (root.parent / "names.txt").write_text("blau = blue\nrot = red\n")
    found = command(
        *("audit", root, "--train-name", "lernen", "--valid-name", "pruefen"),
        *("--classes", "names.txt", "--rename", "grau=", "--rename", "rot=scarlet"),
    )
    assert found.returncode == 0, found.stderr
    assert counts(root) == {"train": {"blue": 4, "scarlet": 4}, "valid": {"blue": 2, "scarlet": 2}}


def test_a_fit_learns_the_new_classes(command: Command, picture_folder: Callable[..., Path]) -> None:
    root = picture_folder(classes=("blue", "navy", "red"), each=8)
    done = command("fit", "--quick", root, "--rename", "navy=blue", "--views", "0", "--out", "run")
    assert done.returncode == 0, done.stderr
    assert "navy = blue" in done.stdout
    predicted = command("predict", "run", root / "navy", "-o", "out.csv")
    assert predicted.returncode == 0
    head, *rows = (root.parent / "out.csv").read_text().splitlines()
    assert "p:navy" not in head
    assert "p:blue" in head
    assert len(rows) == 8


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--rename", "navy"], "--rename navy: wanted OLD=NEW"),
        (["--rename", "green=x"], "There is no class 'green'"),
        (["--classes", "gone.txt"], "gone.txt can't be read"),
        (["--train-name", "lernen"], "has no such folder"),
        (["--csv", "table.csv", "--train-name", "lernen"], "two ways to label"),
    ],
)
def test_what_does_not_fit_ends_with_what_to_do(
    command: Command, picture_folder: Callable[..., Path], arguments: list[str], says: str
) -> None:
    found = command("audit", picture_folder(each=3), *arguments)
    assert found.returncode == 2
    assert says in found.stderr
