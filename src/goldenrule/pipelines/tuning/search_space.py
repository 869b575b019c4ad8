"""What `goldenrule tune` tries: the settings of a trial, drawn one after another, and where each is worth drawing.

The linear head has no rate and no optimizer: what a trial does not need is not drawn, so that no noise is ranked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Protocol

import torch
from torch.nn.functional import cross_entropy

from goldenrule.metrics import Task

SPACE_VERSION = 1
"""Goes up when other settings are drawn: an earlier search can't be gone on with then."""

Drawn = Mapping[str, Any]
"""The settings of one trial, by name."""

FITTED = "fitted"
HEADS = (FITTED, "linear", "concat-pool")
AUGMENTATIONS = ("none", "basic", "side_on", "top_down", "trivial")
VIEWS = (1, 2, 4)
OPTIMIZERS = ("adamw", "adam", "sgd")
BATCH_SIZES = (16, 32, 64, 128, 256)
EPOCHS = (4, 8, 16, 32)
MIXUP = (0.0, 0.2, 0.4)
LOSSES = ("cross-entropy", "smoothed", "balanced", "focal")
LOSSES_OF_LABELS = ("cross-entropy", "smoothed")
SMOOTHING = 0.1
CALLED = {"late": "late layers", "whole": "whole network"}
LAYERS = tuple(CALLED)
LIVE_EPOCHS = (1, 2, 4)


class Setting(StrEnum):
    """All settings, in the order in which they are told; what they are called in files and on pages."""

    HEAD = "head"
    LAYERS = "layers"
    AUGMENT = "augment"
    VIEWS = "views"
    OPTIMIZER = "optimizer"
    RATE = "rate"
    WEIGHT_DECAY = "weight decay"
    BATCH_SIZE = "batch size"
    EPOCHS = "epochs"
    MIXUP = "mixup"
    LOSS = "loss"


NAMES = tuple(map(str, Setting))
FIRST_TRAINED: Drawn = {
    "head": "linear",
    "augment": "side_on",
    "views": 4,
    "optimizer": "adamw",
    "rate": 0.01,
    Setting.WEIGHT_DECAY: 0.01,
    Setting.BATCH_SIZE: 32,
    "epochs": 8,
    "mixup": 0.0,
    "loss": "cross-entropy",
}
"""A usual training, tried before anything is drawn at random."""
FIRST_LIVE: Drawn = {
    "layers": "late",
    "augment": "side_on",
    "rate": 3e-4,
    Setting.WEIGHT_DECAY: 0.01,
    "epochs": 4,
    "mixup": 0.4,
    "loss": "cross-entropy",
}
"""What the golden rule does to late layers of partly known pictures."""


class Draws(Protocol):
    """What draws settings: an Optuna trial, or whatever else has these two."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Draw one of the choices."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool) -> float:
        """Draw a number."""


def head_settings(draws: Draws, *, images: int, task: Task) -> Drawn:
    """Draw a head on the cache's rows of so many training images: fitted, or trained with all that belongs to it."""
    drawn: dict[str, Any] = {
        "head": draws.suggest_categorical("head", HEADS),
        "augment": draws.suggest_categorical("augment", AUGMENTATIONS),
    }
    if drawn["augment"] != "none":
        drawn["views"] = draws.suggest_categorical("views", VIEWS)
    if drawn["head"] == FITTED:
        return drawn
    fitting = [size for size in BATCH_SIZES if 2 * size <= images] or BATCH_SIZES[:1]
    return drawn | {
        "optimizer": draws.suggest_categorical("optimizer", OPTIMIZERS),
        "rate": draws.suggest_float("rate", 1e-4, 1.0, log=True),
        Setting.WEIGHT_DECAY: draws.suggest_float(Setting.WEIGHT_DECAY, 1e-5, 0.5, log=True),
        Setting.BATCH_SIZE: draws.suggest_categorical(Setting.BATCH_SIZE, fitting),
        "epochs": draws.suggest_categorical("epochs", EPOCHS),
        "mixup": draws.suggest_categorical("mixup", MIXUP),
        "loss": draws.suggest_categorical("loss", _losses(task)),
    }


def live_settings(draws: Draws, *, task: Task) -> Drawn:
    """Draw a training of late layers from the cache, or of the whole network, from the default head on."""
    return {
        "layers": draws.suggest_categorical("layers", LAYERS),
        "augment": draws.suggest_categorical("augment", AUGMENTATIONS),
        "rate": draws.suggest_float("rate", 1e-5, 3e-3, log=True),
        Setting.WEIGHT_DECAY: draws.suggest_float(Setting.WEIGHT_DECAY, 1e-4, 0.5, log=True),
        "epochs": draws.suggest_categorical("epochs", LIVE_EPOCHS),
        "mixup": draws.suggest_categorical("mixup", MIXUP),
        "loss": draws.suggest_categorical("loss", _losses(task)),
    }


def _losses(task: Task) -> tuple[str, ...]:
    return LOSSES if task == "single" else LOSSES_OF_LABELS


def focal(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return the cross-entropy of each example, times (1 - p)^2: what is nearly right counts little.

    Lin et al., "Focal loss for dense object detection", arXiv:1708.02002, with their gamma of 2.
    """
    losses = cross_entropy(logits, targets, reduction="none")
    return (1 - torch.exp(-losses)) ** 2 * losses


def described(drawn: Drawn) -> str:
    """Return settings in a line.

    >>> described({"head": "linear", "augment": "side_on", "views": 4, "rate": 0.01})
    'linear head, side_on, 4 views, rate 0.01'
    >>> described({"layers": "late", "augment": "none", "epochs": 4, "mixup": 0.4})
    'late layers, epochs 4, mixup 0.4'
    """
    words = [f"{drawn['head']} head" if "head" in drawn else CALLED[drawn["layers"]]]
    words += [drawn["augment"]] if drawn["augment"] != "none" else []
    words += [f"{drawn['views']} view{'s' * (drawn['views'] > 1)}"] if "views" in drawn else []
    return ", ".join([*words, *(_said(name, drawn[name]) for name in NAMES[4:] if drawn.get(name))])


def _said(name: str, value: Any) -> str:
    if name in ("optimizer", "loss"):
        return str(value)
    return f"{name} {value:.2g}" if isinstance(value, float) else f"{name} {value}"
