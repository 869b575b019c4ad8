"""Networks by name, without weights that were learned: timm's, and the two that timm does not have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
import torchvision

from goldenrule.models.catalog import EMBEDDED, OWN_ARCHITECTURES, check_known, side_by_side
from goldenrule.models.original import IMAGENET_MEAN, IMAGENET_STD, Original
from goldenrule.models.side_by_side import SideBySide


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
