"""`LearnerState`: where a training run stands, an immutable value."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from goldenrule.models.backbone import Backbone
from goldenrule.models.heads import Head
from goldenrule.models.trainable import GROUPS, BatchNormFrozen
from goldenrule.runs.history import History
from goldenrule.storage.files import json_digest
from goldenrule.training.diagnostics import Level
from goldenrule.training.snapshots import Snapshots

HEAD = GROUPS.index("head")


@dataclass(frozen=True, slots=True, eq=False)
class Standing:
    """How good certain weights are on validation; `level` is None for a head that has learned nothing yet."""

    backbone: Backbone
    head: Head
    level: Level | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LearnerState:
    """Weights and settings, and the key: the hash of all that led here (law 7).

    Groups before `first_trained` are frozen. `start` holds the weights before the last fit, `ends` those at the ends
    of its cycles. `standing` is what is known of the weights that the last fit left; those of now may be others.
    `out_of_time`: whether the last fit was ended by a clock.
    """

    key: str
    backbone: Backbone
    head: Head
    first_trained: int = HEAD
    precompute: bool = False
    bn_frozen: BatchNormFrozen = "all"
    epochs: int = 0
    history: History = field(default_factory=History)
    start: tuple[Backbone, Head] | None = None
    ends: Snapshots = field(default_factory=Snapshots)
    standing: Standing | None = None
    out_of_time: bool = False

    @property
    def frozen_backbone(self) -> bool:
        """Whether only the head is trained."""
        return self.first_trained >= HEAD

    @property
    def is_known(self) -> bool:
        """Whether `standing` is that of the weights of now."""
        return self.standing is not None and (
            self.standing.backbone is self.backbone and self.standing.head is self.head
        )

    def after(self, verb: str, arguments: dict[str, Any], **changes: Any) -> LearnerState:
        """Return the state after a verb: other settings, another key."""
        return replace(self, key=next_key(self.key, verb, arguments), **changes)


def next_key(key: str, verb: str, arguments: dict[str, Any]) -> str:
    """Return the key after a verb; each verb has a version that changes with what it computes."""
    return json_digest({"before": key, "verb": verb, "version": VERSIONS[verb], "arguments": arguments})


VERSIONS = {
    "start": 2,
    "fit": 3,
    "out of time": 1,
    "lr_find": 1,
    "blend": 2,
    "calibrate": 1,
    "crossed": 1,
    "freeze_to": 2,
    "precompute": 1,
    "bn_freeze": 2,
    "set_size": 1,
    "load": 2,
    "back_to": 1,
    "soup": 1,
}
