"""Which of several backbones to start from: a pure rule over the out-of-fold predictions of their linear heads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from goldenrule.core.schema import as_json, as_type, fields_as_json, reads
from goldenrule.metrics import Estimate, Predictions, log_loss, quality, with_class_thresholds
from goldenrule.metrics.selection_rules import later_replaces

Standing = Literal["best", "tie", "worse"]
"""Against the candidate with the lowest log loss: it is that, can't be told from it, or is clearly worse."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tried:
    """A backbone with the out-of-fold predictions of its linear head, and what it costs.

    `multiply_adds` are those of one picture through the backbone; `seconds` and `computed` what its features took now.
    """

    name: str
    out_of_fold: Predictions
    multiply_adds: int
    seconds: float
    computed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneScore:
    """A backbone's numbers, and how it stands against the best; `why` is the paired comparison in words."""

    name: str
    quality: Estimate  # accuracy; multi-label: F1 averaged over images
    log_loss: Estimate
    multiply_adds: int
    seconds: float
    computed: int
    standing: Standing
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneChoice:
    """The candidates, the cheapest first, and the one that is taken; evaluated on `images` of `of` training images."""

    chosen: str
    candidates: tuple[BackboneScore, ...]
    images: int
    of: int

    @property
    def sentence(self) -> str:
        """Return what was chosen, and how sure that is."""
        evaluated = next(one for one in self.candidates if one.name == self.chosen)
        others = [one for one in self.candidates if one.standing == "tie" and one is not evaluated]
        sample = f" {self.images:,} of {self.of:,}" if self.images < self.of else f" {self.images:,}"
        beside = ", ".join(one.name for one in self.candidates if one is not evaluated)
        if evaluated.standing == "best":
            more = "costs more" if len(others) == 1 else "cost more"
            ties = f" {_listed(others)} are tied with it and {more}." if others else ""
            return (
                f"{evaluated.name} is selected: the lowest out-of-fold log loss on{sample} images, beside {beside}."
                f"{ties}"
            )
        best = next(one for one in self.candidates if one.standing == "best")
        return (
            f"{evaluated.name} is selected: the cheapest that is tied with the best, {best.name}, out-of-fold on"
            f"{sample} images."
        )


@as_json.register(BackboneChoice)
def _(value: BackboneChoice) -> dict[str, Any]:
    return fields_as_json(value) | {"says": value.sentence}


@reads(BackboneChoice)
def _(value: Any) -> BackboneChoice:
    known = {name: field for name, field in value.items() if name != "says"}
    return as_type(known, BackboneChoice, what="this choice of a backbone")


def choose_backbone(tried: Sequence[Tried], *, of: int | None = None) -> BackboneChoice:
    """Return the cheapest candidate that can't be told from the best by the paired comparison of log losses.

    The best has the lowest log loss. A cheaper one is worse where the best would replace it (`later_replaces`, the rule
    by which every later candidate of a fit is taken), else the two are a tie. All were asked the same images.
    """
    order = sorted(tried, key=lambda one: (one.multiply_adds, one.name))
    losses = {one.name: log_loss(one.out_of_fold) for one in order}
    best = min(order, key=lambda one: losses[one.name].value)
    evaluated = []
    for one in order:
        standing: Standing = "best"
        why = ""
        if one is not best:
            verdict = later_replaces(one.out_of_fold, best.out_of_fold, names=(one.name, best.name))
            standing = "worse" if verdict.replaced else "tie"
            why = f"{verdict.compared}: {'better' if verdict.replaced else 'a tie'}"
        evaluated.append(
            BackboneScore(
                name=one.name,
                quality=quality(with_class_thresholds(one.out_of_fold)),
                log_loss=losses[one.name],
                multiply_adds=one.multiply_adds,
                seconds=round(one.seconds, 1),
                computed=one.computed,
                standing=standing,
                why=why,
            )
        )
    chosen = next(one for one in evaluated if one.standing != "worse")
    count = len(best.out_of_fold)
    return BackboneChoice(chosen=chosen.name, candidates=tuple(evaluated), images=count, of=of or count)


def _listed(others: Sequence[BackboneScore]) -> str:
    return " and ".join(one.name for one in others)
