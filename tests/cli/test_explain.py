"""`goldenrule explain` as people call it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

Command = Callable[..., subprocess.CompletedProcess[str]]


def test_a_photo_is_explained_in_a_table_and_on_a_page(
    command: Command, fitted: Any, small_photos: Path, tmp_path: Path
) -> None:
    cache = {"GOLDENRULE_CACHE": str(fitted.folder.parent / "cache"), "COLUMNS": "200"}
    dog, cat = (sorted((small_photos / "test" / label).iterdir())[1] for label in ("dogs", "cats"))
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    found = command("explain", fitted.folder, dog, tmp_path / "broken.jpg", "-k", "2", env=os.environ | cache)
    assert found.returncode == 0, found.stderr
    assert "dogs" in found.stdout
    assert "unreadable" in found.stdout
    assert "warning: 1 image can't be read: no explanation (" in found.stdout
    assert "broken.jpg: not a picture" in found.stdout
    assert "explained/run/explained.html" in found.stdout
    folder = tmp_path / "explained" / "run"
    numbers = json.loads((folder / "explained.json").read_text())
    assert [len(image["nearest"]) for image in numbers["images"]] == [2, 0]
    other = command("explain", fitted.folder, cat, "--no-heat", env=os.environ | cache)
    assert "explained/run-2/explained.html" in other.stdout
    assert json.loads((folder / "explained.json").read_text()) == numbers
    taken = command("explain", fitted.folder, cat, "--no-heat", "-o", folder, env=os.environ | cache)
    assert taken.returncode == 2
    assert "other images" in taken.stderr
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    mine = command("explain", fitted.folder, cat, "--no-heat", "-o", "mine", env=os.environ | cache)
    assert mine.returncode == 2
    assert "holds something else" in mine.stderr


def test_what_is_no_run_or_no_image_ends_with_what_to_do(
    command: Command, fitted: Any, small_photos: Path, tmp_path: Path
) -> None:
    no_run = command("explain", tmp_path, small_photos / "test")
    gone = command("explain", fitted.folder, "gone.jpg")
    assert (no_run.returncode, gone.returncode) == (2, 2)
    assert "no finished run" in no_run.stderr
    assert "does not exist" in gone.stderr
