"""The loss of a batch, plain and with its examples mixed in pairs."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from goldenrule.training.loop import mixed_loss

CLASSES = 3
seeds = st.integers(0, 2**31)
amounts = st.floats(0.05, 5.0)
light = settings(deadline=None, max_examples=30)


def batch(seed: int, count: int = 6) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Inputs, targets and weights drawn at random."""
    draws = torch.Generator().manual_seed(seed)
    inputs = torch.randn(count, CLASSES, generator=draws)
    targets = torch.randint(CLASSES, (count,), generator=draws)
    return inputs, targets, torch.rand(count, generator=draws) + 0.1


def logits(inputs: torch.Tensor) -> torch.Tensor:
    """A network that gives its input back."""
    return inputs


@light
@given(seeds)
def test_without_mixup_it_is_the_weighted_mean_cross_entropy(seed: int) -> None:
    inputs, targets, weights = batch(seed)
    own = -torch.log_softmax(inputs, dim=1)[torch.arange(len(targets)), targets]
    assert torch.isclose(mixed_loss(logits, inputs, targets, weights, mixup=0.0), (own * weights).sum() / weights.sum())


@light
@given(seeds, amounts)
def test_mixing_equal_examples_changes_nothing(seed: int, mixup: float) -> None:
    inputs, targets, weights = batch(seed)
    inputs, targets = inputs[:1].repeat(6, 1), targets[:1].repeat(6)
    plain = mixed_loss(logits, inputs, targets, weights, mixup=0.0)
    assert torch.isclose(mixed_loss(logits, inputs, targets, weights, mixup=mixup), plain, atol=1e-5)


@light
@given(seeds, amounts)
def test_what_counts_nothing_has_no_say_in_the_targets(seed: int, mixup: float) -> None:
    inputs, targets, weights = batch(seed)
    weights[2] = 0.0
    values = []
    for label in range(CLASSES):
        targets[2] = label
        torch.manual_seed(seed)
        values.append(float(mixed_loss(logits, inputs, targets, weights, mixup=mixup)))
    assert len(set(values)) == 1


@light
@given(seeds, amounts)
def test_the_loss_of_a_mixture_is_shared_by_both_targets_as_the_picture_is(seed: int, mixup: float) -> None:
    inputs, targets, weights = batch(seed, count=2)
    seen: list[torch.Tensor] = []

    def watched(mixed: torch.Tensor) -> torch.Tensor:
        seen.append(mixed)
        return mixed

    value = mixed_loss(watched, inputs, targets, weights, mixup=mixup)
    way = inputs[0] - inputs[1]
    share = (seen[0][0] - inputs[1]) @ way / (way @ way)  # of the first picture in the first mixture
    surprise = -torch.log_softmax(seen[0], dim=1)
    first = weights[0] * share * surprise[0, targets[0]] + weights[1] * (1 - share) * surprise[0, targets[1]]
    second = weights[1] * share * surprise[1, targets[1]] + weights[0] * (1 - share) * surprise[1, targets[0]]
    assert torch.isclose(value, (first + second) / weights.sum(), atol=1e-4)
