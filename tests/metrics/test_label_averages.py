import warnings

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from goldenrule.core.errors import OptionError
from goldenrule.metrics import Predictions, averages, f_beta, wilson
from goldenrule.metrics.score_intervals import f_score_interval

light = settings(deadline=None, max_examples=40)
shapes = {"n": st.integers(1, 30), "classes": st.integers(2, 6), "seed": st.integers(0, 10**6)}


def labelled(truth, logits, **fields):
    names = [f"label {k}" for k in range(np.shape(truth)[1])]
    return Predictions.from_logits(logits, names, truth=truth, task="multi", **fields)


def random_labels(n, classes, seed):
    """Images with few or many labels; in some cases a class has no image."""
    generator = np.random.default_rng(seed)
    truth = (generator.random((n, classes)) < generator.random()) * (np.arange(classes) < max(1, classes - seed % 3))
    logits = generator.integers(-2, 3, size=(n, classes)) + truth
    return labelled(truth.astype(np.int64), logits)


def hard_and_easy(generator, n):
    """Images that are hard in all their labels at once, and labels that come together."""
    truth = (generator.random((n, 6)) < generator.choice([0.2, 0.6], size=(n, 1))).astype(np.int64)
    clear = generator.choice([0.3, 3.0], size=(n, 1))
    return labelled(truth, (2 * truth - 1) * clear + generator.normal(size=(n, 6)))


def all_estimates(predictions, **options):
    return [e for s in averages(predictions, **options).values() for e in (s.precision, s.recall, s.f_beta)]


@light
@given(**shapes, beta=st.sampled_from([0.5, 1, 2]), threshold=st.sampled_from([0.2, 0.5, 0.8]))
def test_averages_of_many_labels_are_those_of_scikit_learn_over_the_defined_scores(n, classes, seed, beta, threshold):
    predictions = random_labels(n, classes, seed)
    called = predictions.probabilities >= threshold
    found = averages(predictions, beta=beta, thresholds=threshold)
    assert set(found) == {"macro", "micro", "weighted", "samples"}
    for average, ours in found.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            *theirs, _ = oracle.precision_recall_fscore_support(
                predictions.truth, called, beta=beta, average=average, zero_division=np.nan
            )
        values = [ours.precision.value, ours.recall.value, ours.f_beta.value]
        # No score is defined: scikit-learn says nan or 0.
        np.testing.assert_allclose(np.nan_to_num(values), np.nan_to_num(theirs))


@light
@given(**shapes)
@example(n=10, classes=6, seed=75)  # an average of ones, 2e-16 above 1
def test_every_average_of_many_labels_lies_in_its_interval_inside_0_to_1(n, classes, seed):
    for estimate in all_estimates(random_labels(n, classes, seed)):
        if estimate.defined:
            assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1
            assert estimate.low < estimate.high


def test_the_f2_of_kaggles_planet_contest():
    predictions = labelled([[1, 1, 0], [0, 1, 0]], [[3, -1, -3], [3, 3, -3]])
    estimate = f_beta(predictions, 2, average="samples", thresholds=0.2)
    assert estimate.value == pytest.approx((1 + 5 / (5 + 1)) / 2)  # at .2 both of the first; one too many of the second
    assert (estimate.name, estimate.n) == ("samples F2", 2)
    per_class = f_beta(predictions, 2, average="samples", thresholds=[0.2, 0.5, 0.5])
    assert per_class.value == pytest.approx((5 / (5 + 4) + 5 / (5 + 1)) / 2)


@light
@given(st.integers(2, 60), st.integers(0, 1000))
def test_a_label_that_is_there_four_times_makes_no_average_surer(n, seed):
    once = random_labels(n, 1, 3 * seed)
    four = labelled(np.repeat(once.truth, 4, axis=1), np.repeat(once.logits[:, 0], 4, axis=1))
    for one, other in zip(all_estimates(once), all_estimates(four), strict=True):
        if one.defined:
            assert other.value == pytest.approx(one.value)
            assert (other.low, other.high) == pytest.approx((one.low, one.high), abs=0.02)


def test_labels_that_are_all_right_count_no_more_than_their_images():
    truth, f1 = np.ones((50, 4), np.int64), f_score_interval(50, 0, 0)
    for estimate in all_estimates(labelled(truth, truth * 3.0)):
        ours = f1 if estimate.name in ("macro F1", "micro F1", "weighted F1") else wilson(50, 50)
        assert (estimate.value, estimate.low, estimate.high) == pytest.approx((1, *ours), abs=1e-6)


def test_more_images_make_every_average_surer():
    generator = np.random.default_rng(0)
    few = hard_and_easy(generator, 40)
    many = labelled(np.tile(few.truth, (8, 1)), np.tile(few.logits[:, 0], (8, 1)))
    for one, other in zip(all_estimates(few), all_estimates(many), strict=True):
        assert other.value == pytest.approx(one.value)
        assert other.high - other.low < (one.high - one.low) / 2


def test_the_method_says_how_many_images_or_classes_are_in():
    predictions = labelled([[1, 0, 0], [0, 0, 0]], [[3, -3, -3], [-3, -3, -3]])
    found = averages(predictions)
    assert found["samples"].recall.method.endswith("over 1 of 2 images")
    assert "over 1 of 3 classes" in found["macro"].recall.method
    assert {e.n for e in (found["samples"].recall, found["macro"].recall)} == {1, 2}


def test_nothing_to_score_gives_na_for_many_labels():
    for truth in (np.zeros((2, 2), np.int64), np.full((2, 2), -1)):
        for estimate in all_estimates(labelled(truth, np.full((2, 2), -3.0))):
            assert str(estimate) == "n/a (n=0)"


def test_averages_of_many_labels_say_when_their_images_were_chosen_on():
    predictions = labelled(np.eye(3, dtype=int), np.eye(3) * 4 - 2, basis="used for selection")
    assert {estimate.basis for estimate in all_estimates(predictions)} == {"used for selection"}


def test_an_unknown_average_is_refused():
    with pytest.raises(OptionError, match=r"average = 'binary': wanted one of .*samples"):
        f_beta(random_labels(5, 3, 0), average="binary")


def test_the_intervals_of_averages_of_many_labels_cover_about_95_percent():
    generator = np.random.default_rng(0)
    true = [estimate.value for estimate in all_estimates(hard_and_easy(generator, 50_000), beta=2)]
    held = [
        [e.low <= value <= e.high for e, value in zip(all_estimates(drawn, beta=2), true, strict=True)]
        for drawn in (hard_and_easy(generator, 80) for _ in range(150))
    ]
    assert (np.mean(held, axis=0) >= 0.9).all()
