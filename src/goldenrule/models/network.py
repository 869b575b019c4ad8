"""`Network`: body and head as one module, for training and export."""

from __future__ import annotations

import torch

from goldenrule.models.head import ConcatPoolHead, Head, HiddenHead, LinearHead
from goldenrule.models.own_head import OwnHead


class Network(torch.nn.Module):
    """(batch, 3, size, size) to logits (batch, classes)."""

    def __init__(self, body: torch.nn.Module, head: torch.nn.Module) -> None:
        super().__init__()
        self.body = body
        self.head = head

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Run body and head."""
        logits: torch.Tensor = self.head(self.body(pixels))
        return logits


class Affine(torch.nn.Module):
    """A BatchNorm as it is at inference: x * scale + shift, per feature."""

    def __init__(self, scale: torch.Tensor, shift: torch.Tensor) -> None:
        super().__init__()
        self.scale, self.shift = torch.nn.Parameter(scale), torch.nn.Parameter(shift)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Scale and shift (batch, features)."""
        return features * self.scale + self.shift


def head_module(head: Head) -> torch.nn.Module:
    """Give a head of arrays as a module with the same logits, in eval mode."""
    if isinstance(head, OwnHead):
        return head.module()
    tensors = {name: torch.from_numpy(value.copy()) for name, value in head.tensors.items()}
    if isinstance(head, LinearHead):
        return _linear(tensors["weight"], tensors["bias"])
    if isinstance(head, HiddenHead):
        hidden = _linear(tensors["weight_1"], tensors["bias_1"])
        last = _linear(tensors["weight_2"], tensors["bias_2"])
        return torch.nn.Sequential(hidden, torch.nn.ReLU(), torch.nn.Dropout(head.dropout), last).eval()
    assert isinstance(head, ConcatPoolHead)
    hidden = _linear(tensors["weight_1"], torch.zeros(len(tensors["weight_1"])))
    return torch.nn.Sequential(
        Affine(tensors["scale_1"], tensors["shift_1"]),
        hidden,
        torch.nn.ReLU(),
        Affine(tensors["scale_2"], tensors["shift_2"]),
        _linear(tensors["weight_2"], tensors["bias_2"]),
    )


def _linear(weight: torch.Tensor, bias: torch.Tensor) -> torch.nn.Linear:
    layer = torch.nn.Linear(weight.shape[1], weight.shape[0], device="meta").to_empty(device="cpu")
    layer.load_state_dict({"weight": weight, "bias": bias})
    return layer
