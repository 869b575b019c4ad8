"""Every path that runs on a GPU, verified and timed against the processor.

    python tools/gpu_check.py                  the first GPU
    python tools/gpu_check.py --device mps     another device of PyTorch; cpu tries the check itself

Pictures are drawn here, weights are those that were installed. It prints one table and ends with 1 where something
does not agree: send the table with an issue. Nothing is kept but backbones in the cache.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch

sys.path.insert(0, str(Path(__file__).parent))

from drawn import draw_shapes

import goldenrule as gr
from goldenrule.core.errors import GoldenRuleError
from goldenrule.engines.pytorch import TorchEngine
from goldenrule.models.graphs.compiled import check_device

EACH, BATCHES = 40, 8
LEAST_COSINE, MOST_DIFFERENT, MOST_LOSS = 0.99, 0.05, 0.05
"""bf16 keeps 8 bits: features point the same way, probabilities and losses differ in the second place."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A path: whether the device agrees with the processor, by which number, and pictures a second of both."""

    path: str
    agrees: bool
    found: str
    rates: list[float]
    megabytes: float | None

    @property
    def line(self) -> str:
        """The row of the table."""
        memory = "" if self.megabytes is None else f"{self.megabytes:,.0f} MB"
        rates = " ".join(f"{rate:>9,.1f}" for rate in self.rates)
        return f"{self.path:<20} {'agrees' if self.agrees else 'DIFFERS':<8} {self.found:<36} {rates} {memory:>10}"


def main() -> None:
    """Check every path and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    try:
        device = check_device(parser.parse_args().device)
    except GoldenRuleError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    with tempfile.TemporaryDirectory() as folder:
        found = [check(device, Path(folder)) for check in (features, quick_fits, predictions, trainings)]
    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else device
    print(f"goldenrule {gr.__version__}, PyTorch {torch.__version__}, {name}\n")
    print(f"{'path':<20} {'':<8} {'by':<36} {'CPU, /s':>9} {'here, /s':>9} {'peak':>10}")
    print(*(one.line for one in found), sep="\n")
    sys.exit(0 if all(one.agrees for one in found) else 1)


def features(device: str, _: Path) -> Checked:
    """Compare the frozen backbone, through PyTorch on both: in fp32 on the processor, in bf16 on a GPU."""
    backbone = gr.backbone()
    side = backbone.spec.preprocessing.size
    pixels = np.random.default_rng(0).normal(size=(32, 3, side, side)).astype(np.float32)

    def looked(name: str) -> tuple[npt.NDArray[np.float32], int]:
        rows = [row for _, row in TorchEngine(backbone.module, device=name).run((None, pixels) for _ in range(BATCHES))]
        return rows[-1] / np.linalg.norm(rows[-1], axis=1, keepdims=True), BATCHES * len(pixels)

    (one, other), rates, peak = on_both(device, looked)
    cosine = float((one * other).sum(axis=1).min())
    return Checked("frozen backbone", cosine >= LEAST_COSINE, f"least cosine {cosine:.5f}", rates, peak)


def quick_fits(device: str, folder: Path) -> Checked:
    """Compare a quick fit: features of the device, the head on the processor."""
    return fitted("quick fit", device, folder, lambda **how: gr.fit(drawn(folder), quick=True, views=0, **how))


def trainings(device: str, folder: Path) -> Checked:
    """Compare the whole network after an epoch of training."""
    how: dict[str, Any] = {"type": "fine_tuning", "epochs": 1, "size": 96}
    return fitted("training, one epoch", device, folder, lambda **more: gr.train(drawn(folder), **how, **more))


def fitted(path: str, device: str, folder: Path, fit: Callable[..., gr.FitResult]) -> Checked:
    """Fit on both, and compare the log loss on validation."""
    runs = iter(("here", "there"))

    def loss(name: str) -> tuple[float, int]:
        result = fit(out=folder / f"{path} {next(runs)}", device=name)
        return gr.metrics.log_loss(result.scored["valid"]).value, len(result.table)

    (one, other), rates, peak = on_both(device, loss)
    return Checked(path, abs(one - other) <= MOST_LOSS, f"log loss {one:.3f}, {other:.3f}", rates, peak)


def predictions(device: str, folder: Path) -> Checked:
    """Compare a classifier that was fitted on the processor, and is loaded for the device."""
    run = gr.fit(drawn(folder), quick=True, views=0, out=folder / "to predict with").folder

    def said(name: str) -> tuple[npt.NDArray[np.float64], int]:
        seen = gr.Classifier.load(run, device=name).predict(drawn(folder))
        return seen.probabilities, len(seen)

    (one, other), rates, peak = on_both(device, said)
    apart = float(np.abs(one - other).max())
    found = f"probabilities at most {apart:.4f} apart"
    return Checked("predict --device", apart <= MOST_DIFFERENT, found, rates, peak)


Value = TypeVar("Value")


def on_both(device: str, work: Callable[[str], tuple[Value, int]]) -> tuple[list[Value], list[float], float | None]:
    """Return what a work gives on the processor and on the device, pictures a second of both, and the peak in MB."""
    values, rates = [], []
    for name in ("cpu", device):
        if name.startswith("cuda"):
            torch.cuda.reset_peak_memory_stats(name)
        began = time.perf_counter()
        value, count = work(name)
        values.append(value)
        rates.append(count / (time.perf_counter() - began))
    return values, rates, torch.cuda.max_memory_allocated(device) / 1e6 if device.startswith("cuda") else None


def drawn(folder: Path) -> Path:
    """Return the folder of drawn pictures, drawn once."""
    return folder / "shapes" if (folder / "shapes").exists() else draw_shapes(folder / "shapes", each=EACH)


if __name__ == "__main__":
    main()
