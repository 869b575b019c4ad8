import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from goldenrule.core.errors import OptionError
from goldenrule.metrics import Predictions, accuracy, averages, f_beta
from goldenrule.metrics.score_intervals import f_score

light = settings(deadline=None, max_examples=30)


def predictions_with(table):
    """Images, one by one, with this confusion matrix."""
    true, called = np.repeat(np.indices(np.shape(table)).reshape(2, -1), np.ravel(table), axis=1)
    names = [f"class {k}" for k in range(len(table))]
    return Predictions.from_logits(np.eye(len(table))[called] * 3, names, truth=true)


tables = (
    st.integers(2, 5)
    .flatmap(
        lambda size: st.lists(st.lists(st.integers(0, 6), min_size=size, max_size=size), min_size=size, max_size=size)
    )
    .filter(lambda table: np.sum(table) > 0)
)


@light
@given(tables, st.sampled_from([0.5, 1, 2]))
def test_averages_are_those_of_scikit_learn_over_the_defined_scores(table, beta):
    predictions = predictions_with(table)
    for average, ours in averages(predictions, beta=beta).items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            *theirs, _ = oracle.precision_recall_fscore_support(
                predictions.truth,
                predictions.predicted,
                labels=range(len(table)),
                beta=beta,
                average=average,
                zero_division=np.nan,
            )
        values = [ours.precision.value, ours.recall.value, ours.f_beta.value]
        # No class with images is ever called: weighted precision is undefined, scikit-learn says 0.
        np.testing.assert_allclose(np.nan_to_num(values), theirs)


@light
@given(tables)
def test_every_average_lies_in_its_interval_inside_0_to_1(table):
    for score in averages(predictions_with(table)).values():
        for estimate in (score.precision, score.recall, score.f_beta):
            assert estimate.n in (0, np.sum(table))
            if estimate.defined:  # undefined where no class has a denominator
                assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1


def test_perfect_classes_have_averages_as_sure_as_the_accuracy():
    predictions = predictions_with(np.eye(2, dtype=int) * 50)
    whole = accuracy(predictions)
    for score in averages(predictions).values():
        for estimate in (score.precision, score.recall, score.f_beta):
            assert (estimate.value, estimate.low, estimate.high) == pytest.approx((1, whole.low, 1), abs=1e-6)


def test_micro_averages_and_weighted_recall_are_the_accuracy():
    predictions = predictions_with([[4, 60, 36], [0, 50, 0], [0, 0, 50]])
    whole, scores = accuracy(predictions), averages(predictions)
    micro = scores["micro"]
    for estimate in (micro.precision, micro.recall, micro.f_beta):
        assert (estimate.value, estimate.low, estimate.high) == (whole.value, whole.low, whole.high)
    recall = scores["weighted"].recall
    assert (recall.value, recall.low, recall.high) == pytest.approx((whole.value, whole.low, whole.high), abs=0.01)


def test_the_method_says_how_many_classes_an_average_is_over():
    predictions = predictions_with([[2, 1, 0], [0, 3, 0], [0, 0, 0]])
    assert averages(predictions)["macro"].recall.method.endswith("over 2 of 3 classes")


def test_no_scored_images_give_na():
    nothing = Predictions.from_logits(np.zeros((2, 2)), ["a", "b"])
    for score in averages(nothing).values():
        assert str(score.precision) == str(score.recall) == str(score.f_beta) == "n/a (n=0)"


def test_f_beta_is_one_of_the_averages():
    predictions = predictions_with([[4, 2], [1, 5]])
    assert f_beta(predictions, 2) == averages(predictions, beta=2)["macro"].f_beta
    assert f_beta(predictions, 2, average="weighted").name == "weighted F2"
    with pytest.raises(OptionError, match="average = 'samples': wanted one of"):
        f_beta(predictions, average="samples")
    with pytest.raises(OptionError, match="beta = -1"):
        f_beta(predictions, -1)


@pytest.mark.parametrize(("classes", "images", "right"), [(2, 60, 0.9), (10, 120, 0.85)])
def test_the_intervals_of_averages_cover_about_95_percent(classes, images, right):
    cells = (
        np.full((classes, classes), (1 - right) / (classes - 1)) * (1 - np.eye(classes)) + right * np.eye(classes)
    ) / classes
    true_f1 = float(f_score(right, 1 - right, 1 - right))
    generator = np.random.default_rng(0)
    covered = np.zeros(4)
    for table in generator.multinomial(images, cells.ravel(), size=60):
        scores = averages(predictions_with(table.reshape(classes, classes)))
        covered += [
            scores["macro"].precision.low <= right <= scores["macro"].precision.high,
            scores["macro"].recall.low <= right <= scores["macro"].recall.high,
            scores["macro"].f_beta.low <= true_f1 <= scores["macro"].f_beta.high,
            scores["weighted"].recall.low <= right <= scores["weighted"].recall.high,
        ]
    assert (covered / 60 >= 0.9).all()
