"""The formats of an exported classifier: how each is written, and how a file of each is run to check it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from goldenrule.core.errors import OptionError
from goldenrule.deploy.classifier_graph import (
    DISTANCE,
    FEATURES,
    INPUT,
    KEY,
    LOGITS,
    PROBABILITIES,
    exported_graph,
    metadata_of,
)
from goldenrule.deploy.quantizing import Quantized
from goldenrule.deploy.run_pictures import Picture
from goldenrule.engines import openvino as ov
from goldenrule.metrics.probabilities import sigmoid, softmax
from goldenrule.models.catalog import OWN_ARCHITECTURES, side_by_side
from goldenrule.models.classifier import Classifier
from goldenrule.storage.outputs import Kind

Outputs = Mapping[str, npt.NDArray[np.float32]]
Runner = Callable[[Picture], Outputs]
"""What runs a file: a picture (height, width, 3) to probabilities, logits and distance of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A format: the ending of its file, of the file beside it, and whether its features are rounded as in Python."""

    name: str
    ending: str
    kind: Kind
    make: Callable[[Classifier, Quantized | None], dict[str, bytes]]
    runner: Callable[[Path, Classifier], Runner]
    beside: str = ""
    rounds: bool = True
    needs_onnx: bool = True


def format_named(name: str, out: Path | None) -> Format:
    """Return the format of that name, or that the ending of `out` says. Raises `OptionError` where they do not fit."""
    of_ending = {one.ending: one for one in FORMATS.values()}
    if name and name not in FORMATS:
        raise OptionError(f"--format {name}: wanted one of {', '.join(FORMATS)}.")
    found = FORMATS[name] if name else FORMATS["onnx"]
    if out is not None:
        if not name:
            found = of_ending.get(out.suffix.lower(), found)
        if out.suffix.lower() != found.ending:
            endings = ", ".join(f"{ending} ({one.name})" for ending, one in of_ending.items())
            wanted = f"a name that ends in {found.ending} for --format {name}" if name else f"one of {endings}"
            raise OptionError(f"-o {out}: wanted {wanted}.")
    return found


def _onnx(classifier: Classifier, made: Quantized | None) -> dict[str, bytes]:
    return {".onnx": _graph(classifier, made).SerializeToString()}


def _graph(classifier: Classifier, made: Quantized | None) -> Any:
    return (
        exported_graph(classifier, backbone=made.backbone, metadata=made.metadata)
        if made
        else exported_graph(classifier)
    )


def _run_onnx(path: Path, classifier: Classifier) -> Runner:  # noqa: ARG001
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # others may want the processors
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_outputs()]
    return lambda picture: dict(zip(names, session.run(names, {INPUT: picture}), strict=True))


def _openvino(classifier: Classifier, made: Quantized | None) -> dict[str, bytes]:
    openvino = ov.imported()
    with tempfile.TemporaryDirectory(prefix="goldenrule-") as folder:
        source = Path(folder, "classifier.onnx")
        source.write_bytes(_graph(classifier, made).SerializeToString())
        model = openvino.convert_model(source)
        model.set_rt_info(json.dumps(metadata_of(classifier, made.metadata if made else None)), [KEY])
        openvino.save_model(model, Path(folder, "classifier.xml"), compress_to_fp16=False)
        return {ending: Path(folder, f"classifier{ending}").read_bytes() for ending in (".xml", ".bin")}


def _run_openvino(path: Path, classifier: Classifier) -> Runner:
    core = ov.core()
    compiled = core.compile_model(core.read_model(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    names = [PROBABILITIES, LOGITS, FEATURES, *([DISTANCE] if classifier.ood_detector else [])]

    def run(picture: Picture) -> Outputs:
        found = compiled({INPUT: picture})
        return {name: np.array(found[name]) for name in names}

    return run


def _torch(classifier: Classifier, made: Quantized | None) -> dict[str, bytes]:  # noqa: ARG001
    from safetensors.torch import save

    network = _timm_network(classifier)
    backbone = classifier.backbone.module.get_submodule("model").state_dict()
    last = str(network.pretrained_cfg["classifier"])
    head = {f"{last}.{name}": _tensor(classifier.head.tensors[name]) for name in ("weight", "bias")}
    state = {name: value.contiguous().clone() for name, value in {**backbone, **head}.items()}
    about = {**metadata_of(classifier), "ood": None, "timm": _timm_arguments(classifier)}
    content: bytes = save(state, metadata={"format": "pt", KEY: json.dumps(about)})
    return {".safetensors": content}


def _run_torch(path: Path, classifier: Classifier) -> Runner:
    import torch

    network = _timm_network(classifier, checkpoint_path=str(path)).eval()

    def run(picture: Picture) -> Outputs:
        with torch.no_grad():
            logits = network(_tensor(classifier.preprocessing.pixels(picture)[np.newaxis])).numpy()
        from_logits = softmax if classifier.task == "single" else sigmoid
        return {LOGITS: logits, PROBABILITIES: from_logits(logits.astype(np.float64)).astype(np.float32)}

    return run


def _timm_network(classifier: Classifier, **given: Any) -> Any:
    """Return timm's network with a last layer of these classes; `OptionError` where timm has no such network."""
    import timm

    spec, kind = classifier.backbone.spec, classifier.head.kind
    several = len(side_by_side(spec.timm_name)) > 1
    if kind != "linear" or several or spec.timm_name in OWN_ARCHITECTURES or classifier.backbone.maker is not None:
        backbones = f"{spec.name}, which are several" if several else spec.name
        what = f"the head {kind}" if kind != "linear" else backbones
        raise OptionError(
            f"--format torch writes a network of timm's with a linear head, and this classifier has {what}. Take "
            "--format onnx, or fit with --head linear; in Python, gr.Classifier.load(run).network() is its PyTorch "
            "module."
        )
    network = timm.create_model(**_timm_arguments(classifier), **given)
    last = network.pretrained_cfg.get("classifier")
    shape = (len(classifier.classes), spec.features)
    if not isinstance(last, str) or tuple(network.get_submodule(last).weight.shape) != shape:
        raise OptionError(f"{spec.timm_name} does not end in one linear layer: take --format onnx.")
    return network


