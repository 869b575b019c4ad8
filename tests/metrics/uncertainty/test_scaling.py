import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from goldenrule.core.errors import FormatError, OptionError
from goldenrule.core.schema import as_json, from_json
from goldenrule.metrics import (
    PlattScaling,
    Predictions,
    Temperature,
    calibrated_by_fold,
    calibration_error,
    fit_calibration,
    fit_platt,
    fit_temperature,
    image_losses,
)

light = settings(deadline=None, max_examples=30)
CLASSES = ["a", "b", "c", "d"]


def simulated(n, seed=0, *, factor=1.0, spread=2.0, views=1, fold=None):
    """Logits that are right as often as they say, times `factor`."""
    generator = np.random.default_rng(seed)
    logits = spread * generator.normal(size=(n, 4))
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    truth = (shares.cumsum(axis=1) < generator.random((n, 1))).sum(axis=1).clip(max=3)
    seen = factor * logits[:, np.newaxis] + generator.normal(size=(n, views, 4)) * (views > 1)
    return Predictions.from_logits(seen, CLASSES, truth=truth, fold=fold)


def labels(n, seed=0, *, slope=1.0, intercept=0.0, views=1):
    """Many labels: logits that say what is true once they are multiplied by `slope` and moved by `intercept`."""
    generator = np.random.default_rng(seed)
    logits = 2 * generator.normal(size=(n, 1, 4))
    truth = generator.random((n, 4)) < 1 / (1 + np.exp(-(slope * logits[:, 0] + intercept)))
    seen = logits + generator.normal(size=(n, views, 4)) * (views > 1)
    return Predictions.from_logits(seen, CLASSES, truth=truth.astype(int), task="multi")


@pytest.mark.parametrize("factor", [0.3, 1.0, 4.0])
def test_the_temperature_is_the_factor_by_which_logits_are_too_large(factor):
    assert fit_temperature(simulated(5000, factor=factor)).value == pytest.approx(factor, rel=0.06)


@light
@given(seed=st.integers(0, 10**6), n=st.integers(1, 60), factor=st.floats(0.1, 10), views=st.integers(1, 3))
def test_a_temperature_changes_no_order(seed, n, factor, views):
    predictions = simulated(n, seed, factor=factor, views=views)
    calibrated = fit_temperature(predictions).apply(predictions)
    before, after = predictions.probabilities, calibrated.probabilities
    order = np.argsort(before, axis=1)
    assert (np.diff(np.take_along_axis(after, order, axis=1), axis=1) >= -1e-12).all()
    assert (predictions.predicted == calibrated.predicted).all()
    assert (calibrated.ids, calibrated.views) == (predictions.ids, 1)


@light
@given(seed=st.integers(0, 10**6), n=st.integers(100, 400), factor=st.floats(0.2, 6), views=st.integers(1, 3))
def test_no_other_temperature_has_a_clearly_lower_loss(seed, n, factor, views):
    predictions = simulated(n, seed, factor=factor, views=views)
    best = image_losses(fit_temperature(predictions).apply(predictions)).mean()
    others = [Temperature(value=value, n=n).apply(predictions) for value in (0.1, 0.5, 1.0, 2.0, 10.0)]
    assert best <= min(image_losses(other).mean() for other in others) + 0.01


@pytest.mark.parametrize("n", [5, 50, 500])
def test_images_that_are_all_right_do_not_ask_for_certainty(n):
    perfect = Predictions.from_logits(np.tile([[30.0, 0, -30, -30]], (n, 1)), CLASSES, truth=[0] * n)
    calibrated = fit_temperature(perfect).apply(perfect)
    assert calibrated.probabilities[0, 0] == pytest.approx((n + 1) / (n + 2), abs=0.03)


def test_a_mistake_or_two_in_hundred_sure_images_cost_no_certainty():
    """A share for every other class, also for the least likely, would ask for twice the temperature."""
    predictions = simulated(200, spread=6.0)
    assert fit_temperature(predictions).value < 1.3


def test_calibrated_images_have_no_error_that_shows():
    too_sure = simulated(3000, factor=3)
    assert calibration_error(too_sure).low > 0.1
    fresh = simulated(3000, seed=1, factor=3)
    assert calibration_error(fit_temperature(too_sure).apply(fresh)).low == 0


def test_folds_are_calibrated_by_each_other_and_keep_their_place():
    fold = np.random.default_rng(0).integers(0, 3, 600)
    predictions = simulated(600, factor=3, fold=fold)
    calibrated = calibrated_by_fold(predictions)
    assert calibrated.ids == predictions.ids
    assert (calibrated.truth == predictions.truth).all()
    for number in range(3):
        others = fit_temperature(predictions.select(fold != number))
        held_out = predictions.select(fold == number)
        assert others.apply(held_out) == calibrated.select(fold == number)
    for without in (simulated(20), simulated(20, fold=[1] * 20)):
        with pytest.raises(OptionError, match="two folds or more"):
            calibrated_by_fold(without)


def test_platt_scaling_is_that_of_scikit_learn():
    predictions = labels(600, slope=0.4, intercept=-1.0)
    ours = fit_platt(predictions)
    for k in range(4):
        logits, truth = predictions.logits[:, 0, [k]].astype(float), predictions.truth[:, k]
        line = LogisticRegression().fit(logits, truth)
        line.coef_, line.intercept_ = np.ones((1, 1)), np.zeros(1)
        theirs = CalibratedClassifierCV(FrozenEstimator(line), method="sigmoid", ensemble=False).fit(logits, truth)
        found = theirs.calibrated_classifiers_[0].calibrators[0]
        assert ours.slopes[k] == pytest.approx(-found.a_, abs=1e-3)
        assert ours.intercepts[k] == pytest.approx(-found.b_, abs=1e-3)
        assert ours.positives[k] == truth.sum()


