"""What int8 costs is measured on the same images, and called a loss only beyond chance."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from goldenrule.core.schema import as_json
from goldenrule.deploy.precision_cost import precision_cost
from goldenrule.metrics import Predictions


def predictions(logits: Any, truth: Any) -> Predictions:
    return Predictions.from_logits(np.asarray(logits, np.float32), ["cat", "dog"], truth=truth)


def drawn(n: int, seed: int) -> tuple[Any, Any]:
    draws = np.random.default_rng(seed)
    truth = draws.integers(0, 2, n)
    logits = draws.normal(size=(n, 2))
    logits[np.arange(n), truth] += 2
    return logits, truth


@settings(max_examples=20)
@given(st.integers(2, 60), st.integers(0, 99))
def test_what_is_the_same_costs_nothing(n: int, seed: int) -> None:
    said = predictions(*drawn(n, seed))
    cost = precision_cost(said, said, None)
    assert cost is not None
    assert cost.worse == ()
    assert cost.gains["accuracy"].gain.value == cost.gains["log loss"].gain.value == 0
    assert cost.sentence.endswith("no loss beyond chance")


def test_a_loss_beyond_chance_is_called_one_with_its_numbers() -> None:
    logits, truth = drawn(200, 0)
    worse = logits.copy()
    worse[::4] = -worse[::4]
    cost = precision_cost(predictions(logits, truth), predictions(worse, truth), None)
    assert cost is not None
    assert cost.worse == ("accuracy", "log loss")
    assert "accuracy changes by -" in cost.sentence
    assert cost.sentence.endswith("accuracy and log loss worse by more than chance")
    said = as_json(cost)
    assert said["gains"]["accuracy"]["high"] < 0
    assert said["p_value"] < 0.05
    assert said["quality"]["fp32"]["n"] == said["quality"]["int8"]["n"] == 200


def test_a_gain_is_no_loss() -> None:
    logits, truth = drawn(200, 0)
    better = logits.copy()
    better[np.arange(200), truth] += 3
    cost = precision_cost(predictions(logits, truth), predictions(better, truth), None)
    assert cost is not None
    assert cost.worse == ()
    assert "log loss changes by -" in cost.sentence


def test_of_one_image_nothing_is_said() -> None:
    said = predictions([[1, 0]], [0])
    assert precision_cost(said, said, None) is None
