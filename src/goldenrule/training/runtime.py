"""`Runtime`: device, precision and processes of a training, by Lightning Fabric."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True, eq=False)
class Runtime:
    """Where a loop runs; made by `runtime`."""

    fabric: Any

    def place(self, network: torch.nn.Module, optimizer: torch.optim.Optimizer) -> tuple[Any, Any]:
        """Return network and optimizer, placed and wrapped."""
        wrapped = self.fabric.setup(network, optimizer)
        return wrapped[0], wrapped[1]

    def backward(self, loss: torch.Tensor) -> None:
        """Compute gradients."""
        self.fabric.backward(loss)

    def clip(self, model: Any, optimizer: Any, norm: float) -> None:
        """Shorten the gradient to a norm."""
        self.fabric.clip_gradients(model, optimizer, max_norm=norm)

    def move(self, value: torch.Tensor) -> torch.Tensor:
        """Return the tensor on the device."""
        moved: torch.Tensor = self.fabric.to_device(value)
        return moved


def runtime(device: str = "cpu") -> Runtime:
    """Return a runtime on one device; several devices and nodes are Fabric's own matter (untested here)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # remarks of Fabric's dependencies on their own deprecations
        from lightning_fabric import Fabric

        fabric = Fabric(accelerator="cpu" if device == "cpu" else "auto", devices=1, precision="32-true")
        fabric.launch()
    return Runtime(fabric)
