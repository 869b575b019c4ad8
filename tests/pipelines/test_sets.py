"""The classes that can't be ruled out: calibrated by the fit, kept with the classifier, measured on clean images."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import goldenrule as gr
from goldenrule.core.errors import OptionError
from goldenrule.metrics import PredictionSets, set_coverage
from goldenrule.pipelines.quick_fit import quick_fit
from goldenrule.runs.options import FitOptions


@pytest.fixture
def run_copy(fitted: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the session's run, with its cache."""
    monkeypatch.setenv("GOLDENRULE_CACHE", str(fitted.folder.parent / "cache"))
    return Path(shutil.copytree(fitted.folder, tmp_path / "run"))


def test_a_classifier_keeps_the_rule_that_its_out_of_fold_predictions_gave(fitted: Any, run_copy: Path) -> None:
    wanted = PredictionSets.fit(fitted.predictions["out-of-fold"], coverage=0.95, method="lac")
    assert gr.Classifier.load(run_copy).sets == wanted
    assert wanted.n == 40


def test_the_numbers_are_those_of_the_sets_on_clean_images(fitted: Any, run_copy: Path) -> None:
    stated = json.loads((run_copy / "result.json").read_text())["sets"]
    test = fitted.predictions["test"]
    rule = gr.Classifier.load(run_copy).sets
    assert rule is not None
    assert stated["measured"]["test"]["coverage"]["value"] == set_coverage(test, rule.sets(test)).value
    assert set(stated["measured"]) == {"test", "valid"}, "out-of-fold it was calibrated"
    assert stated["says"] in rule.sentence
    assert "Prediction sets target" in (run_copy / "report.html").read_text()


def test_another_coverage_is_the_same_story_with_other_sets(fitted: Any, run_copy: Path, small_photos: Path) -> None:
    again = quick_fit(small_photos, out=run_copy, options=FitOptions(coverage=0.7))
    assert again.features["computed"] == 0
    one, other = fitted.classifier.sets, gr.Classifier.load(run_copy).sets
    assert other.coverage == 0.7
    assert other.threshold <= one.threshold
    sets = [rule.sets(again.predictions["test"]) for rule in (one, other)]
    assert (sets[1] <= sets[0]).all(), "less is promised: no set is larger"


def test_with_too_few_images_every_class_is_in_and_the_sentence_says_so(run_copy: Path, small_photos: Path) -> None:
    again = quick_fit(small_photos, out=run_copy, options=FitOptions(coverage=0.99))
    rule = again.classifier.sets
    assert rule is not None
    assert math.isinf(rule.threshold)
    assert rule.sets(again.predictions["test"]).all()
    assert "99 % coverage needs 99 calibration images, and there are 40" in again.about_sets()


@pytest.mark.parametrize("coverage", [0.0, 1.0, 95.0, np.nan])
def test_a_coverage_is_a_share(coverage: float) -> None:
    with pytest.raises(OptionError, match=r"--coverage .*: wanted a share between 0 and 1"):
        FitOptions(coverage=coverage)
