"""A whole classifier as one ONNX graph of standard operators: pixels in, probabilities out.

The preprocessing, the backbone as PyTorch's exporter writes it, the features rounded to float16 as everywhere (law 1),
the head's layers, and the distance to the training images. Needs the extra `onnx`.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from goldenrule.core.errors import BackboneError, OptionError, first_line
from goldenrule.core.schema import as_json
from goldenrule.data.pictures.preprocess_onnx import OPSET, OnnxGraph, add_pixels
from goldenrule.metrics.uncertainty.ood import OODDetector, directions
from goldenrule.models.backbone import Backbone
from goldenrule.models.classifier import Classifier
from goldenrule.models.heads import LayeredHead
from goldenrule.models.layers import LAYERS, run

SCHEMA_VERSION = 1
KEY = "goldenrule"
"""Under this name the metadata lie in a file."""
INPUT, PROBABILITIES, LOGITS, DISTANCE = "image", "probabilities", "logits", "ood_distance"
PIXELS, FEATURES = "pixels", "features"
"""What goes into the backbone, and what comes out."""


def exported_graph(classifier: Classifier, *, backbone: Any = None, metadata: Mapping[str, Any] | None = None) -> Any:
    """Return an onnx.ModelProto: `image` uint8 (height, width, 3) of any size to what is said of it.

    In fp32, or with a `backbone` of another precision, a graph as `backbone_graph` gives it, and what the `metadata`
    say of that.

    `probabilities` and `logits` (1, classes), `features` (1, features) before they are rounded, and `ood_distance` (1,)
    where the classifier has an OOD detector.
    Raises `OptionError` for custom parts, `BackboneError` where PyTorch can't export the network.
    """
    check_exportable(classifier)
    head, spec = cast(LayeredHead, classifier.head), classifier.backbone.spec
    graph = OnnxGraph()
    add_pixels(graph, classifier.preprocessing, output=PIXELS)
    _add_backbone(graph, backbone or backbone_graph(classifier.backbone))
    features = _rounded(graph, FEATURES)
    tensors = {name: _Named(graph, graph.array(value.astype(np.float32))) for name, value in head.tensors.items()}
    found = run(LAYERS[head.kind], _Named(graph, features), tensors, _OnnxOperations())
    graph.add("Identity", found.name, output=LOGITS)
    if classifier.task == "multi":
        graph.add("Sigmoid", LOGITS, output=PROBABILITIES)
    else:
        graph.add("Softmax", LOGITS, axis=1, output=PROBABILITIES)
    shapes: dict[str, list[int]] = {name: [1, len(classifier.classes)] for name in (PROBABILITIES, LOGITS)}
    shapes[FEATURES] = [1, spec.features]
    if classifier.ood_detector:
        _add_distance(graph, classifier.ood_detector, features, spec.places)
        shapes[DISTANCE] = [1]
    model = graph.model("goldenrule", shapes)
    model.metadata_props.add(key=KEY, value=json.dumps(metadata_of(classifier, metadata), ensure_ascii=False))
    return model


def check_exportable(classifier: Classifier) -> None:
    """Raise `OptionError` for a classifier with a part that its owner's own function makes."""
    own = [
        name
        for name, custom in (
            ("head", not isinstance(classifier.head, LayeredHead)),
            ("backbone", classifier.backbone.maker is not None),
        )
        if custom
    ]
    if own:
        raise OptionError(custom_sentence(own))


def custom_sentence(own: Sequence[str]) -> str:
    """Return why a classifier with these parts of its owner's own is not exported."""
    return (
        f"The {' and '.join(own)} of this classifier {'is' if len(own) == 1 else 'are'} made by a function of its "
        "owner's, and only networks of goldenrule's own can be exported. Its network is a PyTorch module: "
        "gr.Classifier.load(run, ...).network()."
    )


