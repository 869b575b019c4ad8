"""A fit from its first step to its last: the loop, validation at every epoch's end, checkpoints, stopping."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

import torch

from goldenrule.core.interrupts import HeldBack, Interrupted, held_back
from goldenrule.core.progress import Progress, Silent
from goldenrule.models.network import State, between, copied, lent, move
from goldenrule.runs.history import EpochRow
from goldenrule.training import checkpoint as saving
from goldenrule.training.checkpoint import Checkpoint
from goldenrule.training.early_stopping import CycleEnd, converged, kept_cycle, over_fitting
from goldenrule.training.inputs.batches import Source, Validate, ValidationLogits, ValidationResult, steps_per_epoch
from goldenrule.training.loop import (
    EpochEnded,
    Position,
    StepEnded,
    optimizer_for,
    train,
)
from goldenrule.training.loss import Objective
from goldenrule.training.lr_finder import RangeTest, blown_up, read_curve, rising_rates, smoothing
from goldenrule.training.runtime import Runtime
from goldenrule.training.schedule import Rising, Schedule

Keep = Literal["last", "best"]
Stopped = Literal["", "over-fitting", "converged", "out of time", "diverged"]
CHECKPOINT_SECONDS = 120.0


class StoppedBy(StrEnum):
    """Who ended a fit, where more than one file asks: "out of time" is what a clock says."""

    CLOCK = "out of time"


BEST, MEAN, MOVING = 0, 1, 2
"""Snapshots: keep="best" needs the best weights so far and the mean of the weights at all ends of cycles, `ema` the
moving average."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Fit:
    """What is trained, on what, how: all that decides the outcome, and where to keep checkpoints.

    `groups` are the parameters of the layer groups, `rates` their full rates; `first_epoch` counts the epochs
    of the run before this fit. `until_over_fitting` ends it at the end of the cycle that confirms it
    (a number: the last of so many in a row),
    `until_converged` where the validation loss has not fallen for so many epochs (0: never). `on_cycle` hears the
    number of every cycle that ends, from 1, with the network as it is kept then; `on_saved` that of every epoch of the
    run, from 1, when its checkpoint is written, and again where a killed fit goes on from there. With `ema` (.99,
    say) what is validated and kept is the moving average of the weights: after each step
    average = ema * average + (1 - ema) * weights (Polyak and Juditsky 1992). `measure` gives the user's own metrics of
    what was seen on validation.
    """

    network: torch.nn.Module
    groups: Sequence[Sequence[torch.nn.Parameter]]
    source: Source
    validate: Validate | None
    measure: Callable[[ValidationLogits], Mapping[str, float]] = field(default=lambda _: {})
    rates: Sequence[float]
    schedule: Schedule
    seed: int
    runtime: Runtime
    stage: str
    first_epoch: int = 0
    optimizer: str = "adamw"
    weight_decay: float | Sequence[float] = 0.01
    keep: Keep = "last"
    until_over_fitting: bool | int = False
    until_converged: int = 0
    on_cycle: Callable[[int], None] = field(default=lambda _: None)
    on_saved: Callable[[int], None] = field(default=lambda _: None)
    objective: Objective = field(default_factory=Objective)
    ema: float = 0.0
    clip_norm: float | None = None
    accumulate: int = 1
    checkpoint: Path | None = None
    out_of_time: Callable[[EpochRow], bool] = field(default=lambda _: False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """What a fit gave; the network has the kept weights. `stopped` says why it ended before its last epoch.

    Where the loss became no number ("diverged") those are the best cycle's, else the weights of the start.
    `averaged` counts the ends of cycles whose weights' mean was kept, 0 where it was not the mean. `seen` is
    what the network said on validation after every epoch.
    """

    rows: tuple[EpochRow, ...]
    cycles: tuple[CycleEnd, ...]
    averaged: int = 0
    stopped: Stopped = ""
    seen: tuple[ValidationLogits, ...] = ()


def run(fit: Fit, *, on_epoch: Callable[[EpochRow], None] | None = None, progress: Progress | None = None) -> Fitted:
    """Train; go on from the checkpoint if there is one. The result does not depend on where it was killed.

    Ctrl-C and SIGTERM let the step come to its end, and the checkpoint be written.
    """
    progress = progress or Silent()
    optimizer = optimizer_for(fit.groups, fit.optimizer, weight_decay=fit.weight_decay)
    first = copied(fit.network)
    before = saving.load(fit.checkpoint, progress.say, network=first) if fit.checkpoint else None
    rows, seen, cycles, snapshots = _restored(fit, before, optimizer)
    start = place = before.position if before else Position()
    for row in rows:
        _tell(on_epoch, row)
    stopped = _why_stopped(fit, cycles, rows)
    if fit.ema:
        snapshots.setdefault(MOVING, copied(fit.network))
    if start.epoch and not start.step:
        _tell_saved(fit, start, snapshots)
    saved = time.monotonic()

    def save(position: Position) -> None:
        if fit.checkpoint:
            state = Checkpoint(
                position=position,
                network=copied(fit.network),
                optimizer=saving.optimizer_tensors(optimizer),
                rows=tuple(rows),
                seen=tuple(seen),
                cycles=tuple(cycles),
                snapshots=snapshots,
            )
            saving.save(fit.checkpoint, state)

    def stop(held: HeldBack) -> None:
        save(place)
        if fit.checkpoint:
            progress.say(f"{fit.stage}: saved in epoch {fit.first_epoch + place.epoch + 1}, after step {place.step}.")
        held.deliver()

    def evaluated(event: EpochEnded, held: HeldBack) -> ValidationResult | None:
        try:
            with lent(fit.network, snapshots.get(MOVING)), held.at_once():
                return _validated(fit)
        except Interrupted:
            stop(held)
            return evaluated(event, held)  # whoever was told lets it go on

    going_on = not stopped and len(rows) < fit.schedule.epochs
    remaining = (fit.schedule.epochs - start.epoch) * steps_per_epoch(fit.source) - start.step
    with (
        progress.task("train", remaining if going_on else 0, "batches") as task,
        held_back() as held,
        contextlib.closing(_events(fit, optimizer, start)) as events,
    ):
        for event in events if going_on else ():
            if isinstance(event, StepEnded):
                task.advance()
                place = event.position
                if fit.ema:
                    move(snapshots[MOVING], fit.network, 1 - fit.ema)
                if held:
                    stop(held)
                elif time.monotonic() - saved > CHECKPOINT_SECONDS:
                    save(place)
                    saved = time.monotonic()
                continue
            if not math.isfinite(event.train_loss):
                stopped = "diverged"
                break
            valid = evaluated(event, held)
            if valid and not math.isfinite(valid.loss):
                stopped = "diverged"
                break
            rows.append(row := _row(fit, event, valid))
            seen += [valid.seen] if valid else []
            if row.cycle_end:
                with lent(fit.network, snapshots.get(MOVING)):
                    _end_cycle(fit, event, row, cycles, snapshots)
            place = Position(epoch=event.epoch + 1)
            save(place)
            _tell_saved(fit, place, snapshots)
            saved = time.monotonic()
            _tell(on_epoch, row)
            if stopped := _why_stopped(fit, cycles, rows):
                break
    averaged = 0
    if fit.keep == "best" and cycles:
        best = kept_cycle(cycles)
        averaged = (best + 1) * cycles[best].mean_is_better
        fit.network.load_state_dict(snapshots[BEST])
    elif stopped == "diverged":
        fit.network.load_state_dict(first)
    elif fit.ema:
        fit.network.load_state_dict(snapshots[MOVING])
    return Fitted(rows=tuple(rows), cycles=tuple(cycles), averaged=averaged, stopped=stopped, seen=tuple(seen))


def find_rate(fit: Fit, *, steps: int, lowest: float, highest: float, progress: Progress | None = None) -> RangeTest:
    """Raise the rate at every step and watch the loss; `fit.network` is changed: give a copy (law 4).

    The highest of `fit.rates` becomes the rate that rises, the others keep their ratio to it. Several passes
    are made where an epoch has fewer batches.
    """
    ratio = tuple(rate / max(fit.rates) for rate in fit.rates)
    factors = rising_rates(steps, lowest=lowest, highest=highest)
    schedule = Rising(factors=factors, steps_per_epoch=steps_per_epoch(fit.source))
    test = replace(fit, rates=ratio, schedule=schedule)
    optimizer = optimizer_for(fit.groups, fit.optimizer, weight_decay=fit.weight_decay)
    losses: list[float] = []
    with (
        (progress or Silent()).task("lr_find", steps, "batches") as task,
        contextlib.closing(_events(test, optimizer, Position())) as events,
    ):
        for event in events:
            if isinstance(event, StepEnded):
                losses.append(event.loss)
                task.advance()
                if len(losses) == steps or blown_up(losses, smoothing(steps)):
                    break
    return read_curve(factors[: len(losses)], losses, ratio=ratio)


def _events(fit: Fit, optimizer: torch.optim.Optimizer, start: Position) -> Generator[StepEnded | EpochEnded]:
    """Return the events of training this fit; whoever stops asking for them closes the iterator."""
    how: dict[str, Any] = {
        "rates": _trained_rates(fit),
        "schedule": fit.schedule,
        "steps_per_epoch": steps_per_epoch(fit.source),
        "seed": fit.seed,
        "start": start,
        "first_epoch": fit.first_epoch,
        "objective": fit.objective,
        "clip_norm": fit.clip_norm,
        "accumulate": fit.accumulate,
    }
    source = fit.runtime.part_of(fit.source)
    with fit.runtime.leading(fit.network, optimizer, fit.source, fit.validate, how):
        yield from train(fit.network, optimizer, source.batches, runtime=fit.runtime, **how)


def _trained_rates(fit: Fit) -> list[float]:
    """Return the rates of the groups that have parameters to train."""
    trained = (any(parameter.requires_grad for parameter in group) for group in fit.groups)
    return [rate for rate, trains in zip(fit.rates, trained, strict=True) if trains]


def _validated(fit: Fit) -> ValidationResult | None:
    return fit.runtime.evaluate(fit.network, fit.validate) if fit.validate else None


def _row(fit: Fit, event: EpochEnded, evaluated: ValidationResult | None) -> EpochRow:
    return EpochRow(
        stage=fit.stage,
        epoch=fit.first_epoch + event.epoch + 1,
        train_loss=event.train_loss,
        valid_loss=evaluated and evaluated.loss,
        accuracy=evaluated and evaluated.accuracy,
        rates=event.rates,
        cycle_end=event.epoch + 1 in fit.schedule.cycle_ends,
        tempered_loss=evaluated and evaluated.tempered_loss,
        metrics=fit.measure(evaluated.seen) if evaluated else {},
    )


def _end_cycle(fit: Fit, event: EpochEnded, row: EpochRow, cycles: list[CycleEnd], snapshots: dict[int, State]) -> None:
    """Note the end of a cycle; with keep="best" keep what validates best, its weights or the mean of all ends.

    The mean: Izmailov et al., "Averaging weights leads to wider optima", arXiv:1803.05407.
    """
    fit.on_cycle(fit.schedule.cycle_ends.index(event.epoch + 1) + 1)
    if row.tempered_loss is None or fit.validate is None:
        return
    end = CycleEnd(epochs=event.epoch + 1, train_loss=row.train_loss, valid_loss=row.tempered_loss)
    if fit.keep == "best":
        weights = mean = copied(fit.network)
        if cycles:
            mean = between(snapshots[MEAN], weights, 1 / (len(cycles) + 1))
            fit.network.load_state_dict(mean)
            end = replace(end, mean_loss=fit.runtime.evaluate(fit.network, fit.validate).tempered_loss)
            fit.network.load_state_dict(weights)
        if kept_cycle([*cycles, end]) == len(cycles):
            snapshots[BEST] = mean if end.mean_is_better else weights
        snapshots[MEAN] = mean
    cycles.append(end)


def _restored(
    fit: Fit, before: Checkpoint | None, optimizer: torch.optim.Optimizer
) -> tuple[list[EpochRow], list[ValidationLogits], list[CycleEnd], dict[int, State]]:
    if before is None:
        return [], [], [], {}
    fit.network.load_state_dict(before.network)
    saving.restore_optimizer(optimizer, before.optimizer)
    rows = list(before.rows)
    if before.seen:
        rows = [replace(row, metrics=fit.measure(outputs)) for row, outputs in zip(rows, before.seen, strict=True)]
    return rows, list(before.seen), list(before.cycles), dict(before.snapshots)


def _why_stopped(fit: Fit, cycles: Sequence[CycleEnd], rows: Sequence[EpochRow]) -> Stopped:
    if len(rows) >= fit.schedule.epochs:
        return ""
    if (
        fit.until_over_fitting
        and rows
        and rows[-1].cycle_end
        and over_fitting(cycles, patience=int(fit.until_over_fitting))
    ):
        return "over-fitting"
    if fit.until_converged and rows and rows[-1].cycle_end and converged(cycles, epochs=fit.until_converged):
        return "converged"
    if rows and fit.out_of_time(rows[-1]):
        return "out of time"
    return ""


def _tell_saved(fit: Fit, place: Position, snapshots: Mapping[int, State]) -> None:
    with lent(fit.network, snapshots.get(MOVING)):
        fit.on_saved(fit.first_epoch + place.epoch)


def _tell(on_epoch: Callable[[EpochRow], None] | None, row: EpochRow) -> None:
    if on_epoch:
        on_epoch(row)
