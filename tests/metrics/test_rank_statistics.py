import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from goldenrule.metrics.rank_statistics import auc_and_influences, average_precision_and_influences

light = settings(deadline=None, max_examples=30)
ranked = st.tuples(st.integers(2, 25), st.integers(1, 12), st.integers(0, 10**6))
BOTH = [
    (auc_and_influences, oracle.roc_auc_score),
    (average_precision_and_influences, oracle.average_precision_score),
]


def scores_and_marks(n, levels, seed):
    """Scores of which many are equal; at least one image of each kind."""
    generator = np.random.default_rng(seed)
    positive = generator.random(n) < generator.uniform(0.1, 0.9)
    positive[:2] = True, False
    return generator.integers(0, levels, n) / levels, positive


@pytest.mark.parametrize(("ours", "theirs"), BOTH)
@light
@given(ranked)
def test_areas_are_those_of_scikit_learn_also_with_equal_scores(ours, theirs, case):
    scores, positive = scores_and_marks(*case)
    assert ours(scores, positive)[0] == pytest.approx(theirs(positive, scores), abs=1e-12)


@pytest.mark.parametrize(("ours", "theirs"), BOTH)
@light
@given(ranked)
def test_influences_are_the_derivatives_after_the_weight_of_each_image(ours, theirs, case):
    scores, positive = scores_and_marks(*case)
    influences = ours(scores, positive)[1]
    step = 1e-5
    for image in range(len(scores)):
        change = step * (np.arange(len(scores)) == image)
        above, below = (theirs(positive, scores, sample_weight=1 + sign * change) for sign in (1, -1))
        assert influences[image] == pytest.approx((above - below) / (2 * step), abs=1e-6)
    assert influences.sum() == pytest.approx(0, abs=1e-9)


def test_chance_is_a_half_of_pairs_and_the_share_of_the_class():
    positive = np.arange(12) < 3
    assert auc_and_influences(np.zeros(12), positive)[0] == 0.5
    assert average_precision_and_influences(np.zeros(12), positive)[0] == 0.25
