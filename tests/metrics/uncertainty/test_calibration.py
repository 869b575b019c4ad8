import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle
from sklearn.calibration import calibration_curve

from goldenrule.core.errors import OptionError
from goldenrule.metrics import Predictions, brier_score, calibration_error, reliability, wilson

light = settings(deadline=None, max_examples=40)
shapes = {"n": st.integers(2, 120), "classes": st.integers(2, 5), "seed": st.integers(0, 10**6)}


def simulated(n, classes=4, seed=0, *, too_sure=1.0, spread=2.0, **options):
    """Logits that are right as often as they say, times `too_sure`."""
    generator = np.random.default_rng(seed)
    logits = spread * generator.normal(size=(n, classes))
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    truth = (shares.cumsum(axis=1) < generator.random((n, 1))).sum(axis=1).clip(max=classes - 1)
    names = [f"class {k}" for k in range(classes)]
    return Predictions.from_logits(too_sure * logits, names, truth=truth, **options)


def labels(n, classes=3, seed=0, *, slope=1.0, intercept=0.0):
    """Many labels: logits that say what is true once they are multiplied by `slope` and moved by `intercept`."""
    generator = np.random.default_rng(seed)
    logits = 2 * generator.normal(size=(n, classes))
    truth = generator.random((n, classes)) < 1 / (1 + np.exp(-(slope * logits + intercept)))
    names = [f"class {k}" for k in range(classes)]
    return Predictions.from_logits(logits, names, truth=truth.astype(int), task="multi")


@light
@given(**shapes, bins=st.integers(1, 12))
def test_the_curve_of_a_class_is_that_of_scikit_learn(n, classes, seed, bins):
    predictions = simulated(n, classes, seed)
    true, probabilities = predictions.truth == 1, predictions.probabilities[:, 1]
    shares, means = calibration_curve(true, probabilities, n_bins=bins, strategy="quantile")
    ours = reliability(predictions, of="class 1", bins=bins)
    np.testing.assert_allclose([one.accuracy.value for one in ours], shares)
    np.testing.assert_allclose([one.confidence for one in ours], means)


@light
@given(**shapes, levels=st.integers(1, 30))
def test_every_image_is_in_one_bin_and_equals_are_in_the_same_whatever_the_order(n, classes, seed, levels):
    generator = np.random.default_rng(seed)
    logits = generator.integers(0, levels, (n, classes)) / 10
    predictions = Predictions.from_logits(logits, list("abcde")[:classes], truth=generator.integers(0, classes, n))
    parts = reliability(predictions, bins=7)
    assert sum(one.n for one in parts) == n
    assert [one.confidence for one in parts] == sorted({one.confidence for one in parts})
    shuffled = reliability(predictions.select(generator.permutation(n)), bins=7)
    np.testing.assert_allclose([one.confidence for one in shuffled], [one.confidence for one in parts])
    assert [one.accuracy for one in shuffled] == [one.accuracy for one in parts]


def test_a_bin_has_the_wilson_interval_of_its_images():
    for one in reliability(simulated(300)):
        assert (one.accuracy.low, one.accuracy.high) == wilson(round(one.accuracy.value * one.n), one.n)


@pytest.mark.parametrize(("n", "bins"), [(0, 0), (1, 1), (39, 1), (40, 2), (150, 7), (200, 10), (5000, 10)])
def test_there_are_ten_bins_or_as_many_as_have_20_images(n, bins):
    assert len(reliability(simulated(n))) == bins


def test_the_error_is_unbiased_where_the_plain_one_is_not():
    """Of the square, over 300 sets of 200 images; the claim is 2 in 3, the truth 1 in 2."""
    squares, plain = [], []
    for seed in range(300):
        truth = np.random.default_rng(seed).integers(0, 2, 200)
        predictions = Predictions.from_logits(np.full((200, 2), [math.log(2), 0]), ["a", "b"], truth=truth)
        error = calibration_error(predictions, resamples=2)
        squares.append(error.value**2)
        plain.append(reliability(predictions)[0].accuracy.value - 2 / 3)
    assert np.mean(squares) == pytest.approx(1 / 36, rel=0.05)
    assert np.mean(np.square(plain)) > np.mean(squares)


