"""The loss of a batch, and what is done to its examples so that they are not learned by heart."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, logsigmoid

from goldenrule.core.errors import OptionError
from goldenrule.core.functions import function_key, function_name
from goldenrule.core.schema import as_json

MOST_MIXUP = 10.0
ASYMMETRIC_MARGIN, ASYMMETRIC_FOCUS = 0.05, 4


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """A global batch: inputs (batch, ...), targets and what each counts (batch,).

    Targets are class numbers (batch,), or multi-label: 0 and 1 for each (batch, classes).
    """

    inputs: torch.Tensor
    targets: torch.Tensor
    weights: torch.Tensor


@dataclass(frozen=True, slots=True)
class CustomLoss:
    """A user's function (logits (batch, classes), targets) -> losses (batch,), and the key it is known by.

    Targets are class numbers (batch,), or multi-label: 0 and 1 (batch, classes).
    Without a key nothing that was trained by it can be found again: it may have changed since.
    """

    function: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    key: str | None

    @classmethod
    def of(cls, function: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], key: str | None = None) -> CustomLoss:
        """Name a function by its source, or by `key`; `OptionError` for what is no function."""
        return cls(function, key or function_key(function))

    @property
    def untold(self) -> str:
        """Return a warning that what is trained by a function without a key is not kept; "" where there is a key."""
        if self.key:
            return ""
        return (
            f"The loss {function_name(self.function)} can't be told from a changed version of itself (no source, "
            "or a value that is no plain JSON): nothing trained by it is kept, and the next time all is done again. "
            'loss_key="my-loss-v1" would keep it.'
        )

    def __call__(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the losses; `OptionError` where the function gives something else."""
        losses = self.function(logits, targets)
        if not isinstance(losses, torch.Tensor) or losses.shape != targets.shape[:1]:
            found = f"shape {tuple(losses.shape)}" if isinstance(losses, torch.Tensor) else type(losses).__name__
            raise OptionError(
                f"The loss {function_name(self.function)} gave {found}; wanted a tensor of shape "
                f"{tuple(targets.shape[:1])}: a loss per example, not their mean."
            )
        return losses


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """What training makes small: the cross-entropy, with what keeps examples from being learned by heart.

    Multi-label: that is the mean over the classes of the binary one.
    `mixup`: examples are blended in pairs, x = a x_i + (1 - a) x_j with a ~ Beta(mixup, mixup), and the loss is shared
    by both targets in the same way (Zhang et al., arXiv:1710.09412). `cutmix`: a rectangle of one picture lies in the
    other, its area's share being drawn likewise (Yun et al., arXiv:1905.04899). With both, each batch has one of them,
    equally often. `label_smoothing`: that share of the probability is spread over all classes (Szegedy et al.,
    arXiv:1512.00567). `loss`: a function of one's own instead of the cross-entropy.
    """

    mixup: float = 0.0
    cutmix: float = 0.0
    label_smoothing: float = 0.0
    loss: CustomLoss | None = None

    def __post_init__(self) -> None:
        for name, what in (("mixup", "no pictures are mixed"), ("cutmix", "none are cut")):
            if not 0 <= getattr(self, name) <= MOST_MIXUP:
                raise OptionError(
                    f"{name}={getattr(self, name)}: wanted 0 ({what}) to {MOST_MIXUP:g}; 0.4 to 1 is usual."
                )
        if not 0 <= self.label_smoothing < 1:
            raise OptionError(f"label_smoothing={self.label_smoothing}: wanted 0 (none) to less than 1; 0.1 is usual.")
        if self.label_smoothing and self.loss:
            raise OptionError("label_smoothing belongs to the cross-entropy, and another loss was given: take one.")

    def losses(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the loss (batch,) of each example."""
        if self.loss:
            return self.loss(logits, targets)
        if targets.ndim == 1:
            return cross_entropy(logits, targets, reduction="none", label_smoothing=self.label_smoothing)
        marks = targets.to(logits.dtype)
        smooth = marks * (1 - self.label_smoothing) + self.label_smoothing / 2
        return binary_cross_entropy_with_logits(logits, smooth, reduction="none").mean(dim=1)


@as_json.register(CustomLoss)
def _(value: CustomLoss) -> dict[str, Any]:
    """Return what stands for the function in keys."""
    return {"name": function_name(value.function), "key": value.key}


def asymmetric_loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return a loss (batch,) for many labels of which an image has few: what is clearly absent hardly counts.

    -log p for a label that is there, -q^4 log(1 - q) for one that is not, with q = max(p - .05, 0), summed over the
    classes (Ridnik et al., "Asymmetric loss for multi-label classification", arXiv:2009.14119). Probabilities come
    out too high by it: thresholds and calibration are fitted afterwards.

    >>> asymmetric_loss(torch.tensor([[0.0, -9.0]]), torch.tensor([[1, 0]]))
    tensor([0.6931])
    """
    there = targets.to(logits.dtype)
    shifted = (torch.sigmoid(logits) - ASYMMETRIC_MARGIN).clamp(min=0)
    absent = shifted**ASYMMETRIC_FOCUS * torch.log1p(-shifted)
    return -(there * logsigmoid(logits) + (1 - there) * absent).sum(dim=1)


@dataclass(frozen=True, slots=True, eq=False)
class Blend:
    """A batch whose examples may each be two: `share` of the first, the rest of its partner."""

    inputs: torch.Tensor
    first: tuple[torch.Tensor, torch.Tensor]  # targets (batch,), weights (batch,)
    second: tuple[torch.Tensor, torch.Tensor] | None
    share: float
    total: torch.Tensor  # the sum of the weights of the whole batch

    def split(self, parts: int) -> Iterator[Blend]:
        """Return the batch in so many parts, whose losses add up to that of the whole."""
        size = math.ceil(len(self.inputs) / parts)
        for start in range(0, len(self.inputs), size):
            rows = slice(start, start + size)
            second = self.second and (self.second[0][rows], self.second[1][rows])
            yield Blend(self.inputs[rows], (self.first[0][rows], self.first[1][rows]), second, self.share, self.total)


def blended(examples: Examples, how: Objective) -> Blend:
    """Blend a batch, with PyTorch's generator; one share and one order of partners per batch."""
    inputs, targets, weights = examples.inputs, examples.targets, examples.weights
    whole = (targets, weights)
    if not how.mixup and not how.cutmix:
        return Blend(inputs, whole, None, 1.0, weights.sum())
    cut = bool(how.cutmix) and (not how.mixup or float(torch.rand(())) < 0.5)
    if cut and inputs.ndim != 4:
        raise OptionError("cutmix cuts pixels, and a frozen backbone's head learns from features: unfreeze() first.")
    alpha = how.cutmix if cut else how.mixup
    share, partner = float(torch.distributions.Beta(alpha, alpha).sample()), torch.randperm(len(targets))
    if cut:
        inputs, share = _with_rectangles(inputs, partner, share)
    else:
        inputs = share * inputs + (1 - share) * inputs[partner]
    return Blend(inputs, whole, (targets[partner], weights[partner]), share, weights.sum())


def loss_of(model: Callable[[torch.Tensor], torch.Tensor], blend: Blend, objective: Objective) -> torch.Tensor:
    """Return the weighted mean loss of a batch, in nats for the cross-entropy; of a part of a batch, its summand."""
    logits = model(blend.inputs)
    targets, weights = blend.first
    losses = objective.losses(logits, targets) * weights
    if blend.second is not None:
        targets, weights = blend.second
        losses = blend.share * losses + (1 - blend.share) * (objective.losses(logits, targets) * weights)
    return losses.sum() / blend.total


def _with_rectangles(inputs: torch.Tensor, partner: torch.Tensor, share: float) -> tuple[torch.Tensor, float]:
    """Return pictures with a rectangle of their partners, and the share that is left of the first."""
    height, width = inputs.shape[2:]
    middle = torch.rand(2)
    sides = math.sqrt(1 - share) * torch.tensor([height, width])
    corner = middle * torch.tensor([height, width])
    top, left = (corner - sides / 2).round().clamp(min=0).int().tolist()
    bottom, right = (corner + sides / 2).round().int().tolist()
    bottom, right = min(bottom, height), min(right, width)
    mixed = inputs.clone()
    mixed[:, :, top:bottom, left:right] = inputs[partner, :, top:bottom, left:right]
    return mixed, 1 - (bottom - top) * (right - left) / (height * width)
