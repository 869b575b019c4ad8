"""When to stop: pure rules over what the ends of cycles gave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

TOLERANCE = 0.02
"""A validation loss counts as higher, or lower, only by this share of the best."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleEnd:
    """What stood at the end of a cycle: after how many epochs, mean losses in nats on train and valid.

    That on valid is at the temperature that suits it best: mere over-confidence is no over-fitting.
    """

    epochs: int
    train_loss: float
    valid_loss: float


def best_cycle(cycles: Sequence[CycleEnd]) -> int:
    """Give the number of the cycle with the lowest validation loss, the first of equals.

    >>> ends = ((1, 0.5), (3, 0.4), (7, 0.6))
    >>> best_cycle([CycleEnd(epochs=n, train_loss=1.0, valid_loss=loss) for n, loss in ends])
    1
    """
    return min(range(len(cycles)), key=lambda number: cycles[number].valid_loss)


def over_fitting(cycles: Sequence[CycleEnd], *, patience: int = 1) -> bool:
    """Say whether over-fitting is confirmed: training goes on falling, validation does not follow.

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
