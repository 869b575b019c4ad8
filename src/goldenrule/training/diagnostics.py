"""Hints in words: what the numbers of a fit say about how it was trained. Numbers in, findings out.

A hint is given only where the numbers are clear: what rises or falls by less than noise does is passed over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from goldenrule.core.findings import Finding, plural
from goldenrule.runs.history import EpochRow
from goldenrule.training.early_stopping import CycleEnd, best_cycle, over_fitting

MOST = 2
"""So many hints are said after a fit, the gravest first."""
CLEAR_SHARE, CLEAR_NATS = 0.1, 0.02
"""A loss has risen only by more than this share of what it was, and by more than so many nats."""
FALLEN_SHARE = 0.02
FEWEST_EPOCHS = 3
"""Fewer epochs show no trend."""
USUAL = (2e-5, 1e-4)
HIGH_FOR_ADAM = 2e-4
"""Rates at which pretrained layers are usually fine-tuned by Adam, and from where one is told so."""
STOPPED = {
    "over-fitting": "stopped, over-fitting is confirmed: training still improves, validation gets worse.",
    "converged": "stopped, validation has converged: it no longer improves.",
    "out of time": "stopped, another epoch would end too late.",
    "diverged": "stopped, the loss is no number any more: take a lower rate (lr_find() shows which).",
}
DEEP, KNOWN_SHARE = 30, 0.7
"""So many BatchNorms make a network a deep one; such accuracy of its head on them makes photos known to it."""


@dataclass(frozen=True, slots=True)
class Level:
    """How good a network is on validation: its loss at the temperature that suits it, and its accuracy."""

    loss: float
    accuracy: float


def arithmetic(images: int, batch_size: int, epochs: int) -> str:
    """Return how images, batches, iterations and epochs go together, the last batch of an epoch perhaps smaller.

    >>> arithmetic(5000, 100, 3)
    '5,000 images / 100 a batch = 50 iterations an epoch, 3 epochs = 150 iterations'
    >>> arithmetic(90, 100, 1)
    '90 images / 90 a batch = 1 iteration an epoch, 1 epoch = 1 iteration'
    """
    size = min(images, batch_size)
    steps = -(-images // size)
    shown = f"{plural(images, 'image')} / {size:,} a batch = {plural(steps, 'iteration')} an epoch"
    return f"{shown}, {plural(epochs, 'epoch')} = {plural(epochs * steps, 'iteration')}"


def rate_text(rate: float) -> str:
    """Return a rate in both ways of writing it.

    >>> rate_text(1e-3)
    '1e-03 (0.001)'
    """
    return f"{rate:.0e} ({rate:.6g})"


def before(
    *,
    optimizer: str,
    backbone_rate: float,
    measured: float | None = None,
    moving_norms: int = 0,
    accuracy: float | None,
) -> tuple[Finding, ...]:
    """Return what should be known before a fit of unfrozen layers begins.

    `backbone_rate` is the highest rate of the pretrained layers that are trained, 0 where they are frozen, `measured`
    the one that `lr_find` suggested for them: it is not doubted. `moving_norms` counts the BatchNorms whose
    statistics follow the batches, `accuracy` is what the head on the backbone had on validation so far.
    """
    found = []
    adam = "adam" in optimizer.lower()
    if adam and backbone_rate > HIGH_FOR_ADAM and (measured is None or backbone_rate > measured * (1 + 1e-6)):
        found.append(
            Finding(
                severity="note",
                code="high-rate-for-adam",
                fields={
                    "rate": rate_text(backbone_rate),
                    "optimizer": optimizer,
                    "low": USUAL[0],
                    "high": USUAL[1],
                },
            )
        )
    if backbone_rate > 0 and moving_norms >= DEEP and accuracy is not None and accuracy >= KNOWN_SHARE:
        found.append(
            Finding(
                severity="note",
                code="batch-norm-moves",
                fields={"norms": moving_norms},
            )
        )
    return tuple(found)


def ended_worse(began: Level, ended: Level, *, variant: str = "") -> Finding | None:
    """Return that a fit ended clearly worse than it began, None where it did not.

    A higher loss counts only where no more images are right than before. `variant` says who trained.
    """
    if ended.accuracy > began.accuracy or not clearly_above(ended.loss, began.loss):
        return None
    return Finding(
        severity="warning",
        code="ended-worse",
        variant=variant,
        fields={
            "before": 100 * began.accuracy,
            "after": 100 * ended.accuracy,
            "first": began.loss,
            "last": ended.loss,
        },
    )


def level_of(rows: Sequence[EpochRow], *, keeps_best: bool = False) -> Level | None:
    """Return how good the network is after these epochs: at the last, or at the best end of a cycle where that is kept.

    None where nothing was validated.
    """
    levels = [
        (row.cycle_end, Level(loss, row.accuracy))
        for row in rows
        if row.accuracy is not None
        and (loss := row.valid_loss if row.tempered_loss is None else row.tempered_loss) is not None
    ]
    ends = [level for cycle_end, level in levels if cycle_end]
    if keeps_best and ends:
        return min(ends, key=lambda level: level.loss)
    return levels[-1][1] if levels else None


def hints(rows: Sequence[EpochRow], *, rate: float, chance: float, keeps_best: bool = False) -> tuple[Finding, ...]:
    """Return what the epochs of one fit say, the gravest first; nothing where they are as they should be.

    `rate` is the full rate of the fit's highest group, `chance` the loss of guessing in nats. With `keeps_best`
    over-fitting is no news: the weights from before it were kept.
    """
    if len(rows) < FEWEST_EPOCHS:
        return ()
    losses = [row.train_loss for row in rows]
    found = []
    if clearly_above(losses[-1], losses[0]):
        found.append(_rising(losses, rate))
    elif rises := _rises(rows):
        found.append(_jagged(rises, rate))
    elif losses[-1] > losses[0] * (1 - FALLEN_SHARE) and losses[-1] > chance / 2:
        found.append(_flat(losses, rate))
    if not keeps_best and (over := _over_fitting(rows)):
        found.append(over)
    return tuple(found[:MOST])


def hints_by_stage(rows: Sequence[EpochRow], *, chance: float) -> tuple[str, ...]:
    """Return sentences on the stages of a whole run, of which the best weights were kept."""
    found = []
    for stage in dict.fromkeys(row.stage for row in rows):
        of_stage = [row for row in rows if row.stage == stage]
        rate = max(max(row.rates) for row in of_stage)
        said = hints(of_stage, rate=rate, chance=chance, keeps_best=True)
        found += [f"{stage}: {finding.sentence}. {finding.advice}" for finding in said]
    return tuple(found)


def clearly_above(loss: float, before: float) -> bool:
    """Return whether a loss is above an earlier one by more than noise.

    >>> clearly_above(0.5, 0.4), clearly_above(0.42, 0.4), clearly_above(0.01, 0.001)
    (True, False, False)
    """
    return loss - before > max(CLEAR_SHARE * before, CLEAR_NATS)


def _rising(losses: Sequence[float], rate: float) -> Finding:
    return Finding(
        severity="warning",
        code="rate-too-high",
        fields={
            "first": losses[0],
            "last": losses[-1],
            "rate": rate_text(rate),
            "lower": rate_text(rate / 10),
        },
    )


def _rises(rows: Sequence[EpochRow]) -> list[EpochRow]:
    """Return the epochs with a clearly higher training loss than the one before; [] where they are few.

    Where the rate has gone up, a rise is what it is for.
    """
    pairs = list(pairwise(rows))
    found = [
        row
        for last, row in pairs
        if clearly_above(row.train_loss, last.train_loss) and max(row.rates) <= max(last.rates) * (1 + 1e-6)
    ]
    return found if len(found) >= max(2, len(pairs) / 3) else []


def _jagged(rises: Sequence[EpochRow], rate: float) -> Finding:
    return Finding(
        severity="note",
        code="jagged-loss",
        fields={"n": len(rises), "lower": rate_text(rate / 3)},
    )


def _flat(losses: Sequence[float], rate: float) -> Finding:
    return Finding(
        severity="note",
        code="flat-loss",
        fields={"first": losses[0], "last": losses[-1], "rate": rate_text(rate)},
    )


def _over_fitting(rows: Sequence[EpochRow]) -> Finding | None:
    """Evaluate the ends of cycles: the last two are clearly worse on validation than the best, and better on train."""
    cycles = [
        CycleEnd(epochs=row.epoch, train_loss=row.train_loss, valid_loss=loss)
        for row in rows
        if row.cycle_end and (loss := row.valid_loss if row.tempered_loss is None else row.tempered_loss) is not None
    ]
    if not over_fitting(cycles, patience=2):
        return None
    best = best_cycle(cycles)
    if not all(clearly_above(end.valid_loss, cycles[best].valid_loss) for end in cycles[-2:]):
        return None
    return Finding(
        severity="note",
        code="over-fitting",
        fields={
            "epoch": cycles[best].epochs,
            "first": cycles[best].valid_loss,
            "last": cycles[-1].valid_loss,
        },
    )
