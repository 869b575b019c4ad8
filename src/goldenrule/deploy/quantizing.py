"""int8: a backbone's graph quantized by NNCF, calibrated on training images. Needs the extra `int8`."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np

from goldenrule.core.errors import BackboneError, OptionError, SourceError, first_line
from goldenrule.core.extras import need, quiet_dependencies
from goldenrule.core.progress import Progress, Task
from goldenrule.data.table import ImageTable
from goldenrule.deploy.classifier_graph import PIXELS, backbone_graph
from goldenrule.deploy.run_pictures import pictures, spread
from goldenrule.engines import openvino as ov
from goldenrule.models.classifier import Classifier

ExportPrecision = Literal["fp32", "int8"]
MOST_CALIBRATED = 300
"""So many training images are read for the ranges of activations: NNCF's own default."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Quantized:
    """A backbone's ONNX graph in int8, how many `images` it was calibrated on, and what was measured of it since."""

    backbone: Any
    images: int
    measured: Mapping[str, Any] = field(default_factory=dict)

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What the file says of it."""
        return {"precision": "int8", "int8": {"calibrated_on": self.images, **self.measured}}


def check_precision(precision: str, *, needs_onnx: bool) -> None:
    """Raise `OptionError` for a precision that an export does not have, `MissingExtra` without what int8 needs."""
    if precision not in get_args(ExportPrecision):
        raise OptionError(f"--precision {precision}: wanted one of {', '.join(get_args(ExportPrecision))}.")
    if precision == "int8":
        if not needs_onnx:
            raise OptionError("--precision int8: wanted --format onnx or openvino; PyTorch's file is in fp32.")
        need("int8", what="goldenrule export --precision int8")


def quantized(classifier: Classifier, train: ImageTable | None, progress: Progress) -> Quantized:
    """Return the backbone of a classifier in int8, calibrated on pictures of `train`.

    Weights and activations are symmetric, weights per channel. Those whose products are summed over channels have 7
    bits: on processors without VNNI sums of two 8-bit products saturate at 16 bits, and features would be others there.
    Raises `SourceError` where no training image is left, `BackboneError` for a network that NNCF can't quantize.
    """
    chosen = None if train is None else spread(train, MOST_CALIBRATED)
    if chosen is None or not len(chosen):
        gone = "they are gone" if chosen is None else "its run has none"
        raise SourceError(
            f"--precision int8 is calibrated on the run's training images, and {gone}. Export the run where its images "
            "are, or with --precision fp32."
        )
    graph = backbone_graph(classifier.backbone)
    with progress.task("calibrate", len(chosen), "images") as task:
        source = _Calibration(classifier, chosen, task)
        if next(iter(source), None) is None:
            raise SourceError(
                f"--precision int8 is calibrated on the run's training images, and none of {len(chosen):,} in "
                f"{chosen.root} can be read or is as it was. Put them back, or export with --precision fp32."
            )
        try:
            backbone = _by_nncf(graph, source)
        except Exception as error:
            raise BackboneError(
                f"NNCF can't quantize {classifier.backbone.spec.name} ({first_line(error)}). Export with --precision "
                "fp32, or fit with another --backbone."
            ) from error
    if foreign := {node.domain for node in backbone.graph.node} - {""}:
        raise BackboneError(f"In int8 {classifier.backbone.spec.name} needs operators of {', '.join(sorted(foreign))}.")
    return Quantized(backbone=backbone, images=source.images)


class _Calibration:
    """Pixels of training pictures, decoded whenever they are wanted: memory does not grow with their number."""

    def __init__(self, classifier: Classifier, table: ImageTable, task: Task) -> None:
        self._classifier, self._table, self._task = classifier, table, task
        self.images = 0

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        found = pictures(self._classifier, self._table, same_bytes=True)
        for count, (_, picture) in enumerate(found, 1):
            if count > self.images:
                self.images = count
                self._task.advance(1)
            yield {PIXELS: self._classifier.preprocessing.pixels(picture)[np.newaxis]}


def _by_nncf(graph: Any, source: _Calibration) -> Any:
    """Return a graph quantized; NNCF's bars and remarks, and those of what it imports, are kept off the screen."""
    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        warnings.catch_warnings(),
        _no_remarks("torch.utils.cpp_extension", "nncf"),
    ):
        warnings.simplefilter("ignore")
        nncf = imported()
        attention = any(node.op_type == "Softmax" for node in graph.graph.node)
        return nncf.quantize(
            graph,
            nncf.Dataset(source),
            subset_size=MOST_CALIBRATED,
            model_type=nncf.ModelType.TRANSFORMER if attention else None,
            advanced_parameters=nncf.AdvancedQuantizationParameters(overflow_fix=nncf.OverflowFix.ENABLE),
        )


def imported() -> Any:
    """Return the module nncf, imported without its telemetry, also where somebody else has imported it (law 13)."""
    quiet_dependencies()
    ov.imported()
    import nncf
    from nncf.telemetry import decorator, wrapper

    decorator.telemetry = wrapper.NNCFTelemetryStub()
    return nncf


@contextlib.contextmanager
def _no_remarks(*names: str) -> Iterator[None]:
    """Let loggers say nothing below an error for a while."""
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