def _timm_arguments(classifier: Classifier) -> dict[str, Any]:
    """Return what `timm.create_model` is given to build the network."""
    spec = classifier.backbone.spec
    sized = {"img_size": spec.preprocessing.size} if spec.built_for_size else {}
    return {"model_name": spec.timm_name, "num_classes": len(classifier.classes), **sized}


def _tensor(array: npt.NDArray[Any]) -> Any:
    import torch

    return torch.from_numpy(np.ascontiguousarray(array))


def _is_onnx(content: bytes) -> bool:
    return b"goldenrule" in content[:32]  # the producer, the second field


def _is_openvino(content: bytes) -> bool:
    return b'<net name="goldenrule"' in content[:200]


def _is_torch(content: bytes) -> bool:
    start = content.find(b'"__metadata__"', 0, 32)
    return start >= 0 and b'"goldenrule"' in content[start : start + 1_000_000]


FORMATS: Mapping[str, Format] = {
    one.name: one
    for one in (
        Format(
            name="onnx",
            ending=".onnx",
            kind=Kind(name="an ONNX file", example="classifier.onnx", ours=_is_onnx),
            make=_onnx,
            runner=_run_onnx,
        ),
        Format(
            name="openvino",
            ending=".xml",
            beside=".bin",
            kind=Kind(name="a graph of OpenVINO", example="classifier.xml", ours=_is_openvino),
            make=_openvino,
            runner=_run_openvino,
        ),
        Format(
            name="torch",
            ending=".safetensors",
            kind=Kind(name="a safetensors file", example="classifier.safetensors", ours=_is_torch),
            make=_torch,
            runner=_run_torch,
            rounds=False,
            needs_onnx=False,
        ),
    )
}
"""The formats by name."""
