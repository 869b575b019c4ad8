"""The concat-pool head, trained on rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from goldenrule.core.errors import OptionError
from goldenrule.features.linear import Rows
from goldenrule.models.heads import head_from_tensors
from goldenrule.training.inputs.hidden_heads import train_head


def rows(n: int = 80, *, classes: tuple[int, ...] = (0, 1, 2), budget_bytes: int = 1 << 30) -> Rows:
    draws = np.random.default_rng(0)
    targets = np.array(classes)[draws.integers(len(classes), size=n)]
    x = (draws.normal(size=(max(classes) + 1, 16))[targets] * 2 + draws.normal(size=(n, 16))).astype(np.float16)
    return Rows(
        read=lambda start, stop: x[start:stop],
        targets=targets,
        weights=np.ones(n, np.float32),
        folds=np.arange(n) % 2,
        features=16,
        classes=max(classes) + 1,
        scored=n,
        budget_bytes=budget_bytes,
    )


@pytest.fixture(scope="module")
def trained() -> Any:
    return train_head(kind="concat-pool", rows=rows(), seed=0)


def head_of(outcome: Any) -> Any:
    tensors = {name.removeprefix("head."): v for name, v in outcome.tensors.items() if name.startswith("head.")}
    return head_from_tensors("concat-pool", tensors)


def test_it_learns_what_can_be_learned(trained: Any) -> None:
    ours = rows()
    assert (head_of(trained).logits(ours.read(0, 80)).argmax(axis=1) == ours.targets).mean() > 0.95
    assert (trained.tensors["fold_logits"].argmax(axis=1) == ours.targets).mean() > 0.85
    assert (trained.tensors["fold"] == ours.folds).all()


def test_the_same_seed_gives_the_same_bits_and_leaves_the_global_generator_alone(trained: Any) -> None:
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    again = train_head(kind="concat-pool", rows=rows(), seed=0)
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(again.tensors[name].tobytes() == value.tobytes() for name, value in trained.tensors.items())
    other = train_head(kind="concat-pool", rows=rows(), seed=1)
    assert other.tensors["fold_logits"].tobytes() != trained.tensors["fold_logits"].tobytes()


def test_a_class_without_rows_can_t_be_predicted() -> None:
    outcome = train_head(kind="concat-pool", rows=rows(60, classes=(0, 3)), seed=0)
    logits = head_of(outcome).logits(rows(60, classes=(0, 3)).read(0, 60))
    assert np.isfinite(logits).all()
    assert set(logits.argmax(axis=1)) == {0, 3}
    assert (logits[:, [1, 2]].max(axis=1) < logits.max(axis=1) - 5).all()


def test_rows_above_the_budget_are_refused_with_a_way_out() -> None:
    with pytest.raises(OptionError, match="--head linear"):
        train_head(kind="concat-pool", rows=rows(budget_bytes=100), seed=0)
