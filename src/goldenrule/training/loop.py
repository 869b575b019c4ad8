"""The training loop, on one screen: the only place that calls backward. It yields events; others look at them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch

from goldenrule.training.runtime import Runtime
from goldenrule.training.schedule import OneCycle


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """A global batch: inputs (batch, ...), targets (batch,) and what each counts (batch,)."""

    inputs: torch.Tensor
    targets: torch.Tensor
    weights: torch.Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochEnded:
    """An epoch is over; `train_loss` is the mean over it, in nats."""

    epoch: int
    train_loss: float
    rate: float


def train(
    network: torch.nn.Module,
    batches: Callable[[int], Iterable[Examples]],
    *,
    steps_per_epoch: int,
    epochs: int,
    schedule: OneCycle,
    weight_decay: float,
    runtime: Runtime,
) -> Iterator[EpochEnded]:
    """Train in place by AdamW, yielding after every epoch; stop by not asking for the next event.

    `batches(epoch)` gives the global batches, a function of seed and epoch alone (law 6).
    """
    optimizer = torch.optim.AdamW(network.parameters(), lr=schedule.rate(0.0), weight_decay=weight_decay)
    model, stepper = runtime.place(network, optimizer)
    for epoch in range(epochs):
        model.train()
        total, count, rate = 0.0, 0.0, 0.0
        for step, examples in enumerate(batches(epoch)):
            progress = (epoch * steps_per_epoch + step) / max(epochs * steps_per_epoch - 1, 1)
            rate = schedule.rate(progress)
            for group in stepper.param_groups:
                group["lr"], group["betas"] = rate, (schedule.momentum(progress), 0.99)
            logits = model(runtime.move(examples.inputs))
            losses = torch.nn.functional.cross_entropy(logits, runtime.move(examples.targets), reduction="none")
            weights = runtime.move(examples.weights)
            loss = (losses * weights).sum() / weights.sum()
            stepper.zero_grad()
            runtime.backward(loss)
            stepper.step()
            total += float(loss.detach()) * float(weights.sum())
            count += float(weights.sum())
        yield EpochEnded(epoch=epoch, train_loss=total / count, rate=rate)
