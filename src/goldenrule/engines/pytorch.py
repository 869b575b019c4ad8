"""The backbone through PyTorch: on a GPU, and wherever OpenVINO can't run it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import torch

from goldenrule.engines import EngineKind, Precision, Tag

BATCH_SIZE = 32


def torch_kind(device: str = "cpu") -> EngineKind:
    """Return what PyTorch runs on a device: bf16 on a GPU, fp32 on a CPU."""
    precision: Precision = "fp32" if torch.device(device).type == "cpu" else "bf16"
    return EngineKind(name="torch", precision=precision, version=torch.__version__, device=device)


class TorchEngine:
    """A frozen module, channels last; autocast to bf16 on a GPU (untested there), fp32 on a CPU."""

    def __init__(self, backbone: torch.nn.Module, *, device: str = "cpu", threads: int | None = None) -> None:
        self._device = torch.device(device)
        if threads is not None and self._device.type == "cpu":
            torch.set_num_threads(threads)
        frozen = backbone.eval().requires_grad_(False).to(self._device)
        self._backbone = frozen.to(memory_format=torch.channels_last)
        self.kind = torch_kind(device)
        self.batch_size = BATCH_SIZE

    def run(
        self, batches: Iterable[tuple[Tag, npt.NDArray[np.float32]]]
    ) -> Iterator[tuple[Tag, npt.NDArray[np.float32]]]:
        """See `Engine.run`: one batch at a time."""
        reduced = self.kind.precision == "bf16"
        for tag, pixels in batches:
            with torch.inference_mode(), torch.autocast(self._device.type, torch.bfloat16, enabled=reduced):
                source = torch.from_numpy(pixels).to(self._device, memory_format=torch.channels_last)
                features = self._backbone(source)
            yield tag, features.float().cpu().numpy()
