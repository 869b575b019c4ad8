"""A temperature is fitted out-of-fold and taken only where it helps; numbers before and after are kept."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goldenrule.core.schema import as_json
from goldenrule.metrics import Predictions, calibration_error, log_loss
from goldenrule.metrics.probabilities import sigmoid, softmax
from goldenrule.models.classifier import Classifier
from goldenrule.models.heads import LayeredHead, linear_head
from goldenrule.pipelines import probe as linear
from goldenrule.pipelines.calibrate import calibrated_head, calibrated_on_valid, undone
from goldenrule.pipelines.quick_fit import quick_fit
from goldenrule.runs.options import FitOptions

CLASSES = ("ant", "bee", "cow")


def honest(n: int = 600, *, seed: int = 0, sharpness: float = 1.0, fold: bool = True) -> Predictions:
    """Predictions whose truth is drawn from their own probabilities; then made `sharpness` times as sure."""
    draws = np.random.default_rng(seed)
    logits = draws.normal(scale=2, size=(n, 3))
    truth = (softmax(logits).cumsum(axis=1) < draws.random((n, 1))).sum(axis=1)
    folds = np.arange(n) % 5 if fold else None
    return Predictions.from_logits(sharpness * logits, CLASSES, truth=truth, fold=folds, basis="used for selection")


def a_head() -> LayeredHead:
    draws = np.random.default_rng(1)
    return linear_head(draws.normal(size=(3, 8)).astype(np.float32), draws.normal(size=3).astype(np.float32))


@pytest.mark.parametrize("sharpness", [3.0, 0.85])
def test_a_head_that_is_too_sure_or_not_sure_enough_is_mended(sharpness: float) -> None:
    head, seen = a_head(), honest(4000, sharpness=sharpness)
    with_temperature, evaluated_on, tried = calibrated_head(head, seen)
    assert tried is not None
    assert tried.applied
    assert tried.temperature.value == pytest.approx(sharpness, rel=0.2)
    np.testing.assert_allclose(
        with_temperature.tensors["weight"], head.tensors["weight"] / tried.temperature.value, rtol=1e-6
    )
    assert log_loss(evaluated_on).value < log_loss(seen).value
    assert calibration_error(evaluated_on).value < calibration_error(seen).value
    assert tried.before == seen
    assert evaluated_on.ids == seen.ids
    assert (evaluated_on.predicted == seen.predicted).all()
    assert evaluated_on.basis == "used for selection"
    assert as_json(tried) == {
        "kind": "temperature",
        "temperature": tried.temperature.value,
        "fitted_on": "out-of-fold",
        "n": 4000,
    }


def test_what_the_cooled_head_is_judged_by_has_not_calibrated_itself() -> None:
    seen = honest(sharpness=3.0)
    _, evaluated_on, tried = calibrated_head(a_head(), seen)
    assert tried is not None
    of_all = tried.temperature.apply(seen)
    assert evaluated_on != of_all
    ratio = seen.logits[:, 0] / evaluated_on.logits[:, 0]
    assert len(np.unique(np.round(ratio[:, 0], 3))) == 5, "each fold at the temperature of the other four"


def test_folds_that_were_not_solved_to_the_end_make_no_head_surer() -> None:
    head, seen = a_head(), honest(sharpness=0.2)
    same, evaluated_on, tried = calibrated_head(head, seen)
    assert same is head
    assert evaluated_on is seen
    assert tried is not None
    assert not tried.applied
    assert "below 0.75" in tried.why


@pytest.mark.parametrize("seed", range(3))
def test_a_head_whose_probabilities_come_true_stays_as_it_is(seed: int) -> None:
    head, seen = a_head(), honest(seed=seed)
    same, evaluated_on, tried = calibrated_head(head, seen)
    assert same is head
    assert evaluated_on is seen
    assert tried is not None
    assert not tried.applied
    assert "the head as fitted is kept" in tried.why


def test_nothing_is_tried_without_folds() -> None:
    head, seen = a_head(), honest(60, fold=False)
    assert calibrated_head(head, seen) == (head, seen, None)


def test_a_temperature_of_validation_is_recorded_unless_it_is_1() -> None:
    seen = honest(40)
    assert calibrated_on_valid(1.0, seen) is None
    tried = calibrated_on_valid(1.5, seen)
    assert tried is not None
    assert (tried.applied, tried.fitted_on, tried.temperature.n) == (True, "valid", 40)
    np.testing.assert_allclose(undone(seen, tried).logits, 1.5 * seen.logits, rtol=1e-6)


@pytest.fixture
def too_sure(fitted: Any, small_photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A result whose linear head was made nine times as sure of itself before anyone looked at it."""
    monkeypatch.setenv("GOLDENRULE_CACHE", str(fitted.folder.parent / "cache"))
    fit_linear = linear.fit_outcome

    def sharpened(*arguments: Any, **options: Any) -> Any:
        outcome = fit_linear(*arguments, **options)
        draws = np.random.default_rng(0)
        tensors = {name: 9 * values if "head" in name else values for name, values in outcome.tensors.items()}
        noise = draws.normal(scale=20, size=outcome.tensors["fold_logits"].shape)
        return replace(outcome, tensors=tensors | {"fold_logits": 9 * outcome.tensors["fold_logits"] + noise})

    monkeypatch.setattr(linear, "fit_outcome", sharpened)
    return quick_fit(small_photos, out=tmp_path / "run", options=FitOptions(views=0))


