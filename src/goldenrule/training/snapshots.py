"""Snapshots: what a fit had learned at the end of each of its cycles, to go back to and to average."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from goldenrule.models.network import State, between
from goldenrule.runs.store import Outcome, read_outcome, write_outcome
from goldenrule.storage.tensors import Tensors

MOST, MOST_BYTES = 20, 200_000_000
"""So many snapshots of a fit are kept, the newest, up to so many bytes: 14 of the whole default network."""
_CYCLE = re.compile(r"\.cycle(\d+)\.safetensors")


class Snapshots:
    """The snapshots of one fit by the number of the cycle, from 1: files beside `path`, or in memory without it."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._held: dict[int, Tensors] = {}

    @property
    def cycles(self) -> tuple[int, ...]:
        """The cycles whose snapshots are kept, in order."""
        if self._path is None:
            return tuple(sorted(self._held))
        names = (
            path.name.removeprefix(self._path.stem) for path in self._path.parent.glob(f"{self._path.stem}.cycle*")
        )
        return tuple(sorted(int(found[1]) for name in names if (found := _CYCLE.fullmatch(name))))

    def keep(self, cycle: int, tensors: Tensors) -> None:
        """Keep the snapshot of a cycle; the oldest go where it would be more than `MOST` or `MOST_BYTES`."""
        if self._path is None:
            self._held[cycle] = {name: np.array(value) for name, value in tensors.items()}
        else:
            write_outcome(_file(self._path, cycle), Outcome(tensors, {}))
        size = max(1, sum(value.nbytes for value in tensors.values()))
        for old in self.cycles[: -min(MOST, max(1, MOST_BYTES // size))]:
            self._held.pop(old, None)
            if self._path is not None:
                _file(self._path, old).unlink(missing_ok=True)

    def __getitem__(self, cycle: int) -> Tensors:
        """Return the snapshot of a cycle; `KeyError` where it is not kept, `FormatError` where it is damaged."""
        if self._path is None:
            return self._held[cycle]
        if not (path := _file(self._path, cycle)).exists():
            raise KeyError(cycle)
        return read_outcome(path).tensors


def greedy_soup(states: Sequence[State], loss: Callable[[State], float]) -> tuple[State, tuple[int, ...], float]:
    """Return the mean of those weights that together have the lowest loss, their places in `states`, and that loss.

    The best alone comes first, then every other in the order of its own loss; it is taken where the mean with it is
    lower. Wortsman et al., "Model soups", arXiv:2203.05482 (recipe 1).

    >>> import torch
    >>> three = [{"w": torch.tensor([value])} for value in (0.0, 3.0, 8.0)]
    >>> greedy_soup(three, lambda state: abs(float(state["w"][0]) - 2))
    ({'w': tensor([1.5000])}, (0, 1), 0.5)
    """
    alone = [loss(state) for state in states]
    order = sorted(range(len(states)), key=alone.__getitem__)
    taken, soup, lowest = [order[0]], states[order[0]], alone[order[0]]
    for place in order[1:]:
        mixed = between(soup, states[place], 1 / (len(taken) + 1))
        if (value := loss(mixed)) < lowest:
            taken, soup, lowest = [*taken, place], mixed, value
    return soup, tuple(sorted(taken)), lowest


def _file(path: Path, cycle: int) -> Path:
    return path.with_name(f"{path.stem}.cycle{cycle}.safetensors")
