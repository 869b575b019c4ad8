"""What classifier.json may hold, field by field: a file of a stranger can't say more than this."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from goldenrule.core.schema import Count, Name
from goldenrule.engines import EngineKind
from goldenrule.metrics import Task
from goldenrule.metrics.estimate import Basis
from goldenrule.models.backbone import BackboneSpec

SCHEMA_VERSION = 3
"""2: with a manifest."""

Object = dict[str, Any]


class ClassifierJson(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """All of a classifier but its arrays. What is an `Object` here is checked by the value that it becomes."""

    schema_version: Literal[3]
    task: Task
    classes: Annotated[tuple[Name, ...], msgspec.Meta(min_length=1, max_length=1_000_000)]
    backbone: BackboneSpec
    head: Name
    head_made_by: Object | None
    engine: EngineKind
    views: Annotated[list[Object], msgspec.Meta(min_length=1, max_length=10_000)]
    calibration: Object | None
    sets: Object | None
    thresholds: Object | None
    ood_detector: Object | None
    provenance: Object

    def __post_init__(self) -> None:
        """Raise `ValueError` for classes of one name."""
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("two classes have the same name")
        known = {name: self.provenance[name] for name in Provenance.__struct_fields__ if name in self.provenance}
        msgspec.convert(known, Provenance)


class Provenance(msgspec.Struct, kw_only=True):
    """What commands read of where a classifier comes from; all else in it is for people."""

    counts: dict[str, dict[str, Count]] = {}
    train_images: Count = 0
    fit_key: str = ""
    options: dict[str, str | int | float | bool | list[str] | dict[str, Any] | None] = {}


class OODDetectorJson(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The OOD detector beside its arrays."""

    false_positive_rate: Annotated[float, msgspec.Meta(gt=0, lt=1)]
    neighbour: Annotated[int, msgspec.Meta(ge=1, le=1_000)]
    basis: Basis
    references: Count
    n: Count
    rate: float
    threshold: float | None