@pytest.mark.parametrize("n", [25, 100, 600])
@pytest.mark.parametrize("spread", [2.0, 8.0])
def test_of_calibrated_images_the_interval_begins_at_0(n, spread):
    lows = [calibration_error(simulated(n, seed=seed, spread=spread), resamples=100).low for seed in range(100)]
    assert np.mean(np.array(lows) == 0) >= 0.95


@pytest.mark.parametrize("n", [100, 600])
@pytest.mark.parametrize("too_sure", [1.5, 3.0])
def test_the_interval_covers_the_error_of_many_images(n, too_sure):
    truth = calibration_error(simulated(200_000, seed=1, too_sure=too_sure), resamples=2).value
    errors = [calibration_error(simulated(n, seed=seed, too_sure=too_sure), resamples=300) for seed in range(100)]
    assert np.mean([error.low <= truth <= error.high for error in errors]) >= 0.92
    assert abs(np.mean([error.value for error in errors]) - truth) < 0.04


def test_what_was_never_seen_wrong_may_be_wrong_at_times():
    error = calibration_error(Predictions.from_logits([[30.0, 0.0]] * 200, ["a", "b"], truth=[0] * 200))
    assert error.low == 0
    assert error.high == pytest.approx(1 - wilson(200, 200)[0], abs=1e-4)


@light
@given(**shapes, bins=st.integers(1, 12) | st.none())
def test_the_error_is_a_share_in_order_and_the_same_each_time(n, classes, seed, bins):
    predictions = simulated(n, classes, seed, too_sure=3)
    error = calibration_error(predictions, bins=bins, resamples=30)
    assert 0 <= error.low <= error.high <= 1
    assert 0 <= error.value <= 1
    assert (error.kind, error.n) == ("points", n)
    assert error == calibration_error(predictions, bins=bins, resamples=30)


def test_many_labels_are_looked_at_class_by_class():
    good, bad = labels(4000), labels(4000, slope=0.3)
    assert calibration_error(good, of="class 2").value < 0.03
    assert calibration_error(bad, of="class 2").low > 0.1
    assert calibration_error(bad, of="class 2").name == "calibration error of class 2"
    for function in (reliability, calibration_error):
        with pytest.raises(OptionError, match="name a class, such as of='class 0'"):
            function(good)


def test_unknown_classes_and_no_bins_are_refused():
    with pytest.raises(OptionError, match="of = 'cow': wanted one of the 4 classes, such as 'class 0'"):
        reliability(simulated(20), of="cow")
    with pytest.raises(OptionError, match="bins = 0: wanted 1 or more"):
        calibration_error(simulated(20), bins=0)


@light
@given(**shapes)
def test_the_brier_score_is_that_of_scikit_learn(n, classes, seed):
    predictions = simulated(n, classes, seed, too_sure=2)
    score = brier_score(predictions, resamples=50)
    theirs = oracle.brier_score_loss(
        predictions.truth, predictions.probabilities, labels=range(classes), scale_by_half=False
    )
    assert score.value == pytest.approx(theirs)
    assert score.low <= score.value <= score.high


def test_the_brier_score_of_many_labels_is_the_mean_over_classes():
    many = labels(50)
    theirs = [oracle.brier_score_loss(many.truth[:, k], many.probabilities[:, k]) for k in range(3)]
    assert brier_score(many).value == pytest.approx(np.mean(theirs))


@pytest.mark.parametrize("metric", [calibration_error, brier_score])
def test_nothing_to_score_gives_na_and_one_image_says_little(metric):
    unreadable = Predictions.from_logits(np.full((1, 2), np.nan), ["a", "b"], truth=[0], status=["missing"])
    for predictions in (simulated(0), unreadable, Predictions.from_logits(np.zeros((2, 2)), ["a", "b"])):
        assert str(metric(predictions)) == "n/a (n=0)"
        assert reliability(predictions) == ()
    one = metric(Predictions.from_logits([[2.0, 0.0]], ["a", "b"], truth=[0]))
    assert one.low == 0
    assert one.high >= 0.5


def test_every_number_says_when_its_images_were_chosen_on():
    predictions = simulated(60, basis="used for selection")
    for estimate in (calibration_error(predictions), brier_score(predictions), reliability(predictions)[0].accuracy):
        assert str(estimate).endswith("(used for selection)")
