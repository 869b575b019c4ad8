"""`Network`: backbone and head as one module, for training and export."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch.nn import functional

from goldenrule.models.custom_heads import CustomHead
from goldenrule.models.heads import Head, LayeredHead
from goldenrule.models.layers import LAYERS, run

State = dict[str, torch.Tensor]
"""The tensors of a module by name, on the CPU."""


class Network(torch.nn.Module):
    """(batch, 3, size, size) to logits (batch, classes)."""

    def __init__(self, backbone: torch.nn.Module, head: torch.nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Run backbone and head."""
        logits: torch.Tensor = self.head(self.backbone(pixels))
        return logits


class HeadModule(torch.nn.Module):
    """A head of goldenrule's as a module: its parameters have the names of the head's tensors."""

    def __init__(self, head: LayeredHead) -> None:
        super().__init__()
        self.kind = head.kind
        for name, value in head.tensors.items():
            self.register_parameter(name, torch.nn.Parameter(torch.from_numpy(value.copy())))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return the logits (batch, classes)."""
        tensor_operations = TensorOperations(training=self.training)
        logits: torch.Tensor = run(LAYERS[self.kind], features, self._parameters, tensor_operations)
        return logits


@dataclass(frozen=True, slots=True)
class TensorOperations:
    """PyTorch's, in the precision of the tensors."""

    training: bool

    def linear(self, values: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        """Return values @ weight.T + bias."""
        return functional.linear(values, weight, bias)

    def rectified(self, values: torch.Tensor) -> torch.Tensor:
        """Return max(values, 0)."""
        return functional.relu(values)

    def rooted(self, values: torch.Tensor, floor: float) -> torch.Tensor:
        """Return values / sqrt(|values| + floor)."""
        return values / torch.sqrt(values.abs() + floor)

    def dropped(self, values: torch.Tensor, share: float) -> torch.Tensor:
        """Return the values without that share of them in training."""
        return functional.dropout(values, share, self.training)


def head_module(head: Head) -> torch.nn.Module:
    """Return a head of arrays as a module with the same logits, in eval mode; its state has the head's tensors."""
    if isinstance(head, CustomHead):
        return head.module()
    assert isinstance(head, LayeredHead)
    return HeadModule(head).eval()


def copied(network: torch.nn.Module) -> State:
    """Return a copy of a network's tensors, contiguous."""
    return {name: value.detach().cpu().contiguous().clone() for name, value in network.state_dict().items()}


def between(first: State, last: State, share: float) -> State:
    """Return the state at a share of the way from first to last; whole numbers are those of the last."""
    return {
        name: value if not value.is_floating_point() else torch.lerp(first[name], value, share)
        for name, value in last.items()
    }


def move(average: State, network: torch.nn.Module, share: float) -> None:
    """Move an average of weights, in place, by a share of the way to those of the network."""
    for name, value in copied(network).items():
        if value.is_floating_point():
            average[name].lerp_(value, share)
        else:
            average[name].copy_(value)


@contextlib.contextmanager
def lent(network: torch.nn.Module, state: State | None) -> Iterator[None]:
    """Return a network other weights while the block runs; None leaves it its own."""
    if state is None:
        yield
        return
    weights = copied(network)
    network.load_state_dict(state)
    try:
        yield
    finally:
        network.load_state_dict(weights)
