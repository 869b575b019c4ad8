"""A backbone's graph that gives its last feature maps beside its features: OpenVINO runs it, PyTorch is not needed."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from goldenrule.core.errors import BackboneError
from goldenrule.engines import Precision
from goldenrule.engines import openvino as ov

Floats = npt.NDArray[np.float32]
POOLS = ("ReduceMean", "AvgPool")
BEHIND = ("Reshape", "Squeeze", "Convert")
"""What may follow the average without changing a number of it."""
AGREE = 1e-2
"""How far the average of the maps may be from the features, as a share of the largest: bf16 rounds."""
NO_MAPS = "{name} gives no averaged feature maps as features"


class MapsEngine:
    """A backbone compiled for one picture at a time, with two outputs: features and the maps they are the averages of.

    Raises `BackboneError` for a graph whose features are something else.
    """

    def __init__(self, path: Path, precision: Precision, *, name: str, threads: int) -> None:
        graph = ov.core().read_model(path)
        _, *shape = graph.input(0).shape
        graph.reshape([1, *shape])
        graph.add_outputs(_averaged(graph, name))
        options = {
            "INFERENCE_PRECISION_HINT": {"bf16": "bf16", "fp32": "f32"}[precision],
            "INFERENCE_NUM_THREADS": str(threads),
        }
        self._model = ov.core().compile_model(graph, "CPU", options)
        self._name, self._lock = name, threading.Lock()

    def run(self, pixels: Floats) -> tuple[Floats, Floats]:
        """Return the features (features,) and the maps (features, rows, columns) of pixels (3, size, size).

        Raises `BackboneError` where the averages of the maps are not the features.
        """
        with self._lock:
            found = self._model({0: pixels[np.newaxis]})
            features, maps = (np.array(found[place][0], np.float32) for place in (0, 1))
        if np.abs(maps.mean(axis=(1, 2)) - features).max() > AGREE * max(float(np.abs(features).max()), 1e-6):
            raise BackboneError(NO_MAPS.format(name=self._name))
        return features, maps


def _averaged(graph: Any, name: str) -> Any:
    """Return the output (1, features, rows, columns) whose averages a graph gives as features."""
    node = graph.output(0).get_node().input_value(0).get_node()
    while node.get_type_name() in BEHIND:
        node = node.input_value(0).get_node()
    maps = node.input_value(0) if node.get_type_name() in POOLS else None
    if maps is None or len(maps.get_partial_shape()) != 4 or min(list(maps.get_shape())[2:]) < 2:
        raise BackboneError(NO_MAPS.format(name=name))
    return maps
