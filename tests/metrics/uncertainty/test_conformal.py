import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goldenrule.core.errors import FormatError, OptionError
from goldenrule.core.schema import as_json, from_json
from goldenrule.metrics import (
    Predictions,
    PredictionSets,
    images_needed,
    mean_set_size,
    set_coverage,
    singletons,
    wilson,
)

light = settings(deadline=None, max_examples=40)
KINDS = [("lac", False), ("aps", False), ("aps", True), ("raps", False), ("raps", True)]
kinds = st.sampled_from(KINDS)
coverages = st.sampled_from([0.01, 0.5, 0.8, 0.9, 0.95, 0.99])


def simulated(n, seed=0, *, classes=12, too_sure=1.0, ties=False, **options):
    """Logits that are right as often as they say, times `too_sure`; with ties they are whole numbers."""
    generator = np.random.default_rng(seed)
    logits = 1.5 * generator.normal(size=(n, classes))
    logits = logits.round() if ties else logits
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    truth = (shares.cumsum(axis=1) < generator.random((n, 1))).sum(axis=1).clip(max=classes - 1)
    return Predictions.from_logits(too_sure * logits, [f"class {k}" for k in range(classes)], truth=truth, **options)


@pytest.mark.parametrize(("method", "randomised"), KINDS)
@pytest.mark.parametrize(("n", "coverage"), [(9, 0.9), (19, 0.95), (40, 0.8), (200, 0.9)])
@pytest.mark.parametrize("ties", [False, True])
def test_sets_cover_what_was_asked_for_whatever_the_network(method, randomised, n, coverage, ties):
    """Mean over 150 calibrations, of a network that is three times too sure; the standard error is below .02."""
    shares = []
    for seed in range(150):
        both = simulated(n + 50, seed, too_sure=3, ties=ties)
        rule = PredictionSets.fit(both.select(range(n)), coverage=coverage, method=method, randomised=randomised)
        new = both.select(range(n, n + 50))
        shares.append(set_coverage(new, rule.sets(new)).value)
    error = np.std(shares) / np.sqrt(len(shares))
    assert np.mean(shares) >= coverage - 2.6 * error


def test_least_ambiguous_sets_cover_no_more_than_they_must():
    shares = []
    for seed in range(150):
        both = simulated(250, seed)
        new = both.select(range(200, 250))
        shares.append(set_coverage(new, PredictionSets.fit(both.select(range(200)), coverage=0.9).sets(new)).value)
    assert np.mean(shares) <= 0.9 + 1 / 201 + 2.6 * np.std(shares) / np.sqrt(150)


@light
@given(seed=st.integers(0, 10**6), n=st.integers(1, 80), kind=kinds, one=coverages, other=coverages, ties=st.booleans())
def test_more_coverage_gives_supersets(seed, n, kind, one, other, ties):
    method, randomised = kind
    calibrate, new = simulated(n, seed, ties=ties), simulated(30, seed + 1, ties=ties)
    small, large = (
        PredictionSets.fit(calibrate, coverage=coverage, method=method, randomised=randomised)
        for coverage in sorted((one, other))
    )
    assert small.threshold <= large.threshold
    assert not (small.sets(new) & ~large.sets(new)).any()


@light
@given(seed=st.integers(0, 10**6), n=st.integers(20, 80), kind=kinds, coverage=coverages)
def test_the_share_asked_for_is_covered_on_the_images_of_the_fit_too(seed, n, kind, coverage):
    method, _ = kind
    calibrate = simulated(n, seed)
    rule = PredictionSets.fit(calibrate, coverage=coverage, method=method)
    assert set_coverage(calibrate, rule.sets(calibrate)).value >= coverage


@light
@given(seed=st.integers(0, 10**6), kind=kinds, coverage=coverages)
def test_no_set_is_empty_and_each_holds_the_likeliest_first(seed, kind, coverage):
    method, randomised = kind
    rule = PredictionSets.fit(simulated(50, seed), coverage=coverage, method=method, randomised=randomised)
    new = simulated(40, seed + 1)
    sets = rule.sets(new)
    assert sets[np.arange(40), new.predicted].all()
    order = np.argsort(-new.probabilities, axis=1)
    assert (np.diff(np.take_along_axis(sets, order, axis=1).astype(int), axis=1) <= 0).all()


def test_a_set_does_not_depend_on_what_else_is_predicted():
    rule = PredictionSets.fit(simulated(200), method="aps", randomised=True)
    new = simulated(60, 1)
    rows = [41, 3, 17]
    assert (rule.sets(new.select(rows)) == rule.sets(new)[rows]).all()
    other = PredictionSets.fit(simulated(200), method="aps", randomised=True, seed=1)
    assert (other.sets(new) != rule.sets(new)).any()


def test_the_threshold_is_the_score_of_the_right_rank():
    calibrate = simulated(19)
    scores = np.sort(1 - calibrate.probabilities[np.arange(19), calibrate.truth])
    for coverage, rank in ((0.95, 19), (0.9, 18), (0.5, 10), (0.01, 1)):
        assert PredictionSets.fit(calibrate, coverage=coverage).threshold == scores[rank - 1]


