import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from goldenrule.core.errors import OptionError
from goldenrule.metrics import Predictions, averages, balanced_accuracy, cohen_kappa, matthews_correlation

light = settings(deadline=None, max_examples=60)
shapes = {"n": st.integers(1, 40), "classes": st.integers(2, 5), "seed": st.integers(0, 10**6)}
METRICS = [
    balanced_accuracy,
    cohen_kappa,
    lambda value: cohen_kappa(value, weights="linear"),
    lambda value: cohen_kappa(value, weights="quadratic"),
    matthews_correlation,
]


def random_predictions(n, classes, seed, skill=1.0, **fields):
    """Images of which, in every second case, none is of the last class; one can't be read."""
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, classes - seed % 2, n)
    logits = generator.integers(-1, 2, size=(n, classes)) + skill * np.eye(classes)[truth]
    logits[3:4] = np.nan
    status = np.where(np.arange(n) == 3, "unreadable", "ok")
    return Predictions.from_logits(logits, [f"class {k}" for k in range(classes)], truth=truth, status=status, **fields)


def of_truth_and_called(truth, called, classes=3, **fields):
    return Predictions.from_logits(np.eye(classes)[called] * 3, list("abcdef")[:classes], truth=truth, **fields)


def graded(generator, n, shares=(0.6, 0.3, 0.1)):
    """Grades, of which neighbours are mistaken most often."""
    truth = generator.choice(len(shares), n, p=shares)
    called = np.clip(np.round(truth + generator.normal(scale=0.6, size=n)), 0, len(shares) - 1).astype(int)
    return of_truth_and_called(truth, called, len(shares))


@light
@given(**shapes)
def test_balanced_accuracy_is_that_of_scikit_learn_and_the_macro_recall(n, classes, seed):
    predictions = random_predictions(n, classes, seed)
    scored, estimate = predictions.scored, balanced_accuracy(predictions)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a called class without images
        assert estimate.value == pytest.approx(oracle.balanced_accuracy_score(scored.truth, scored.predicted))
    recall = averages(predictions)["macro"].recall
    assert (estimate.low, estimate.high, estimate.n) == (recall.low, recall.high, len(scored))
    assert estimate.name == "balanced accuracy"


@light
@given(**shapes, weights=st.sampled_from([None, "linear", "quadratic"]))
def test_kappa_is_that_of_scikit_learn(n, classes, seed, weights):
    predictions = random_predictions(n, classes, seed)
    true, called = predictions.scored.truth, predictions.scored.predicted
    estimate = cohen_kappa(predictions, weights=weights)
    if len(set(true.tolist()) | set(called.tolist())) == 1:
        assert str(estimate) == "n/a (n=0)"
    else:
        theirs = oracle.cohen_kappa_score(true, called, labels=range(classes), weights=weights)
        assert estimate.value == pytest.approx(theirs, abs=1e-9)


@light
@given(**shapes)
def test_the_matthews_correlation_is_that_of_scikit_learn_where_it_is_defined(n, classes, seed):
    predictions = random_predictions(n, classes, seed)
    true, called = predictions.scored.truth, predictions.scored.predicted
    estimate = matthews_correlation(predictions)
    assert estimate.defined == (len(set(true.tolist())) > 1 and len(set(called.tolist())) > 1)
    if estimate.defined:
        assert estimate.value == pytest.approx(oracle.matthews_corrcoef(true, called), abs=1e-9)


@light
@given(**shapes, metric=st.sampled_from(METRICS))
def test_every_agreement_lies_in_its_interval(n, classes, seed, metric):
    estimate = metric(random_predictions(n, classes, seed))
    if estimate.defined:
        assert -1 <= estimate.low <= estimate.value <= estimate.high <= 1
        assert estimate.low < estimate.high
        assert estimate.n == n - (n > 3)


@pytest.mark.parametrize(
    ("metric", "theirs"),
    [
        (cohen_kappa, oracle.cohen_kappa_score),
        (METRICS[3], lambda *a, **w: oracle.cohen_kappa_score(*a, **w, weights="quadratic")),
        (matthews_correlation, oracle.matthews_corrcoef),
    ],
)
def test_with_many_images_the_interval_is_that_of_the_derivatives_after_the_weights(metric, theirs):
    predictions = graded(np.random.default_rng(0), 600)
    true, called, ones = predictions.truth, predictions.predicted, np.ones(600)
    influences = [
        (theirs(true, called, sample_weight=ones + 1e-5 * (np.arange(600) == k)) - theirs(true, called)) / 1e-5
        for k in range(600)
    ]
    estimate = metric(predictions)
    half = 1.96 * np.linalg.norm(influences)
    assert (estimate.high - estimate.low) / 2 == pytest.approx(half, rel=0.03)


def test_full_agreement_on_a_rare_class_is_not_sure():
    truth = np.repeat([0, 1], [997, 3])
    for metric in (cohen_kappa, matthews_correlation):
        estimate = metric(of_truth_and_called(truth, truth, 2))
        assert (estimate.value, estimate.high) == pytest.approx((1, 1))
        assert estimate.low < 0.5


@pytest.mark.parametrize("metric", METRICS)
def test_more_images_make_agreement_surer(metric):
    few = graded(np.random.default_rng(1), 30)
    one = metric(few)
    other = metric(of_truth_and_called(np.tile(few.truth, 8), np.tile(few.predicted, 8)))
    assert other.value == pytest.approx(one.value)
    assert other.high - other.low < (one.high - one.low) / 2


@pytest.mark.parametrize("metric", METRICS)
def test_no_scored_images_and_many_labels_have_no_agreement(metric):
    assert str(metric(Predictions.from_logits(np.zeros((2, 2)), ["a", "b"]))) == "n/a (n=0)"
    labels = Predictions.from_logits(np.eye(2), ["a", "b"], truth=[[0, 1], [1, 1]], task="multi")
    with pytest.raises(OptionError, match="many labels"):
        metric(labels)


def test_agreements_say_when_their_images_were_chosen_on_and_weights_are_checked():
    predictions = of_truth_and_called([0, 1, 2], [0, 1, 1], basis="used for selection")
    assert {metric(predictions).basis for metric in METRICS} == {"used for selection"}
    with pytest.raises(OptionError, match="weights = 'cubic': wanted None or one of"):
        cohen_kappa(predictions, weights="cubic")


def test_the_intervals_of_agreement_cover_about_95_percent():
    generator = np.random.default_rng(0)
    everything = graded(generator, 200_000)
    true = [metric(everything).value for metric in METRICS]
    held = []
    for _ in range(300):
        drawn = graded(generator, 80)
        estimates = [metric(drawn) for metric in METRICS]
        held.append([e.low <= value <= e.high for e, value in zip(estimates, true, strict=True)])
    assert (np.mean(held, axis=0) >= 0.91).all()
