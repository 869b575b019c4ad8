"""Whether a promise is kept: valid under the null, blind to another mix of classes, and sharp where it is broken."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import fisher_exact

from goldenrule.core.errors import OptionError
from goldenrule.core.schema import as_json
from goldenrule.metrics import Predictions
from goldenrule.metrics.uncertainty.promise import promise_kept, stratified_p_value

CLASSES = ["cat", "dog", "horse"]


def answers(counts: dict[int, tuple[int, int]], classes: list[str] = CLASSES) -> Predictions:
    """Predictions with so many right of so many images by class."""
    truth, logits = [], []
    for label, (right, images) in counts.items():
        for number in range(images):
            row = np.zeros(len(classes))
            row[label if number < right else (label + 1) % len(classes)] = 3.0
            truth.append(label)
            logits.append(row)
    return Predictions.from_logits(np.array(logits, np.float32), classes, truth=truth)


@settings(deadline=None, max_examples=80)
@given(st.integers(1, 30), st.integers(1, 30), st.data())
def test_one_class_has_the_tails_of_fishers_exact_test(n: int, m: int, data: st.DataObject) -> None:
    a, b = data.draw(st.integers(0, n)), data.draw(st.integers(0, m))
    one, other = np.arange(n) < a, np.arange(m) < b
    found = stratified_p_value(one, np.zeros(n), other, np.zeros(m))
    table = [[b, m - b], [a, n - a]]
    tails = [fisher_exact(table, alternative=side).pvalue for side in ("less", "greater")]
    assert found == pytest.approx(min(1.0, 2 * min(tails)), abs=1e-9)


def test_under_the_null_it_is_at_most_as_often_small_as_it_says() -> None:
    """1,000 draws of two sets of the same kind, mixed otherwise; of a valid test 5 % or less are below .05."""
    draws = np.random.default_rng(0)
    chances, p_values = np.array([0.99, 0.8, 0.6]), []
    for _ in range(1000):
        of, other_of = draws.choice(3, 120, p=[0.6, 0.3, 0.1]), draws.choice(3, 80, p=[0.1, 0.3, 0.6])
        p_values.append(
            stratified_p_value(draws.random(120) < chances[of], of, draws.random(80) < chances[other_of], other_of)
        )
    assert np.mean(np.array(p_values) < 0.05) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 1000)


def test_another_mix_of_classes_is_no_broken_promise_though_the_accuracy_falls() -> None:
    promised, found = answers({0: (198, 200), 1: (10, 20)}), answers({0: (20, 20), 1: (100, 200)})
    kept = promise_kept(promised, found, split="test")
    assert kept.outcome == "kept"
    assert kept.found.value < kept.promised.value - 0.3
    assert "no difference beyond chance (exact test, class by class, p = " in kept.sentence


def test_what_is_worse_is_broken_and_what_is_better_exceeded() -> None:
    good, bad = answers({0: (95, 100), 1: (95, 100)}), answers({0: (70, 100), 1: (95, 100)})
    assert promise_kept(good, bad, split="test").outcome == "broken"
    assert promise_kept(bad, good, split="test").outcome == "exceeded"
    assert promise_kept(good, good, split="test").p_value == 1.0


def test_only_classes_that_both_have_are_compared() -> None:
    kept = promise_kept(answers({0: (9, 10), 1: (1, 10)}), answers({0: (9, 10), 2: (0, 10)}), split="valid")
    assert (kept.classes, kept.of_classes, kept.promised.n, kept.found.n) == (1, 3, 10, 10)
    assert "on the 1 of 3 classes that both have" in kept.sentence
    with pytest.raises(OptionError, match="no class in common"):
        promise_kept(answers({0: (9, 10)}), answers({2: (9, 10)}), split="valid")


def test_classes_in_another_order_are_matched_by_name() -> None:
    other = ["horse", "cat", "dog"]
    kept = promise_kept(answers({0: (9, 10)}), answers({1: (9, 10)}, other), split="test")
    assert kept.p_value == 1.0


def test_of_several_labels_the_losses_are_compared() -> None:
    draws = np.random.default_rng(1)
    truth = draws.integers(0, 2, (80, 3))
    good = (2 * truth - 1) * 3.0 + draws.normal(0, 0.3, truth.shape)

    def said(logits: np.ndarray) -> Predictions:
        return Predictions.from_logits(logits.astype(np.float32), CLASSES, truth=truth, task="multi")

    assert promise_kept(said(good), said(-good), split="test").outcome == "broken"
    assert promise_kept(said(good), said(good), split="test").outcome == "kept"
    assert "permutation test of the log loss" in promise_kept(said(good), said(-good), split="test").sentence


def test_what_is_better_in_every_class_is_not_broken_by_another_mix() -> None:
    promised, found = answers({0: (190, 200), 1: (20, 100)}), answers({0: (20, 20), 1: (150, 300)})
    kept = promise_kept(promised, found, split="test")
    assert kept.found.value < kept.promised.value
    assert kept.outcome == "exceeded"
    assert "compared class by class, as the class mix differs, these images are easier" in kept.sentence


@pytest.mark.parametrize("films", [False, True])
def test_films_make_a_broken_promise_less_certain_and_a_kept_one_stays_kept(films: bool) -> None:
    film = np.arange(120) // 10

    def wrong_in(*wrong: int) -> Predictions:
        right = ~np.isin(film, wrong)
        logits = np.stack([np.where(right, 4.0, 0.0), np.where(right, 0.0, 4.0)], axis=1)
        return Predictions.from_logits(logits, ["cat", "dog"], truth=[0] * 120, group=film if films else None)

    assert promise_kept(wrong_in(3), wrong_in(5), split="test").outcome == "kept"
    found = promise_kept(wrong_in(3), wrong_in(1, 4, 7), split="test")
    assert found.outcome == ("kept" if films else "broken")
    assert found.test.startswith("t-test over groups" if films else "exact test")


def test_with_a_single_group_on_one_side_nothing_is_told_and_nothing_is_called_kept() -> None:
    promised = replace(answers({0: (15, 15)}), group=np.zeros(15, np.int64))
    found = promise_kept(promised, answers({0: (10, 25)}), split="test")
    assert found.outcome == "unclear"
    assert "can't be told, as one side has fewer than 6 groups" in found.sentence
    assert "beyond chance" not in found.sentence
    assert as_json(found)["p_value"] is None