def test_adaptive_sets_add_up_to_the_threshold_and_regularised_ones_stay_small():
    probabilities = np.array([0.4, 0.3, 0.1, 0.1, 0.05, 0.03, 0.02])
    new = Predictions.from_logits(np.log(probabilities)[np.newaxis], list("abcdefg"))
    for threshold, adaptive in ((0.41, 1), (0.75, 2), (0.96, 5), (0.985, 6), (1.1, 7)):
        rule = PredictionSets(threshold=threshold, method="aps", coverage=0.9, n=100)
        assert rule.sets(new).sum() == adaptive
    regularised = PredictionSets(threshold=0.985, method="raps", coverage=0.9, n=100, penalty=0.01, unpenalised=5)
    assert regularised.sets(new).sum() == 5


@pytest.mark.parametrize(("coverage", "needed"), [(0.5, 1), (0.8, 4), (0.9, 9), (0.95, 19), (0.99, 99), (0.7, 3)])
def test_with_too_few_images_every_class_is_in_every_set_and_a_sentence_says_so(coverage, needed):
    assert images_needed(coverage) == needed
    for method, randomised in KINDS:
        few, enough = (
            PredictionSets.fit(simulated(n), coverage=coverage, method=method, randomised=randomised)
            for n in (needed - 1, needed)
        )
        assert few.threshold == math.inf
        assert few.sets(simulated(5)).all()
        assert f"needs {needed} calibration images, and there are {needed - 1}: every prediction set" in few.sentence
        assert math.isfinite(enough.threshold)
        assert enough.sentence.endswith(f"(calibrated on {needed} images).")


@light
@given(n=st.integers(0, 60), kind=kinds, coverage=coverages, seed=st.integers(0, 9))
def test_json_gives_the_same_rule_back(n, kind, coverage, seed):
    method, randomised = kind
    rule = PredictionSets.fit(simulated(n), coverage=coverage, method=method, randomised=randomised, seed=seed)
    text = json.dumps(as_json(rule), allow_nan=False)
    assert from_json(json.loads(text), PredictionSets) == rule
    for change in ({"method": "best"}, {"threshold": "high"}, {"more": 1}, {"coverage": 95}):
        with pytest.raises(FormatError, match="can't be read"):
            from_json(as_json(rule) | change, PredictionSets)


def test_images_that_are_not_scored_calibrate_nothing_and_unreadable_ones_have_no_set():
    logits = np.array([[3.0, 0, 0]] * 30 + [[np.nan] * 3])
    status, truth = ["ok"] * 30 + ["missing"], [0] * 20 + [-1] * 10 + [0]
    mixed = Predictions.from_logits(logits, list("abc"), truth=truth, status=status)
    rule = PredictionSets.fit(mixed)
    assert rule.n == 20
    sets = rule.sets(mixed)
    assert not sets[-1].any()
    assert set_coverage(mixed, sets).n == 20
    assert mean_set_size(mixed, sets).n == singletons(mixed, sets).n == 30


def test_what_is_measured_of_sets():
    sets = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [1, 1, 1]], bool)
    predictions = Predictions.from_logits(np.zeros((4, 3)), list("abc"), truth=[0, 1, 2, 2], basis="used for selection")
    coverage, size, alone = (function(predictions, sets) for function in (set_coverage, mean_set_size, singletons))
    assert (coverage.value, coverage.low, coverage.high) == (0.75, *wilson(3, 4))
    assert size.value == 1.75
    assert size.low <= 1.75 <= size.high
    assert alone.value == 0.5
    assert {coverage.basis, size.basis, alone.basis} == {"used for selection"}
    assert PredictionSets.fit(predictions, coverage=0.5).sentence.endswith("images also used for selection).")
    for function in (set_coverage, mean_set_size, singletons):
        assert str(function(predictions.select([]), sets[:0])) == "n/a (n=0) (used for selection)"
        with pytest.raises(OptionError, match=r"wanted booleans of shape \(4, 3\), got int64 of \(4, 2\)"):
            function(predictions, np.zeros((4, 2), np.int64))


def test_many_labels_and_options_that_mean_nothing_are_refused():
    many = Predictions.from_logits([[1.0, 2.0]], ["a", "b"], truth=[[1, 1]], task="multi")
    for call in (
        lambda: PredictionSets.fit(many),
        lambda: PredictionSets.fit(simulated(30)).sets(many),
        lambda: set_coverage(many, np.ones((1, 2), bool)),
    ):
        with pytest.raises(OptionError, match="many labels per image"):
            call()
    for coverage in (0.0, 1.0, 95, math.nan):
        with pytest.raises(OptionError, match="wanted a share between 0 and 1"):
            PredictionSets.fit(simulated(30), coverage=coverage)
    with pytest.raises(OptionError, match="method = 'best': wanted one of"):
        PredictionSets.fit(simulated(30), method="best")
    with pytest.raises(OptionError, match="'lac' has no randomised kind"):
        PredictionSets.fit(simulated(30), randomised=True)
    with pytest.raises(OptionError, match="threshold = nan"):
        PredictionSets(threshold=math.nan, method="lac", coverage=0.9, n=30)
