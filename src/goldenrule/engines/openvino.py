"""The backbone through OpenVINO: the fastest frozen forward pass on a CPU."""

from __future__ import annotations

import functools
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from goldenrule.engines import EngineKind, Precision, Tag

if TYPE_CHECKING:
    import torch

BATCH_SIZE = 16


def imported() -> Any:
    """Return the module openvino, imported without its telemetry (law 13).

    On import, and whenever it converts a network, OpenVINO reports to its makers through the package
    openvino_telemetry; where that can't be imported it falls back to a stub of its own, so it is made unimportable
    first. Where somebody else has imported it before, the stub takes its place.
    """
    told = sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None: ImportError
    import openvino

    if told is not None:
        from openvino.tools.ovc.telemetry_stub import Telemetry

        told.Telemetry = Telemetry  # type: ignore[attr-defined]
    return openvino


@functools.cache
def core() -> Any:
    """Return the one core of this process, which is never let go.

    The CPU plugin gives signals a stack of their own; unloaded with its last core, it would leave them one that is
    gone, and the next Ctrl-C would be a segmentation fault.
    """
    return imported().Core()


def version() -> str:
    """Return OpenVINO's version without importing it."""
    from importlib.metadata import version as installed

    return installed("openvino")


def best_precision() -> Precision:
    """Return bf16 where the processor computes it natively, fp32 elsewhere."""
    capabilities = core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return "bf16" if "BF16" in capabilities else "fp32"


def export(backbone: torch.nn.Module, size: int, path: Path) -> None:
    """Write a backbone that takes (batch, 3, size, size) as OpenVINO's IR: `path` (.xml) and a .bin beside it.

    It is traced here and unchecked: the converter would trace it three times to compare the traces, which takes as long
    as all the rest, while the engine as a whole is compared with PyTorch before it is used (`models.compiled`).
    """
    import warnings

    import torch

    openvino = imported()
    example = torch.zeros(1, 3, size, size)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the tracer's remarks on Python branches in timm
        traced = torch.jit.trace(backbone.eval(), example, check_trace=False, strict=False)  # type: ignore[no-untyped-call]
        model = openvino.convert_model(traced, example_input=example, input=[BATCH_SIZE, 3, size, size])
    openvino.save_model(model, path, compress_to_fp16=False)


class OpenVinoEngine:
    """A backbone compiled for this machine at an explicit precision, which is read back."""

    def __init__(self, path: Path, precision: Precision, *, threads: int, batch_size: int | None = None) -> None:
        """Compile a graph at its own batch size, or at another one: then each batch is one thread's.

        With several threads a batch, its bits could depend on among how many it is shared.
        """
        streams = max(1, min(threads, 8))
        threads = threads if batch_size is None else streams
        options = {
            "INFERENCE_PRECISION_HINT": {"bf16": "bf16", "fp32": "f32"}[precision],
            "INFERENCE_NUM_THREADS": str(threads),
            "NUM_STREAMS": str(streams),
        }
        graph = core().read_model(path)
        if batch_size is not None:
            _, *shape = graph.input(0).shape
            graph.reshape([batch_size, *shape])
        self._model = core().compile_model(graph, "CPU", options)
        effective = self._model.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        self.kind = EngineKind(name="openvino", precision="bf16" if effective == "bf16" else "fp32", version=version())
        self.batch_size = int(self._model.input(0).shape[0])
        self._streams = streams

    def run(
        self, batches: Iterable[tuple[Tag, npt.NDArray[np.float32]]]
    ) -> Iterator[tuple[Tag, npt.NDArray[np.float32]]]:
        """See `Engine.run`: one batch in flight per stream. Several threads may run one engine."""
        idle = deque(self._model.create_infer_request() for _ in range(self._streams))
        busy: deque[tuple[Tag, Any]] = deque()
        try:
            for tag, pixels in batches:
                if not idle:
                    yield self._finish(busy, idle)
                request = idle.popleft()
                request.start_async({0: pixels}, share_inputs=True)
                busy.append((tag, request))
            while busy:
                yield self._finish(busy, idle)
        finally:
            for _, request in busy:
                request.wait()

    def _finish(self, busy: deque[tuple[Tag, Any]], idle: deque[Any]) -> tuple[Tag, npt.NDArray[np.float32]]:
        tag, request = busy.popleft()
        request.wait()
        features = np.array(request.get_output_tensor(0).data, dtype=np.float32)
        idle.append(request)
        return tag, features
