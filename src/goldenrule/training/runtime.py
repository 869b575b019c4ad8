"""`Runtime`: device, precision and processes of a training, by Lightning Fabric."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import Any

import torch

from goldenrule.runs.machines import Machines
from goldenrule.training.inputs.batches import Source, Validate, ValidationResult
from goldenrule.training.processes.launch import fabric, started
from goldenrule.training.processes.team import Team
from goldenrule.training.processes.work import Work, part_of, shared


@dataclass(frozen=True, eq=False)
class Runtime:
    """Where a loop runs; made by `runtime`. With a `team` several processes take each step together."""

    fabric: Any
    team: Team | None = None

    def place(self, network: torch.nn.Module, optimizer: torch.optim.Optimizer) -> tuple[Any, Any]:
        """Return network and optimizer, placed and wrapped."""
        wrapped = self.fabric.setup(network, optimizer)
        return wrapped[0], wrapped[1]

    def backward(self, loss: torch.Tensor) -> None:
        """Compute gradients; those of a team are averaged over its processes."""
        self.fabric.backward(loss)

    def clip(self, model: Any, optimizer: Any, norm: float) -> None:
        """Shorten the gradient to a norm."""
        self.fabric.clip_gradients(model, optimizer, max_norm=norm)

    def move(self, value: torch.Tensor) -> torch.Tensor:
        """Return the tensor on the device."""
        moved: torch.Tensor = self.fabric.to_device(value)
        return moved

    def goes_on(self) -> bool:
        """Return whether there is another step: always, but for those who follow a leader."""
        return self.team is None or self.team.goes_on()

    def share_of(self, total: torch.Tensor) -> torch.Tensor:
        """Return by what this process divides the sum of its losses, `total` being the sum of its weights.

        The mean over the processes of what they get is then the weighted mean over the whole batch, however the
        weights lie.
        """
        return total if self.team is None else self.fabric.all_reduce(total, reduce_op="mean")

    def mean(self, loss: float, weight: float) -> tuple[float, float]:
        """Return the loss of the whole batch, and the sum of all weights in it."""
        if self.team is None:
            return loss, weight
        pair = self.fabric.all_reduce(self.move(torch.tensor([loss, weight], dtype=torch.float64)), reduce_op="mean")
        return float(pair[0]), float(pair[1]) * self.team.part.world

    @property
    def rank(self) -> int:
        """The number of this process in its team."""
        return 0 if self.team is None else self.team.part.rank

    def part_of(self, source: Source) -> Source:
        """Return this process's part of a source."""
        return source if self.team is None else part_of(source, self.team.part, self.team.threads)

    def leading(
        self,
        network: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        source: Source,
        validate: Validate | None,
        how: dict[str, Any],
    ) -> contextlib.AbstractContextManager[None]:
        """Return a block in which the others of the team take part in `loop.train` with these arguments."""
        if self.team is None:
            return contextlib.nullcontext()
        return self.team.leading(
            Work(network=network, optimizer=optimizer, source=source, validate=shared(validate), how=how)
        )

    def evaluate(self, network: torch.nn.Module, validate: Validate) -> ValidationResult:
        """Return how good a network is on validation; each process of a team looks at its part of it."""
        return validate(network) if self.team is None else self.team.evaluate(network, validate)


_TEAMS: dict[Machines, Team] = {}
"""The team of this process; one at a time."""


def runtime(machines: Machines | None = None, *, threads: int = 1) -> Runtime:
    """Return a runtime on one device, or on several whose processes are started with it, and kept for the next fit."""
    machines = machines or Machines()
    if machines.processes == 1:
        return Runtime(fabric(machines))
    team = _TEAMS.get(machines)
    if team is None or team.lost:
        end_teams()
        team = _TEAMS[machines] = started(machines, threads=threads)
    return Runtime(team.fabric, team)


def end_teams() -> None:
    """Let all followers of this process end."""
    while _TEAMS:
        _TEAMS.popitem()[1].end()


def kept(machines: Machines, team: Team) -> None:
    """Take a team that stands already for what trains on these machines."""
    end_teams()
    _TEAMS[machines] = team


def one_of(machines: Machines) -> Machines:
    """Return one device of these machines."""
    return replace(machines, devices=1, nodes=1)
