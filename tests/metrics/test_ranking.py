import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from goldenrule.core.errors import OptionError
from goldenrule.metrics import Predictions, average_precision, ranking_per_class, roc_auc, wilson

light = settings(deadline=None, max_examples=60)
shapes = {
    "n": st.integers(1, 30),
    "classes": st.integers(1, 5),
    "seed": st.integers(0, 10**6),
    "task": st.sampled_from(["single", "multi"]),
}
BOTH = [(roc_auc, oracle.roc_auc_score), (average_precision, oracle.average_precision_score)]


def random_predictions(n, classes, seed, task="single", skill=1.0, **fields):
    """Images with many equal scores; in every second case a class has no image; one image can't be read."""
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, max(1, classes - seed % 2), n)
    marks = np.eye(classes, dtype=np.int64)[truth]
    if task == "multi":
        marks = generator.integers(0, 2, (n, classes)) * (np.arange(classes) < max(1, classes - seed % 2))
    logits = (generator.integers(-2, 3, size=(n, classes)) + skill * marks).astype(np.float32)
    logits[3:4] = np.nan
    status = np.where(np.arange(n) == 3, "unreadable", "ok")
    names = [f"class {k}" for k in range(classes)]
    ours = marks if task == "multi" else truth
    return Predictions.from_logits(logits, names, truth=ours, status=status, task=task, **fields)


def normal_scores(generator, n, skill=1.5, shares=(0.2, 0.3, 0.5)):
    truth = generator.choice(len(shares), n, p=shares)
    logits = skill * np.eye(len(shares))[truth] + generator.normal(size=(n, len(shares)))
    return Predictions.from_logits(logits, [f"class {k}" for k in range(len(shares))], truth=truth)


def marks_of(scored):
    return scored.truth if scored.task == "multi" else np.eye(len(scored.classes), dtype=int)[scored.truth]


@pytest.mark.parametrize(("metric", "theirs"), BOTH)
@light
@given(**shapes)
def test_averages_are_those_of_scikit_learn_over_the_classes_that_have_both_kinds_of_images(metric, theirs, **case):
    predictions = random_predictions(**case)
    scored = predictions.scored
    marks = marks_of(scored)
    kept = marks.any(axis=0) & ~marks.all(axis=0)
    for average in ("macro", "weighted"):
        estimate = metric(predictions, average=average)
        assert estimate.defined == kept.any()
        assert estimate.method.endswith(f"over {kept.sum()} of {len(kept)} classes")
        if kept.any():
            expected = theirs(marks[:, kept], scored.probabilities[:, kept], average=average)
            assert estimate.value == pytest.approx(expected, abs=1e-12)
            assert estimate.n == len(scored)


@light
@given(**shapes)
def test_scores_of_each_class_are_those_of_scikit_learn_or_undefined(**case):
    predictions = random_predictions(**case)
    scored = predictions.scored
    marks = marks_of(scored)
    for k, score in enumerate(ranking_per_class(predictions)):
        ours, found = marks[:, k], scored.probabilities[:, k]
        assert (score.name, score.support) == (predictions.classes[k], ours.sum())
        if ours.any() and not ours.all():
            assert score.roc_auc.value == pytest.approx(oracle.roc_auc_score(ours, found))
            assert score.average_precision.value == pytest.approx(oracle.average_precision_score(ours, found))
        else:
            assert str(score.roc_auc) == str(score.average_precision) == "n/a (n=0)"


@light
@given(st.integers(6, 40), st.integers(0, 10**6))
def test_one_against_the_rest_is_scikit_learns_multi_class_area(n, seed):
    predictions = normal_scores(np.random.default_rng(seed), n)
    if len(set(predictions.truth.tolist())) == 3:
        for average in ("macro", "weighted"):
            theirs = oracle.roc_auc_score(
                predictions.truth, predictions.probabilities, multi_class="ovr", average=average
            )
            assert roc_auc(predictions, average=average).value == pytest.approx(theirs)


