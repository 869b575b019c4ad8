"""Networks by name, without learned weights: timm's, several side by side, and two that timm does not have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
import torchvision

from goldenrule.core.errors import BackboneError
from goldenrule.models.catalog import EMBEDDED, OWN_ARCHITECTURES, check_known, side_by_side
from goldenrule.models.original import IMAGENET_MEAN, IMAGENET_STD, Original


class AlexNet(torchvision.models.AlexNet):  # type: ignore[misc]  # torchvision has no types
    """Torchvision's AlexNet up to its last layer, with torchvision's names: (batch, 3, size, size) to (batch, 4096).

    Krizhevsky, "One weird trick for parallelizing convolutional neural networks", arXiv:1404.5997.
    """

    num_features = 256  # channels of the maps, as head concat-pool stands on them
    pretrained_cfg: ClassVar[Mapping[str, Any]] = {  # as timm's networks have it
        "input_size": (3, 224, 224),
        "crop_pct": 0.875,
        "interpolation": "bilinear",
        "mean": IMAGENET_MEAN,
        "std": IMAGENET_STD,
    }

    def __init__(self) -> None:
        super().__init__()
        del self.classifier[6]

    def forward_features(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the last feature maps (batch, 256, h, w)."""
        maps: torch.Tensor = self.features(pixels)
        return maps

    def forward_head(self, maps: torch.Tensor, pre_logits: bool = True) -> torch.Tensor:  # noqa: ARG002
        """Return the features before the classes, (batch, 4096)."""
        features: torch.Tensor = self.classifier(torch.flatten(self.avgpool(maps), 1))
        return features

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the features."""
        return self.forward_head(self.forward_features(pixels))


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


def architecture(name: str, *, seed: int | None = None, size: int | None = None) -> torch.nn.Module:
    """Return a network in eval mode, its weights drawn under a seed; nobody else's draws change (law 4).

    `name` is embedded, one of timm's, or of `OWN_ARCHITECTURES`, or joins several of timm's by "+"; anything else, an
    address too, is `UnknownBackbone`. Without a seed the weights are to be replaced. `size` in px builds it for another
    side of the input.
    """
    import timm

    check_known(name)
    if len(parts := side_by_side(name)) > 1:
        seeds = [None if seed is None else seed + number for number in range(len(parts))]
        networks = [architecture(part, seed=its, size=size) for part, its in zip(parts, seeds, strict=True)]
        return SideBySide(networks).eval().requires_grad_(False)
    other: dict[str, Any] = {} if size is None else {"img_size": size}
    with torch.random.fork_rng(devices=[]):
        if seed is not None:
            torch.manual_seed(seed)
        if name in OWN_ARCHITECTURES:
            model: torch.nn.Module = Original() if name == "original" else AlexNet()
        else:
            timm_name = EMBEDDED[name].timm_name if name in EMBEDDED else name
            model = timm.create_model(timm_name, pretrained=False, num_classes=0, **other)
    return model.eval().requires_grad_(False)
