"""Which candidate stays: pure rules over out-of-fold or validation predictions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal

import numpy as np

from goldenrule.metrics import Comparison, Predictions, paired_bootstrap, quality, value_and_interval
from goldenrule.metrics.uncertainty.power import needed_text
from goldenrule.metrics.uncertainty.scaling import pooled_logits
from goldenrule.metrics.uncertainty.temperature import as_pairs, cautious_temperature

DomainShift = Literal["high", "moderate", "low"]
"""How far these pictures are from those the backbone was pretrained on, by what the linear head makes of them."""

NEEDED_PROBABILITY = 0.9
"""A later stage replaces an earlier one only at this one-sided probability of a lower log loss."""
LEAST_GAIN = 0.0005
"""So many nats a later stage gains at least: less is rounding."""
ROOM_ABOVE = 0.98
"""Out-of-fold accuracy from which on augmented views are not computed.

Here and below: multi-label: F1 averaged over images."""
HIGH_SHIFT_BELOW = 0.7
"""Out-of-fold accuracy of the linear head below which the domain shift is high."""
LOW_SHIFT_ABOVE = 0.95
"""Out-of-fold accuracy of the linear head above which the domain shift is low."""
GENTLE_RATE = 1e-4
"""The head's rate above which the whole network is not trained at low domain shift."""
MODERATE_SHIFT_RATE = 3e-4
"""The head's rate above which the late layers are not trained at moderate domain shift."""
SCRATCH_RATES = (1e-3, 3e-3)
"""The rates at which Adam and its kin train random weights with BatchNorms."""


class Trained(StrEnum):
    """What is trained beyond the linear head, as the candidates of a run are called."""

    HEAD = "trained head"
    LATE_LAYERS = "late layers"
    NETWORK = "whole network"
    FINE_TUNED = "fine-tuned network"
    FROM_SCRATCH = "trained from scratch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether the later of two candidates stays, and the paired comparison it rests on.

    `names` are those of the earlier and the later. What was `asked_for` is taken whatever the comparison says. Where
    the later is `as_cheap`, to fit and to predict with, it need not be clearly better: the one that seems better is
    taken.
    """

    names: tuple[str, str]
    comparison: Comparison
    tempered: bool = False
    asked_for: bool = False
    as_cheap: bool = False

    @property
    def needed(self) -> float:
        """In which share of the resamples the later has to be better."""
        return 0.5 if self.as_cheap else NEEDED_PROBABILITY

    @property
    def clear(self) -> bool:
        """Whether the later is better with the probability that is needed, by however little."""
        return self.comparison.probability_better >= self.needed

    @property
    def better(self) -> bool:
        """Whether the later is clearly better, and by enough to matter."""
        return self.clear and self.comparison.gain.value >= (0.0 if self.as_cheap else LEAST_GAIN)

    @property
    def replaced(self) -> bool:
        """Whether the later is taken."""
        return self.better or self.asked_for

    @property
    def compared(self) -> str:
        """What the comparison found, in words."""
        gain, change = self.comparison.gain, "lower"
        if gain.value < 0:
            change, gain = "higher", replace(gain, value=-gain.value, low=-gain.high, high=-gain.low)
        tempered = ", both as sure as these images allow" if self.tempered else ""
        return (
            f"{self.names[1]} against {self.names[0]}{tempered}: "
            f"log loss {change} by {value_and_interval(gain)} on "
            f"{gain.n:,} images, lower in {100 * self.comparison.probability_better:.1f} % of resamples "
            f"({100 * self.needed:.0f} % are needed){_but(self)}"
        )

    @property
    def why_not(self) -> str:
        """Why the later is not taken, in short: what was found, and what was needed."""
        gain, change = self.comparison.gain, "lower"
        if gain.value < 0:
            change, gain = "higher", replace(gain, value=-gain.value, low=-gain.high, high=-gain.low)
        found = f"log loss {change} by {value_and_interval(gain)} on {gain.n:,} images"
        if self.clear:
            return f"{found}, too little to matter"
        surely, needed = 100 * self.comparison.probability_better, 100 * self.needed
        return f"{found}, better in {surely:.0f} % of resamples where {needed:.0f} % are needed"

    @property
    def outcome(self) -> str:
        """Which of both is taken, in words."""
        return outcome_text(self.names, better=self.better, asked_for=self.asked_for)

    @property
    def sentence(self) -> str:
        """What the comparison found, and what came of it, in words."""
        return f"{self.compared}: {self.outcome}"


def outcome_text(names: tuple[str, str], *, better: bool, asked_for: bool) -> str:
    """Return which of an earlier and a later candidate is taken.

    >>> outcome_text(("linear head", "trained head"), better=False, asked_for=False)
    'linear head is kept'
    """
    earlier, later = names
    if asked_for:
        return f"{later} was asked for{'' if better else f'; goldenrule fit would keep the {earlier}'}"
    return f"{later} is selected" if better else f"{earlier} is kept"


def later_replaces(
    earlier: Predictions, later: Predictions, *, names: tuple[str, str], tempered: bool = False, as_cheap: bool = False
) -> Verdict:
    """Compare two candidates on the same images: the earlier stays unless the later is clearly better.

    One-sided paired bootstrap of the log loss, at least `NEEDED_PROBABILITY` and `LEAST_GAIN`; where `tempered`, as
    sure of themselves as these images allow (`as_sure_as_allowed`). Where the later is `as_cheap`, half of the
    resamples are enough.
    """
    if tempered:
        earlier, later = as_sure_as_allowed(earlier), as_sure_as_allowed(later)
    comparison = paired_bootstrap(earlier, later, metric="log_loss")
    return Verdict(names=names, comparison=comparison, tempered=tempered, as_cheap=as_cheap)


def on_common(one: Predictions, other: Predictions) -> tuple[Predictions, Predictions]:
    """Return two candidates' predictions of the images that both could read: files can change while a fit runs."""
    if one.ids == other.ids and np.array_equal(one.ok, other.ok):
        return one, other
    common = {name for name, ok in zip(one.ids, one.ok, strict=True) if ok}
    common &= {name for name, ok in zip(other.ids, other.ok, strict=True) if ok}
    first, second = (seen.select([name in common for name in seen.ids]) for seen in (one, other))
    return first, second


