"""Checkpoints inside a fit: network, optimizer and place, so that a killed fit goes on to the same bits (law 6).

Two are kept, the newest and the one before: where one is damaged the other is used.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from goldenrule.core.errors import FormatError
from goldenrule.models.network import State
from goldenrule.runs.history import EpochRow, epoch_row
from goldenrule.runs.store import Outcome, read_outcome, write_outcome
from goldenrule.storage.files import storage_errors
from goldenrule.storage.tensors import Tensors
from goldenrule.training.early_stopping import CycleEnd
from goldenrule.training.inputs.batches import ValidationLogits
from goldenrule.training.loop import Position

_AS_PARAMETERS = (
    *("exp_avg", "exp_avg_sq", "max_exp_avg_sq", "momentum_buffer", "square_avg", "grad_avg", "sum", "acc_delta"),
    *("exp_inf", "prev", "step_size", "ax"),
)
"""What PyTorch's optimizers keep of each parameter in its own shape; Adafactor keeps rows and columns."""
_SNAPSHOT = re.compile(r"snapshot(\d+)\.(.*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """All that a fit needs to go on: `snapshots` are the states that it may come back to, by number.

    `seen` is what the network said on validation after every epoch.
    """

    position: Position
    network: State
    optimizer: State
    rows: tuple[EpochRow, ...] = ()
    seen: tuple[ValidationLogits, ...] = ()
    cycles: tuple[CycleEnd, ...] = ()
    snapshots: Mapping[int, State] = field(default_factory=dict)


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint atomically; the one before stays beside it, the one before that goes."""
    tensors: Tensors = {}
    for prefix, state in (("network", checkpoint.network), ("optimizer", checkpoint.optimizer)):
        tensors |= {f"{prefix}.{name}": value.numpy() for name, value in state.items()}
    for number, state in checkpoint.snapshots.items():
        tensors |= {f"snapshot{number}.{name}": value.numpy() for name, value in state.items()}
    tensors |= seen_tensors(checkpoint.seen)
    facts = {
        "position": asdict(checkpoint.position),
        "rows": row_facts(checkpoint.rows),
        "cycles": [asdict(cycle) for cycle in checkpoint.cycles],
    }
    if path.exists():
        with storage_errors(path):
            path.replace(_before(path))
    write_outcome(path, Outcome(tensors, facts))


def load(path: Path, say: Callable[[str], None], *, network: State | None = None) -> Checkpoint | None:
    """Return the newest checkpoint that is whole, and of this network where one is given.

    None where there is none: the fit starts again.
    """
    damaged = False
    for file in (path, _before(path)):
        if file.exists():
            if (found := _read(file)) is not None and (network is None or _fits(found, network)):
                if damaged:
                    say(f"{path} is damaged: going on from the checkpoint before it.")
                return found
            damaged = True
            file.unlink()  # else it would take the place of the one before
    if damaged:
        say(f"{path} is damaged, and there is none whole before it: this fit starts again.")
    return None


def remove(path: Path) -> None:
    """Remove the checkpoints of a fit that is over."""
    for file in (path, _before(path)):
        file.unlink(missing_ok=True)


def _before(path: Path) -> Path:
    return path.with_suffix(f".before{path.suffix}")


def _fits(checkpoint: Checkpoint, network: State) -> bool:
    """Return whether a checkpoint holds this network's tensors, and an optimizer's of as many values or of one."""
    place = checkpoint.position
    counts = all(type(number) is int and number >= 0 for number in (place.epoch, place.step))
    numbers = all(isinstance(number, int | float) for number in (place.loss, place.weight))
    sizes = {(), *(tuple(value.shape) for value in network.values())}
    alike = all(
        {name: value.shape for name, value in state.items()} == {name: value.shape for name, value in network.items()}
        for state in (checkpoint.network, *checkpoint.snapshots.values())
    )
    moving = all(
        tuple(value.shape) in sizes
        for name, value in checkpoint.optimizer.items()
        if name.partition(".")[2] in _AS_PARAMETERS
    )
    seen = len(checkpoint.seen) in (0, len(checkpoint.rows)) and len(checkpoint.rows) == place.epoch
    return counts and numbers and alike and moving and seen


def _read(path: Path) -> Checkpoint | None:
    """Read a checkpoint; None where it is damaged."""
    try:
        outcome = read_outcome(path)
        facts: Mapping[str, Any] = outcome.facts
        state = {name: torch.from_numpy(np.array(value)).clone() for name, value in outcome.tensors.items()}
        snapshots: dict[int, State] = {}
        for name, value in state.items():
            if match := _SNAPSHOT.fullmatch(name):
                snapshots.setdefault(int(match[1]), {})[match[2]] = value
        return Checkpoint(
            position=Position(**facts["position"]),
            network=_under("network.", state),
            optimizer=_under("optimizer.", state),
            rows=tuple(epoch_row(row) for row in facts["rows"]),
            seen=seen_in(outcome.tensors),
            cycles=tuple(CycleEnd(**cycle) for cycle in facts["cycles"]),
            snapshots=snapshots,
        )
    except (FormatError, KeyError, TypeError, ValueError, AttributeError):
        return None


def row_facts(rows: Sequence[EpochRow]) -> list[dict[str, Any]]:
    """Return rows as JSON objects, without the user's own metrics: those are computed again from what was seen."""
    return [asdict(replace(row, metrics={})) for row in rows]


def seen_tensors(seen: Sequence[ValidationLogits]) -> Tensors:
    """Return what was seen after every epoch under names of its own."""
    return {
        f"seen.{epoch}.{name}": value for epoch, outputs in enumerate(seen) for name, value in outputs._asdict().items()
    }


def seen_in(tensors: Tensors) -> tuple[ValidationLogits, ...]:
    """Return what `seen_tensors` named, by epoch."""
    epochs = range(sum(name.startswith("seen.") for name in tensors) // len(ValidationLogits._fields))
    return tuple(
        ValidationLogits(*(np.array(tensors[f"seen.{epoch}.{name}"]) for name in ValidationLogits._fields))
        for epoch in epochs
    )


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> State:
    """Return the optimizer's moving averages and counts by parameter number."""
    state = optimizer.state_dict()["state"]
    return {
        f"{number}.{name}": torch.as_tensor(value).detach().clone()
        for number, values in state.items()
        for name, value in values.items()
        if value is not None
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, torch.Tensor]) -> None:
    """Put back what `optimizer_tensors` gave."""
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in tensors.items():
        number, name_in = name.split(".", 1)
        state.setdefault(int(number), {})[name_in] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    for parameter, name_in in optimizer.state.items():
        for name, value in name_in.items():
            if value.shape == parameter.shape:  # in the parameter's memory layout: another one may round otherwise
                name_in[name] = torch.empty_like(parameter).copy_(value)


def _under(prefix: str, state: Mapping[str, torch.Tensor]) -> State:
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
