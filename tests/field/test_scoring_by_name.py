"""A classifier on labelled images from elsewhere: truth is matched by name, a broken promise is said."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import goldenrule as gr
from goldenrule.core.errors import OptionError
from goldenrule.data.classes import with_class_map
from goldenrule.data.sources.folders import from_folder
from goldenrule.notebook import evaluation_html

Draw = Callable[..., Path]
Command = Callable[..., subprocess.CompletedProcess[str]]


def numbered(*classes: str, each: int, first: int = 0) -> list[str]:
    return [f"{label}/{number:03d}.png" for label in classes for number in range(first, first + each)]


@pytest.fixture
def run(draw: Draw, command: Command) -> Path:
    """A quick fit on three classes whose hues tell them apart."""
    root = draw(numbered("cats", "dogs", "horses", each=16))
    found = command("fit", root, "--quick", "--out", "run")
    assert found.returncode == 0, found.stderr
    return root.parent / "run"


def numbers(run: Path, name: str = "ext") -> dict[str, object]:
    return dict(json.loads((run / "evaluations" / name / "evaluation.json").read_text()))


def test_two_of_three_classes_are_scored_by_name(run: Path, draw: Draw, command: Command) -> None:
    ext = draw(numbered("dogs", "horses", each=10, first=100), "ext")
    found = command("evaluate", run, ext)
    assert found.returncode == 0, found.stderr
    ours = numbers(run)
    assert ours["accuracy"]["value"] == 1.0  # type: ignore[index]
    assert ours["confusion"] == {"dogs": {"dogs": 10}, "horses": {"horses": 10}}
    assert ours["promise"]["classes"] == 2  # type: ignore[index]
    assert "on the 2 of 3 classes that both have" in found.stdout
    with (run / "evaluations" / "ext" / "predictions.csv").open(newline="") as file:
        assert {(row["path"].split("/")[0], row["prediction"]) for row in csv.DictReader(file)} == {
            ("dogs", "dogs"),
            ("horses", "horses"),
        }
    page = (run / "evaluations" / "ext" / "evaluation.html").read_text()
    assert "Confusion" in page
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org", "")


def test_python_scores_by_name_too(run: Path, draw: Draw) -> None:
    ext = draw(numbered("horses", each=6, first=50), "ext")
    assert gr.Classifier.load(run).predict_table(gr.from_folder(ext)).true_names(0) == ["horses"]
    found = gr.evaluate(run, ext)
    assert found.quality.value == 1.0
    assert found.folder is None
    assert "Evaluation(ext: accuracy 100 %" in repr(found)
    assert "<table>" in evaluation_html(found)


def test_an_unknown_class_is_named_with_what_can_be_done(run: Path, draw: Draw, command: Command) -> None:
    ext = draw(
        {
            **dict.fromkeys(numbered("stallions", each=6), "horses"),
            **dict.fromkeys(numbered("cats", each=6, first=60), "cats"),
        },
        "ext",
    )
    found = command("evaluate", run, ext)
    assert found.returncode == 2
    assert "the classifier does not know 'stallions'. It knows 'cats', 'dogs', 'horses'" in found.stderr
    assert command("evaluate", run, ext, "--rename", "stallions=horses").returncode == 0
    assert numbers(run)["confusion"] == {"cats": {"cats": 6}, "horses": {"horses": 6}}
    skipped = command("evaluate", run, ext, "--skip-unknown", "-o", "other")
    assert "Counted: 6 images. Not counted: 6 of classes that are left out." in skipped.stdout
    assert json.loads((run.parent / "other" / "evaluation.json").read_text())["images"] == 6
    with pytest.raises(OptionError, match="does not know 'stallions'"):
        gr.Classifier.load(run).predict_table(gr.from_folder(ext))


def test_a_broken_promise_is_said_first(run: Path, draw: Draw, command: Command) -> None:
    wrong = {name: ("dogs" if "cats" in name else "cats") for name in numbered("cats", "dogs", each=20, first=200)}
    found = command("evaluate", run, draw(wrong, "ext"))
    assert found.returncode == 0, found.stderr
    first = found.stdout.splitlines()[0]
    assert first.startswith("Promised ")
    assert "these images differ from those it was evaluated on (exact test, class by class, p < 0.001)" in found.stdout
    assert numbers(run)["promise"]["outcome"] == "broken"  # type: ignore[index]


def test_what_was_learned_from_is_left_out_and_counted(run: Path, draw: Draw, command: Command) -> None:
    root, ext = run.parent / "set", draw(numbered("cats", "dogs", each=8, first=300), "ext")
    for number in range(16):
        shutil.copy(root / f"cats/{number:03d}.png", ext / "cats" / f"copy{number}.png")
    found = command("evaluate", run, ext)
    assert found.returncode == 0, found.stderr
    assert "left out: the classifier has learned from a file with the very same bytes" in found.stdout
    assert re.search(r"cats/copy\d+\.png = cats/\d{3}\.png", found.stdout), "which file it has learned from"
    assert re.search(r"Counted: \d+ images\. Not counted: \d+ that the classifier has learned from\.", found.stdout)
    found = command("evaluate", run, root)
    assert found.returncode == 0, "its valid and test split are left, and are no promise to themselves"
    assert numbers(run, "set")["promise"] is None


def test_nobody_has_learned_from_a_file_that_can_not_be_read(draw: Draw, command: Command, tmp_path: Path) -> None:
    root = draw(numbered("cats", "dogs", each=12))
    for number in range(6):  # of its own bytes each, in whichever split
        (root / "cats" / f"broken{number}.png").write_text(f"no picture {number}")
    assert command("fit", root, "--quick", "--views", "0", "--out", "run").returncode == 0
    ext = draw(numbered("cats", "dogs", each=4, first=300), "ext")
    for file in root.glob("cats/broken*"):
        shutil.copy(file, ext / "cats")
    found = command("evaluate", "run", ext)
    assert found.returncode == 0, found.stderr
    assert numbers(tmp_path / "run")["status"] == {"ok": 8, "unreadable": 6}
    assert "learned from" not in found.stdout
    assert "among those of the run" not in found.stdout
    trained = next(iter(draw(numbered("dogs", each=1), "only").rglob("*.png")))
    for file in root.glob("dogs/*"):
        shutil.copy(file, trained.parent)
    (trained.parent / "broken.png").write_text("another one")
    with (tmp_path / "run" / "split.csv").open(newline="") as rows:
        splits = {row["path"]: row["split"] for row in csv.DictReader(rows)}
    for file in trained.parent.glob("*.png"):
        if splits.get(f"dogs/{file.name}", "train") != "train":
            file.unlink()
    found = command("evaluate", "run", tmp_path / "only")
    assert found.returncode == 2
    assert "are training images of the run, and the others can't be read" in found.stderr


def test_wrong_input_is_told(run: Path, draw: Draw, command: Command, tmp_path: Path) -> None:
    ext = draw(numbered("cats", "dogs", each=4, first=400), "ext")
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("mine")
    for arguments, says in (
        ((run, tmp_path / "nowhere"), "does not exist"),
        ((run, tmp_path / "empty"), "no class folders"),
        ((tmp_path / "empty", ext), "holds no classifier"),
        ((run, ext, "-o", tmp_path / "file"), "is a file"),
        ((run, ext, "-o", run), "holds the images, or the run"),
        ((run, ext, "-o", tmp_path), "holds something else"),
        ((run, ext, "--rename", "cats"), "wanted OLD=NEW"),
        ((run, ext, "--csv", tmp_path / "no.csv"), "does not exist"),
    ):
        found = command("evaluate", *arguments)
        assert found.returncode == 2, (arguments, found.stdout)
        assert says in found.stderr
    assert (tmp_path / "file").read_text() == "mine"


def test_a_broken_image_has_a_row_and_no_say(run: Path, draw: Draw, command: Command) -> None:
    ext = draw(numbered("cats", "dogs", each=5, first=500), "ext")
    (ext / "cats" / "broken.png").write_text("no picture")
    assert command("evaluate", run, ext).returncode == 0
    found = numbers(run)
    assert found["status"] == {"ok": 10, "unreadable": 1}
    assert found["accuracy"]["n"] == 10  # type: ignore[index]


def test_another_source_of_the_same_name_has_a_folder_of_its_own(run: Path, draw: Draw, command: Command) -> None:
    for number, folder in enumerate(("ext", "elsewhere/ext", "ext")):
        ext = draw(numbered("cats", each=4, first=600 + 10 * (number % 2)), folder)
        assert command("evaluate", run, ext).returncode == 0
    assert sorted(path.name for path in (run / "evaluations").iterdir()) == ["ext", "ext-2"]


def test_labels_are_matched_by_name_whatever_their_order(draw: Draw) -> None:
    table = from_folder(draw(numbered("dogs", "horses", each=2)))
    mapped = with_class_map(table, ("horses", "cats", "dogs"))
    assert [mapped.classes[label] for label in mapped.targets] == ["dogs", "dogs", "horses", "horses"]
    assert np.array_equal(with_class_map(mapped, ("horses", "cats", "dogs")).targets, mapped.targets)
