import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from goldenrule.core.errors import OptionError
from goldenrule.metrics import (
    Predictions,
    accuracy,
    image_losses,
    log_loss,
    most_confident_mistakes,
    top_k_accuracy,
    wilson,
)

light = settings(deadline=None, max_examples=40)
shapes = {
    "n": st.integers(2, 30),
    "views": st.integers(1, 3),
    "classes": st.integers(2, 5),
    "seed": st.integers(0, 10**6),
}


def random_predictions(n, views, classes, seed, *, task="single", bad=True):
    """Images of which some can't be read and some have no label; the first two are scored."""
    generator = np.random.default_rng(seed)
    status = np.where((generator.random(n) < 0.2) & (np.arange(n) > 1) & bad, "unreadable", "ok")
    logits = generator.normal(scale=3, size=(n, views, classes)).astype(np.float32)
    logits[status != "ok"] = np.nan
    unlabelled = (generator.random(n) < 0.2) & (np.arange(n) > 1)
    truth = np.where(unlabelled, -1, generator.integers(0, classes, n))
    if task == "multi":
        truth = np.where(unlabelled[:, np.newaxis], -1, generator.integers(0, 2, (n, classes)))
    names = [f"class {k}" for k in range(classes)]
    return Predictions.from_logits(logits, names, truth=truth, status=status, task=task)


@light
@given(**shapes)
def test_accuracy_is_that_of_scikit_learn_on_the_scored_images(n, views, classes, seed):
    predictions = random_predictions(n, views, classes, seed)
    scored = predictions.scored
    estimate = accuracy(predictions)
    assert estimate.value == oracle.accuracy_score(scored.truth, scored.predicted)
    assert estimate.n == len(scored) == ((predictions.status == "ok") & (predictions.truth >= 0)).sum()
    assert (estimate.low, estimate.high) == wilson(round(estimate.value * estimate.n), estimate.n)


@light
@given(**shapes)
def test_log_loss_is_that_of_scikit_learn_and_lies_in_its_interval(n, views, classes, seed):
    predictions = random_predictions(n, views, classes, seed)
    scored = predictions.scored
    estimate = log_loss(predictions, resamples=200)
    assert estimate.value == pytest.approx(oracle.log_loss(scored.truth, scored.probabilities, labels=range(classes)))
    assert estimate.low <= estimate.value <= estimate.high


@light
@given(**shapes)
def test_with_many_labels_log_loss_is_the_mean_over_classes(n, views, classes, seed):
    predictions = random_predictions(n, views, classes, seed, task="multi")
    scored = predictions.scored
    per_class = [oracle.log_loss(scored.truth[:, k], scored.probabilities[:, k], labels=[0, 1]) for k in range(classes)]
    assert log_loss(predictions, resamples=50).value == pytest.approx(np.mean(per_class))


@light
@given(**shapes, k=st.integers(1, 5))
def test_top_k_accuracy_is_that_of_scikit_learn(n, views, classes, seed, k):
    predictions = random_predictions(n, views, classes + 1, seed)
    k = min(k, classes)
    scored = predictions.scored
    binary = classes + 1 == 2
    theirs = oracle.top_k_accuracy_score(
        scored.truth,
        scored.probabilities[:, 1] if binary else scored.probabilities,
        k=k,
        labels=range(classes + 1),
    )
    assert top_k_accuracy(predictions, k).value == theirs


@light
@given(**shapes)
def test_top_1_is_accuracy_and_the_top_of_all_classes_is_everything(n, views, classes, seed):
    predictions = random_predictions(n, views, classes, seed)
    assert top_k_accuracy(predictions, 1).value == accuracy(predictions).value
    assert top_k_accuracy(predictions, classes).value == 1


def test_of_equal_probabilities_the_first_class_counts():
    ties = Predictions.from_logits(np.zeros((3, 3)), ["a", "b", "c"], truth=[0, 1, 2])
    assert accuracy(ties).value == top_k_accuracy(ties, 1).value == pytest.approx(1 / 3)
    assert top_k_accuracy(ties, 2).value == pytest.approx(2 / 3)


