"""The training loop, on one screen: the only place that calls backward. It yields events; others look at them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch.nn.functional import cross_entropy

from goldenrule.foundation.randomness import generator
from goldenrule.training.runtime import Runtime
from goldenrule.training.schedule import Schedule

OptimizerKind = Literal["adamw", "sgd"]


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """A global batch: inputs (batch, ...), targets (batch,) and what each counts (batch,)."""

    inputs: torch.Tensor
    targets: torch.Tensor
    weights: torch.Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Between two steps: `step` of `epoch` comes next; the open epoch has summed up `loss` over `weight`."""

    epoch: int = 0
    step: int = 0
    loss: float = 0.0
    weight: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StepEnded:
    """A step is over: its mean loss in nats, its rates per group, and where the training stands now."""

    position: Position
    loss: float
    rates: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochEnded:
    """An epoch (numbered from 0) is over; `train_loss` is the mean over it in nats, `rates` the highest per group."""

    epoch: int
    train_loss: float
    rates: tuple[float, ...]


def optimizer_for(
    groups: Sequence[Sequence[torch.nn.Parameter]], kind: OptimizerKind, *, weight_decay: float
) -> torch.optim.Optimizer:
    """Give an optimizer with one parameter group per layer group that is not frozen."""
    trained = [{"params": own} for group in groups if (own := [one for one in group if one.requires_grad])]
    if kind == "sgd":
        return torch.optim.SGD(trained, lr=0.0, momentum=0.9, weight_decay=weight_decay)
    return torch.optim.AdamW(trained, lr=0.0, betas=(0.9, 0.99), weight_decay=weight_decay, foreach=True)


def train(
    network: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Callable[[int, int], Iterable[Examples]],
    *,
    rates: Sequence[float],
    schedule: Schedule,
    steps_per_epoch: int,
    seed: int,
    runtime: Runtime,
    start: Position | None = None,
    first_epoch: int = 0,
    mixup: float = 0.0,
) -> Iterator[StepEnded | EpochEnded]:
    """Train in place from `start` on, yielding after every step and epoch; stop by asking for no more events.

    `batches(epoch, step)` gives the global batches of an epoch from a step on, a function of these alone;
    random draws inside the network are keyed by (seed, epoch, step) (law 6). Both count the epochs of the
    whole story, `first_epoch` of which came before; schedule and events those of this training. `mixup`: see
    `mixed_loss`.
    """

    def rates_of(epoch: int, step: int) -> tuple[float, ...]:
        return tuple(rate * schedule.factor(epoch + step / steps_per_epoch) for rate in rates)

    start = start or Position()
    model, stepper = runtime.place(network, optimizer)
    for epoch in range(start.epoch, schedule.epochs):
        at = start if epoch == start.epoch else Position(epoch=epoch)
        network.train()
        for examples in batches(first_epoch + epoch, at.step):
            now = rates_of(epoch, at.step)
            for group, rate in zip(stepper.param_groups, now, strict=True):
                group["lr"] = rate
                _set_momentum(group, schedule.momentum(epoch + at.step / steps_per_epoch))
            inputs, targets, weights = map(runtime.move, (examples.inputs, examples.targets, examples.weights))
            with _draws(seed, first_epoch + epoch, at.step):
                loss = mixed_loss(model, inputs, targets, weights, mixup=mixup)
                stepper.zero_grad()
                runtime.backward(loss)
            stepper.step()
            value, weight = float(loss.detach()), float(weights.sum())
            at = replace(at, step=at.step + 1, loss=at.loss + value * weight, weight=at.weight + weight)
            yield StepEnded(position=at, loss=value, rates=now)
        every = zip(*(rates_of(epoch, step) for step in range(steps_per_epoch)), strict=True)
        yield EpochEnded(epoch=epoch, train_loss=at.loss / at.weight, rates=tuple(map(max, every)))


def mixed_loss(
    model: Callable[[torch.Tensor], torch.Tensor],
    inputs: torch.Tensor,
    targets: torch.Tensor,
    weights: torch.Tensor,
    *,
    mixup: float,
) -> torch.Tensor:
    """Give the weighted mean cross-entropy (nats) of a batch; with `mixup` > 0 its examples are mixed in pairs.

    x = a x_i + (1 - a) x_j, and the loss is shared by both targets in the same way; one a ~ Beta(mixup, mixup) and
    one order of partners j per batch. Zhang et al., "mixup: Beyond empirical risk minimization", arXiv:1710.09412.
    """
    if not mixup:
        losses = cross_entropy(model(inputs), targets, reduction="none") * weights
        return losses.sum() / weights.sum()
    share, partner = float(torch.distributions.Beta(mixup, mixup).sample()), torch.randperm(len(targets))
    logits = model(share * inputs + (1 - share) * inputs[partner])
    own = cross_entropy(logits, targets, reduction="none") * weights
    partners = cross_entropy(logits, targets[partner], reduction="none") * weights[partner]
    return (share * own + (1 - share) * partners).sum() / weights.sum()


def _set_momentum(group: dict[str, object], momentum: float) -> None:
    if "betas" in group:
        group["betas"] = (momentum, 0.99)
    else:
        group["momentum"] = momentum


@contextlib.contextmanager
def _draws(seed: int, epoch: int, step: int) -> Iterator[None]:
    """Key PyTorch's draws (dropout) and put its generator back afterwards."""
    before = torch.random.get_rng_state()
    torch.manual_seed(int(generator(seed, "step", epoch, step).integers(2**62)))
    try:
        yield
    finally:
        torch.random.set_rng_state(before)