def _but(verdict: Verdict) -> str:
    """Return why a candidate that seems better is not selected: too little better, or too few images to tell."""
    comparison = verdict.comparison
    if verdict.clear and not verdict.better:
        return ", too little to matter"
    if verdict.better or comparison.gain.value <= 0 or comparison.better != "neither":
        return ""
    return f", tied{needed_text(comparison.images_needed, 'images')}"


def as_sure_as_allowed(seen: Predictions) -> Predictions:
    """Return the scored images' predictions with the logits divided by their `cautious_temperature`, 1 or more.

    Where nearly all are right, whatever is surer of itself has the lower log loss: that says nothing about the next
    image that is wrong (docs/decisions/0023).
    """
    scored = seen.scored
    logits = pooled_logits(scored)
    if scored.task == "multi":
        value = cautious_temperature(*as_pairs(logits, scored.truth.astype(np.int8)), least=1.0)
    else:
        value = cautious_temperature(logits, scored.truth.astype(np.int64), least=1.0)
    return replace(scored, logits=(logits / value)[:, np.newaxis].astype(np.float32))


def domain_shift(out_of_fold: Predictions) -> DomainShift:
    """Return how far such pictures are from the pretraining: by how many the linear head gets right, out-of-fold.

    The further they are from what it was trained with, the more it has to learn: higher rates pay, then also late
    BatchNorms that follow.
    """
    right = quality(out_of_fold).value
    return "high" if right < HIGH_SHIFT_BELOW else "low" if right > LOW_SHIFT_ABOVE else "moderate"


def late_rate(found: float, shift: DomainShift) -> float:
    """Return the rate for head and late layers where the finder suggests this one for a fresh head."""
    return found if shift == "high" else min(found, MODERATE_SHIFT_RATE)


def gentle(rate: float, out_of_fold: Predictions) -> float:
    """Return the rate at which the whole network is trained where the finder suggests this one.

    Where the linear head is nearly always right the backbone has little to learn and much to forget: higher rates make
    it worse on new pictures, which the training loss that the finder looks at does not show (docs/decisions/0021).
    """
    return min(rate, GENTLE_RATE) if domain_shift(out_of_fold) == "low" else rate


def rate_from_scratch(found: float, *, optimizer: str | None, normalised: bool) -> float:
    """Return the rate for random weights where the finder suggests this one; `optimizer` None is AdamW.

    Random weights behind BatchNorms (`normalised`) bear almost any rate for the steps of a range test, which then
    says little: for Adam and its kin the rate stays within `SCRATCH_RATES`, without BatchNorms below the highest of
    them (docs/decisions/0028).

    >>> rate_from_scratch(1e-5, optimizer=None, normalised=True)
    0.001
    >>> rate_from_scratch(.1, optimizer="adam", normalised=False)
    0.003
    >>> rate_from_scratch(.1, optimizer="sgd", normalised=True)
    0.1
    """
    if "adam" not in (optimizer or "adamw").lower():
        return found
    low, high = SCRATCH_RATES
    return min(max(found, low), high) if normalised else min(found, high)


def views_are_worth_it(out_of_fold: Predictions) -> bool:
    """Return whether augmented views could still gain something over the plain head.

    Not where the out-of-fold accuracy is `ROOM_ABOVE` or more: what is nearly always right
    does not get better by waiting five times as long.
    """
    return quality(out_of_fold).value < ROOM_ABOVE