def test_k_must_be_a_number_of_classes():
    predictions = random_predictions(5, 1, 3, 0)
    for k in (0, 4):
        with pytest.raises(OptionError, match=f"k = {k}: wanted 1 to 3"):
            top_k_accuracy(predictions, k)


def test_extreme_logits_cost_at_most_34_and_a_half_nats_and_nothing_overflows():
    logits = np.array([[1e4, -1e4], [-1e4, 1e4], [1e4, 1e4]])
    predictions = Predictions.from_logits(logits, ["a", "b"], truth=[0, 0, 0])
    np.testing.assert_allclose(image_losses(predictions), [0, -math.log(1e-15), math.log(2)])
    assert math.copysign(1, image_losses(predictions)[0]) == 1
    labels = Predictions.from_logits(logits, ["a", "b"], truth=[[1, 0], [1, 0], [1, 1]], task="multi")
    np.testing.assert_allclose(image_losses(labels), [0, -math.log(1e-15), 0])


@pytest.mark.parametrize("metric", [accuracy, log_loss, lambda p: top_k_accuracy(p, 1)])
def test_nothing_to_score_gives_na_and_no_warning(metric):
    nothing = Predictions.from_logits(np.empty((0, 2)), ["a", "b"])
    unreadable = Predictions.from_logits(
        np.full((2, 2), np.nan), ["a", "b"], truth=[0, 1], status=["unreadable", "missing"]
    )
    unlabelled = Predictions.from_logits(np.zeros((2, 2)), ["a", "b"])
    for predictions in (nothing, unreadable, unlabelled):
        assert str(metric(predictions)) == "n/a (n=0)"
        assert most_confident_mistakes(predictions) == ()
    assert unreadable.status_counts == {"unreadable": 1, "missing": 1}


def test_a_single_image_has_an_interval_as_wide_as_can_be():
    one = Predictions.from_logits([[2.0, 0.0]], ["a", "b"], truth=[0])
    assert str(accuracy(one)) == "100 % [21, 100] n=1"
    assert (log_loss(one).low, log_loss(one).high) == (0, pytest.approx(34.54, abs=0.01))


def test_every_metric_says_when_its_images_were_chosen_on():
    predictions = Predictions.from_logits(np.eye(3) * 2, list("abc"), truth=[0, 1, 0], basis="used for selection")
    for estimate in (accuracy(predictions), log_loss(predictions), top_k_accuracy(predictions, 2)):
        assert estimate.basis == "used for selection"
        assert str(estimate).endswith("(used for selection)")


@pytest.mark.parametrize("metric", [accuracy, top_k_accuracy])
def test_many_labels_are_refused_where_one_is_meant(metric):
    with pytest.raises(OptionError, match="many labels per image: use log_loss, roc_auc, or f_beta"):
        metric(random_predictions(5, 1, 3, 0, task="multi"))


@light
@given(**shapes)
def test_the_most_confident_mistakes_come_first_and_are_mistakes(n, views, classes, seed):
    predictions = random_predictions(n, views, classes, seed)
    mistakes = most_confident_mistakes(predictions, 100)
    scored = predictions.scored
    assert len(mistakes) == (scored.predicted != scored.truth).sum()
    assert [m.probability for m in mistakes] == sorted((m.probability for m in mistakes), reverse=True)
    for mistake in mistakes:
        row = scored.ids.index(mistake.id)
        assert mistake.truth == scored.classes[scored.truth[row]] != mistake.predicted
        assert mistake.probability == scored.probabilities[row].max()
    assert most_confident_mistakes(predictions, 2) == mistakes[:2]
    assert most_confident_mistakes(predictions, 0) == ()


def test_of_many_labels_the_surest_wrong_label_of_each_image_is_a_mistake():
    logits = [[3.0, -4.0], [-2.0, 1.0], [2.0, 2.0]]
    seen = Predictions.from_logits(logits, ["sea", "sky"], truth=[[0, 1], [1, 1], [1, 1]], ids="abc", task="multi")
    first, second = most_confident_mistakes(seen)
    assert (first.id, first.truth, first.predicted) == ("a", "sky", "without sky")
    assert first.probability == pytest.approx(1 - 1 / (1 + np.exp(4)))
    assert (second.id, second.truth, second.predicted) == ("b", "sea", "without sea")
