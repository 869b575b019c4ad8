"""`goldenrule predict` as a process."""

from __future__ import annotations

import csv
import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

Command = Callable[..., subprocess.CompletedProcess[str]]


def test_predictions_are_printed_and_written(
    command: Command, really_fitted: Any, small_photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "broken [b].jpg").write_text("no picture")
    found = command("predict", really_fitted.folder, small_photos / "test", tmp_path / "new", "-o", "out/all.csv")
    assert found.returncode == 0, found.stderr
    with (tmp_path / "out" / "all.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        "path",
        "status",
        "prediction",
        "probability",
        "set",
        "ood",
        "distance",
        "reason",
        "p:cats",
        "p:dogs",
    ]
    assert len(rows) == 13
    assert [row["path"] for row in rows if row["status"] == "unreadable"] == ["broken [b].jpg"]
    counted, written = found.stdout.splitlines()[-2:]
    assert re.fullmatch(
        r"13 images: 6 cats, 6 dogs( \(\d of them out-of-distribution\))?\. No prediction: 1 unreadable\.", counted
    )
    assert written == "Written: out/all.csv"
    assert "1 image can't be read: no prediction (broken [b].jpg: " in found.stdout
    assert "coverage" not in found.stdout


def test_one_photo_is_named_as_it_was_given(command: Command, fitted: Any, small_photos: Path) -> None:
    photo = sorted((small_photos / "test" / "cats").iterdir())[0]
    found = command("predict", fitted.folder / "classifier", photo)
    assert found.returncode == 0, found.stderr
    (line,) = found.stdout.splitlines()
    assert line.startswith(f"{photo}: cats ")
    assert line.endswith(" %")
    assert "Prediction sets target 95 % coverage" in command("predict", fitted.folder, photo, "-v").stdout


def test_quiet_still_says_what_can_not_be_read_where_no_file_does(
    command: Command, fitted: Any, small_photos: Path, tmp_path: Path
) -> None:
    photo = next((small_photos / "test" / "cats").iterdir())
    (tmp_path / "broken.jpg").write_bytes(photo.read_bytes()[:50])
    found = command("predict", fitted.folder, photo, "broken.jpg", "-q", "--sort-into", "sorted")
    assert found.returncode == 0, found.stderr
    assert found.stdout == ""
    assert found.stderr.startswith("warning: 1 image can't be read: no prediction (broken.jpg: ")
    assert command("predict", fitted.folder, photo, "broken.jpg", "-q", "-o", "rows.csv").stderr == ""


def test_the_exit_code_is_1_where_not_one_image_can_be_read(
    command: Command, fitted: Any, small_photos: Path, tmp_path: Path
) -> None:
    photo = next((small_photos / "test" / "cats").iterdir())
    for name in ("one.jpg", "two.jpg"):
        (tmp_path / name).write_bytes(photo.read_bytes()[:50])
    for name in ("predict", "explain"):
        assert command(name, fitted.folder, "one.jpg", photo).returncode == 0
        for none in (["one.jpg"], ["one.jpg", "two.jpg"]):
            found = command(name, fitted.folder, *none, "--json", "numbers.json")
            assert found.returncode == 1, found.stderr
            assert "one.jpg" in found.stdout
            assert json.loads((tmp_path / "numbers.json").read_text())["command"] == name


def test_the_most_probable_classes_stand_in_order(command: Command, fitted: Any, small_photos: Path) -> None:
    one, two = sorted((small_photos / "test" / "cats").iterdir())[:2]
    (line,) = command("predict", fitted.folder, one, "--top", "2").stdout.splitlines()
    assert line.startswith(f"{one}: cats ")
    assert " %, dogs " in line
    assert "the 2 most probable" in command("predict", fitted.folder, one, two, "--top", "2", "-v").stdout
    assert command("predict", fitted.folder, one, "--top", "0").returncode == 2


def test_below_the_confidence_there_is_no_prediction(
    command: Command, fitted: Any, small_photos: Path, tmp_path: Path
) -> None:
    found = command("predict", fitted.folder, small_photos / "test", "--min-confidence", "1", "-o", "out.csv")
    assert found.returncode == 0, found.stderr
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["status"] for row in rows} == {"unsure"}
    assert {row["prediction"] for row in rows} == {""}
    assert "no prediction" in found.stdout


def test_photos_unlike_any_seen_are_marked_and_counted(
    command: Command, really_fitted: Any, photos: Callable[[str], Path], small_photos: Path, tmp_path: Path
) -> None:
    cracks = sorted(photos("surface_crack").glob("Positive/*"))[:2]
    known = sorted((small_photos / "train" / "cats").iterdir())[0]
    found = command("predict", really_fitted.folder, *cracks, known, "-o", "out.csv")
    assert found.returncode == 0, found.stderr
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["ood"] for row in rows] == ["yes", "yes", ""]
    assert min(float(row["distance"]) for row in rows[:2]) > float(rows[2]["distance"])
    assert "warning: 2 of 3 images look out-of-distribution" in found.stdout
    assert found.stdout.splitlines()[-2].endswith("(2 of them out-of-distribution)")
    alone = command("predict", really_fitted.folder, known)
    assert "out-of-distribution" not in alone.stdout, "where nothing is flagged nothing is said"
    assert command("predict", really_fitted.folder, cracks[0]).stdout.rstrip().endswith("   out-of-distribution")
