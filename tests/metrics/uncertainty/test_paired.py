import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from goldenrule.core.errors import OptionError
from goldenrule.metrics import Predictions, accuracy, image_losses, log_loss, mcnemar, paired_bootstrap
from goldenrule.metrics.uncertainty.paired import holm
from goldenrule.metrics.uncertainty.power import in_two_digits

light = settings(deadline=None, max_examples=30)


def network(skill, n=200, seed=0, **fields):
    """A network that adds `skill` to the logit of the true class of n images; noise and truth by seed."""
    generator = np.random.default_rng(99)
    truth = generator.integers(0, 3, n)
    logits = np.random.default_rng(seed).normal(size=(n, 3)) + skill * np.eye(3)[truth]
    return Predictions.from_logits(logits, ["cat", "dog", "horse"], **{"truth": truth, **fields})


def right_and_wrong(pattern):
    """A network that is right where the pattern says 1."""
    right = np.array([int(mark) for mark in pattern])
    return Predictions.from_logits(np.stack([right, 1 - right], axis=1) * 2.0, ["a", "b"], truth=np.zeros_like(right))


@light
@given(st.integers(0, 60), st.integers(0, 60), st.integers(2, 20))
def test_mcnemar_is_the_exact_binomial_test_of_the_images_where_they_differ(only_a, only_b, both):
    a = right_and_wrong("1" * only_a + "0" * only_b + "1" * both)
    b = right_and_wrong("0" * only_a + "1" * only_b + "1" * both)
    result = mcnemar(a, b)
    expected = stats.binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1.0
    assert result.p_value == pytest.approx(expected)
    assert (result.only_a_right, result.only_b_right, result.both_right, result.both_wrong) == (
        only_a,
        only_b,
        both,
        0,
    )
    assert result.n == only_a + only_b + both


@light
@given(st.integers(0, 1000), st.sampled_from(["log_loss", "accuracy"]))
def test_the_gain_is_the_difference_of_the_metrics(seed, metric):
    a, b = network(1, n=40, seed=seed), network(1.3, n=40, seed=seed + 1)
    gain = paired_bootstrap(a, b, metric=metric, resamples=100).gain
    if metric == "log_loss":
        assert gain.value == pytest.approx(log_loss(a).value - log_loss(b).value)
    else:
        assert gain.value == pytest.approx(accuracy(b).value - accuracy(a).value)
    assert gain.n == 40


@light
@given(st.integers(0, 1000), st.sampled_from(["log_loss", "accuracy"]))
def test_looked_at_from_the_other_side_the_gain_is_a_loss(seed, metric):
    a, b = network(1, n=40, seed=seed), network(1.3, n=40, seed=seed + 1)
    there, back = (paired_bootstrap(*pair, metric=metric, resamples=500) for pair in ((a, b), (b, a)))
    assert there.gain.value == -back.gain.value
    assert (there.gain.low, there.gain.high) == pytest.approx((-back.gain.high, -back.gain.low), abs=1e-9)
    assert there.probability_better == pytest.approx(1 - back.probability_better)
    assert {there.better, back.better} in ({"neither"}, {"a", "b"})


@light
@given(st.permutations(range(12)), st.permutations(["cat", "dog", "horse"]))
def test_images_are_matched_by_id_and_classes_by_name(order, names):
    a, b = network(1, n=12, seed=1), network(1, n=12, seed=2)
    shuffled = b.select(order).aligned_to(names)
    assert paired_bootstrap(a, shuffled, resamples=50) == paired_bootstrap(a, b, resamples=50)
    assert paired_bootstrap(a.select(order), b, resamples=50) == paired_bootstrap(a, b, resamples=50)
    assert mcnemar(a, shuffled) == mcnemar(a, b)


def test_a_network_and_itself_are_a_tie():
    a = network(1)
    for metric in ("log_loss", "accuracy"):
        result = paired_bootstrap(a, a, metric=metric)
        assert (result.gain.value, result.gain.low, result.gain.high) == (0, 0, 0)
        assert result.probability_better == 0.5
        assert result.better == "neither"
    assert mcnemar(a, a).p_value == 1
    assert mcnemar(a, a).better == "neither"


def test_a_clearly_better_network_is_called_better_from_both_sides():
    weak, strong = network(0.5, seed=1), network(3, seed=2)
    result = paired_bootstrap(weak, strong)
    assert result.better == "b"
    assert result.probability_better == 1
    sentence = result.sentence("head", "late layers")
    assert sentence.startswith("late layers is better than head on 200 images (gain in log loss 0.")
    assert sentence.endswith(", better in 100 % of resamples)")
    assert paired_bootstrap(strong, weak).sentence("late layers", "head") == sentence
    assert mcnemar(weak, strong).sentence().startswith("B is better than A on 200 images (A alone is right ")
    assert mcnemar(strong, weak).sentence().startswith("A is better than B on 200 images (A alone is right ")
    assert mcnemar(weak, strong).sentence().endswith(", p < 0.001)")
    points = paired_bootstrap(weak, strong, metric="accuracy").sentence()
    assert " points [" in points
    assert points.startswith("B is better than A")