@light
@given(seed=st.integers(0, 10**6), n=st.integers(1, 60), slope=st.floats(-2, 5), views=st.integers(1, 3))
def test_platt_scaling_changes_no_order_within_a_class(seed, n, slope, views):
    predictions = labels(n, seed, slope=slope, views=views)
    calibrated = fit_platt(predictions).apply(predictions)
    order = np.argsort(predictions.probabilities, axis=0)
    assert (np.diff(np.take_along_axis(calibrated.probabilities, order, axis=0), axis=0) >= -1e-7).all()


def test_platt_scaling_lowers_the_loss_of_new_images():
    scaling = fit_platt(labels(1000, slope=0.4, intercept=-1.0))
    fresh = labels(2000, seed=1, slope=0.4, intercept=-1.0)
    assert image_losses(scaling.apply(fresh)).mean() < image_losses(fresh).mean() - 0.1
    np.testing.assert_allclose(scaling.slopes, 0.4, atol=0.15)
    np.testing.assert_allclose(scaling.intercepts, -1.0, atol=0.3)


def test_a_label_that_no_image_has_is_as_rare_as_so_many_images_show():
    predictions = labels(98)
    never = Predictions.from_logits(predictions.logits, CLASSES, truth=np.zeros((98, 4), int), task="multi")
    scaling = fit_platt(never)
    assert scaling.slopes == (1.0,) * 4
    np.testing.assert_allclose(scaling.apply(never).probabilities.mean(axis=0), 1 / 100, rtol=1e-3)


def test_logits_that_are_all_alike_give_the_share():
    alike = Predictions.from_logits(np.zeros((98, 1)), ["a"], truth=[[1]] * 49 + [[0]] * 49, task="multi")
    assert fit_platt(alike).apply(alike).probabilities[0, 0] == pytest.approx(0.5)


def test_classes_are_matched_by_name():
    scaling = fit_platt(labels(300, slope=0.5))
    turned = labels(20).aligned_to(CLASSES[::-1])
    assert scaling.apply(turned).aligned_to(CLASSES) == scaling.apply(labels(20))
    with pytest.raises(OptionError, match="missing: 'd'"):
        scaling.apply(Predictions.from_logits(np.zeros((1, 3)), CLASSES[:3], task="multi"))


@pytest.mark.parametrize("predictions", [simulated(50, factor=3), labels(50, slope=2)], ids=["single", "many"])
def test_logits_and_predictions_are_calibrated_alike(predictions):
    calibration = fit_calibration(predictions)
    direct = calibration.apply_to_logits(predictions.logits[:, 0])
    np.testing.assert_allclose(calibration.apply(predictions).logits[:, 0], direct, rtol=1e-6)


@pytest.mark.parametrize("predictions", [simulated(50, factor=3), labels(50, slope=2)], ids=["single", "many"])
def test_json_gives_the_same_calibration_back(predictions):
    calibration = fit_calibration(predictions)
    read = from_json(json.loads(json.dumps(as_json(calibration))), type(calibration))
    assert read == calibration
    for change in ({"kind": "other"}, {"n": "many"}, {"more": 1}):
        with pytest.raises(FormatError):
            from_json(as_json(calibration) | change, type(calibration))
    with pytest.raises(FormatError):
        from_json({}, type(calibration))


def test_an_unreadable_image_stays_without_a_prediction():
    logits = np.array([[[1.0, 0], [2, 0]], [[np.nan] * 2] * 2])
    for views, task, truth in ((1, "single", [0, 1]), (2, "single", [0, 1]), (2, "multi", [[1, 0], [0, 1]])):
        predictions = Predictions.from_logits(
            logits[:, :views], ["a", "b"], truth=truth, status=["ok", "unreadable"], task=task
        )
        calibrated = fit_calibration(predictions).apply(predictions)
        assert np.isnan(calibrated.logits[1]).all()
        assert np.isfinite(calibrated.logits[0]).all()


def test_nothing_scored_changes_nothing():
    assert fit_temperature(simulated(0)) == Temperature(value=1.0, n=0)
    nothing = fit_platt(labels(0))
    assert (nothing.slopes, nothing.intercepts, nothing.n) == ((1.0,) * 4, (0.0,) * 4, 0)
    one_class = Predictions.from_logits([[3.0]] * 5, ["a"], truth=[0] * 5)
    assert fit_temperature(one_class).value == 1.0


def test_the_other_kind_of_labels_is_refused():
    for function in (fit_temperature, Temperature(value=2.0, n=1).apply):
        with pytest.raises(OptionError, match="use fit_platt"):
            function(labels(5))
    for function in (fit_platt, fit_platt(labels(5)).apply):
        with pytest.raises(OptionError, match="use fit_temperature"):
            function(simulated(5))


def test_impossible_calibrations_are_refused():
    for value in (0.0, -1.0, np.inf, np.nan):
        with pytest.raises(OptionError, match="wanted a number above 0"):
            Temperature(value=value, n=1)
    with pytest.raises(OptionError, match="one of each per class"):
        PlattScaling(classes=("a", "b"), slopes=(1.0,), intercepts=(0.0,), positives=(1,), n=2)
    with pytest.raises(OptionError, match="slopes above 0"):
        PlattScaling(classes=("a",), slopes=(-1.0,), intercepts=(0.0,), positives=(1,), n=2)
