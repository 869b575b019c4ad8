"""The test of drift: rarely wrong where there is none, and right where there is one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from goldenrule.metrics.uncertainty.drift import DriftTest

FEW = st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), min_size=2, max_size=20)


@given(FEW, FEW)
def test_the_share_of_pairs_is_the_area_under_the_roc_curve(held_out: list[float], new: list[float]) -> None:
    test = DriftTest(np.array(held_out, np.float32))
    test.add(new)
    truth = [0] * len(held_out) + [1] * len(new)
    assert test.share().value == pytest.approx(roc_auc_score(truth, [*held_out, *new]))
    assert test.share().n == len(new)


def test_blocks_count_as_all_at_once_and_what_could_not_be_read_counts_nothing() -> None:
    numbers = np.random.default_rng(0).random(50)
    whole, blocks = DriftTest(numbers[:20]), DriftTest(numbers[:20])
    whole.add(numbers)
    for start in range(0, 50, 7):
        blocks.add(np.append(numbers[start : start + 7], np.nan))
    assert whole.share() == blocks.share()


def test_without_drift_it_is_found_once_in_two_hundred_at_most_and_the_interval_holds() -> None:
    rng, found, held = np.random.default_rng(1), 0, 0
    for _ in range(1000):
        test = DriftTest(rng.gamma(3, 1, 60))
        test.add(rng.gamma(3, 1, 80))
        share = test.share()
        found += test.found
        held += share.low <= 0.5 <= share.high
    assert found <= 5
    assert held >= 925


def test_a_clear_drift_is_found_and_a_small_one_of_many_images_is_not_made_much_of() -> None:
    rng = np.random.default_rng(2)
    held_out = rng.gamma(3, 1, 200)
    far, near = DriftTest(held_out), DriftTest(held_out)
    far.add(rng.gamma(3, 1, 100) + 2)
    near.add(rng.gamma(3, 1, 20_000) + 0.02)
    assert far.found
    assert not near.found
    assert not DriftTest(held_out).found, "of no image nothing is known"


def test_a_few_images_are_no_drift_however_far_they_are() -> None:
    held_out = np.arange(100, dtype=np.float32)
    few, more = DriftTest(held_out), DriftTest(held_out)
    few.add(np.linspace(95, 99.5, 4))
    more.add(np.linspace(95, 99.5, 5))
    assert (few.found, more.found) == (False, True)
