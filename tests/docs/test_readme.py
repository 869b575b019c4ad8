"""The front page: short, every command named, and nothing called planned that is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

from goldenrule.cli.main import app

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = sorted(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
THERE = (
    "label errors",
    "learning curve",
    "heat map",
    "several labels",
    "out-of-distribution",
    "calibration",
    "lessons",
)


def test_it_is_read_in_a_few_minutes() -> None:
    assert len(README.splitlines()) <= 120


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_named(command: str) -> None:
    assert re.search(rf"`(goldenrule )?{command}`", README)


def test_the_table_beside_the_field_is_that_of_its_page() -> None:
    table = [line for line in README.partition("## Beside the field")[2].splitlines() if line.startswith("|")]
    ours = table[: 1 + max(number for number, line in enumerate(table) if "AutoGluon" in line)]
    page = (ROOT / "docs" / "results" / "field.md").read_text(encoding="utf-8")
    assert len(ours) == 8
    assert "\n".join(ours) in page


@pytest.mark.parametrize("page", ["README.md", "docs/guide.md", "docs/design.md"])
def test_nothing_that_is_there_is_called_planned(page: str) -> None:
    lines = (ROOT / page).read_text(encoding="utf-8").splitlines()
    planned = " ".join(line.lower() for line in lines if "planned" in line.lower())
    assert [feature for feature in THERE if feature in planned] == []


def test_the_pictures_are_small_and_there() -> None:
    pictures = re.findall(r"!\[(.{15,}?)\]\((docs/images/[^)]+)\)", README)
    assert len(pictures) >= 4, "each with words for those who can't see it"
    assert all((ROOT / path).stat().st_size < 150_000 for _, path in pictures)
