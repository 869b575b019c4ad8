"""The images that tell most come first."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goldenrule.analysis.mistakes import most_confident_right, most_uncertain
from goldenrule.metrics import Predictions


def drawn(size: int, classes: int, seed: int) -> Predictions:
    draws = np.random.default_rng(seed)
    names = [f"class {number}" for number in range(classes)]
    truth = draws.integers(-1, classes, size=size)
    return Predictions.from_logits(draws.normal(size=(size, classes)), names, truth=truth)


@settings(max_examples=50, deadline=None)
@given(size=st.integers(1, 50), classes=st.integers(2, 6), seed=st.integers(0, 999), k=st.integers(0, 60))
def test_the_uncertain_are_sorted_by_the_margin_between_the_two_likeliest(size, classes, seed, k) -> None:
    predictions = drawn(size, classes, seed)
    found = most_uncertain(predictions, k)
    assert len(found) == min(k, int((predictions.truth >= 0).sum()))
    margins = [image.probability - image.second_probability for image in found]
    assert margins == sorted(margins)
    for image in found:
        chances = np.sort(predictions.probabilities[int(image.id)])[::-1]
        assert (image.probability, image.second_probability) == (chances[0], chances[1])
        assert image.first == predictions.classes[predictions.predicted[int(image.id)]]
        assert image.truth == predictions.classes[predictions.truth[int(image.id)]]
    everything = np.sort(predictions.scored.probabilities, axis=1)
    if found and len(everything):
        assert margins[0] == pytest.approx((everything[:, -1] - everything[:, -2]).min())


@settings(max_examples=50, deadline=None)
@given(size=st.integers(1, 50), classes=st.integers(2, 6), seed=st.integers(0, 999), k=st.integers(0, 60))
def test_the_surest_right_are_right_and_sorted(size, classes, seed, k) -> None:
    predictions = drawn(size, classes, seed)
    found = most_confident_right(predictions, k)
    right = (predictions.predicted == predictions.truth).sum()
    assert len(found) == min(k, int(right))
    assert [mistake.probability for mistake in found] == sorted(
        (mistake.probability for mistake in found), reverse=True
    )
    for mistake in found:
        assert mistake.truth == mistake.predicted == predictions.classes[predictions.truth[int(mistake.id)]]


def test_of_many_labels_the_most_undecided_one_counts_and_right_is_who_has_all_right() -> None:
    logits = [[3.0, 0.2], [-2.0, 1.0], [4.0, -5.0]]
    seen = Predictions.from_logits(logits, ["sea", "sky"], truth=[[1, 0], [0, 1], [1, 0]], ids="abc", task="multi")
    first, *_ = most_uncertain(seen)
    assert (first.id, first.truth, first.first, first.second) == ("a", "sea", "sky", "without sky")
    assert first.probability + first.second_probability == pytest.approx(1)
    assert [(mistake.id, mistake.truth) for mistake in most_confident_right(seen)] == [("c", "sea"), ("b", "sky")]


def test_one_class_is_never_uncertain() -> None:
    assert most_uncertain(Predictions.from_logits([[1.0]], ["a"], truth=[0])) == ()
