"""The layers of heads: what each kind computes is written once, and numpy and PyTorch run it alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from goldenrule.core.option import HeadKind

Doubles = npt.NDArray[np.float64]


class Operations(Protocol):
    """What layers compute with, on arrays or on tensors (n, inputs)."""

    def linear(self, values: Any, weight: Any, bias: Any | None) -> Any:
        """Return values @ weight.T + bias."""

    def rectified(self, values: Any) -> Any:
        """Return max(values, 0)."""

    def rooted(self, values: Any, floor: float) -> Any:
        """Return values / sqrt(|values| + floor)."""

    def dropped(self, values: Any, share: float) -> Any:
        """Return the values without that share of them where one trains, and as they are at inference."""


@dataclass(frozen=True, slots=True)
class Linear:
    """A linear layer, by the names of its tensors and of its sides."""

    weight: str
    bias: str | None
    inputs: str
    outputs: str

    def run(self, values: Any, tensors: Mapping[str, Any], by: Operations) -> Any:
        """Return the outputs (n, outputs)."""
        return by.linear(values, tensors[self.weight], tensors[self.bias] if self.bias else None)


@dataclass(frozen=True, slots=True)
class Affine:
    """Scale and shift of each feature: a BatchNorm as it is at inference, and one where a head is trained on rows."""

    scale: str
    shift: str
    side: str

    def run(self, values: Any, tensors: Mapping[str, Any], by: Operations) -> Any:  # noqa: ARG002
        """Return values * scale + shift."""
        return values * tensors[self.scale] + tensors[self.shift]


@dataclass(frozen=True, slots=True)
class Relu:
    """Nothing below zero."""

    def run(self, values: Any, tensors: Mapping[str, Any], by: Operations) -> Any:  # noqa: ARG002
        """Return max(values, 0)."""
        return by.rectified(values)


@dataclass(frozen=True, slots=True)
class Root:
    """The square root of each feature, with its sign: a few large ones then weigh less ("power normalisation").

    Source: Perronnin, Sanchez and Mensink, "Improving the Fisher kernel for large-scale image classification", 2010.
    `floor` keeps the slope at zero finite, where such a head is trained.
    """

    floor: float = 1e-6

    def run(self, values: Any, tensors: Mapping[str, Any], by: Operations) -> Any:  # noqa: ARG002
        """Return values / sqrt(|values| + floor)."""
        return by.rooted(values, self.floor)


@dataclass(frozen=True, slots=True)
class Dropout:
    """The share of its inputs that a step of training leaves out.

    With `on_rows` only where a head is trained on rows from the start: there its BatchNorms learn too.
    """

    share: float
    on_rows: bool = False

    def run(self, values: Any, tensors: Mapping[str, Any], by: Operations) -> Any:  # noqa: ARG002
        """Return what is left."""
        return values if self.on_rows else by.dropped(values, self.share)


Layer = Linear | Affine | Relu | Root | Dropout


def _hidden(dropout: float) -> tuple[Layer, ...]:
    return (
        Linear("weight_1", "bias_1", "features", "hidden"),
        Relu(),
        Dropout(dropout),
        Linear("weight_2", "bias_2", "hidden", "classes"),
    )


ROOT = Root()
LAYERS: Mapping[HeadKind, tuple[Layer, ...]] = {
    "linear": (Linear("weight", "bias", "features", "classes"),),
    "root": (ROOT, Linear("weight", "bias", "features", "classes")),
    "concat-pool": (
        Affine("scale_1", "shift_1", "features"),
        Dropout(0.25, on_rows=True),
        Linear("weight_1", None, "features", "hidden"),
        Relu(),
        Affine("scale_2", "shift_2", "hidden"),
        Dropout(0.5, on_rows=True),
        Linear("weight_2", "bias_2", "hidden", "classes"),
    ),
    "gap-1024": _hidden(0.0),
    "flatten-64": _hidden(0.25),
}
"""A linear one; one on the square roots of the features; fastai's on maximum and average pooled features; and two that
Keras tutorials put on a backbone: GlobalAveragePooling2D, Dense(1024, relu), Dense(classes), and Flatten,
Dense(64, relu), Dropout(.25), Dense(classes).
"""
HIDDEN: Mapping[HeadKind, int] = {"linear": 0, "root": 0, "concat-pool": 512, "gap-1024": 1024, "flatten-64": 64}
"""Units of the hidden layer."""


def sides(layers: Iterable[Layer]) -> dict[str, tuple[str, ...]]:
    """Return the names of the tensors, in the order of the layers, with the names of their sides.

    >>> sides(LAYERS["linear"])
    {'weight': ('classes', 'features'), 'bias': ('classes',)}
    """
    found: dict[str, tuple[str, ...]] = {}
    for layer in layers:
        if isinstance(layer, Linear):
            found[layer.weight] = layer.outputs, layer.inputs
            if layer.bias:
                found[layer.bias] = (layer.outputs,)
        elif isinstance(layer, Affine):
            found |= {layer.scale: (layer.side,), layer.shift: (layer.side,)}
    return found


def run(layers: Iterable[Layer], values: Any, tensors: Mapping[str, Any], by: Operations) -> Any:
    """Return what the layers make of the values (n, features)."""
    for layer in layers:
        values = layer.run(values, tensors, by)
    return values


class ArrayOperations:
    """numpy's, in float64 and at inference."""

    def linear(self, values: Doubles, weight: Doubles, bias: Doubles | None) -> Doubles:
        """Return values @ weight.T + bias."""
        product = values @ weight.T
        return product if bias is None else product + bias

    def rectified(self, values: Doubles) -> Doubles:
        """Return max(values, 0)."""
        return np.maximum(values, 0)

    def rooted(self, values: Doubles, floor: float) -> Doubles:
        """Return values / sqrt(|values| + floor)."""
        return np.asarray(values / np.sqrt(np.abs(values) + floor))

    def dropped(self, values: Doubles, share: float) -> Doubles:  # noqa: ARG002
        """Return all of them."""
        return values
