"""What a learning curve answers, where the truth is known."""

import json

import numpy as np
import pytest

from goldenrule.analysis.curve_points import Measured
from goldenrule.analysis.learning_curve import curve_of, learning_curve
from goldenrule.core.errors import OptionError
from goldenrule.core.schema import as_json
from goldenrule.report.figures.plot import plot

SIZES = np.array([20, 28, 40, 57, 80, 113, 160, 226, 320])


def measured(law, n=400, draws=4, seed=0):
    """Mistakes on n images whose probabilities follow a law of the size; an image is as hard at every size."""
    random = np.random.default_rng(seed)
    hard = random.random((1, 1, n)) * 0.7 + 0.3 * random.random((len(SIZES), draws, n))
    wrong = np.argsort(np.argsort(hard, axis=2), axis=2) < np.round(n * law(SIZES))[:, None, None]
    return Measured(
        sizes=SIZES,
        wrong=wrong.astype(np.float32),
        log_losses=wrong * np.float32(2.0) + np.float32(0.01),
        units=np.arange(n),
        classes=2,
    )


def power(floor, height, speed=0.7):
    return lambda size: floor + height * (size / 320.0) ** -speed


def test_a_target_that_is_reached_takes_the_images_of_the_law():
    law = power(0.0, 0.02)
    curve = curve_of(measured(law, n=2000), metric="accuracy", images=400)
    needed = curve.needed(0.95)
    truth = 320 * (0.05 / 0.02) ** (-1 / 0.7) / 2
    assert needed.outlook == "reached"
    assert needed.low <= truth <= needed.high
    assert needed.images_per_class == pytest.approx(truth, rel=0.25)
    assert curve.sentence(0.95).startswith(
        f"95 % accuracy takes about {needed.images_per_class:.0f} images per class ("
    )
    assert curve.sentence(0.95).endswith("; there are 200")


def test_a_target_that_is_near_is_answered_with_a_number_and_an_interval_that_holds_the_truth():
    law = power(0.0, 0.04)
    curve = curve_of(measured(law, n=2000), metric="accuracy", images=400)
    needed = curve.needed(0.98)
    truth = 320 * (0.02 / 0.04) ** (-1 / 0.7) / 2
    assert needed.outlook == "needed"
    assert 200 < needed.low < truth < needed.high
    sentence = curve.sentence(0.98)
    assert "98 % accuracy would take about" in sentence
    assert sentence.endswith(" more; there are 200")


def test_a_curve_that_levels_out_says_so():
    curve = curve_of(measured(power(0.2, 0.01), n=2000), metric="accuracy", images=400)
    assert curve.needed(0.99).outlook == "out of reach"
    assert curve.needed(0.99).images_per_class == np.inf
    assert "99 % accuracy may not be reachable with more images like these" in curve.sentence(0.99)
    assert "the curve levels out" in curve.sentence(0.99)


def test_what_can_not_be_told_is_not_told():
    curve = curve_of(measured(power(0.05, 0.05), n=300), metric="accuracy", images=400)
    outlooks = [curve.needed(target).outlook for target in (0.80, 0.92, 0.945, 0.96, 0.9999)]
    order = ["reached", "needed", "doubtful", "out of reach"]
    assert [order.index(one) for one in outlooks] == sorted(order.index(one) for one in outlooks)
    assert outlooks[0] == "reached"
    assert "doubtful" in outlooks
    doubtful = (0.80, 0.92, 0.945, 0.96, 0.9999)[outlooks.index("doubtful")]
    assert "how many at most is not clear" in curve.sentence(doubtful)


def test_a_target_below_the_smallest_size_is_not_told_closer():
    curve = curve_of(measured(power(0.0, 0.02)), metric="accuracy", images=400)
    assert curve.sentence(0.5) == "50 % accuracy takes at most 10 images per class (95 %: up to 10); there are 200"


def test_nothing_is_said_of_more_than_eight_times_the_largest_size():
    curve = curve_of(measured(power(0.0, 0.02)), metric="accuracy", images=400)
    assert curve.farthest == 8 * 160
    curve.forecast(curve.farthest)
    for number in (5, 1300):
        with pytest.raises(OptionError, match="says nothing of less than 10 or more than 1280"):
            curve.forecast(number)


def test_the_forecast_holds_the_law_about_as_often_as_it_says():
    law = power(0.02, 0.05)
    held = []
    for seed in range(60):
        forecast = curve_of(measured(law, n=300, seed=seed), metric="accuracy", images=400).forecast(320)
        held.append(forecast.low <= 1 - law(640) <= forecast.high)
    assert np.mean(held) >= 0.85


def test_judged_by_few_images_the_forecast_is_wider():
    curve = curve_of(measured(power(0.0, 0.1)), metric="accuracy", images=400)
    every, few = curve.forecast(300), curve.forecast(300, evaluated_by=30)
    assert few.high - few.low > every.high - every.low
    assert few.value == every.value
    with pytest.raises(OptionError, match="only of an accuracy"):
        curve_of(measured(power(0.0, 0.1)), metric="log_loss", images=400).forecast(300, evaluated_by=30)


def test_points_are_estimates_of_what_was_measured():
    found = measured(power(0.05, 0.1))
    curve = curve_of(found, metric="accuracy", images=400)
    for point, wrong in zip(curve.points, found.wrong, strict=True):
        assert point.estimate.value == pytest.approx(1 - wrong.mean())
        assert point.estimate.low < point.estimate.value < point.estimate.high
        assert point.estimate.n == 400
        assert point.images_per_class == point.images / 2


def test_a_log_loss_falls_too():
    curve = curve_of(measured(power(0.0, 0.04), n=1000), metric="log_loss", images=400)
    assert curve.points[0].estimate.value > curve.points[-1].estimate.value
    assert curve.needed(0.2).outlook == "reached"
    assert curve.sentence(0.05).startswith("a log loss of 0.05 ")


@pytest.mark.parametrize(("metric", "target"), [("accuracy", 1.0), ("accuracy", 99), ("accuracy", 0), ("log_loss", 0)])
def test_a_target_that_is_none_is_a_clear_error(metric, target):
    curve = curve_of(measured(power(0.0, 0.04)), metric=metric, images=400)
    with pytest.raises(OptionError, match=f"--target {target:g}: wanted"):
        curve.needed(target)


def test_an_unknown_metric_is_a_clear_error():
    with pytest.raises(OptionError, match="--target-metric f1: wanted accuracy or log_loss"):
        learning_curve(np.zeros((9, 2)), np.zeros(9, int), [b"a"] * 9, classes=2, metric="f1")


@pytest.mark.parametrize("metric", ["accuracy", "log_loss"])
def test_the_curve_is_json_and_a_picture(metric):
    curve = curve_of(measured(power(0.0, 0.04)), metric=metric, images=400)
    value = as_json(curve)
    assert json.loads(json.dumps(value, allow_nan=False)) == value
    assert [one["images_per_class"] for one in value["forecasts"]] == [200, 400, 800]
    assert json.dumps(as_json(curve.needed(0.999999)), allow_nan=False)
    figure = plot(curve, target=0.99)
    axes = figure.axes[0]
    assert axes.get_xscale() == "log"
    assert axes.get_xlim()[0] < 10 < 1280 < axes.get_xlim()[1]
    assert len(axes.containers[0].lines[0].get_xdata()) == len(SIZES)
    assert "with 10 images per class" in str(curve)
