"""Heads: from pooled features to logits. Plain arrays, so that predicting needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol, get_args

import numpy as np
import numpy.typing as npt

from goldenrule.foundation.choices import HeadKind
from goldenrule.foundation.errors import FormatError, OptionError
from goldenrule.foundation.tensors import Array, check_arrays

Floats = npt.NDArray[np.float32]
HIDDEN = 512
"""Units of the hidden layer of fastai's head."""
UNITS: Mapping[str, int] = {"gap-1024": 1024, "flatten-64": 64}
"""Units of the hidden layer of the heads that Keras tutorials put on a body."""
DROPOUT: Mapping[str, float] = {"gap-1024": 0.0, "flatten-64": 0.25}
"""The share of their hidden units that a step of training leaves out."""
_MOST_VALUES = 1 << 24
"""So many features are brought to float64 at once: rows of whole feature maps are long."""


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


@dataclass(frozen=True, eq=False)
class HiddenHead:
    """A hidden layer of ReLUs, then the classes.

    "gap-1024" has 1,024 of them on average-pooled features, "flatten-64" 64 on the whole flattened feature map, a
    quarter of them dropped out in training: Keras's GlobalAveragePooling2D, Dense(1024, relu), Dense(classes), and
    Flatten, Dense(64, relu), Dropout(.25), Dense(classes).
    """

    weight_1: Floats  # (hidden, features)
    bias_1: Floats
    weight_2: Floats  # (classes, hidden)
    bias_2: Floats
    kind: str

    @property
    def tensors(self) -> Mapping[str, Floats]:
        """All parameters by the names of the fields."""
        return {"weight_1": self.weight_1, "bias_1": self.bias_1, "weight_2": self.weight_2, "bias_2": self.bias_2}

    @property
    def dropout(self) -> float:
        """The share of hidden units that a step of training leaves out."""
        return DROPOUT[self.kind]

    def logits(self, features: npt.NDArray[Any]) -> Floats:
        """Give the logits (n, classes), computed in float64 as in `LinearHead`, some rows at a time."""
        weight_1, weight_2 = self.weight_1.astype(np.float64), self.weight_2.astype(np.float64)
        found = np.empty((len(features), len(self.bias_2)), np.float32)
        block = max(1, _MOST_VALUES // self.weight_1.shape[1])
        for start in range(0, len(features), block):
            hidden = features[start : start + block].astype(np.float64) @ weight_1.T + self.bias_1
            found[start : start + block] = np.maximum(hidden, 0) @ weight_2.T + self.bias_2
        return found

    def with_tensors(self, tensors: Mapping[str, Floats]) -> HiddenHead:
        """Give the head with other parameters."""
        return replace(self, **dict[str, Any](tensors))

    def cooled(self, temperature: float) -> HiddenHead:
        """Give the head with its logits divided by a temperature."""
        weight, bias = _divided(self.weight_2, temperature), _divided(self.bias_2, temperature)
        return replace(self, weight_2=weight, bias_2=bias)


def check_head(kind: str, option: str = "--head") -> None:
    """Raise `OptionError` for a kind of head that there is not."""
    if kind not in (known := get_args(HeadKind)):
        raise OptionError(f"{option} {kind}: wanted {', '.join(known[:-1])} or {known[-1]}.")


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
    check_head(kind, "head")
    if kind in UNITS:
        return HiddenHead(
            weight_1=uniform(UNITS[kind], features),
            bias_1=np.zeros(UNITS[kind], np.float32),
            weight_2=uniform(classes, UNITS[kind]),
            bias_2=np.zeros(classes, np.float32),
            kind=kind,
        )
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
    known |= {own: partial(HiddenHead, kind=own) for own in UNITS}
    if kind not in known:
        raise FormatError(f"The classifier has a head of kind {kind!r}; this goldenrule knows {', '.join(known)}.")
    check_finite(tensors)
    check_arrays(tensors, _ARRAYS.get(kind, _HIDDEN), what=f"the {kind} head")
    try:
        head: Head = known[kind](**tensors)
    except TypeError as error:
        raise FormatError(f"The classifier's head has the tensors {sorted(tensors)}: {error}.") from error
    return head


_HIDDEN = {
    "weight_1": Array(("hidden", "features")),
    "bias_1": Array(("hidden",)),
    "weight_2": Array(("classes", "hidden")),
    "bias_2": Array(("classes",)),
}
_ARRAYS = {
    "linear": {"weight": Array(("classes", "features")), "bias": Array(("classes",))},
    "concat-pool": {
        "weight_1": Array(("hidden", "features")),
        "scale_1": Array(("features",)),
        "shift_1": Array(("features",)),
        "scale_2": Array(("hidden",)),
        "shift_2": Array(("hidden",)),
        "weight_2": Array(("classes", "hidden")),
        "bias_2": Array(("classes",)),
    },
}


def check_finite(tensors: Mapping[str, npt.NDArray[Any]]) -> None:
    """Raise `ValueError` for a tensor of a head that holds NaN or infinity, by its name."""
    for name, value in tensors.items():
        if value.dtype.kind not in "iub" and (bad := int((~np.isfinite(value)).sum())):
            raise ValueError(f"head.safetensors: {name} holds {bad:,} values that are NaN or infinite")


def _divided(values: Floats, temperature: float) -> Floats:
    return (values / np.float32(temperature)).astype(np.float32)
