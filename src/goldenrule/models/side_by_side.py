"""Several backbones side by side: one network whose features are those of all, one after another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from goldenrule.core.errors import BackboneError


class SideBySide(torch.nn.Module):
    """Networks that look at the same picture: (batch, 3, size, size) to maps (batch, sum of channels, h, w).

    Pixels come normalised as the first wants them; for the others they are normalised anew. Its tensors are called
    `networks.0.NAME`, `networks.1.NAME` and so on.
    """

    def __init__(self, networks: Sequence[Any]) -> None:
        super().__init__()
        self.networks = torch.nn.ModuleList(networks)
        self.num_features = sum(int(network.num_features) for network in networks)
        self.pretrained_cfg: Mapping[str, Any] = _largest([network.pretrained_cfg for network in networks])
        first = networks[0].pretrained_cfg
        self.pretrained_cfg = {**self.pretrained_cfg, "mean": first["mean"], "std": first["std"]}
        self._anew = [_change(first, network.pretrained_cfg) for network in networks]

    def forward_features(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the last feature maps of all; `BackboneError` where they differ in size, or one has none."""
        maps = [
            network.forward_features(pixels if change is None else _normalised(pixels, *change))  # type: ignore[operator]
            for network, change in zip(self.networks, self._anew, strict=True)
        ]
        shapes = [tuple(map(int, one.shape[1:])) for one in maps]  # plain numbers, also where a graph is traced
        if len({shape[1:] for shape in shapes}) > 1 or any(len(shape) != 3 for shape in shapes):
            raise BackboneError(
                "These backbones can't stand side by side: their last feature maps have different sizes, or one has "
                f"none ({', '.join(map(str, shapes))}). Wanted convolutional networks of one stride."
            )
        return torch.cat(maps, dim=1)

    def forward_head(self, maps: torch.Tensor, pre_logits: bool = True) -> torch.Tensor:  # noqa: ARG002
        """Return the pooled features of all, (batch, features)."""
        channels = [int(network.num_features) for network in self.networks]  # type: ignore[arg-type]
        parts = zip(self.networks, torch.split(maps, channels, dim=1), strict=True)
        return torch.cat([network.forward_head(part, pre_logits=True) for network, part in parts], dim=1)  # type: ignore[operator]

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the features."""
        return self.forward_head(self.forward_features(pixels))


def _largest(configs: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    return max(configs, key=lambda config: int(config["input_size"][-1]))


Change = tuple[tuple[float, ...], tuple[float, ...]]


def _change(first: Mapping[str, Any], other: Mapping[str, Any]) -> Change | None:
    """Return what the pixels of the first are multiplied by, and what is added, for another network; None: nothing."""
    if (tuple(first["mean"]), tuple(first["std"])) == (tuple(other["mean"]), tuple(other["std"])):
        return None
    of_channel = list(zip(first["mean"], first["std"], other["mean"], other["std"], strict=True))
    return (
        tuple(std / its_std for _, std, _, its_std in of_channel),
        tuple((mean - its_mean) / its_std for mean, _, its_mean, its_std in of_channel),
    )


def _normalised(pixels: torch.Tensor, scale: Sequence[float], shift: Sequence[float]) -> torch.Tensor:
    scales, shifts = (pixels.new_tensor(values).reshape(1, -1, 1, 1) for values in (scale, shift))
    return pixels * scales + shifts
