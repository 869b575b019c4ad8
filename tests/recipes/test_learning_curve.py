"""The learning curve of a finished run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from goldenrule.foundation.errors import OptionError, SourceError, TooFewImages
from goldenrule.recipes.answer import answer
from goldenrule.recipes.learning_curve import learning_curve_of


@pytest.fixture
def run(fitted: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the run on 40 cats and dogs, with the bank it has filled."""
    monkeypatch.setenv("GOLDENRULE_CACHE", str(fitted.folder.parent / "cache"))
    return Path(shutil.copytree(fitted.folder, tmp_path / "run"))


def test_the_curve_of_real_photos_is_measured_from_the_bank_and_written(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*arguments: object, **options: object) -> None:
        raise AssertionError("an engine was compiled")

    monkeypatch.setattr("goldenrule.recipes.reopened.compiled", never)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    done = learning_curve_of(run, target=0.9)
    assert [point.images for point in done.curve.points] == [6, 8, 11, 16, 23, 32]
    assert {point.estimate.n for point in done.curve.points} == {40}  # every training image at every size
    assert done.curve.points[-1].estimate.value > 0.85
    assert done.sentence.startswith("90 % accuracy ")
    value = json.loads(done.numbers.read_text())
    assert value["says"] == done.sentence
    assert value["needed"]["target"] == 0.9
    assert [one["images"] for one in value["points"]] == [6, 8, 11, 16, 23, 32]
    assert done.picture.read_text().startswith("<?xml")
    assert all(path.read_bytes() == content for path, content in before.items())  # looking changes nothing
    again = learning_curve_of(run, target=0.9)
    assert again.curve.to_json() == done.curve.to_json()


def test_a_curve_needs_no_target_and_knows_log_loss(run: Path) -> None:
    done = learning_curve_of(run, metric="log_loss")
    assert done.sentence == ""
    assert "needed" not in json.loads(done.numbers.read_text())
    assert done.curve.points[0].estimate.kind == "number"


def test_of_many_images_a_stratified_part_is_looked_at(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("goldenrule.recipes.learning_curve.MOST_IMAGES", 30)
    curve = learning_curve_of(run).curve
    assert (curve.images, curve.points[-1].images, curve.points[-1].estimate.n) == (40, 24, 30)


def test_what_can_not_be_measured_is_a_clear_error(
    run: Path, picture_folder: Any, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OptionError, match="wanted accuracy or log_loss"):
        learning_curve_of(run, metric="f1")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="--target 99: wanted a share"):
        learning_curve_of(run, target=99)
    with pytest.raises(SourceError, match="no finished run"):
        learning_curve_of(tmp_path)
    monkeypatch.setenv("GOLDENRULE_CACHE", str(cache))
    few = answer(picture_folder(each=6), out=tmp_path / "few")
    with pytest.raises(TooFewImages, match="too few for a learning curve"):
        learning_curve_of(few.folder)
