"""Heads: from features to logits. Plain arrays, so that predicting needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast, get_args

import numpy as np
import numpy.typing as npt

from goldenrule.core.errors import FormatError, OptionError
from goldenrule.core.option import HeadKind
from goldenrule.models.layers import HIDDEN, LAYERS, ArrayOperations, Linear, run, sides
from goldenrule.storage.tensors import Array, check_arrays

Floats = npt.NDArray[np.float32]
_MOST_VALUES = 1 << 24
"""So many features are brought to float64 at once: rows of whole feature maps are long."""


class Head(Protocol):
    """What stands on the features."""

    @property
    def kind(self) -> str:
        """The name the command line and the files use: a `HeadKind`, or "custom"."""

    @property
    def tensors(self) -> Mapping[str, npt.NDArray[Any]]:
        """The parameters by name; of an own head its buffers too."""

    def logits(self, features: npt.NDArray[Any]) -> Floats:
        """Return the logits (n, classes) of features (n, features), float16 or float32."""

    def with_tensors(self, tensors: Mapping[str, npt.NDArray[Any]]) -> Head:
        """Return the same head with other tensors of these names."""

    def with_temperature(self, temperature: float) -> Head:
        """Return the head with its logits divided by a temperature."""


@dataclass(frozen=True, eq=False)
class LayeredHead:
    """The tensors of a head whose layers `LAYERS` names."""

    kind: HeadKind
    tensors: Mapping[str, Floats]

    def logits(self, features: npt.NDArray[Any]) -> Floats:
        """Return the logits (n, classes), summed in float64: which rows come together then makes no difference."""
        tensors = {name: value.astype(np.float64) for name, value in self.tensors.items()}
        found = np.empty((len(features), len(self.tensors[self._last.weight])), np.float32)
        block = max(1, _MOST_VALUES // max(1, features.shape[1]))
        for start in range(0, len(features), block):
            values = features[start : start + block].astype(np.float64)
            found[start : start + block] = run(LAYERS[self.kind], values, tensors, ArrayOperations())
        return found

    def with_tensors(self, tensors: Mapping[str, Floats]) -> LayeredHead:
        """Return the head with other tensors of these names."""
        return LayeredHead(self.kind, {name: tensors[name] for name in self.tensors})

    def with_temperature(self, temperature: float) -> LayeredHead:
        """Return the head with its logits divided by a temperature."""
        divided = {name: _divided(self.tensors[name], temperature) for name in sides([self._last])}
        return self.with_tensors({**self.tensors, **divided})

    def rescaled(self, slopes: npt.ArrayLike, intercepts: npt.ArrayLike) -> LayeredHead:
        """Return the head with each class's logit put on a line: slope · logit + intercept, both (classes,)."""
        per_feature, last = np.asarray(slopes, np.float64), self._last
        weight = (self.tensors[last.weight] * per_feature[:, np.newaxis]).astype(np.float32)
        bias = (self.tensors[str(last.bias)] * per_feature + np.asarray(intercepts, np.float64)).astype(np.float32)
        return self.with_tensors({**self.tensors, last.weight: weight, str(last.bias): bias})

    @property
    def _last(self) -> Linear:
        """The layer that gives the logits."""
        return cast(Linear, LAYERS[self.kind][-1])


def linear_head(weight: Floats, bias: Floats) -> LayeredHead:
    """Return the head features @ weight.T + bias, with weight (classes, features) and bias (classes,).

    >>> linear_head(np.eye(2, 3, dtype=np.float32), np.ones(2, np.float32)).logits(np.arange(3.0)[np.newaxis])
    array([[1., 2.]], dtype=float32)
    """
    return LayeredHead("linear", {"weight": weight, "bias": bias})


def check_head(kind: str, option: str = "--head") -> None:
    """Raise `OptionError` for a kind of head that there is not."""
    if kind not in (known := get_args(HeadKind)):
        raise OptionError(f"{option} {kind}: wanted {', '.join(known[:-1])} or {known[-1]}.")


def fresh_head(kind: str, *, features: int, classes: int, draws: np.random.Generator) -> LayeredHead:
    """Return a head with random weights, as PyTorch draws them for a Linear: uniform within 1 / sqrt(inputs).

    >>> fresh_head("linear", features=4, classes=2, draws=np.random.default_rng(0)).tensors["weight"].shape
    (2, 4)
    """
    check_head(kind, "head")
    known = cast(HeadKind, kind)
    lengths = {"features": features, "hidden": HIDDEN[known], "classes": classes}
    tensors: dict[str, Floats] = {}
    for name, members in sides(LAYERS[known]).items():
        shape = tuple(lengths[side] for side in members)
        if len(shape) == 2:
            bound = shape[1] ** -0.5
            tensors[name] = draws.uniform(-bound, bound, size=shape).astype(np.float32)
        else:
            tensors[name] = (np.ones if name.startswith("scale") else np.zeros)(shape, np.float32)
    return LayeredHead(known, tensors)


def head_from_tensors(kind: str, tensors: Mapping[str, Floats]) -> LayeredHead:
    """Return the head a classifier's file holds."""
    if kind not in LAYERS:
        raise FormatError(f"The classifier has a head of kind {kind!r}; this goldenrule knows {', '.join(LAYERS)}.")
    known = cast(HeadKind, kind)
    check_finite(tensors)
    wanted = {name: Array(side) for name, side in sides(LAYERS[known]).items()}
    check_arrays(tensors, wanted, what=f"the {kind} head")
    if odd := sorted(tensors.keys() - wanted.keys()):
        raise FormatError(f"The classifier's {kind} head has the tensors {', '.join(odd)}, which no such head has.")
    return LayeredHead(known, {name: tensors[name] for name in wanted})


def check_finite(tensors: Mapping[str, npt.NDArray[Any]]) -> None:
    """Raise `ValueError` for a tensor of a head that holds NaN or infinity, by its name."""
    for name, value in tensors.items():
        if value.dtype.kind not in "iub" and (bad := int((~np.isfinite(value)).sum())):
            raise ValueError(f"head.safetensors: {name} holds {bad:,} values that are NaN or infinite")


def _divided(values: Floats, temperature: float) -> Floats:
    return (values / np.float32(temperature)).astype(np.float32)
