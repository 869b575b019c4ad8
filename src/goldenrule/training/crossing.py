"""Validation evaluated on what had no say in it: each half is predicted by what was chosen on the other half.

Cycle, share of the blend and temperature of a trained network are chosen by its loss on validation. On the same images
that loss is too low, the more so the more is chosen among (Cawley and Talbot 2010, "On over-fitting in model
selection", JMLR 11:2079-2107). So the choice is made on each half alone, and scored on the other half. What is saved is
chosen on all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch

from goldenrule.core.errors import FormatError, OptionError, SourceError
from goldenrule.core.schema import as_type
from goldenrule.data.splits.evaluated_classes import NOT_EVALUATED
from goldenrule.data.splits.folds import evaluation_folds
from goldenrule.data.table import LabelledTable
from goldenrule.data.units import duplicate_units
from goldenrule.metrics import Predictions
from goldenrule.metrics.estimate import Basis
from goldenrule.metrics.uncertainty.temperature import as_pairs, best_temperature
from goldenrule.models.backbone import Backbone
from goldenrule.models.heads import Head
from goldenrule.models.network import State, between, copied
from goldenrule.models.trainable import tensors_of
from goldenrule.runs.store import Outcome
from goldenrule.storage.tensors import Array, check_arrays
from goldenrule.training.averaging import back_to
from goldenrule.training.fitting import Keep
from goldenrule.training.inputs.batches import Validate
from goldenrule.training.state import LearnerState, next_key
from goldenrule.training.verb_runner import VerbRunner

FEWEST_VALID = 8
"""Of fewer validation images a half chooses nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What one half of validation chose: the end of a cycle (0: the end of the fit) or the mean of ends up to it.

    `share` is the share of the way from the weights before the fit, `temperature` what logits are divided by.
    """

    cycle: int
    mean: bool
    share: float
    temperature: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Crossed:
    """Predictions on validation, each half by what the other half chose, with and `before` the temperatures.

    `halves` (n,): the half of each image. `network(half)` is the network that predicts it.
    """

    predictions: Predictions
    before: Predictions
    halves: npt.NDArray[np.int64]
    choices: tuple[Chosen, Chosen]
    network: Callable[[int], tuple[Backbone, Head]]


def crossed(
    runner: VerbRunner, state: LearnerState, *, shares: Sequence[float], keep: Keep, temper: bool
) -> Crossed | None:
    """Return validation evaluated apart, after a fit and before its blend; the state stays as it is.

    `shares` are those that a blend would choose among, `keep` is that of the fit. None for fewer than eight labelled
    validation images, or where all are of one group. Raises `OptionError` before a fit.
    """
    valid = runner.data.split("valid")
    if len(valid) < FEWEST_VALID:
        return None
    if state.start is None:
        raise OptionError("crossed() evaluates what a fit has learned: fit() first.")
    halves = dealt_halves(valid, seed=runner.data.seed)
    if halves.min() == halves.max():
        return None
    arguments = {"shares": list(shares), "keep": keep, "temper": temper}
    key = next_key(state.key, "crossed", arguments)
    evaluate = _Validation(runner, state, valid)

    def compute() -> Outcome:
        seen = {place: evaluate.logits(weights) for place, weights in evaluate.ends(keep)}
        logits = np.empty((len(valid), len(valid.classes)), np.float32)
        choices = []
        for half in (0, 1):
            chosen, said = evaluate.chosen(seen, halves == half, shares, temper=temper)
            choices.append(asdict(chosen))
            logits[halves != half] = said[halves != half]
        return Outcome({"logits": logits}, {"choices": choices})

    def check(kept: Outcome) -> None:
        wanted = {"logits": Array((len(valid), len(valid.classes)), missing=True)}
        check_arrays(kept.tensors, wanted, what="what was evaluated apart")
        first, second = (as_type(choice, Chosen, what="the choice of a half") for choice in kept.facts["choices"])
        if not all(0 <= choice.share <= 1 and 0 < choice.temperature < math.inf for choice in (first, second)):
            raise FormatError("The choices of the halves can't be read.")

    outcome = runner.outcome(key, "evaluated apart", compute, check=check)
    choices = tuple(Chosen(**choice) for choice in outcome.facts["choices"])
    before = outcome.tensors["logits"]
    there = np.asarray(~np.isnan(before).any(axis=1))
    if not there.all():  # files can change while a fit runs
        valid, halves, before = valid.where(there), halves[there], before[there]
    by = np.array([choice.temperature for choice in choices], np.float32)[1 - halves]

    def said(logits: npt.NDArray[np.float32]) -> Predictions:
        return Predictions.from_logits(
            logits, valid.classes, truth=valid.truth, ids=valid.uris, task=valid.task, basis=Basis.USED_FOR_SELECTION
        )

    return Crossed(
        predictions=said((before / by[:, np.newaxis]).astype(np.float32)),
        before=said(before),
        halves=halves,
        choices=(choices[0], choices[1]),
        network=lambda half: evaluate.network(choices[1 - half], keep),
    )


def dealt_halves(valid: LabelledTable, *, seed: int) -> npt.NDArray[np.int64]:
    """Return the half (n,) of each image, 0 or 1: classes spread evenly, what belongs together in one.

    The only unit of a class can be in either: its network has learned the class from train.
    """
    halves = evaluation_folds(valid, 2, seed=seed)
    units = duplicate_units(valid)
    alone = dict.fromkeys(unit for unit, half in zip(units, halves.tolist(), strict=True) if half == NOT_EVALUATED)
    for unit in alone:
        rows = [row for row, digest in enumerate(units) if digest == unit]
        halves[rows] = int((halves == 0).sum() > (halves == 1).sum())
    return halves


class _Validation:
    """The networks that could have been chosen after a fit, and what they say of validation."""

    def __init__(self, runner: VerbRunner, state: LearnerState, valid: LabelledTable) -> None:
        self.runner, self.state, self.truth = runner, state, valid.truth
        self._blends: dict[tuple[tuple[int, bool], float], npt.NDArray[np.float32]] = {}

    @cached_property
    def _validate(self) -> Validate | None:
        return self.runner.data.validation(self.state)

    @cached_property
    def _module(self) -> torch.nn.Module:
        return self.runner.network(self.state)

    @cached_property
    def _first(self) -> State:
        """The weights before the fit."""
        assert self.state.start is not None
        backbone, head = self.state.start
        return copied(self.runner.network(replace(self.state, backbone=backbone, head=head)))

    def ends(self, keep: Keep) -> Iterator[tuple[tuple[int, bool], State]]:
        """Yield the weights at the ends of cycles and their means so far, or those at the end of the fit."""
        if keep != "best" or not self.state.ends.cycles:
            yield (0, False), copied(self.runner.network(self.state))
            return
        mean: State | None = None
        for number in self.state.ends.cycles:
            weights = copied(self.runner.network(back_to(self.runner, self.state, number)))
            yield (number, False), weights
            if number == 1:
                mean = weights
            elif mean is not None:
                mean = between(mean, weights, 1 / number)
                yield (number, True), mean

    def logits(self, weights: State) -> npt.NDArray[np.float32]:
        """Return what a network says of validation, (n, classes); nan of images that can't be read any more."""
        assert self._validate is not None
        self._module.load_state_dict(weights)
        evaluated = self._validate(self._module)
        logits = np.full((len(self.truth), evaluated.seen.logits.shape[1]), np.nan, np.float32)
        logits[slice(None) if evaluated.rows is None else evaluated.rows] = evaluated.seen.logits
        return logits

    def chosen(
        self,
        seen: dict[tuple[int, bool], npt.NDArray[np.float32]],
        rows: npt.NDArray[np.bool_],
        shares: Sequence[float],
        *,
        temper: bool,
    ) -> tuple[Chosen, npt.NDArray[np.float32]]:
        """Return what these rows (n,) choose, and what it says of all of them."""
        place = min(seen, key=lambda one: self._loss(seen[one], rows)[1])
        keep: Keep = "best" if place[0] else "last"
        last = next(weights for one, weights in self.ends(keep) if one == place)
        for share in shares:
            if (place, share) not in self._blends:  # both halves often choose the same end
                self._blends[place, share] = (
                    seen[place] if share == 1 else self.logits(between(self._first, last, share))
                )
        blends = {share: self._blends[place, share] for share in shares}
        share = min(blends, key=lambda one: self._loss(blends[one], rows)[1])
        temperature = self._loss(blends[share], rows)[0] if temper else 1.0
        return Chosen(cycle=place[0], mean=place[1], share=share, temperature=temperature), blends[share]

    def network(self, chosen: Chosen, keep: Keep) -> tuple[Backbone, Head]:
        """Return the network of a choice, its logits at its temperature."""
        last = next(weights for one, weights in self.ends(keep) if one == (chosen.cycle, chosen.mean))
        self._module.load_state_dict(between(self._first, last, chosen.share))
        backbone, head = self.runner.weights(self.state, Outcome(tensors_of(self._module, self.state.head), {}))
        return backbone, head.with_temperature(chosen.temperature)

    def _loss(self, logits: npt.NDArray[np.float32], rows: npt.NDArray[np.bool_]) -> tuple[float, float]:
        rows = rows & ~np.isnan(logits).any(axis=1)
        if not rows.any():
            raise SourceError("No image of one half of validation can be read any more. Bring them back, and go on.")
        scores, truth = logits[rows].astype(np.float64), self.truth[rows]
        shown = (scores, truth.astype(np.int64)) if truth.ndim == 1 else as_pairs(scores, truth.astype(np.int8))
        return best_temperature(*shown)
