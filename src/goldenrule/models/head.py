"""Heads: from pooled features to logits. Plain arrays, so that predicting needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from goldenrule.foundation.errors import FormatError, OptionError

Floats = npt.NDArray[np.float32]
HeadKind = Literal["linear", "concat-pool"]
HIDDEN = 512
"""Units of the hidden layer of fastai's head."""


class Head(Protocol):
    """What stands on the features."""

    @property
    def kind(self) -> str:
        """The name the command line and the files use: a `HeadKind`, or "own"."""

    @property
    def tensors(self) -> Mapping[str, npt.NDArray[Any]]:
        """The parameters by name; of an own head its buffers too."""

    def logits(self, features: npt.NDArray[Any]) -> Floats:
        """Give the logits (n, classes) of features (n, features), float16 or float32."""

    def with_tensors(self, tensors: Mapping[str, npt.NDArray[Any]]) -> Head:
        """Give the same head with other tensors of these names."""

    def cooled(self, temperature: float) -> Head:
        """Give the head with its logits divided by a temperature."""


@dataclass(frozen=True, eq=False)
class LinearHead:
    """logits = features @ weight.T + bias, with weight (classes, features) and bias (classes,)."""

    weight: Floats
    bias: Floats
    kind: HeadKind = "linear"

    @property
    def tensors(self) -> Mapping[str, Floats]:
        """Weight and bias."""
        return {"weight": self.weight, "bias": self.bias}

    def logits(self, features: npt.NDArray[Any]) -> Floats:
        """Give the logits (n, classes), summed in float64: which rows come together then makes no difference."""
        product = features.astype(np.float64) @ self.weight.astype(np.float64).T
        return (product + self.bias).astype(np.float32)

    def with_tensors(self, tensors: Mapping[str, Floats]) -> LinearHead:
        """Give the head with other weight and bias."""
        return LinearHead(tensors["weight"], tensors["bias"])

    def cooled(self, temperature: float) -> LinearHead:
        """Give the head with its logits divided by a temperature."""
        return LinearHead(_divided(self.weight, temperature), _divided(self.bias, temperature))

    def rescaled(self, slopes: npt.ArrayLike, intercepts: npt.ArrayLike) -> LinearHead:
        """Give the head with each class's logit put on a line: slope · logit + intercept, both (classes,)."""
        own = np.asarray(slopes, np.float64)
        weight = (self.weight * own[:, np.newaxis]).astype(np.float32)
        return LinearHead(weight, (self.bias * own + np.asarray(intercepts, np.float64)).astype(np.float32))


@dataclass(frozen=True, eq=False)
class ConcatPoolHead:
    """fastai's head on maximum and average pooled features.

    BatchNorm, Linear to 512, ReLU, BatchNorm, Linear to classes; the BatchNorms are stored as the scale and
    shift they have at inference.
    """

    scale_1: Floats
    shift_1: Floats
    weight_1: Floats  # (hidden, features)
    scale_2: Floats
    shift_2: Floats
    weight_2: Floats  # (classes, hidden)
    bias_2: Floats
    kind: HeadKind = "concat-pool"

    @property
    def tensors(self) -> Mapping[str, Floats]:
        """All parameters by the names of the fields."""
        names = ("scale_1", "shift_1", "weight_1", "scale_2", "shift_2", "weight_2", "bias_2")
        return {name: getattr(self, name) for name in names}

    def logits(self, features: npt.NDArray[Any]) -> Floats:
        """Give the logits (n, classes), computed in float64 as in `LinearHead`."""
        weight_1, weight_2 = self.weight_1.astype(np.float64), self.weight_2.astype(np.float64)
        hidden = (features.astype(np.float64) * self.scale_1 + self.shift_1) @ weight_1.T
        rectified = np.maximum(hidden, 0) * self.scale_2 + self.shift_2
        return np.asarray(rectified @ weight_2.T + self.bias_2, np.float32)

    def with_tensors(self, tensors: Mapping[str, Floats]) -> ConcatPoolHead:
        """Give the head with other parameters."""
        return replace(self, **dict[str, Any](tensors))

    def cooled(self, temperature: float) -> ConcatPoolHead:
        """Give the head with its logits divided by a temperature."""
        weight, bias = _divided(self.weight_2, temperature), _divided(self.bias_2, temperature)
        return replace(self, weight_2=weight, bias_2=bias)


def fresh_head(kind: str, *, features: int, classes: int, draws: np.random.Generator) -> Head:
    """Give a head with random weights, as PyTorch draws them for a Linear: uniform within 1 / sqrt(inputs).

    >>> fresh_head("linear", features=4, classes=2, draws=np.random.default_rng(0)).tensors["weight"].shape
    (2, 4)
    """

    def uniform(rows: int, inputs: int) -> Floats:
        bound = inputs**-0.5
        return draws.uniform(-bound, bound, size=(rows, inputs)).astype(np.float32)

    if kind == "linear":
        return LinearHead(uniform(classes, features), np.zeros(classes, np.float32))
    if kind != "concat-pool":
        raise OptionError(f"head={kind!r}: wanted linear or concat-pool.")
    return ConcatPoolHead(
        scale_1=np.ones(features, np.float32),
        shift_1=np.zeros(features, np.float32),
        weight_1=uniform(HIDDEN, features),
        scale_2=np.ones(HIDDEN, np.float32),
        shift_2=np.zeros(HIDDEN, np.float32),
        weight_2=uniform(classes, HIDDEN),
        bias_2=np.zeros(classes, np.float32),
    )


def head_from_tensors(kind: str, tensors: Mapping[str, Floats]) -> Head:
    """Give the head a classifier's file holds."""
    known: dict[str, Any] = {"linear": LinearHead, "concat-pool": ConcatPoolHead}
    if kind not in known:
        raise FormatError(f"The classifier has a head of kind {kind!r}; this goldenrule knows {', '.join(known)}.")
    try:
        head: Head = known[kind](**tensors)
    except TypeError as error:
        raise FormatError(f"The classifier's head has the tensors {sorted(tensors)}: {error}.") from error
    return head


def _divided(values: Floats, temperature: float) -> Floats:
    return (values / np.float32(temperature)).astype(np.float32)