def test_two_classes_have_one_area_and_its_interval():
    predictions = normal_scores(np.random.default_rng(0), 80, shares=(0.3, 0.7))
    whole, (first, second) = roc_auc(predictions), ranking_per_class(predictions)
    theirs = oracle.roc_auc_score(predictions.truth, predictions.probabilities[:, 1])
    for estimate in (whole, first.roc_auc, second.roc_auc):
        assert estimate.value == pytest.approx(theirs)
        assert (estimate.low, estimate.high) == pytest.approx((whole.low, whole.high))
    assert first.average_precision.value != pytest.approx(second.average_precision.value)


@light
@given(**shapes)
def test_every_rank_statistic_lies_in_its_interval_inside_0_to_1(**case):
    predictions = random_predictions(**case)
    scores = ranking_per_class(predictions)
    found = [metric(predictions, average=average) for metric, _ in BOTH for average in ("macro", "weighted")]
    for estimate in [*found, *(s.roc_auc for s in scores), *(s.average_precision for s in scores)]:
        if estimate.defined:
            assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1
            assert estimate.low < estimate.high


def test_a_perfect_ranking_is_as_sure_as_the_images_of_the_rarer_side():
    truth = np.repeat([0, 1], [95, 5])
    predictions = Predictions.from_logits(np.eye(2)[truth], ["common", "rare"], truth=truth)
    rare = ranking_per_class(predictions)[1]
    assert (rare.roc_auc.low, rare.roc_auc.high) == pytest.approx(wilson(5, 5))
    assert (rare.average_precision.low, rare.average_precision.high) == pytest.approx(wilson(5, 5))
    assert roc_auc(predictions).low == pytest.approx(wilson(5, 5)[0])
    assert roc_auc(predictions).low < average_precision(predictions).low < wilson(100, 100)[0]


@pytest.mark.parametrize("metric", [roc_auc, average_precision])
def test_more_images_make_a_ranking_surer(metric):
    few = normal_scores(np.random.default_rng(1), 30)
    many = Predictions.from_logits(np.tile(few.logits[:, 0], (8, 1)), few.classes, truth=np.tile(few.truth, 8))
    one, other = metric(few), metric(many)
    assert other.value == pytest.approx(one.value, abs=0.05)  # of ties average precision takes the worse
    assert other.high - other.low < (one.high - one.low) / 2


@pytest.mark.parametrize("metric", [roc_auc, average_precision])
def test_nothing_to_rank_gives_na(metric):
    one_class = Predictions.from_logits(np.eye(2), ["a", "b"], truth=[0, 0])
    for predictions in (one_class, Predictions.from_logits(np.empty((0, 2)), ["a", "b"])):
        assert str(metric(predictions)) == "n/a (n=0)"
    with pytest.raises(OptionError, match="average = 'micro': wanted one of"):
        metric(one_class, average="micro")


def test_rankings_say_when_their_images_were_chosen_on():
    predictions = random_predictions(12, 2, 0, basis="used for selection")
    scores = ranking_per_class(predictions)
    found = [roc_auc(predictions), average_precision(predictions), *(s.roc_auc for s in scores)]
    assert {estimate.basis for estimate in found} == {"used for selection"}


@pytest.mark.parametrize(("skill", "shares"), [(1.5, (0.15, 0.85)), (3.0, (0.5, 0.5)), (2.0, (0.2, 0.3, 0.5))])
def test_the_intervals_of_rankings_cover_about_95_percent(skill, shares):
    generator = np.random.default_rng(0)
    everything = normal_scores(generator, 100_000, skill, shares)
    true = [roc_auc(everything).value, average_precision(everything).value]
    held = []
    for _ in range(250):
        drawn = normal_scores(generator, 80, skill, shares)
        estimates = (roc_auc(drawn), average_precision(drawn))
        held.append([e.low <= value <= e.high for e, value in zip(estimates, true, strict=True)])
    assert (np.mean(held, axis=0) >= 0.91).all()


def test_a_hundred_classes_of_ten_thousand_images_take_seconds():
    generator = np.random.default_rng(0)
    predictions = normal_scores(generator, 10_000, shares=(0.01,) * 100)
    started = time.process_time()
    roc_auc(predictions)
    average_precision(predictions)
    assert time.process_time() - started < 5  # 0.7 s on an idle machine
