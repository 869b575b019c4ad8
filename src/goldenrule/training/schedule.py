"""Schedules: rate and momentum as pure functions of the position, in epochs since the start."""

from __future__ import annotations

import math
from dataclasses import dataclass, is_dataclass
from itertools import accumulate
from typing import Any, ClassVar, Protocol

from goldenrule.core.errors import OptionError
from goldenrule.core.schema import fields_as_json

MOST_EPOCHS = 10_000


class Schedule(Protocol):
    """How the rate goes; every group follows it from its own full rate. A dataclass: fits are kept under its JSON."""

    @property
    def kind(self) -> str:
        """The name of its kind, which no other has."""

    @property
    def epochs(self) -> int:
        """How many epochs there are in all."""

    @property
    def cycle_ends(self) -> tuple[int, ...]:
        """After how many epochs a cycle ends: there a snapshot is kept and evaluated."""

    def factor(self, position: float) -> float:
        """Return the rate as a share of the full one."""

    def momentum(self, position: float) -> float:
        """Return the momentum (AdamW's first beta)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant:
    """The same rate throughout; every epoch is a cycle of its own."""

    kind: ClassVar[str] = "constant"
    epochs: int

    def __post_init__(self) -> None:
        _whole("cycles", self.epochs)

    @property
    def cycle_ends(self) -> tuple[int, ...]:
        """After every epoch."""
        return tuple(range(1, self.epochs + 1))

    def factor(self, position: float) -> float:  # noqa: ARG002
        """Return 1."""
        return 1.0

    def momentum(self, position: float) -> float:  # noqa: ARG002
        """Return .9."""
        return 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Sgdr:
    """Cosine cycles with warm restarts, each `mult` times as long as the one before.

    Loshchilov & Hutter, "SGDR: Stochastic gradient descent with warm restarts", arXiv:1608.03983.

    >>> Sgdr(cycles=3, mult=2).cycle_ends, Sgdr(cycles=3, length=2, mult=1).epochs
    ((1, 3, 7), 6)
    """

    kind: ClassVar[str] = "sgdr"
    cycles: int
    length: int = 1
    mult: int = 1

    def __post_init__(self) -> None:
        _whole("cycles", self.cycles)
        _whole("cycle_len", self.length)
        _whole("cycle_mult", self.mult)
        if self.cycles > MOST_EPOCHS or self.epochs > MOST_EPOCHS:
            raise OptionError(f"{self} would be more than {MOST_EPOCHS:,} epochs: wanted fewer or shorter cycles.")

    @property
    def epochs(self) -> int:
        """Cycle length times 1 + mult + mult^2 + ..."""
        return sum(self._lengths())

    @property
    def cycle_ends(self) -> tuple[int, ...]:
        """After how many epochs each cycle ends."""
        return tuple(accumulate(self._lengths()))

    @property
    def restarts(self) -> tuple[int, ...]:
        """Epochs at which the rate jumps back to the full one.

        >>> Sgdr(cycles=3, mult=2).restarts
        (0, 1, 3)
        """
        return (0, *self.cycle_ends[:-1])

    def factor(self, position: float) -> float:
        """Return the cosine from 1 to 0 within the cycle."""
        start, end = self._cycle(position)
        return _cosine(1.0, 0.0, (position - start) / (end - start))

    def momentum(self, position: float) -> float:  # noqa: ARG002
        """Return .9."""
        return 0.9

    def _lengths(self) -> list[int]:
        lengths = [self.length]
        for _ in range(self.cycles - 1):
            lengths.append(lengths[-1] * self.mult)
        return lengths

    def _cycle(self, position: float) -> tuple[int, int]:
        for start, end in zip(self.restarts, self.cycle_ends, strict=True):
            if position < end:
                return start, end
        return self.restarts[-1], self.cycle_ends[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class OneCycle:
    """Warm up, then cosine down, momentum mirrored (Smith, "Super-convergence", arXiv:1708.07120).

    The shares are those of fastai's `fit_one_cycle`: from rate / 25 up within a quarter, down to rate / 1e5.

    >>> cycle = OneCycle(epochs=4)
    >>> cycle.factor(1.0), cycle.momentum(1.0)
    (1.0, 0.85)
    """

    kind: ClassVar[str] = "one-cycle"
    epochs: int
    warm_share: float = 0.25
    start_divisor: float = 25.0
    end_divisor: float = 1e5

    def __post_init__(self) -> None:
        _whole("epochs", self.epochs)

    @property
    def cycle_ends(self) -> tuple[int, ...]:
        """At the end."""
        return (self.epochs,)

    def factor(self, position: float) -> float:
        """Return the share of the full rate."""
        progress = position / self.epochs
        if progress < self.warm_share:
            return _cosine(1 / self.start_divisor, 1.0, progress / self.warm_share)
        return _cosine(1.0, 1 / self.end_divisor, (progress - self.warm_share) / (1 - self.warm_share))

    def momentum(self, position: float) -> float:
        """Return the momentum: low where the rate is high."""
        progress = position / self.epochs
        if progress < self.warm_share:
            return _cosine(0.95, 0.85, progress / self.warm_share)
        return _cosine(0.85, 0.95, (progress - self.warm_share) / (1 - self.warm_share))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rising:
    """The rates of a range test: one factor per step."""

    kind: ClassVar[str] = "rising"
    factors: tuple[float, ...]
    steps_per_epoch: int

    @property
    def epochs(self) -> int:
        """As many passes as the steps need."""
        return -(-len(self.factors) // self.steps_per_epoch)

    @property
    def cycle_ends(self) -> tuple[int, ...]:
        """None."""
        return ()

    def factor(self, position: float) -> float:
        """Return the factor of the step at this position."""
        return self.factors[min(round(position * self.steps_per_epoch), len(self.factors) - 1)]

    def momentum(self, position: float) -> float:  # noqa: ARG002
        """Return .9."""
        return 0.9


def schedule_json(schedule: Schedule) -> dict[str, Any]:
    """Return what a schedule is known by; raises `OptionError` for one that can't be told from others."""
    if not is_dataclass(schedule) or not isinstance(getattr(type(schedule), "kind", None), str):
        raise OptionError(
            f"The schedule {type(schedule).__name__} can't be told from others: wanted a dataclass with a class "
            'variable `kind`, such as kind: ClassVar[str] = "linear". Fits are kept under its kind and its fields.'
        )
    return fields_as_json(schedule)


def _whole(name: str, value: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise OptionError(f"{name}={value!r}: wanted a whole number, at least 1.")


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * min(max(share, 0.0), 1.0))) / 2
