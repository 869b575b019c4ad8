"""`Preprocessing` as an ONNX graph: the same two matrix products, with weights computed from the picture's shape.

Resize is not used: runtimes disagree about it (OpenVINO ignores its `antialias`). Needs the extra `onnx`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from goldenrule.core.errors import MissingExtra
from goldenrule.data.pictures.preprocess import Preprocessing


def onnx_model(preprocessing: Preprocessing) -> Any:
    """Return an onnx.ModelProto: `image` uint8 (height, width, 3) to `pixels` float32 (1, 3, size, size).

    What decodes a picture of more than 8 bits has applied the levels: `image` is what `decode.decode` gives.

    Raises `MissingExtra` where the package onnx is not installed.
    """
    try:
        from onnx import TensorProto, checker, helper
    except ImportError as error:
        raise MissingExtra("ONNX graphs need the extra `onnx`: pip install 'goldenrule[onnx]'.") from error
    graph = _Graph()
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
    graph.add("Unsqueeze", normal, graph.array(np.array([0], np.int64)), output="pixels")
    size = preprocessing.size
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "preprocessing",
            [helper.make_tensor_value_info("image", TensorProto.UINT8, ["height", "width", 3])],
            [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, [1, 3, size, size])],
            graph.initializers,
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=9,
    )
    checker.check_model(model)
    return model


class _Graph:
    """Collects nodes; every `add` gives the name of what the node computes."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []

    def add(self, operation: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        from onnx import helper

        name = output or f"{operation.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operation, list(inputs), [name], **attributes))
        return name

    def array(self, value: Any) -> str:
        from onnx import numpy_helper

        name = f"constant_{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def constant(self, value: float, dtype: Any) -> str:
        return self.array(np.array(value, dtype))


def _resized(graph: _Graph, preprocessing: Preprocessing, height: str, width: str) -> tuple[str, str]:
    short = graph.constant(preprocessing.short_side, np.int64)
    if preprocessing.resize == "squish":
        return short, short
    smaller = graph.add("Min", height, width)
    return tuple(graph.add("Div", graph.add("Mul", short, side), smaller) for side in (height, width))  # type: ignore[return-value]


def _matrix(graph: _Graph, preprocessing: Preprocessing, source: str, target: str) -> str:
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


def _kernel(graph: _Graph, number: Any, x: str, interpolation: str) -> str:
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
