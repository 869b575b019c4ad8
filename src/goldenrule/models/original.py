"""`original`: a small convolutional network of our own, made to be trained from scratch on a CPU.

Plain 3 x 3 convolutions, which CPUs run fast forwards and backwards (depthwise ones they do not), each with a
BatchNorm; one residual block per stage (He et al., "Deep residual learning for image recognition", 2016), whose last
BatchNorm begins at zero, so that every block begins as the identity (Goyal et al., arXiv:1706.02677); the average over
all places at the end instead of large dense layers (Lin et al., "Network in network", arXiv:1312.4400), a share of it
dropped in training (Srivastava et al., "Dropout", JMLR 15, 2014). How it was chosen: docs/decisions/0029.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, ClassVar

import torch

SIZE = 64
WIDTHS = (24, 32, 64, 128, 256)
"""Channels after the stem and after each of the four stages; each halves the side of the maps."""
DROPPED = 0.3
"""The share of the features that is dropped in training."""
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Residual(torch.nn.Module):
    """ReLU(x + f(x)), f being two 3 x 3 convolutions: maps (batch, channels, h, w) of the same shape."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = convolution(channels, channels)
        self.conv = torch.nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn = torch.nn.BatchNorm2d(channels)
        torch.nn.init.zeros_(self.bn.weight)
        self.act = torch.nn.ReLU()

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Add what the block has learned to what it got."""
        added: torch.Tensor = self.act(maps + self.bn(self.conv(self.first(maps))))
        return added


class Original(torch.nn.Module):
    """(batch, 3, size, size) to the features (batch, 256); 1,964,280 parameters, 25 million multiply-adds at 64 px."""

    num_features = WIDTHS[-1]
    pretrained_cfg: ClassVar[Mapping[str, Any]] = {  # as timm's networks have it
        "input_size": (3, SIZE, SIZE),
        "crop_pct": 1.0,
        "interpolation": "bicubic",
        "mean": IMAGENET_MEAN,
        "std": IMAGENET_STD,
    }

    def __init__(self) -> None:
        super().__init__()
        self.stem = convolution(3, WIDTHS[0], stride=2)
        self.stage1, self.stage2, self.stage3, self.stage4 = (
            torch.nn.Sequential(convolution(before, width, stride=2), Residual(width))
            for before, width in pairwise(WIDTHS)
        )
        self.drop = torch.nn.Dropout(DROPPED)
        for module in self.modules():
            if isinstance(module, torch.nn.Conv2d):
                torch.nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward_features(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the last feature maps (batch, 256, size / 32, size / 32)."""
        maps: torch.Tensor = self.stem(pixels)
        for stage in (self.stage1, self.stage2, self.stage3, self.stage4):
            maps = stage(maps)
        return maps

    def forward_head(self, maps: torch.Tensor, pre_logits: bool = True) -> torch.Tensor:  # noqa: ARG002
        """Return the average over all places, (batch, 256), of which a share is dropped in training."""
        features: torch.Tensor = self.drop(maps.mean(dim=(2, 3)))
        return features

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the features."""
        return self.forward_head(self.forward_features(pixels))


def convolution(channels: int, width: int, *, stride: int = 1) -> torch.nn.Sequential:
    """Return a 3 x 3 convolution with BatchNorm and ReLU."""
    parts: dict[str, Any] = {
        "conv": torch.nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False),
        "bn": torch.nn.BatchNorm2d(width),
        "act": torch.nn.ReLU(),
    }
    layers = torch.nn.Sequential()
    for name, part in parts.items():
        layers.add_module(name, part)
    return layers
