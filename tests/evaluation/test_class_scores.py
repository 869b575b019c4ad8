import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from goldenrule.evaluation import Predictions, confusion, per_class, wilson
from goldenrule.foundation.errors import OptionError

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
    predictions = Predictions.from_logits(np.eye(2), ["a", "b"], truth=[0, 1], basis="chosen on")
    assert {e.basis for s in per_class(predictions) for e in (s.precision, s.recall, s.f1)} == {"chosen on"}


def test_unreadable_images_are_in_no_cell():
    predictions = Predictions.from_logits(
        [[2, 0], [np.nan, np.nan], [0, 2]], ["a", "b"], truth=[0, 0, -1], status=["ok", "unreadable", "ok"]
    )
    assert confusion(predictions).tolist() == [[1, 0], [0, 0]]


def test_many_labels_and_an_impossible_beta_are_refused():
    labels = Predictions.from_logits(np.eye(2), ["a", "b"], truth=[[0, 1], [1, 1]], task="multi")
    for metric in (confusion, per_class):
        with pytest.raises(OptionError, match="many labels"):
            metric(labels)
    with pytest.raises(OptionError, match="beta = 0: wanted a number above 0"):
        per_class(predictions_with([[1, 0], [0, 1]]))[0].f_beta(0)
