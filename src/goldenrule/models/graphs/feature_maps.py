"""Where the last feature maps of a network can be reached: what speaks for a class, place by place, starts there."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch

from goldenrule.core.errors import BackboneError
from goldenrule.models.network import Network
from goldenrule.models.pooling import AveragePooled, Flattened, MapsAveraged, MaxAveragePooled

NO_MAPS = (
    "{name} has no feature maps: nothing in it keeps the places of a picture apart, so no heat map can be drawn. "
    "Nearest images and predictions work without."
)


@dataclass(frozen=True, slots=True)
class Layout:
    """How features lie in a tensor: maps (b, c, h, w), maps (b, h, w, c), or tokens (b, prefix + h * w, c)."""

    kind: Literal["first", "last", "tokens"]
    rows: int
    columns: int
    prefix: int = 0

    def maps(self, features: torch.Tensor) -> torch.Tensor:
        """Return features as maps (b, c, h, w)."""
        if self.kind == "first":
            return features
        if self.kind == "last":
            return features.permute(0, 3, 1, 2)
        places = features[:, self.prefix :].transpose(1, 2)
        return places.reshape(len(features), -1, self.rows, self.columns)

    def back(self, maps: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """Return maps (b, c, h, w) as these `features` were laid out, whose prefix is kept."""
        if self.kind == "first":
            return maps
        if self.kind == "last":
            return maps.permute(0, 2, 3, 1)
        return torch.cat([features[:, : self.prefix], maps.flatten(2).transpose(1, 2)], dim=1)


class FromFeatureMaps(torch.nn.Module):
    """A network that begins at its last feature maps: `stem` leads to them, `maps` lets them pass.

    Only what comes after the maps has gradients: they are all that a map of a class needs.
    """

    def __init__(
        self,
        stem: Callable[[torch.Tensor], torch.Tensor],
        rest: Callable[[torch.Tensor], torch.Tensor],
        layout: Layout,
    ) -> None:
        super().__init__()
        self.maps = torch.nn.Identity()
        self._stem, self._rest, self._layout = stem, rest, layout

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the logits (b, classes) of pixels (b, 3, size, size)."""
        with torch.no_grad():
            features = self._stem(pixels)
        return self._rest(self.passed(features))

    def passed(self, features: torch.Tensor) -> torch.Tensor:
        """Route features through `maps`, where their gradient is taken."""
        maps = self.maps(self._layout.maps(features).detach().requires_grad_())
        return self._layout.back(maps, features)


def over_maps(network: Network, size: int, name: str) -> tuple[torch.nn.Module, torch.nn.Module]:
    """Return a module with the same logits, and the layer in it that puts out the feature maps (b, c, h, w).

    These are the backbone's last maps; of a plain vision transformer, what its last attention looks at: behind it a
    class token alone may count. Raises `BackboneError` where a backbone has no maps.
    """
    backbone, probe = network.backbone, torch.zeros(1, 3, size, size)
    head: Callable[[torch.Tensor], torch.Tensor] = network.head
    if isinstance(backbone, MapsAveraged):
        return _between(backbone.model, lambda maps: head(maps.mean(dim=(2, 3))), probe, name)
    if isinstance(backbone, Flattened):
        return _between(backbone.model.forward_features, lambda maps: head(maps.flatten(1)), probe, name)
    if not isinstance(backbone, AveragePooled | MaxAveragePooled):
        return _last_maps(network, probe, name)
    model: Any = backbone.model
    if isinstance(backbone, MaxAveragePooled):

        def both(maps: torch.Tensor) -> torch.Tensor:
            return head(torch.cat([maps.amax(dim=(2, 3)), maps.mean(dim=(2, 3))], dim=1))

        return _between(model.forward_features, both, probe, name)
    if (norm := getattr(model.blocks[-1], "norm1", None) if hasattr(model, "blocks") else None) is not None:
        return _inside(network, norm, _grid(model, size), probe, name)
    return _between(model.forward_features, lambda features: head(backbone.pool(features)), probe, name)


def _between(
    stem: Callable[[torch.Tensor], torch.Tensor],
    rest: Callable[[torch.Tensor], torch.Tensor],
    probe: torch.Tensor,
    name: str,
) -> tuple[torch.nn.Module, torch.nn.Module]:
    with torch.no_grad():
        features = stem(probe)
    whole = FromFeatureMaps(stem, rest, _layout(features, name)).eval()
    return whole, whole.maps


def _inside(
    network: Network, layer: torch.nn.Module, grid: tuple[int, int] | None, probe: torch.Tensor, name: str
) -> tuple[torch.nn.Module, torch.nn.Module]:
    """Route the output of `layer` through maps. The network's own module gets a hook: it is used for nothing else."""
    found: list[torch.Tensor] = []
    watching = layer.register_forward_hook(lambda _, __, output: found.append(output))
    with torch.no_grad():
        network(probe)
    watching.remove()
    through = FromFeatureMaps(torch.nn.Identity(), torch.nn.Identity(), _layout(found[0], name, grid))
    layer.register_forward_hook(lambda _, __, output: through.passed(output))
    return network, through.maps


def _last_maps(network: Network, probe: torch.Tensor, name: str) -> tuple[torch.nn.Module, torch.nn.Module]:
    """Find the last layer of an own backbone that puts out maps (b, c, h, w) with more than one place."""
    found: list[torch.nn.Module] = []

    def look(module: torch.nn.Module, _: Any, output: Any) -> None:
        if isinstance(output, torch.Tensor) and output.ndim == 4 and min(output.shape[2:]) > 1:
            found.append(module)

    hooks = [module.register_forward_hook(look) for module in network.backbone.modules()]
    with torch.no_grad():
        network(probe)
    for hook in hooks:
        hook.remove()
    if not found:
        raise BackboneError(NO_MAPS.format(name=name))
    return network, found[-1]


def _layout(features: Any, name: str, grid: tuple[int, int] | None = None) -> Layout:
    """Return how features lie; those of maps with channels last are told by their square."""
    shape = tuple(features.shape) if isinstance(features, torch.Tensor) else ()
    if len(shape) == 4 and min(shape[2:]) > 1 and (shape[2] == shape[3] or shape[1] != shape[2]):
        return Layout("first", shape[2], shape[3])
    if len(shape) == 4 and min(shape[1:3]) > 1:
        return Layout("last", shape[1], shape[2])
    if len(shape) == 3:
        rows, columns = grid or (math.isqrt(shape[1]),) * 2
        prefix = shape[1] - rows * columns
        if min(rows, columns) > 1 and prefix >= 0:
            return Layout("tokens", rows, columns, prefix)
    raise BackboneError(NO_MAPS.format(name=name))


def _grid(model: Any, size: int) -> tuple[int, int] | None:
    """Return how many patches a transformer cuts a picture of `size` px into, down and across.

    One that takes pictures of any size knows the grid of the size it was built for alone: its patches tell.
    """
    embed = getattr(model, "patch_embed", None)
    grid, patch = getattr(embed, "grid_size", None), getattr(embed, "patch_size", None)
    if patch is not None and getattr(embed, "strict_img_size", True) is False:
        return math.ceil(size / int(patch[0])), math.ceil(size / int(patch[1]))
    return (int(grid[0]), int(grid[1])) if grid is not None else None
