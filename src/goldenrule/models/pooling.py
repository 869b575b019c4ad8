"""Backbones that end in pooled features."""

from __future__ import annotations

from typing import Any

import torch

from goldenrule.core.errors import BackboneError


class AveragePooled(torch.nn.Module):
    """(batch, 3, size, size) to the features (batch, features) that timm's own classifier would get.

    An average over places, or of some transformers the class token, or what their attention pools.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Run the backbone and its own pooling."""
        return self.pool(self.model.forward_features(pixels))

    def pool(self, maps: torch.Tensor) -> torch.Tensor:
        """Return the features of the last maps or tokens."""
        features: torch.Tensor = self.model.forward_head(maps, pre_logits=True)
        return features


class ClassToken(AveragePooled):
    """(batch, 3, size, size) to the class token (batch, features), where timm's own pooling would average patches."""

    def pool(self, maps: torch.Tensor) -> torch.Tensor:
        """Return the first of the tokens (batch, tokens, features)."""
        return maps[:, 0]


class MaxAveragePooled(torch.nn.Module):
    """(batch, 3, size, size) to (batch, 2 channels): maximum, then average, over the last feature map.

    Howard & Gugger, "fastai: A layered API for deep learning", 2020: AdaptiveConcatPool2d.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Run the backbone and pool twice; `BackboneError` where it gives no feature maps (batch, c, h, w)."""
        maps = self.model.forward_features(pixels)
        if maps.ndim != 4 or maps.shape[1] != self.model.num_features:
            raise BackboneError("--head concat-pool needs a backbone with feature maps; this one has tokens.")
        return torch.cat([maps.amax(dim=(2, 3)), maps.mean(dim=(2, 3))], dim=1)


class Flattened(torch.nn.Module):
    """(batch, 3, size, size) to (batch, channels * height * width): the last feature map as it lies."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Run the backbone; all places of a channel follow each other."""
        features: torch.Tensor = self.model.forward_features(pixels).flatten(1)
        return features

    def places(self, size: int) -> int:
        """Return how many places a map has at this side of the input; `BackboneError` where there are no maps."""
        with torch.no_grad():
            maps = self.model.forward_features(torch.zeros(1, 3, size, size))
        if maps.ndim != 4 or maps.shape[1] != self.model.num_features:
            raise BackboneError("--head flatten-64 needs a backbone with feature maps; this one has tokens.")
        return int(maps.shape[2] * maps.shape[3])


class MapsAveraged(torch.nn.Module):
    """A backbone of the user's own that gives feature maps (batch, c, h, w): their average, (batch, c)."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Run the backbone and average over the places."""
        maps: torch.Tensor = self.model(pixels)
        return maps.mean(dim=(2, 3))


class Plain(torch.nn.Module):
    """A backbone of the user's own that gives features (batch, features)."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Run the backbone."""
        features: torch.Tensor = self.model(pixels)
        return features
