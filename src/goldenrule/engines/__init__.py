"""What runs a frozen backbone: OpenVINO where it can, PyTorch elsewhere. Engines know nothing of images.

Reading order: this file (what an engine is) · openvino · pytorch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from goldenrule.core.errors import BackboneError
from goldenrule.core.schema import IF_OTHERWISE, Name

Precision = Literal["bf16", "fp32"]
Tag = TypeVar("Tag")


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineKind:
    """Which engine at which effective precision, and where it runs: a part of every feature cache's key.

    The device belongs to it, so that a kind alone says what to run: nothing else can be compiled for its key. With
    `alone` each picture is run by itself: on processors where its bits would depend on a batch's size (law 3).
    """

    name: Literal["openvino", "torch"]
    precision: Precision
    version: Name
    device: Name = field(default="cpu", metadata=IF_OTHERWISE)
    alone: bool = field(default=False, metadata=IF_OTHERWISE)

    def __str__(self) -> str:
        where = "" if self.device == "cpu" else f" on {self.device}"
        return f"{self.name} {self.version} {self.precision}{where}"


def as_halves(features: npt.NDArray[Any], network: str) -> npt.NDArray[np.float16]:
    """Return features (n, features) rounded as they are kept; raises `BackboneError` where one is no finite number.

    Pixels are finite, so this is the network's doing: its weights overflow, or features are beyond float16's range.
    """
    with np.errstate(over="ignore"):
        halves = features.astype(np.float16)
    if not np.isfinite(halves).all():
        beyond = np.isfinite(features).all()
        what = f"features beyond {np.finfo(np.float16).max:,.0f}" if beyond else "features that are NaN or infinite"
        raise BackboneError(
            f"The network {network} gives {what} for a picture that was read without fault. Its weights are damaged, "
            "or were trained otherwise than timm says: give other weights, or another --backbone."
        )
    return halves


class Engine(Protocol):
    """A compiled backbone."""

    kind: EngineKind
    batch_size: int

    def run(
        self, batches: Iterable[tuple[Tag, npt.NDArray[np.float32]]]
    ) -> Iterator[tuple[Tag, npt.NDArray[np.float32]]]:
        """Return the features (batch_size, features) of each batch (batch_size, 3, size, size), in order.

        A batch is always full; what it does not use is ignored by its owner. Consuming runs ahead of
        yielding by the number of batches in flight, so an array that was handed in must stay as it is
        until its result is out. A row of the result does not depend on the other rows (law 3).
        """