def test_a_tie_is_called_a_tie():
    a, b = network(1, n=96, seed=1), network(1, n=96, seed=2)
    tie = "A and B are tied on 96 images; "
    loss, right = paired_bootstrap(a, b), mcnemar(a, b)
    assert loss.sentence().startswith(f"{tie}about {in_two_digits(loss.images_needed):,} would be needed (B: gain in")
    assert right.sentence().startswith(f"{tie}about {in_two_digits(right.images_needed):,} would be needed (A alone")
    for one in (paired_bootstrap(a, a), mcnemar(a, a)):
        assert one.images_needed is None
        assert one.sentence().startswith(f"{tie}by what is seen no number of images would do (")


def test_the_share_of_resamples_is_close_to_the_one_sided_t_test():
    a, b = network(1, seed=1), network(1.05, seed=2)
    ours = paired_bootstrap(a, b).probability_better
    theirs = stats.ttest_rel(image_losses(a), image_losses(b)).pvalue
    gain = paired_bootstrap(a, b).gain.value
    assert ours == pytest.approx(1 - theirs / 2 if gain > 0 else theirs / 2, abs=0.02)


def test_equal_networks_are_called_better_by_the_rule_of_90_percent_about_one_time_in_ten():
    called, told_apart = 0, 0
    for seed in range(200):
        result = paired_bootstrap(network(1, n=60, seed=seed), network(1, n=60, seed=seed + 1000), resamples=400)
        called += result.probability_better >= 0.9
        told_apart += result.better != "neither"
    assert 10 <= called <= 32
    assert told_apart <= 20


def test_the_same_seed_gives_the_same_answer():
    a, b = network(1, seed=1), network(1, seed=2)
    assert paired_bootstrap(a, b, seed=5) == paired_bootstrap(a, b, seed=5)
    assert paired_bootstrap(a, b, seed=5) != paired_bootstrap(a, b, seed=6)


def test_log_losses_of_many_labels_can_be_compared_and_their_accuracy_can_not():
    truth = np.random.default_rng(0).integers(0, 2, (50, 3))
    weak, strong = (
        Predictions.from_logits(skill * (2 * truth - 1), list("abc"), truth=truth, task="multi") for skill in (1, 2)
    )
    assert paired_bootstrap(weak, strong).better == "b"
    for compare in (mcnemar, lambda a, b: paired_bootstrap(a, b, metric="accuracy")):
        with pytest.raises(OptionError, match="many labels"):
            compare(weak, strong)
    with pytest.raises(OptionError, match="A has task 'multi', B 'single'"):
        mcnemar(weak, network(1))


def test_only_scored_images_are_compared_and_chosen_on_is_passed_on():
    truth = np.array([0, 1, 2, -1])
    a, b = (network(1, n=4, seed=seed, truth=truth) for seed in (1, 2))
    assert paired_bootstrap(a, b).gain.n == 3
    chosen = network(1, n=4, seed=2, truth=truth, basis="used for selection")
    assert paired_bootstrap(a, chosen).gain.basis == "used for selection"
    assert paired_bootstrap(a, chosen).sentence().endswith(", used for selection)")


@pytest.mark.parametrize("compare", [mcnemar, paired_bootstrap])
def test_what_is_no_pair_is_refused(compare):
    a = network(1, n=5)
    with pytest.raises(OptionError, match="got 5 in A and 3 in B; only in A: '3'"):
        compare(a, a.select([0, 1, 2]))
    with pytest.raises(OptionError, match="only in A: '4'; only in B: 'x'"):
        compare(a, network(1, n=5, ids=["0", "1", "2", "3", "x"]))
    with pytest.raises(OptionError, match="B has '0' more than once"):
        compare(a, a.select([0, 0, 1]))
    with pytest.raises(OptionError, match="2 or more scored images"):
        compare(a.select([0]), a.select([0]))
    with pytest.raises(OptionError, match="2 or more scored images"):
        compare(a.select([]), a.select([]))
    with pytest.raises(OptionError, match="1 of 5 images have another truth in B than in A, the first is '2'"):
        compare(a, network(1, n=5, truth=np.where(np.arange(5) == 2, (a.truth + 1) % 3, a.truth)))
    with pytest.raises(OptionError, match="the classes differ"):
        compare(a, Predictions.from_logits(np.zeros((5, 2)), ["cat", "dog"], truth=[0] * 5))


def test_an_unknown_metric_is_refused():
    with pytest.raises(OptionError, match="metric = 'f1': wanted 'log_loss' or 'accuracy'"):
        paired_bootstrap(network(1), network(2), metric="f1")


@light
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_rejects_what_holm_s_own_steps_reject(p_values):
    level, left = 0.05, sorted(range(len(p_values)), key=p_values.__getitem__)
    rejected = set()
    while left and p_values[left[0]] * len(left) < level:
        rejected.add(left.pop(0))
    assert {place for place, value in enumerate(holm(p_values)) if value < level} == rejected
