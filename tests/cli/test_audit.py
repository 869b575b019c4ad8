"""`goldenrule audit` as people and pipelines call it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

Command = Callable[..., subprocess.CompletedProcess[str]]


def test_an_audit_prints_its_findings_and_writes_page_and_numbers(
    command: Command, picture_folder: Callable[..., Path]
) -> None:
    root = picture_folder(each=12)
    (root / "red" / "broken.png").write_bytes(b"no picture")
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    found = command("audit", root)
    assert found.returncode == 0, found.stderr
    assert "1 file can't be read (red/broken.png: not a picture in any known format)" in found.stdout
    assert "audits/pictures/audit.html" in found.stdout
    folder = root.parent / "audits" / "pictures"
    numbers = json.loads((folder / "audit.json").read_text())
    assert (numbers["images"], numbers["readable"], numbers["formats"]) == (25, 24, {"PNG": 24})
    assert numbers["findings"][0]["code"] == "unreadable"
    assert "red/broken.png" in (folder / "audit.html").read_text()
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


def test_strict_speaks_through_the_exit_code(command: Command, picture_folder: Callable[..., Path]) -> None:
    root = picture_folder(each=12)
    assert command("audit", root, "--strict").returncode == 0
    (root / "red" / "broken.png").write_bytes(b"no picture")
    assert command("audit", root, "--strict").returncode == 1
    assert command("audit", root).returncode == 0


def test_what_is_no_set_of_images_ends_with_what_to_do(command: Command, tmp_path: Path) -> None:
    assert command("audit", "gone").returncode == 2
    found = command("audit", tmp_path, "--id", "file")
    assert found.returncode == 2
    assert "give --csv FILE too" in found.stderr


def test_what_comes_next_has_the_options_that_were_given(command: Command, picture_folder: Callable[..., Path]) -> None:
    root = picture_folder(each=6)
    rows = "".join(f"{path.relative_to(root)},{path.parent.name}\n" for path in sorted(root.rglob("*.png")))
    (root.parent / "t.csv").write_text(f"file,colour\n{rows}")
    found = command("audit", root, "--csv", "t.csv", "--label", "colour", "-o", "there", "--strict")
    assert f"goldenrule fit {root} --csv t.csv --label colour\n" in found.stdout
