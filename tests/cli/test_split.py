"""`goldenrule split` as people call it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Command = Callable[..., subprocess.CompletedProcess[str]]


def test_a_split_says_what_it_did_and_can_be_proved_again(
    command: Command, picture_folder: Callable[..., Path]
) -> None:
    root = picture_folder(each=20)
    found = command("split", root, "new", "--valid", "0.2", "--test", "0.1")
    assert found.returncode == 0, found.stderr
    assert found.stdout.split("all")[1].split()[:3] == ["28", "8", "4"]
    assert "40 files, " in found.stdout
    assert "verified by sha256" in found.stdout
    assert "goldenrule fit new" in found.stdout
    again = command("split", root, "new", "--valid", "0.2", "--test", "0.1")
    assert "split before" in again.stdout
    proof = command("split", "--verify", "new")
    assert proof.returncode == 0
    assert "each is what manifest.csv says" in proof.stdout
    next((root.parent / "new" / "train" / "red").iterdir()).unlink()
    proof = command("split", "--verify", "new")
    assert proof.returncode == 2
    assert "missing" in proof.stdout
    assert "1 file of 40" in proof.stderr


def test_a_table_of_labels_is_split_by_its_columns(command: Command, picture_folder: Callable[..., Path]) -> None:
    root = picture_folder(each=10)
    paths = sorted(root.rglob("*.png"))
    lines = ["file,kind", *(f"{path.relative_to(root)},{path.parent.name.upper()}" for path in paths)]
    (root.parent / "table.csv").write_text("\n".join(lines) + "\n")
    found = command("split", root, "new", "--csv", "table.csv", "--id", "file", "--label", "kind")
    assert found.returncode == 0, found.stderr
    assert (root.parent / "new" / "labels.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["pictures"], "Where to?"),
        (["--verify", "pictures"], "has no manifest.csv"),
        (["--verify", "pictures", "new"], "--verify proves one folder"),
        (["pictures", "new", "--valid", "0.6", "--test", "0.4"], "leave nothing to train on"),
        (["pictures", "new", "--link", "soft"], "wanted one of none, hard, reflink"),
        (["pictures", "pictures/new"], "lie in each other"),
        (["pictures", "new", "--label", "kind"], "give --csv FILE too"),
        (["gone", "new"], "does not exist"),
        (["gone"], "does not exist"),
    ],
)
def test_what_can_not_be_split_ends_with_what_to_do(
    command: Command, picture_folder: Callable[..., Path], arguments: list[str], says: str
) -> None:
    root = picture_folder(each=3)
    found = command("split", *arguments)
    assert found.returncode == 2
    assert says in found.stderr
    assert not (root.parent / "new").exists()
