"""The backbone through OpenVINO: the fastest frozen forward pass on a CPU."""

from __future__ import annotations

import functools
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic

import numpy as np
import numpy.typing as npt

from goldenrule.engines import EngineKind, Precision, Tag

if TYPE_CHECKING:
    import torch

BATCH_SIZE, MOST_STREAMS = 16, 8


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
    as all the rest, while the engine as a whole is compared with PyTorch before it is used (`models.compiled`). It is
    traced as a function of the pixels, with its weights as constants: that takes half the time of a module whose parts
    are all copied, and gives the same graph.
    """
    import warnings

    import torch

    openvino = imported()
    example, frozen = torch.zeros(1, 3, size, size), backbone.eval().requires_grad_(False)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the tracer's remarks on Python branches in timm
        traced = torch.jit.trace(lambda pixels: frozen(pixels), example, check_trace=False, strict=False)  # type: ignore[no-untyped-call]
        model = openvino.convert_model(traced, example_input=example, input=[BATCH_SIZE, 3, size, size])
    openvino.save_model(model, path, compress_to_fp16=False)


class OpenVinoEngine:
    """A backbone compiled for this machine at an explicit precision, which is read back."""

    def __init__(
        self, path: Path, precision: Precision, *, threads: int, batch_size: int | None = None, alone: bool = False
    ) -> None:
        """Compile a graph for batches of its own size or another; with `alone` each picture of one is run by itself.

        A picture by itself is one thread's: with several, its bits could depend on among how many it is shared.
        """
        graph = core().read_model(path)
        own, *shape = graph.input(0).shape
        self.batch_size = batch_size or int(own)
        self._rows = 1 if alone else self.batch_size
        self._streams = threads if self._rows == 1 else max(1, min(threads, MOST_STREAMS))
        options = {
            "INFERENCE_PRECISION_HINT": {"bf16": "bf16", "fp32": "f32"}[precision],
            "INFERENCE_NUM_THREADS": str(threads),
            "NUM_STREAMS": str(self._streams),
        }
        if self._rows != own:
            graph.reshape([self._rows, *shape])
        self._model = core().compile_model(graph, "CPU", options)
        self._idle: deque[Any] = deque()  # requests that were made before: several threads take and return them
        found = self._model.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        effective: Precision = "bf16" if found == "bf16" else "fp32"
        self.kind = EngineKind(name="openvino", precision=effective, version=version(), alone=alone)

    def run(
        self, batches: Iterable[tuple[Tag, npt.NDArray[np.float32]]]
    ) -> Iterator[tuple[Tag, npt.NDArray[np.float32]]]:
        """See `Engine.run`: one request in flight per stream. Several threads may run one engine."""
        busy: deque[_Running[Tag]] = deque()
        try:
            for tag, pixels in batches:
                rows: list[npt.NDArray[np.float32]] = []
                for start in range(0, len(pixels), self._rows):
                    if len(busy) == self._streams:
                        yield from self._finish(busy)
                    request, part = self._request(), pixels[start : start + self._rows]
                    request.start_async({0: part}, share_inputs=True)
                    busy.append(_Running(tag, request, part, rows, of=len(pixels) // self._rows))
            while busy:
                yield from self._finish(busy)
        finally:
            for one in busy:
                one.request.wait()

    def _request(self) -> Any:
        try:
            return self._idle.pop()
        except IndexError:
            return self._model.create_infer_request()

    def _finish(self, busy: deque[_Running[Tag]]) -> Iterator[tuple[Tag, npt.NDArray[np.float32]]]:
        """Wait for the request that was begun first; yield its batch where it was the last one of it."""
        one = busy.popleft()
        one.request.wait()
        one.rows.append(np.array(one.request.get_output_tensor(0).data, dtype=np.float32))
        self._idle.append(one.request)
        if len(one.rows) == one.of:
            yield one.tag, np.concatenate(one.rows) if one.of > 1 else one.rows[0]


@dataclass(slots=True, eq=False)
class _Running(Generic[Tag]):
    """A request in flight with its input, and the rows of its batch that are there, of so many requests."""

    tag: Tag
    request: Any
    pixels: npt.NDArray[np.float32]
    rows: list[npt.NDArray[np.float32]]
    of: int
