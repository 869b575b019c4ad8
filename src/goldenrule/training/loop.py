"""The training loop, on one screen: the only place that calls backward. It yields events; others look at them."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from goldenrule.core.randomness import generator
from goldenrule.runs.optimizers import optimizer_class
from goldenrule.training.loss import Examples, Objective, blended, loss_of
from goldenrule.training.runtime import Runtime
from goldenrule.training.schedule import Schedule


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
    groups: Sequence[Sequence[torch.nn.Parameter]], name: str, *, weight_decay: float | Sequence[float]
) -> torch.optim.Optimizer:
    """Return an optimizer with one parameter group per layer group that is not frozen.

    `name` is "adamw", "sgd" (with momentum) or any of torch.optim; `weight_decay` one number, or one per group.
    """
    kind = optimizer_class(name)
    decays = weight_decay if isinstance(weight_decay, Sequence) else (weight_decay,) * len(groups)
    trained = [
        {"params": parameters, "weight_decay": decay}
        for group, decay in zip(groups, decays, strict=True)
        if (parameters := [one for one in group if one.requires_grad])
    ]
    settings: dict[str, Any] = {"lr": 0.0}
    if "momentum" in inspect.signature(kind).parameters:
        settings["momentum"] = 0.9
    if kind is torch.optim.AdamW:
        settings |= {"betas": (0.9, 0.99), "foreach": True}
    return kind(trained, **settings)


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
    objective: Objective | None = None,
    clip_norm: float | None = None,
    accumulate: int = 1,
) -> Iterator[StepEnded | EpochEnded]:
    """Train in place from `start` on, yielding after every step and epoch; stop by asking for no more events.

    `batches(epoch, step)` gives the batches of an epoch from a step on, a function of these alone: whole ones, or of
    several processes each its part of them;
    random draws inside the network are keyed by (seed, epoch, step) (law 6). Both count the epochs of the
    whole run, `first_epoch` of which came before; schedule and events those of this training. The gradient of a
    batch is shortened to `clip_norm`, and summed up over `accumulate` parts of it: less memory, the same step.
    """
    objective = objective or Objective()

    def rates_of(epoch: int, step: int) -> tuple[float, ...]:
        return tuple(rate * schedule.factor(epoch + step / steps_per_epoch) for rate in rates)

    start = start or Position()
    model, stepper = runtime.place(network, optimizer)
    for epoch in range(start.epoch, schedule.epochs):
        at = start if epoch == start.epoch else Position(epoch=epoch)
        network.train()
        for examples in batches(first_epoch + epoch, at.step):
            if not runtime.goes_on():
                return
            now = rates_of(epoch, at.step)
            for group, rate in zip(stepper.param_groups, now, strict=True):
                group["lr"] = rate
                _set_momentum(group, schedule.momentum(epoch + at.step / steps_per_epoch))
            inputs, targets, weights = map(runtime.move, (examples.inputs, examples.targets, examples.weights))
            with _draws(seed, first_epoch + epoch, at.step, runtime.rank):
                blend = blended(Examples(inputs, targets, weights), objective)
                blend = replace(blend, total=runtime.share_of(blend.total))
                stepper.zero_grad()
                value = 0.0
                for part in blend.split(accumulate) if accumulate > 1 else (blend,):
                    loss = loss_of(model, part, objective)
                    runtime.backward(loss)
                    value += float(loss.detach())
            if clip_norm is not None:
                runtime.clip(model, stepper, clip_norm)
            stepper.step()
            value, weight = runtime.mean(value, float(weights.sum()))
            at = replace(at, step=at.step + 1, loss=at.loss + value * weight, weight=at.weight + weight)
            yield StepEnded(position=at, loss=value, rates=now)
        every = zip(*(rates_of(epoch, step) for step in range(steps_per_epoch)), strict=True)
        yield EpochEnded(epoch=epoch, train_loss=at.loss / at.weight, rates=tuple(map(max, every)))


def _set_momentum(group: dict[str, object], momentum: float) -> None:
    if "betas" in group:
        group["betas"] = (momentum, *group["betas"][1:])  # type: ignore[index]  # a tuple of numbers
    elif "momentum" in group:
        group["momentum"] = momentum


@contextlib.contextmanager
def _draws(seed: int, epoch: int, step: int, rank: int) -> Iterator[None]:
    """Key PyTorch's draws (dropout), of each process its own, and put its generator back afterwards."""
    before = torch.random.get_rng_state()
    place = ("step", epoch, step, rank) if rank else ("step", epoch, step)
    _seed_of_all()(int(generator(seed, *place).integers(2**62)))
    try:
        yield
    finally:
        torch.random.set_rng_state(before)


@functools.cache
def _seed_of_all() -> Callable[[int], object]:
    """Return what seeds the generators that may be drawn from.

    `torch.manual_seed` keeps seeds for devices that nobody uses, each with the text of a stack trace: 3 ms a step.
    """
    return torch.manual_seed if torch.accelerator.is_available() else torch.default_generator.manual_seed
