"""The rule of thumb for how many images are enough, and what a curve of known shape makes of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldenrule.analysis.curve_points import Measured
from goldenrule.analysis.data_size import RULES, ClassSizes, DataSize, data_size, gain_of, gained, how_much
from goldenrule.analysis.learning_curve import LearningCurve, curve_of
from goldenrule.core.schema import as_json
from goldenrule.data.table import ImageTable, image_table
from goldenrule.report.figures.plot import plot

SIZES = np.array([20, 28, 40, 57, 80, 113, 160, 226, 320])


def curve(floor: float, height: float, *, n: int = 4000, metric: str = "accuracy", images: int = 400) -> LearningCurve:
    """A curve of two classes whose error is floor + height (size / 320)^-0.7: as hard an image at every size."""
    random = np.random.default_rng(0)
    hard = random.random((1, 1, n)) * 0.7 + 0.3 * random.random((len(SIZES), 4, n))
    shares = floor + height * (SIZES / 320.0) ** -0.7
    wrong = np.argsort(np.argsort(hard, axis=2), axis=2) < np.round(n * shares)[:, None, None]
    measured = Measured(
        sizes=SIZES,
        wrong=wrong.astype(np.float32),
        log_losses=wrong * np.float32(2.0) + np.float32(0.01),
        units=np.arange(n),
        classes=2,
    )
    return curve_of(measured, metric=metric, images=images)  # type: ignore[arg-type]


def advice(floor: float, height: float, each: int = 200, metric: str = "accuracy") -> DataSize:
    return data_size(curve(floor, height, metric=metric), ClassSizes.of([each, each]))


@given(st.integers(1, 20_000))
def test_one_rule_suits_any_number_of_images_and_those_below_it_have_more_than_they_want(images: int) -> None:
    suited = ClassSizes.of([images]).rule
    assert suited.says(images) == "suits"
    place = RULES.index(suited)
    assert all("more than that" in rule.says(images) for rule in RULES[:place])
    above = [rule for rule in RULES[place + 1 :] if rule.least > images]
    assert all(rule.says(images) == f"{rule.least - images:,} short" for rule in above)


@pytest.mark.parametrize(
    ("images", "way"),
    [
        (16, "transfer learning"),
        (1000, "transfer learning"),
        (1001, "fine-tuning"),
        (5000, "fine-tuning"),
        (5001, "training from scratch"),
    ],
)
def test_the_rule_goes_by_the_class_in_the_middle(images: int, way: str) -> None:
    assert ClassSizes.of([1, images, 9000]).rule.way == way


def test_the_gain_is_that_of_the_law() -> None:
    learning_curve = curve(0.0, 0.10)
    truth = 0.10 * ((400 / 320) ** -0.7 - (800 / 320) ** -0.7)
    gain = gain_of(learning_curve, 400)
    assert gain.low <= truth <= gain.high
    assert gain.kind == "points"
    assert gain_of(learning_curve, learning_curve.images_per_class).value == 0
    later = gain_of(learning_curve, 1000)
    assert later.value > gain.value


def test_a_steep_curve_says_that_more_images_would_clearly_help_and_the_rule_agrees() -> None:
    data_size = advice(0.0, 0.20)
    assert data_size.more_images == "clearly"
    assert not data_size.disagree
    measured, rule = data_size.sentences
    assert measured.startswith("More images like these would clearly help: twice as many are forecast to gain ")
    assert rule.startswith(
        "The rule of thumb agrees: up to 1,000 per class for transfer learning (the middle class has 200)"
    )


def test_a_flat_curve_says_that_they_would_hardly_help_and_the_rule_disagrees() -> None:
    data_size = advice(0.03, 0.0005)
    assert data_size.more_images == "hardly"
    assert data_size.disagree
    assert "would hardly help" in data_size.sentences[0]
    assert data_size.sentences[1].startswith("The rule of thumb disagrees: up to 1,000")


def test_above_the_rules_bound_it_is_the_other_way_round() -> None:
    assert advice(0.0, 0.20, each=2000).disagree
    flat = advice(0.03, 0.0005, each=2000)
    assert not flat.disagree
    assert "2,000 in the middle class are more than transfer learning wants, and suit fine-tuning" in flat.sentences[1]


def test_what_can_not_be_told_is_no_disagreement() -> None:
    ours = data_size(curve(0.02, 0.02, n=200), ClassSizes.of([200, 200]))
    assert ours.more_images == "unknown"
    assert not ours.disagree
    assert "is not clear" in ours.sentences[0]
    assert "would go on" in ours.sentences[1]


def test_the_size_within_a_point_of_all_is_that_of_the_law() -> None:
    floor, height = 0.0, 0.04
    near = advice(floor, height).near
    assert near is not None
    error = height * (400 / 320) ** -0.7 + 0.01
    truth = 320 * (error / height) ** (-1 / 0.7) / 2
    assert near.low <= truth <= near.high
    assert near.images_per_class == pytest.approx(truth, rel=0.15)
    assert "about" in str(near)


def test_forecasts_are_for_twice_and_five_times_the_images_and_for_the_rules_thousand() -> None:
    ours = advice(0.0, 0.04)
    assert [one.images_per_class for one in ours.ahead] == [400, 1000]
    close = data_size(curve(0.0, 0.04, images=1200), ClassSizes.of([600, 600]))
    assert [one.images_per_class for one in close.ahead] == [1000, 1200]
    assert gained(close.ahead[1].gain) in close.sentences[0]  # of twice as many
    many = data_size(curve(0.0, 0.04, images=20_000), ClassSizes.of([10_000, 10_000]))
    assert many.ahead == ()  # beyond what eight times the largest size measured says
    assert many.more_images == "unknown"
    assert many.sentences[0] == "Of twice as many images nothing can be forecast."


@pytest.mark.parametrize("metric", ["accuracy", "log_loss"])
def test_the_advice_is_json(metric: str) -> None:
    data_size = advice(0.0, 0.04, metric=metric)
    value = as_json(data_size)
    assert json.loads(json.dumps(value, allow_nan=False)) == value
    assert value["rule_of_thumb"] == "transfer learning"
    assert value["rules_of_thumb"][1]["says"] == "800 short"
    assert (value["within_a_point"] is None) == (metric == "log_loss")
    assert value["says"] == " ".join(data_size.sentences)
    assert ("lower it by" in value["says"]) == (metric == "log_loss")


def test_the_picture_marks_the_rule_where_the_curve_reaches_it() -> None:
    def said(learning_curve: LearningCurve) -> str:
        return " ".join(text.get_text() for text in plot(learning_curve).axes[0].texts)

    assert "rule of thumb: 1,000" in said(curve(0.0, 0.04))
    far = curve(0.0, 0.04)
    assert far.farthest < 5000
    assert "5,000" not in said(far)


def table(*counts: int, several: bool = False) -> ImageTable:
    labels = [[label] for label, count in enumerate(counts) for _ in range(count)]
    if several:
        labels[0] = [0, 1]
    uris = [f"{number}.jpg" for number in range(len(labels))]
    names = [f"class {number}" for number in range(len(counts))]
    return image_table(Path(), names, uris=uris, splits=["train"] * len(labels), labels=labels)


def test_the_audit_tells_the_rule_by_the_counts_and_where_it_is_measured() -> None:
    (finding,) = how_much(table(30, 1200, 1100))
    assert (finding.severity, finding.code) == ("note", "how-much")
    assert finding.sentence == (
        "1,100 images in the middle class (of 3; the smallest has 30, the largest 1,200) to learn from: "
        "by the rule of thumb, enough for fine-tuning"
    )
    assert "transfer learning up to 1,000; fine-tuning 1,000-5,000; training from scratch from 5,000" in finding.advice
    assert "goldenrule learning-curve RUN" in finding.advice


def test_of_several_labels_an_image_no_curve_is_promised() -> None:
    (finding,) = how_much(table(20, 20, several=True))
    assert "learning-curve" not in finding.advice
    assert list(how_much(table())) == []
