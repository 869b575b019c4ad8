import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goldenrule.core.findings import Finding
from goldenrule.metrics import Estimate, Predictions, value_and_interval
from goldenrule.metrics.estimate import printed
from goldenrule.report import sentences

light = settings(deadline=None, max_examples=100)


def share(right, n, basis="held out"):
    return Estimate.of_share("accuracy", right, n, basis=basis)


def predictions(n, wrong, **fields):
    truth = np.arange(n) % 2
    said = np.where(np.arange(n) < wrong, 1 - truth, truth)
    return Predictions.from_logits(np.eye(2)[said] * 4, ["cat", "dog"], truth=truth, **fields)


@pytest.mark.parametrize(
    ("estimate", "split", "sentence"),
    [
        (share(199, 200), "test", "99.5 % of 200 test images are recognised (95 % interval 97.2–99.9 %)"),
        (share(9, 9), "valid", "100 % of 9 validation images are recognised (95 % interval 70–100 %)"),
        (share(1, 1), "test", "100 % of 1 test image is recognised (95 % interval 21–100 %)"),
        (
            share(1950, 2000),
            "out-of-fold",
            "97.5 % of 2,000 cross-validated images are recognised (95 % interval 96.7–98.1 %)",
        ),
        (share(0, 0), "test", "There is no labelled test image to measure the accuracy on"),
        (
            Estimate(name="log loss", value=0.4, low=0.31, high=0.52, n=120, method="bootstrap 95 %"),
            "test",
            "0.400 log loss on 120 test images (95 % interval 0.310 to 0.520)",
        ),
    ],
)
def test_the_headline_is_one_sentence_with_its_interval(estimate, split, sentence):
    assert sentences.headline(estimate, split).sentence == sentence


@pytest.mark.parametrize(
    ("estimate", "split", "lead"),
    [
        (
            share(164, 200),
            "test",
            "Of 100 new images about 82 are named rightly [76, 87]; measured on 200 held-out images",
        ),
        (share(199, 200), "test", "Of 1,000 new images about 995 are named rightly [972, 999]"),
        (share(9_990, 10_000), "test", "Of 10,000 new images about 9,990 are named rightly [9,982, 9,995]"),
        (
            share(9, 9),
            "valid",
            "9 of 9 held-out images are named rightly; of 100 new ones it may be 70 to 100",
        ),
        (
            share(38, 40, "used for selection"),
            "valid",
            "38 of 40 validation images are named rightly; of 100 new ones it may be ",
        ),
    ],
)
def test_an_accuracy_is_told_in_new_images_as_many_as_its_interval_can_tell_apart(estimate, split, lead):
    assert lead in sentences.headline(estimate, split).lead


def test_few_images_are_said_to_be_few():
    assert sentences.headline(share(9, 9), "test").caution == "With only 9 images, the interval is wide."
    assert sentences.headline(share(199, 200), "test").caution == ""


@light
@given(st.integers(0, 10**5), st.integers(1, 10**5))
def test_the_mistakes_that_are_allowed_are_those_of_the_printed_interval(wrong, n):
    estimate = share(n - min(wrong, n), n)
    fewest, most, among = sentences.mistakes_allowed(estimate)
    value, low, high = printed(estimate)
    assert f"{value} [{low}, {high}]" == value_and_interval(estimate)
    assert 100 - 100 * fewest / among == pytest.approx(float(high))
    assert 100 - 100 * most / among == pytest.approx(float(low))
    assert 0 <= fewest <= most <= among


def test_a_number_that_was_chosen_on_says_that_it_is_optimistic():
    assert "optimistic" in sentences.headline(share(9, 10, "used for selection"), "valid").basis
    assert "slightly optimistic" in sentences.headline(share(9, 10, "used for selection"), "out-of-fold").basis
    assert "neither for training nor for selection" in sentences.headline(share(9, 10), "test").basis
    assert "trained without it" in sentences.headline(share(9, 10), "out-of-fold").basis


def test_no_mistake_is_no_proof_of_perfection():
    said = sentences.mistakes_sentence(predictions(200, 0), "valid", 0)
    assert said.startswith("No mistake on 200 validation images.")
    assert "still allows for up to 19 mistakes in 1,000 images" in said


@pytest.mark.parametrize(
    ("wrong", "shown", "said"),
    [
        (1, 1, "1 of 200 test images was misclassified. It is shown here."),
        (5, 5, "5 of 200 test images were misclassified. Here are all 5, the most confident first."),
        (30, 12, "Here are the 12 most confident ones."),
    ],
)
def test_mistakes_are_counted_in_words(wrong, shown, said):
    assert said in sentences.mistakes_sentence(predictions(200, wrong), "test", shown)


def test_without_labels_there_is_nothing_to_say_about_mistakes():
    unlabelled = Predictions.from_logits([[1.0, 0.0]], ["cat", "dog"])
    assert "No image has a label" in sentences.mistakes_sentence(unlabelled, "test", 0)
    assert sentences.baseline_sentence(unlabelled) == ""


def test_the_baseline_names_the_most_frequent_class_only_where_there_is_one():
    mostly_cats = Predictions.from_logits(np.zeros((10, 2)), ["cat", "dog"], truth=[0] * 9 + [1])
    assert sentences.baseline_sentence(mostly_cats).startswith("Always answering “cat” would be right for 90 % [")
    assert "Always answering the same would be" in sentences.baseline_sentence(predictions(10, 0))


def test_images_that_are_in_no_score_are_counted_with_the_reason():
    logits = np.array([[1.0, 0.0], [np.nan, np.nan], [1.0, 0.0]])
    some = Predictions.from_logits(logits, ["cat", "dog"], truth=[0, 1, -1], status=["ok", "unreadable", "ok"])
    expected = "2 images are not counted: 1 unreadable, 1 without a label."
    assert sentences.left_out_sentence(some) == expected
    assert sentences.left_out_sentence(predictions(4, 0)) == ""


def test_the_alarm_counts_errors_and_warnings_but_no_notes():
    def finding(severity):
        return Finding(severity=severity, code="x")

    both = [finding("note"), finding("warning"), finding("error"), finding("warning")]
    assert sentences.alarm(both) == "1 error and 2 warnings"
    assert sentences.alarm([finding("note")]) == ""


@pytest.mark.parametrize(
    ("computed", "reused", "said"),
    [
        (640, 0, "640 rows of features were computed and cached for the next run on these images."),
        (1, 9, "1 row of features was computed; 9 came from the cache."),
        (0, 640, "No features had to be computed: all 640 rows were in the cache."),
        (0, 0, ""),
    ],
)
def test_what_the_bank_saved_is_said(computed, reused, said):
    assert sentences.features_sentence(computed, reused) == said


@light
@given(st.floats(0, 1))
def test_no_probability_reads_as_certain_or_impossible(probability):
    stated = sentences.sureness(probability)
    assert stated not in ("100 %", "100.0 %", "0 %", "0.0 %")
    assert abs(float(stated.strip("<> %")) - 100 * probability) <= 0.5
