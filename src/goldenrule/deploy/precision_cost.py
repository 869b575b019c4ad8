"""What another precision costs: two files' predictions on the same images, with intervals and paired tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from goldenrule.core.schema import as_json
from goldenrule.metrics import Comparison, Estimate, McNemar, OODDetector, Predictions, mcnemar, paired_bootstrap
from goldenrule.metrics.estimate import value_and_interval
from goldenrule.metrics.headline import quality

NAMES = ("fp32", "int8")


@dataclass(frozen=True, slots=True, kw_only=True)
class PrecisionCost:
    """int8 beside fp32: the accuracy (multi-label: F-beta) of both, and by how much int8 is better or worse.

    `right` is None where images have several labels, `flagged`, the shares called out-of-distribution, without an OOD
    detector.
    """

    quality: tuple[Estimate, Estimate]
    gains: Mapping[str, Comparison]
    right: McNemar | None
    flagged: tuple[Estimate, Estimate] | None

    @property
    def worse(self) -> tuple[str, ...]:
        """In what int8 is worse by more than chance."""
        worse = {name for name, one in self.gains.items() if one.better == "a"}
        if self.right and self.right.better == "a":
            worse.add("accuracy")
        return tuple(sorted(worse))

    @property
    def sentence(self) -> str:
        """By how much int8 differs, and whether that may be chance."""
        changes = {"log loss": _negative(self.gains["log loss"].gain)}
        if "accuracy" in self.gains:
            changes = {"accuracy": self.gains["accuracy"].gain, **changes}
        said = [f"{name} changes by {value_and_interval(change)}" for name, change in changes.items()]
        chance = f", McNemar p = {self.right.p_value:.2g}" if self.right else ""
        verdict = f"{' and '.join(self.worse)} worse by more than chance" if self.worse else "no loss beyond chance"
        return f"int8 against fp32: {' and '.join(said)} on {changes['log loss'].n:,} images{chance}: {verdict}"


@as_json.register(PrecisionCost)
def _(value: PrecisionCost) -> Any:
    return as_json(
        {
            "quality": dict(zip(NAMES, value.quality, strict=True)),
            "gains": {name: one.gain for name, one in value.gains.items()},
            "p_value": value.right.p_value if value.right else None,
            "flagged": dict(zip(NAMES, value.flagged, strict=True)) if value.flagged else None,
            "worse": value.worse,
            "sentence": value.sentence,
        }
    )


def _negative(gain: Estimate) -> Estimate:
    """Return a gain as a change of what is better where it is lower."""
    return replace(gain, value=-gain.value, low=-gain.high, high=-gain.low)


def precision_cost(before: Predictions, after: Predictions, detector: OODDetector | None) -> PrecisionCost | None:
    """Return what int8 (`after`) costs beside fp32 (`before`) on the same images; None of fewer than two."""
    if len(before.scored) < 2:
        return None
    single = before.task == "single"
    gains = {"log loss": paired_bootstrap(before, after, metric="log_loss")}
    if single:
        gains["accuracy"] = paired_bootstrap(before, after, metric="accuracy")
    return PrecisionCost(
        quality=(quality(before), quality(after)),
        gains=gains,
        right=mcnemar(before, after) if single else None,
        flagged=(detector.flagged(before), detector.flagged(after)) if detector else None,
    )
