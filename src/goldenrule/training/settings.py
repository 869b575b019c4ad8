"""`Settings`: how all fits of a run train, checked at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from goldenrule.core.errors import OptionError
from goldenrule.core.schema import as_json
from goldenrule.models.trainable import GROUPS
from goldenrule.runs.optimizers import optimizer_class
from goldenrule.training.custom_metrics import Metrics
from goldenrule.training.loss import CustomLoss


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Optimizer, decay (one, or one per group), a loss of one's own, clipping, in how many parts a batch comes.

    `metrics` are only looked at: they decide nothing.
    """

    optimizer: str
    weight_decay: float | Sequence[float]
    loss: CustomLoss | None
    clip_norm: float | None
    accumulate: int
    metrics: Metrics = field(default_factory=dict)

    def __post_init__(self) -> None:
        optimizer_class(self.optimizer)
        decays = self.weight_decay if isinstance(self.weight_decay, Sequence) else [self.weight_decay]
        if len(decays) not in (1, len(GROUPS)) or not all(0 <= decay < 1 for decay in decays):
            groups = ", ".join(GROUPS)
            raise OptionError(f"weight_decay={self.weight_decay}: wanted 0 to 1, one or one per group: {groups}.")
        if self.clip_norm is not None and not 0 < self.clip_norm < math.inf:
            raise OptionError(f"clip_norm={self.clip_norm}: wanted the longest gradient, above 0; 1 is usual.")
        if self.accumulate < 1:
            raise OptionError(f"accumulate={self.accumulate}: wanted in how many parts a batch is computed, 1 or more.")


@as_json.register(Settings)
def _(value: Settings) -> dict[str, Any]:
    """Return what decides what is learned: whether a decay is written 0 or 0.0 does not."""
    known = {field.name: getattr(value, field.name) for field in fields(value) if field.name != "metrics"}
    return {**as_json(known), "weight_decay": plain(value.weight_decay)}


def plain(rates: float | Sequence[float]) -> float | list[float]:
    """Return one number, or one per group, as JSON has them."""
    return list(map(float, rates)) if isinstance(rates, Sequence) else float(rates)
