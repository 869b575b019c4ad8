"""How fast this machine was, kept beside the caches so that plans can tell minutes."""

from __future__ import annotations

import contextlib

from goldenrule.core.errors import FormatError, StorageError
from goldenrule.engines import EngineKind
from goldenrule.models.backbone import BackboneSpec
from goldenrule.storage.cache_folder import cache_folder, read_cached, write_cached

ENOUGH_VIEWS = 100


def remember_speed(spec: BackboneSpec, kind: EngineKind, views: int, seconds: float) -> None:
    """Keep the views per second of a backbone on an engine, if there were enough to tell."""
    if views < ENOUGH_VIEWS:
        return
    with contextlib.suppress(StorageError):
        write_cached(cache_folder() / "speed.json", _speeds() | {_name(spec, kind): round(views / seconds, 1)})


def known_speed(spec: BackboneSpec, kind: EngineKind) -> float | None:
    """Return the views per second measured here last, None where nothing was measured."""
    speed = _speeds().get(_name(spec, kind))
    return float(speed) if isinstance(speed, int | float) else None


def remember_training_speed(spec: BackboneSpec, images: int, seconds: float) -> None:
    """Keep how many images per second the whole network was trained on here, if there were enough to tell."""
    if images >= ENOUGH_VIEWS:
        with contextlib.suppress(StorageError):
            write_cached(cache_folder() / "speed.json", _speeds() | {_training(spec): round(images / seconds, 1)})


def known_training_speed(spec: BackboneSpec) -> float | None:
    """Return the images per second of training the whole network, measured here last."""
    speed = _speeds().get(_training(spec))
    return float(speed) if isinstance(speed, int | float) else None


def _training(spec: BackboneSpec) -> str:
    return f"{spec.timm_name} at {spec.preprocessing.size} px, training"


def _speeds() -> dict[str, object]:
    try:
        return dict(read_cached(cache_folder() / "speed.json"))
    except (FormatError, TypeError, ValueError):
        return {}


def _name(spec: BackboneSpec, kind: EngineKind) -> str:
    return f"{spec.name} at {spec.preprocessing.size} px, {kind}"
