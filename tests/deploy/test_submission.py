"""Submissions: rows and columns of the sample, both ways checked, and what is unreadable or too sure."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goldenrule.core.errors import GoldenRuleError, OptionError, SourceError
from goldenrule.deploy import submission
from goldenrule.deploy.sample_submission import files_of, layout_of
from goldenrule.deploy.submission import evaluated, submit
from goldenrule.metrics import log_loss
from goldenrule.models.classifier import Classifier

CLASSES = ("cats", "dogs")


@pytest.fixture
def competition(small_photos: Path, tmp_path: Path) -> Path:
    """Twelve test photos with numbers for names, as in a competition; dogs have even ones."""
    folder = tmp_path / "test1"
    folder.mkdir()
    for first, label in ((1, "cats"), (2, "dogs")):
        for number, file in enumerate(sorted((small_photos / "test" / label).iterdir())):
            shutil.copy(file, folder / f"{first + 2 * number}.jpg")
    return folder


@pytest.fixture
def run(really_fitted: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GOLDENRULE_CACHE", str(really_fitted.folder.parent / "cache"))
    return Path(really_fitted.folder)


def sample(folder: Path, ids: list[Any], *, header: str = "id,label", cells: str = "0.5") -> Path:
    path = folder / "sample.csv"
    path.write_text("\n".join([header, *(f"{uri},{cells}" for uri in ids)]) + "\n")
    return path


def rows_in(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_one_column_of_numbers_asks_for_the_second_class(run: Path, competition: Path, tmp_path: Path) -> None:
    order = [12, 1, 2, 11, 3, 10, 4, 9, 5, 8, 6, 7]
    done = submit(run, competition, sample(tmp_path, order), out=tmp_path / "out.csv")
    rows = rows_in(tmp_path / "out.csv")
    assert list(rows[0]) == ["id", "label"]
    assert [int(row["id"]) for row in rows] == order, "the sample's order"
    for row in rows:
        assert (float(row["label"]) > 0.5) is (int(row["id"]) % 2 == 0), "it is the probability of a dog"
        assert done.floor <= float(row["label"]) <= 1 - done.floor
    facts = json.loads((tmp_path / "out.json").read_text())
    assert facts["probability_of"] == "dogs"
    assert facts["rows"] == 12
    assert facts["expected"][0]["name"] == "log loss"
    cats = submit(run, competition, sample(tmp_path, order), out=tmp_path / "cats.csv", positive="cats")
    assert cats.layout.labels == (0,)
    for one, other in zip(rows, rows_in(tmp_path / "cats.csv"), strict=True):
        assert float(one["label"]) + float(other["label"]) == pytest.approx(1, abs=1e-6)


def test_a_column_per_class_is_filled_in_the_samples_order(run: Path, competition: Path, tmp_path: Path) -> None:
    wanted = sample(tmp_path, [f"{number}.jpg" for number in range(1, 13)], header="file,dogs,cats", cells="0.5,0.5")
    submit(run, competition, wanted, out=tmp_path / "out.csv", floor=0)
    rows = rows_in(tmp_path / "out.csv")
    assert list(rows[0]) == ["file", "dogs", "cats"]
    seen = Classifier.load(run).predict_files([(row["file"], competition / row["file"]) for row in rows])
    np.testing.assert_allclose([float(row["cats"]) for row in rows], seen.probabilities[:, 0], rtol=1e-6)


def test_names_are_submitted_where_the_sample_has_names(run: Path, competition: Path, tmp_path: Path) -> None:
    done = submit(run, competition, sample(tmp_path, list(range(1, 13)), cells="cats"), out=tmp_path / "out.csv")
    assert done.layout.kind == "class"
    for row in rows_in(tmp_path / "out.csv"):
        assert row["label"] == ("dogs" if int(row["id"]) % 2 == 0 else "cats")


def test_an_unreadable_image_gets_the_shares_of_the_classes_and_is_named(
    run: Path, competition: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("goldenrule.models.classifier.BLOCK_ROWS", 5)
    (competition / "3.jpg").write_text("no picture")
    (competition / "extra.jpg").write_bytes((competition / "1.jpg").read_bytes())
    done = submit(run, competition, sample(tmp_path, list(range(1, 13))), out=tmp_path / "out.csv")
    assert done.unreadable == ("3.jpg",)
    assert done.left_out == ("extra.jpg",)
    assert float(rows_in(tmp_path / "out.csv")[2]["label"]) == pytest.approx(0.5)


def test_ids_are_checked_both_ways(tmp_path: Path) -> None:
    found = [(name, Path(name)) for name in ("a/1.jpg", "a/2.png", "b/2.jpg", "3.jpg")]
    files, left_out = files_of(["3", "a/1", "b/2.jpg"], found, images=tmp_path)
    assert [name for name, _ in files] == ["3.jpg", "a/1.jpg", "b/2.jpg"]
    assert left_out == ("a/2.png",)
    with pytest.raises(SourceError, match=r"2 ids of the sample have no image in .* \(7, 8\).*begin with a/1.jpg"):
        files_of(["7", "3", "8"], found, images=tmp_path)
    with pytest.raises(SourceError, match=r"'2' of the sample stands for several images .*a/2.png, b/2.jpg"):
        files_of(["2"], found, images=tmp_path)


@pytest.mark.parametrize(
    ("header", "cells", "classes", "said"),
    [
        ("id,cats,birds", "0.5,0.5", CLASSES, "Only in the sample: birds; only in the classifier: dogs"),
        ("id,label", "0.5", ("a", "b", "c"), "one of two classes; this classifier has 3: a, b, c"),
        ("id", "0.5", CLASSES, "wanted two or more"),
    ],
)
def test_a_sample_that_does_not_fit_is_told_with_both_sides(
    tmp_path: Path, header: str, cells: str, classes: tuple[str, ...], said: str
) -> None:
    with pytest.raises(GoldenRuleError, match=said):
        layout_of(sample(tmp_path, [1, 2], header=header, cells=cells), classes)


def test_mistakes_are_told_and_nothing_is_overwritten(run: Path, competition: Path, tmp_path: Path) -> None:
    wanted = sample(tmp_path, list(range(1, 13)))
    with pytest.raises(SourceError, match="the id '1' more than once"):
        layout_of(sample(tmp_path, [1, 1, 2]), CLASSES)
    wanted = sample(tmp_path, list(range(1, 13)))
    with pytest.raises(OptionError, match="--positive bird: wanted one of cats, dogs"):
        submit(run, competition, wanted, out=tmp_path / "out.csv", positive="bird")
    with pytest.raises(OptionError, match=r"--floor 0.7: wanted .* from 0 to 0.5"):
        submit(run, competition, wanted, out=tmp_path / "out.csv", floor=0.7)
    with pytest.raises(OptionError, match="is a folder"):
        submit(run, competition, wanted, out=tmp_path)
    (tmp_path / "out.csv").write_text("mine")
    with pytest.raises(OptionError, match="did not write"):
        submit(run, competition, wanted, out=tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == "mine"
    submit(run, competition, wanted, out=tmp_path / "new.csv")
    submit(run, competition, wanted, out=tmp_path / "new.csv")  # the same again is no loss


def test_what_is_expected_are_the_numbers_of_the_images_it_was_judged_by(run: Path, really_fitted: Any) -> None:
    seen = evaluated(run, Classifier.load(run))
    assert seen is not None
    assert len(seen) == 40, "a linear head is evaluated out-of-fold"
    wanted = log_loss(really_fitted.predictions["out-of-fold"]).value
    assert log_loss(seen).value == pytest.approx(wanted, rel=1e-5)
    assert seen.basis == "used for selection"


def test_a_classifier_alone_can_submit_too(run: Path, competition: Path, tmp_path: Path) -> None:
    done = submit(run / "classifier", competition, sample(tmp_path, list(range(1, 13))), out=tmp_path / "out.csv")
    assert done.expected == ()
    assert done.floor == submission.UNTOLD_FLOOR
