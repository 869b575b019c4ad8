"""When to stop: pure rules over what the ends of cycles gave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

TOLERANCE = 0.02
"""A validation loss counts as higher, or lower, only by this share of the best."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleEnd:
    """What stood at the end of a cycle: after how many epochs, mean losses in nats on train and valid.

    Those on valid are at the temperature that suits them best: mere over-confidence is no over-fitting.
    `mean_loss` is the one of the mean of the weights at all ends so far, where it was looked at.
    """

    epochs: int
    train_loss: float
    valid_loss: float
    mean_loss: float | None = None

    @property
    def mean_is_better(self) -> bool:
        """Whether the mean of the weights validates better than those of this end."""
        return self.mean_loss is not None and self.mean_loss < self.valid_loss

    @property
    def lower_loss(self) -> float:
        """The lower of both validation losses."""
        return self.valid_loss if self.mean_loss is None else min(self.valid_loss, self.mean_loss)


def best_cycle(cycles: Sequence[CycleEnd]) -> int:
    """Return the number of the cycle with the lowest validation loss, the first of equals.

    >>> ends = ((1, 0.5), (3, 0.4), (7, 0.6))
    >>> best_cycle([CycleEnd(epochs=n, train_loss=1.0, valid_loss=loss) for n, loss in ends])
    1
    """
    return min(range(len(cycles)), key=lambda number: cycles[number].valid_loss)


def kept_cycle(cycles: Sequence[CycleEnd]) -> int:
    """Return the number of the cycle at whose end the weights, or the mean of them so far, validate best."""
    return min(range(len(cycles)), key=lambda number: cycles[number].lower_loss)


def over_fitting(cycles: Sequence[CycleEnd], *, patience: int = 1) -> bool:
    """Return whether over-fitting is confirmed: training goes on falling, validation does not follow.

    In each of the last `patience` cycles the validation loss is above the best one by more than `TOLERANCE`,
    though the training loss is below the one of the best cycle. Only the ends of cycles count, where the rate
    is low; before them a high rate alone raises the loss.
    """
    if len(cycles) <= patience:
        return False
    best = cycles[best_cycle(cycles)]
    return all(
        cycle.valid_loss > best.valid_loss * (1 + TOLERANCE) and cycle.train_loss < best.train_loss
        for cycle in cycles[-patience:]
    )


def converged(cycles: Sequence[CycleEnd], *, epochs: int) -> bool:
    """Return whether the validation loss has converged: for so many epochs it has not fallen by more than `TOLERANCE`.

    What is compared are the ends of cycles, as for over-fitting; with a constant rate every epoch is one.

    >>> ends = [CycleEnd(epochs=n, train_loss=1.0, valid_loss=loss) for n, loss in enumerate((.9, .5, 0.495, .5), 1)]
    >>> converged(ends, epochs=2), converged(ends, epochs=3)
    (True, False)
    """
    last = cycles[-1].epochs if cycles else 0
    before = [cycle.valid_loss for cycle in cycles if cycle.epochs <= last - epochs]
    since = [cycle.valid_loss for cycle in cycles if cycle.epochs > last - epochs]
    return bool(before) and min(since) >= min(before) * (1 - TOLERANCE)
