"""Whether a temperature, or multi-label: a line per label, mends the probabilities of a linear head.

Fitted out-of-fold, taken only where it helps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from goldenrule.core.schema import as_json
from goldenrule.metrics import Estimate, Predictions, brier_score, calibration_error, log_loss
from goldenrule.metrics.selection_rules import later_replaces
from goldenrule.metrics.uncertainty.scaling import (
    PlattScaling,
    Temperature,
    calibrated_by_fold,
    fit_platt,
    fit_temperature,
)
from goldenrule.models.heads import Head, LayeredHead

LOWEST = 0.75
"""Below this a temperature is not taken: it says that the folds' heads were not fitted to the end, as happens with few
images that are easily told apart. The head on all images is surer than they are, and would become far too sure."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Calibrated:
    """A temperature (multi-label: a line per label) that was tried, and what became of it.

    `before` are the predictions that it was fitted on, of the head as it was fitted, or of validation evaluated apart.
    """

    rule: Temperature | PlattScaling
    fitted_on: Literal["out-of-fold", "valid"]
    applied: bool
    why: str = ""
    before: Predictions | None = None

    @property
    def temperature(self) -> Temperature:
        """The temperature; multi-label: there is none."""
        assert isinstance(self.rule, Temperature)
        return self.rule

    @property
    def words(self) -> str:
        """Name what was tried."""
        return (
            "one line per label" if isinstance(self.rule, PlattScaling) else f"a temperature of {self.rule.value:.3g}"
        )


@as_json.register(Calibrated)
def _(value: Calibrated) -> dict[str, Any]:
    """Return the record that a classifier keeps of it."""
    rule = value.rule
    if isinstance(rule, PlattScaling):
        return {**as_json(rule), "fitted_on": value.fitted_on}
    return {"kind": "temperature", "temperature": rule.value, "fitted_on": value.fitted_on, "n": rule.n}


def calibrated_head(head: Head, out_of_fold: Predictions) -> tuple[Head, Predictions, Calibrated | None]:
    """Return the head, its out-of-fold predictions and what was tried: cooled by a temperature, or as they were.

    The temperature is fitted on all out-of-fold predictions. Whether it is taken is evaluated by folds: each fold at
    the temperature of the others, against as they are, by the rule of all later stages (`later_replaces`); one below
    `LOWEST` never is. Those fold by fold predictions are what the cooled head is evaluated on. Multi-label: it is a
    line per label, for linear heads. Nothing is tried on a single fold.
    """
    folds = out_of_fold.scored.fold
    if folds is None or len(np.unique(folds)) < 2:
        return head, out_of_fold, None
    if out_of_fold.task == "multi":
        return (
            _rescaled(head, out_of_fold)
            if isinstance(head, LayeredHead) and head.kind in ("linear", "root")
            else (head, out_of_fold, None)
        )
    temperature = fit_temperature(out_of_fold)
    by_fold = calibrated_by_fold(out_of_fold)
    names = ("the head as fitted", f"a temperature of {temperature.value:.3g}, evaluated by folds,")
    verdict = later_replaces(out_of_fold, by_fold, names=names)
    found = Calibrated(
        rule=temperature,
        fitted_on="out-of-fold",
        applied=verdict.replaced and temperature.value >= LOWEST,
        why=verdict.sentence if temperature.value >= LOWEST else f"{temperature.value:.3g} is below {LOWEST}",
        before=out_of_fold,
    )
    if not found.applied:
        return head, out_of_fold, found
    return head.with_temperature(temperature.value), by_fold, found


def _rescaled(head: LayeredHead, out_of_fold: Predictions) -> tuple[Head, Predictions, Calibrated | None]:
    lines = fit_platt(out_of_fold)
    by_fold = calibrated_by_fold(out_of_fold)
    verdict = later_replaces(
        out_of_fold, by_fold, names=("the head as fitted", "a line per label, evaluated by folds,")
    )
    found = Calibrated(
        rule=lines, fitted_on="out-of-fold", applied=verdict.replaced, why=verdict.sentence, before=out_of_fold
    )
    if not found.applied:
        return head, out_of_fold, found
    return head.rescaled(lines.slopes, lines.intercepts), by_fold, found


def calibrated_on_valid(temperature: float, seen: Predictions, before: Predictions | None = None) -> Calibrated | None:
    """Return the record of a temperature that `Learner.calibrate` has applied; None where it changed nothing.

    `before` is what would have been said without one, where each half of validation had a temperature of its own.
    """
    if temperature == 1:
        return None
    found = Temperature(value=temperature, n=len(seen.scored))
    return Calibrated(rule=found, fitted_on="valid", applied=True, before=before)


def undone(seen: Predictions, calibrated: Calibrated) -> Predictions:
    """Return what a classifier would have said without its temperature, or its lines."""
    rule = calibrated.rule
    if isinstance(rule, PlattScaling):
        lines = np.asarray(rule.intercepts, np.float32), np.asarray(rule.slopes, np.float32)
        return replace(seen, logits=((seen.logits - lines[0]) / lines[1]).astype(np.float32))
    return replace(seen, logits=(seen.logits * np.float32(rule.value)).astype(np.float32))


def measured(seen: Predictions) -> Mapping[str, Estimate]:
    """Return how far the probabilities of scored images are from what comes true."""
    error = (calibration_error(seen),) if seen.task == "single" else ()
    return {one.name: one for one in (*error, log_loss(seen), brier_score(seen))}
