"""Which backbone is selected: the cheapest that is tied with the best."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goldenrule.analysis.backbone_choice import BackboneChoice, Tried, choose_backbone
from goldenrule.core.errors import FormatError
from goldenrule.core.schema import as_json, from_json
from goldenrule.metrics import Predictions, log_loss


def said(right: float, n: int = 300, seed: int = 0, mood: int = 0) -> Predictions:
    """Predictions of two classes, right on about that share of images: the same ones for equal seeds; sure by mood."""
    draws = np.random.default_rng(seed)
    truth = draws.integers(0, 2, n)
    correct = draws.random(n) < right
    sure = 3 * (0.5 + np.random.default_rng(mood).random(n))
    logits = np.zeros((n, 2), np.float32)
    logits[np.arange(n), np.where(correct, truth, 1 - truth)] = sure
    return Predictions.from_logits(logits, ("a", "b"), truth=truth, basis="used for selection")


def tried(name: str, right: float, cost: int, **about: Any) -> Tried:
    return Tried(name=name, out_of_fold=said(right, **about), multiply_adds=cost, seconds=1.0, computed=5)


def test_a_clearly_better_backbone_is_taken_though_it_costs_more() -> None:
    choice = choose_backbone([tried("small", 0.7, 1), tried("large", 0.95, 9)])
    assert choice.chosen == "large"
    assert [one.standing for one in choice.candidates] == ["worse", "best"]
    assert choice.candidates[0].why.startswith("large against small: log loss lower by")
    assert choice.candidates[0].why.endswith("(90 % are needed): better")
    assert choice.sentence == "large is selected: the lowest out-of-fold log loss on 300 images, beside small."


def test_of_two_that_can_not_be_told_apart_the_cheaper_is_taken_and_the_tie_is_called_one() -> None:
    moods = sorted((3, 4), key=lambda mood: log_loss(said(0.9, mood=mood)).value)
    three = [tried("large", 0.9, 9, mood=moods[0]), tried("small", 0.9, 1, mood=moods[1]), tried("poor", 0.6, 2)]
    choice = choose_backbone(three, of=1000)
    assert [one.name for one in choice.candidates] == ["small", "poor", "large"]
    assert {one.name: one.standing for one in choice.candidates} == {"small": "tie", "poor": "worse", "large": "best"}
    assert choice.candidates[0].why.endswith(": a tie")
    assert choice.chosen == "small"
    assert choice.sentence == (
        "small is selected: the cheapest that is tied with the best, large, out-of-fold on 300 of 1,000 images."
    )


def test_equals_are_told_by_their_cost_whatever_their_order() -> None:
    same = said(0.9)
    rows = [Tried(name=n, out_of_fold=same, multiply_adds=c, seconds=1, computed=0) for n, c in (("b", 2), ("a", 1))]
    assert choose_backbone(rows).chosen == choose_backbone(rows[::-1]).chosen == "a"


def test_numbers_say_that_they_were_chosen_on() -> None:
    choice = choose_backbone([tried("small", 0.7, 1), tried("large", 0.95, 9)])
    assert {one.quality.basis for one in choice.candidates} == {one.log_loss.basis for one in choice.candidates}
    assert {one.quality.basis for one in choice.candidates} == {"used for selection"}


@settings(deadline=None, max_examples=30)
@given(st.lists(st.floats(0.55, 0.99), min_size=2, max_size=4), st.integers(0, 99))
def test_a_choice_comes_back_from_json_as_it_was(shares: list[float], seed: int) -> None:
    choice = choose_backbone([tried(f"n{i}", share, i, n=40, seed=seed) for i, share in enumerate(shares)])
    assert from_json(json.loads(json.dumps(as_json(choice))), BackboneChoice) == choice
    assert sum(one.standing == "best" for one in choice.candidates) == 1
    evaluated = next(one for one in choice.candidates if one.name == choice.chosen)
    assert evaluated.standing != "worse"
    assert all(one.standing == "worse" for one in choice.candidates if one.multiply_adds < evaluated.multiply_adds)


def test_a_damaged_choice_is_a_clear_error() -> None:
    with pytest.raises(FormatError, match="can't be read"):
        from_json({"chosen": "a"}, BackboneChoice)
