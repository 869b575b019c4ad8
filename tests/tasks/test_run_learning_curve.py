"""The learning curve of a finished run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from goldenrule.analysis.data_size import ClassSizes
from goldenrule.core.errors import OptionError, SourceError, TooFewImages
from goldenrule.core.schema import as_json
from goldenrule.pipelines.quick_fit import quick_fit
from goldenrule.storage.manifest import write_recorded_json
from goldenrule.tasks.run_learning_curve import learning_curve_of, tried_by


@pytest.fixture
def run(fitted: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the run on 40 cats and dogs, with the bank it has filled."""
    monkeypatch.setenv("GOLDENRULE_CACHE", str(fitted.folder.parent / "cache"))
    return Path(shutil.copytree(fitted.folder, tmp_path / "run"))


def test_the_curve_of_real_photos_is_measured_from_the_bank_and_written(
    really_fitted: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOLDENRULE_CACHE", str(really_fitted.folder.parent / "cache"))
    run = Path(shutil.copytree(really_fitted.folder, tmp_path / "run"))

    def never(*arguments: object, **options: object) -> None:
        raise AssertionError("an engine was compiled")

    monkeypatch.setattr("goldenrule.features.extractor.compiled", never)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    done = learning_curve_of(run, target=0.9)
    assert repr(done).startswith(f"CurveOfRun({done.picture}: {done.sentence}")
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
    assert done.advice.sizes == ClassSizes(classes=2, smallest=20, median=20.0, largest=20)
    assert value["enough"]["rule_of_thumb"] == "transfer learning"
    assert value["enough"]["says"] == " ".join(done.advice.sentences)
    assert value["enough"]["now"]["value"] == value["points"][-1]["value"]
    assert [one["times"] for one in value["enough"]["ahead"]] == [2, 5]
    assert value["enough"]["tried_in_this_run"] == []
    again = learning_curve_of(run, target=0.9)
    assert as_json(again.curve) == as_json(done.curve)


def test_what_the_run_has_trained_deeper_stands_beside_the_rule(run: Path) -> None:
    result = json.loads((run / "result.json").read_text())
    numbers = {
        "n": 68,
        "accuracy": 0.95,
        "low": 0.88,
        "high": 0.98,
        "method": "Wilson 95 %",
        "basis": "used for selection",
    }
    verdict = {"against": "linear head", "better": False, "asked_for": False}
    tuned = {"name": "whole network", "evaluated_on": "valid", "valid": numbers, "verdict": verdict}
    write_recorded_json(run, "result.json", result | {"candidates": [*result["candidates"], tuned]})
    (tried,) = tried_by(run)
    assert (tried.way, tried.name, tried.outcome) == ("fine-tuning", "whole network", "linear head is kept")
    assert str(tried.accuracy) == "95 % [88, 98] n=68 (used for selection)"


def test_a_curve_needs_no_target_and_knows_log_loss(run: Path) -> None:
    done = learning_curve_of(run, metric="log_loss")
    assert done.sentence == ""
    assert "needed" not in json.loads(done.numbers.read_text())
    assert done.curve.points[0].estimate.kind == "number"


def test_of_many_images_a_stratified_part_is_looked_at(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("goldenrule.tasks.run_learning_curve.MOST_IMAGES", 30)
    curve = learning_curve_of(run).curve
    assert (curve.images, curve.points[-1].images, curve.points[-1].estimate.n) == (40, 24, 30)


def test_what_can_not_be_measured_is_a_clear_error(
    run: Path, picture_folder: Any, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OptionError, match="wanted accuracy or log_loss"):
        learning_curve_of(run, metric="f1")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="target=99: wanted a share"):
        learning_curve_of(run, target=99)
    with pytest.raises(SourceError, match="no finished run"):
        learning_curve_of(tmp_path)
    monkeypatch.setenv("GOLDENRULE_CACHE", str(cache))
    few = quick_fit(picture_folder(each=6), out=tmp_path / "few")
    with pytest.raises(TooFewImages, match="too few for a learning curve"):
        learning_curve_of(few.folder)
