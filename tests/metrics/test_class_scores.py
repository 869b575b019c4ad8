import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from goldenrule.core.errors import OptionError
from goldenrule.metrics import Predictions, averages, called_labels, confusion, per_class, wilson

light = settings(deadline=None, max_examples=40)
cases = {"n": st.integers(0, 40), "classes": st.integers(2, 6), "seed": st.integers(0, 10**6)}


def random_predictions(n, classes, seed):
    generator = np.random.default_rng(seed)
    names = [f"class {k}" for k in range(classes)]
    truth = generator.integers(0, classes - (seed % 2), n)  # in every second case a class has no images
    return Predictions.from_logits(generator.normal(size=(n, classes)), names, truth=truth)


def predictions_with(table):
    """Images, one by one, with this confusion matrix."""
    cells = [(i, j) for i, row in enumerate(table) for j, count in enumerate(row) for _ in range(count)]
    true, called = np.array(cells, dtype=int).reshape(-1, 2).T
    return Predictions.from_logits(np.eye(len(table))[called] * 3, list("abcdef")[: len(table)], truth=true)


@light
@given(**cases)
def test_the_confusion_matrix_is_that_of_scikit_learn(n, classes, seed):
    predictions = random_predictions(n, classes, seed)
    table = confusion(predictions)
    assert table.shape == (classes, classes)
    if n:
        theirs = oracle.confusion_matrix(predictions.truth, predictions.predicted, labels=range(classes))
        assert np.array_equal(table, theirs)


@light
@given(**cases)
def test_counts_and_scores_per_class_are_those_of_scikit_learn(n, classes, seed):
    predictions = random_predictions(n, classes, seed)
    scores = per_class(predictions)
    assert tuple(score.name for score in scores) == predictions.classes
    if n == 0:
        return
    labels = range(classes)
    true, called = predictions.truth, predictions.predicted
    ours = [[s.true_negatives, s.false_positives, s.false_negatives, s.true_positives] for s in scores]
    theirs = oracle.multilabel_confusion_matrix(true, called, labels=labels)
    assert np.array_equal(np.array(ours), theirs.reshape(classes, 4))
    precision, recall, f2, support = oracle.precision_recall_fscore_support(
        true, called, labels=labels, beta=2, zero_division=np.nan
    )
    for k, score in enumerate(scores):
        assert score.precision.value == pytest.approx(precision[k], nan_ok=True)
        assert score.recall.value == pytest.approx(recall[k], nan_ok=True)
        assert score.f_beta(2).value == pytest.approx(f2[k], nan_ok=True)
        assert score.support == score.recall.n == support[k]


def test_a_class_without_images_has_no_recall_rather_than_a_recall_of_0():
    absent = per_class(predictions_with([[2, 1, 0], [0, 3, 0], [0, 0, 0]]))[2]
    assert str(absent.recall) == str(absent.precision) == str(absent.f1) == "n/a (n=0)"
    called_wrongly = per_class(predictions_with([[2, 0, 1], [0, 3, 0], [0, 0, 0]]))[2]
    assert str(called_wrongly.recall) == "n/a (n=0)"
    assert called_wrongly.precision.value == called_wrongly.f1.value == 0


def test_precision_and_recall_have_wilson_intervals_with_their_own_n():
    score = per_class(predictions_with([[8, 2], [1, 9]]))[0]
    assert (score.recall.n, score.precision.n, score.f1.n) == (10, 9, 11)
    assert (score.recall.low, score.recall.high) == wilson(8, 10)
    assert (score.precision.low, score.precision.high) == wilson(8, 9)
    assert score.f1.low < score.f1.value < score.f1.high
    assert score.f1.name == "F1 of a"


def test_scores_say_when_their_images_were_chosen_on():
    predictions = Predictions.from_logits(np.eye(2), ["a", "b"], truth=[0, 1], basis="used for selection")
    assert {e.basis for s in per_class(predictions) for e in (s.precision, s.recall, s.f1)} == {"used for selection"}


def test_unreadable_images_are_in_no_cell():
    predictions = Predictions.from_logits(
        [[2, 0], [np.nan, np.nan], [0, 2]], ["a", "b"], truth=[0, 0, -1], status=["ok", "unreadable", "ok"]
    )
    assert confusion(predictions).tolist() == [[1, 0], [0, 0]]


def random_labels(n, classes, seed):
    """Images with many labels, of which the second can't be read and the third is not labelled; equal scores."""
    generator = np.random.default_rng(seed)
    logits = generator.integers(-2, 3, size=(n, classes)).astype(np.float32)
    truth = generator.integers(0, 2, (n, classes)) * (np.arange(classes) < classes - seed % 2)
    logits[1:2], truth[2:3] = np.nan, -1
    status = np.where(np.arange(n) == 1, "unreadable", "ok")
    return Predictions.from_logits(
        logits, [f"label {k}" for k in range(classes)], truth=truth, status=status, task="multi"
    )


@light
@given(**cases, threshold=st.sampled_from([None, 0.2, 0.5, 0.9]), one_per_class=st.booleans())
def test_counts_of_many_labels_are_those_of_scikit_learn(n, classes, seed, threshold, one_per_class):
    predictions = random_labels(n, classes, seed)
    limits = np.linspace(0.1, 0.9, classes) if one_per_class else 0.5 if threshold is None else threshold
    given = limits if one_per_class else threshold
    table = confusion(predictions, thresholds=given)
    assert table.shape == (classes, 2, 2)
    scored = predictions.scored
    if len(scored):
        theirs = oracle.multilabel_confusion_matrix(scored.truth, scored.probabilities >= limits)
        assert np.array_equal(table, theirs)
    for ours, score in zip(table, per_class(predictions, thresholds=given), strict=True):
        counts = [score.true_negatives, score.false_positives, score.false_negatives, score.true_positives]
        assert counts == ours.ravel().tolist()
        assert score.support == score.recall.n == ours[1].sum()


def test_a_label_is_called_from_its_threshold_on():
    labels = Predictions.from_logits([[0.0, 0.0]], ["a", "b"], truth=[[1, 0]], task="multi")
    assert called_labels(labels).tolist() == [[True, True]]
    assert called_labels(labels, [0.4, 0.6]).tolist() == [[True, False]]


@pytest.mark.parametrize("thresholds", [1.5, -0.1, np.nan, [0.5], [[0.5, 0.5]], ["a", "b"], {"a": 0.5}])
def test_thresholds_that_are_none_are_refused(thresholds):
    labels = Predictions.from_logits(np.eye(2), ["a", "b"], truth=[[0, 1], [1, 1]], task="multi")
    with pytest.raises(OptionError, match="wanted a number from 0 to 1, or 2, one per class"):
        confusion(labels, thresholds=thresholds)


def test_thresholds_are_for_many_labels():
    for metric in (confusion, per_class, averages):
        with pytest.raises(OptionError, match="they are for many labels"):
            metric(predictions_with([[1, 0], [0, 1]]), thresholds=0.5)
    with pytest.raises(OptionError, match="wanted many labels"):
        called_labels(predictions_with([[1, 0], [0, 1]]))


def test_an_impossible_beta_is_refused():
    with pytest.raises(OptionError, match="beta = 0: wanted a number above 0"):
        per_class(predictions_with([[1, 0], [0, 1]]))[0].f_beta(0)