def test_classifier_result_and_report_tell_what_was_applied(too_sure: Any) -> None:
    tried = too_sure.calibration
    assert tried.applied
    classifier = Classifier.load(too_sure.folder)
    assert classifier.calibration == as_json(tried)
    result = json.loads((too_sure.folder / "result.json").read_text())["calibration"]
    assert result["tried"]["applied"] is True
    assert result["tried"]["temperature"] == tried.temperature.value
    for split, n in (("test", 12), ("valid", 16), ("out_of_fold", 40)):
        for when in ("before", "after"):
            assert result["measured"][split][when]["calibration_error"]["n"] == n
            assert set(result["measured"][split][when]) == {"calibration_error", "log_loss", "brier_score"}
    before, after = (result["measured"]["out_of_fold"][when]["log_loss"]["value"] for when in ("before", "after"))
    assert after < before
    page = (too_sure.folder / "report.html").read_text()
    assert "before logits were divided by" in page
    assert "There are too few images to say more: 12 images" in page


def test_the_temperature_is_in_the_weights_once(too_sure: Any, small_photos: Path) -> None:
    classifier = Classifier.load(too_sure.folder)
    seen = classifier.predict_table(too_sure.table.split("test"))
    np.testing.assert_allclose(seen.probabilities, too_sure.predictions["test"].probabilities, atol=1e-5)
    without = too_sure.uncalibrated("test")
    np.testing.assert_allclose(
        without.logits, too_sure.calibration.temperature.value * too_sure.predictions["test"].logits, rtol=1e-5
    )


def test_the_sets_are_calibrated_on_what_the_cooled_head_is_judged_by(too_sure: Any) -> None:
    from goldenrule.metrics import PredictionSets

    wanted = PredictionSets.fit(too_sure.predictions["out-of-fold"], coverage=0.95, method="lac")
    assert too_sure.classifier.sets == wanted


def test_a_fit_says_how_far_confidence_and_accuracy_are_apart(fitted: Any) -> None:
    assert fitted.calibration is not None
    assert not fitted.calibration.applied
    assert fitted.classifier.calibration is None
    assert "apart on 12 test images" in fitted.about_calibration()
    assert "No temperature is applied" in fitted.about_calibration()
    page = (fitted.folder / "report.html").read_text()
    assert '<section id="calibration">' in page
    assert '<g class="miss">' not in page


def several(n: int, *, slope: float, seed: int = 0) -> Predictions:
    """Predictions of three labels, the truth drawn from their probabilities; the first made `slope` times as sure."""
    draws = np.random.default_rng(seed)
    logits = draws.normal(scale=2, size=(n, 3))
    truth = (draws.random((n, 3)) < sigmoid(logits)).astype(np.int8)
    logits[:, 0] *= slope
    return Predictions.from_logits(logits, CLASSES, truth=truth, task="multi", fold=np.arange(n) % 5)


def test_of_many_labels_each_is_mended_by_a_line_of_its_own_that_stands_in_the_head() -> None:
    head, seen = a_head(), several(3000, slope=3.0)
    mended, evaluated_on, tried = calibrated_head(head, seen)
    assert tried is not None
    assert tried.applied
    record = as_json(tried)
    assert record["kind"] == "platt"
    assert record["slopes"][0] == pytest.approx(1 / 3, rel=0.15)
    assert log_loss(evaluated_on).high < log_loss(seen).value
    features = np.random.default_rng(2).normal(size=(5, 8)).astype(np.float32)
    expected = head.logits(features) * record["slopes"] + np.array(record["intercepts"])
    np.testing.assert_allclose(mended.logits(features), expected, rtol=1e-5, atol=1e-5)
    shown = Predictions.from_logits(mended.logits(features), CLASSES, task="multi")
    np.testing.assert_allclose(undone(shown, tried).logits[:, 0], head.logits(features), rtol=1e-4, atol=1e-4)


def test_of_many_labels_no_line_is_taken_where_none_is_needed() -> None:
    head = a_head()
    same, _, tried = calibrated_head(head, several(600, slope=1.0))
    assert same is head
    assert tried is not None
    assert not tried.applied