def metadata_of(classifier: Classifier, others: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return what a program that runs the file needs to know: names, thresholds, and how a picture is to be decoded.

    `others` are added, or replace some. Nothing of single images, and no path.
    """
    return cast(
        "dict[str, Any]",
        as_json(
            {
                "schema_version": SCHEMA_VERSION,
                "goldenrule": classifier.provenance.get("goldenrule"),  # the version that fitted it
                "task": classifier.task,
                "classes": classifier.classes,
                "network": classifier.backbone.spec.timm_name,
                "head": classifier.head.kind,
                "preprocessing": classifier.preprocessing,
                "temperature": classifier.calibration or None,  # is in the weights already
                "thresholds": classifier.thresholds,
                "prediction_sets": classifier.sets,
                "ood": classifier.ood_detector,
                "views": 1,
                "views_in_python": len(classifier.views),
                "scored_with": str(classifier.engine),
                "precision": "fp32",
                **(others or {}),
            }
        ),
    )


def _add_backbone(graph: OnnxGraph, backbone: Any) -> None:
    """Add the backbone from `pixels` to `features`, its other names behind a mark of their own."""
    from onnx import compose

    found = compose.add_prefix(backbone, "backbone/", rename_inputs=False, rename_outputs=False).graph
    graph.nodes.extend(found.node)
    graph.initializers.extend(found.initializer)


def backbone_graph(backbone: Backbone) -> Any:
    """Return an onnx.ModelProto in fp32: `pixels` (1, 3, size, size) to `features` (1, features).

    Raises `BackboneError` where PyTorch can't export the network.
    """
    import torch

    size = backbone.spec.preprocessing.size
    how: dict[str, Any] = {"input_names": [PIXELS], "output_names": [FEATURES], "opset_version": OPSET}
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # the exporter's remarks on Python branches in timm
            program = torch.onnx.export(
                backbone.module, (torch.zeros(1, 3, size, size),), dynamo=True, verbose=False, **how
            )
        assert program is not None
        model = program.model_proto
    except Exception as error:
        raise BackboneError(
            f"PyTorch can't export {backbone.spec.name} to ONNX ({first_line(error)}). Fit with another --backbone."
        ) from error
    foreign = {node.domain for node in model.graph.node} - {""}
    if foreign or model.functions:
        raise BackboneError(
            f"{backbone.spec.name} needs operators that are not ONNX's own ({', '.join(sorted(foreign))}). Fit with "
            "another --backbone."
        )
    if [one.version for one in model.opset_import if one.domain == ""] != [OPSET]:
        from onnx import version_converter

        model = version_converter.convert_version(model, OPSET)
    return model


def _rounded(graph: OnnxGraph, features: str) -> str:
    """Add the rounding of features to float16's 11 bits, in which they are kept and scored everywhere.

    Not by two casts: OpenVINO leaves them out. With c = (2^13 + 1) x, c - (c - x) is x rounded to 11 bits: Dekker,
    "A floating-point technique for extending the available precision", 1971. Below 6.1e-5 float16 has fewer bits, and
    the difference is at most 3e-8.
    """
    scaled = graph.add("Mul", features, graph.constant(2.0**13 + 1, np.float32))
    return graph.add("Sub", scaled, graph.add("Sub", scaled, features))


def _add_distance(graph: OnnxGraph, detector: OODDetector, features: str, places: int) -> None:
    """Add 1 - cosine to the so manieth nearest training image: `OODDetector.distances`."""
    if places > 1:
        shape = graph.array(np.array([1, -1, places], np.int64))
        maps = graph.add("Reshape", features, shape)
        averaged = graph.add("ReduceMean", maps, graph.array(np.array([2], np.int64)), keepdims=0)
        features = _rounded(graph, averaged)
    length = graph.add("ReduceL2", features, graph.array(np.array([1], np.int64)), keepdims=1)
    unit = graph.add("Div", features, graph.add("Max", length, graph.constant(1e-12, np.float32)))
    towards = graph.array(np.ascontiguousarray(directions(detector.references).T.astype(np.float32)))
    cosines = graph.add("MatMul", unit, towards)
    nearest = graph.add("TopK", cosines, graph.array(np.array([detector.neighbour], np.int64)), axis=1)
    graph.nodes[-1].output.append(f"{nearest}_places")
    last = graph.add("Gather", nearest, graph.constant(detector.neighbour - 1, np.int64), axis=1)
    graph.add("Sub", graph.constant(1.0, np.float32), last, output=DISTANCE)


@dataclass(frozen=True, slots=True)
class _Named:
    """A value of the graph, with the two operations that layers write as such."""

    graph: OnnxGraph
    name: str

    def __mul__(self, other: _Named) -> _Named:
        return _Named(self.graph, self.graph.add("Mul", self.name, other.name))

    def __add__(self, other: _Named) -> _Named:
        return _Named(self.graph, self.graph.add("Add", self.name, other.name))


class _OnnxOperations:
    """ONNX's, at inference: what heads compute is written once (`LAYERS`), for arrays, tensors and graphs."""

    def linear(self, values: _Named, weight: _Named, bias: _Named | None) -> _Named:
        """Return values @ weight.T + bias."""
        graph, biases = values.graph, [bias.name] if bias else []
        return _Named(graph, graph.add("Gemm", values.name, weight.name, *biases, transB=1))

    def rectified(self, values: _Named) -> _Named:
        """Return max(values, 0)."""
        return _Named(values.graph, values.graph.add("Relu", values.name))

    def rooted(self, values: _Named, floor: float) -> _Named:
        """Return values / sqrt(|values| + floor)."""
        graph = values.graph
        size = graph.add("Add", graph.add("Abs", values.name), graph.constant(floor, np.float32))
        return _Named(graph, graph.add("Div", values.name, graph.add("Sqrt", size)))

    def dropped(self, values: _Named, share: float) -> _Named:  # noqa: ARG002
        """Return all of them."""
        return values
