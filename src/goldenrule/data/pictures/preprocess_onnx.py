"""`Preprocessing` as an ONNX graph: the same two matrix products, with weights computed from the picture's shape.

Resize is not used: runtimes disagree about it (OpenVINO ignores its `antialias`). Needs the extra `onnx`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from goldenrule.core.errors import MissingExtra
from goldenrule.data.pictures.preprocess import Preprocessing

OPSET, IR_VERSION = 18, 10


def onnx_model(preprocessing: Preprocessing) -> Any:
    """Return an onnx.ModelProto: `image` uint8 (height, width, 3) to `pixels` float32 (1, 3, size, size).

    What decodes a picture of more than 8 bits has applied the levels: `image` is what `decode.decode` gives.

    Raises `MissingExtra` where the package onnx is not installed.
    """
    graph = OnnxGraph()
    add_pixels(graph, preprocessing, output="pixels")
    size = preprocessing.size
    return graph.model("preprocessing", {"pixels": [1, 3, size, size]})


def add_pixels(graph: OnnxGraph, preprocessing: Preprocessing, *, output: str) -> None:
    """Add what makes `output` float32 (1, 3, size, size) of `image` uint8 (height, width, 3)."""
    from onnx import TensorProto

    shape = graph.add("Shape", "image")
    height, width = (graph.add("Gather", shape, graph.constant(axis, np.int64), axis=0) for axis in (0, 1))
    new_height, new_width = _resized(graph, preprocessing, height, width)
    rows = _matrix(graph, preprocessing, height, new_height)
    columns = _matrix(graph, preprocessing, width, new_width)
    picture = graph.add("Transpose", graph.add("Cast", "image", to=TensorProto.FLOAT), perm=[2, 0, 1])
    tall = graph.add("MatMul", rows, picture)
    square = graph.add("MatMul", tall, graph.add("Transpose", columns, perm=[1, 0]))
    mean, std = (np.array(value, np.float32).reshape(3, 1, 1) for value in (preprocessing.mean, preprocessing.std))
    scaled = graph.add("Mul", square, graph.array(np.float32(1 / 255) / std))
    normal = graph.add("Sub", scaled, graph.array(mean / std))
    graph.add("Unsqueeze", normal, graph.array(np.array([0], np.int64)), output=output)


class OnnxGraph:
    """Collects nodes; every `add` gives the name of what the node computes. Needs the extra `onnx`."""

    def __init__(self) -> None:
        try:
            import onnx
        except ImportError as error:
            raise MissingExtra("ONNX graphs need the extra `onnx`: pip install 'goldenrule[onnx]'.") from error
        self._onnx = onnx
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []

    def add(self, operation: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Add a node of one output."""
        name = output or f"{operation.lower()}_{len(self.nodes)}"
        self.nodes.append(self._onnx.helper.make_node(operation, list(inputs), [name], **attributes))
        return name

    def array(self, value: Any) -> str:
        """Add a constant array."""
        name = f"constant_{len(self.initializers)}"
        self.initializers.append(self._onnx.numpy_helper.from_array(np.asarray(value), name))
        return name

    def constant(self, value: float, dtype: Any) -> str:
        """Add a constant number."""
        return self.array(np.array(value, dtype))

    def model(self, name: str, outputs: Mapping[str, Sequence[int]]) -> Any:
        """Return the checked model from `image` uint8 (height, width, 3) to float32 outputs of these shapes."""
        helper, floats = self._onnx.helper, self._onnx.TensorProto.FLOAT
        image = helper.make_tensor_value_info("image", self._onnx.TensorProto.UINT8, ["height", "width", 3])
        model = helper.make_model(
            helper.make_graph(
                self.nodes,
                name,
                [image],
                [helper.make_tensor_value_info(output, floats, list(shape)) for output, shape in outputs.items()],
                self.initializers,
            ),
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="goldenrule",
        )
        self._onnx.checker.check_model(model)
        return model


def _resized(graph: OnnxGraph, preprocessing: Preprocessing, height: str, width: str) -> tuple[str, str]:
    short = graph.constant(preprocessing.short_side, np.int64)
    if preprocessing.resize == "squish":
        return short, short
    smaller = graph.add("Min", height, width)
    return tuple(graph.add("Div", graph.add("Mul", short, side), smaller) for side in (height, width))  # type: ignore[return-value]


def _matrix(graph: OnnxGraph, preprocessing: Preprocessing, source: str, target: str) -> str:
    """Add the rows of the resize matrix that the centre crop keeps: (size, source)."""
    from onnx import TensorProto

    def real(name: str) -> str:
        return graph.add("Cast", name, to=TensorProto.FLOAT)

    def number(value: float) -> str:
        return graph.constant(value, np.float32)

    def integer(value: int) -> str:
        return graph.constant(value, np.int64)

    def odd(index: str) -> str:
        return graph.add("Add", graph.add("Mul", index, integer(2)), integer(1))

    size = preprocessing.size
    half = graph.add("Div", real(graph.add("Sub", target, integer(size))), number(2.0))
    first = graph.add("Cast", graph.add("Round", half), to=TensorProto.INT64)  # half to even, as in `centre`
    rows = graph.add("Add", graph.array(np.arange(size, dtype=np.int64).reshape(size, 1)), first)
    columns = graph.add("Range", integer(0), source, integer(1))
    here = graph.add("Mul", odd(columns), target)
    offset = graph.add("Abs", graph.add("Sub", here, graph.add("Mul", odd(rows), source)))
    unit = graph.add("Mul", graph.add("Max", source, target), integer(2))
    distance = graph.add("Div", real(offset), real(unit))
    weights = _kernel(graph, number, distance, preprocessing.interpolation)
    total = graph.add("ReduceSum", weights, graph.array(np.array([1], np.int64)), keepdims=1)
    return graph.add("Cast", graph.add("Div", weights, total), to=TensorProto.FLOAT)


def _kernel(graph: OnnxGraph, number: Any, x: str, interpolation: str) -> str:
    if interpolation == "bilinear":
        return graph.add("Max", graph.add("Sub", number(1.0), x), number(0.0))

    def polynomial(*coefficients: float) -> str:
        value: str = number(coefficients[0])
        for coefficient in coefficients[1:]:
            value = graph.add("Add", graph.add("Mul", value, x), number(coefficient))
        return value

    near, far = polynomial(1.5, -2.5, 0, 1), polynomial(-0.5, 2.5, -4, 2)
    outer = graph.add("Where", graph.add("Less", x, number(2.0)), far, number(0.0))
    return graph.add("Where", graph.add("Less", x, number(1.0)), near, outer)
