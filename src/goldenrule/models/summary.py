"""What a network is made of: layers, shapes, parameters, cost, groups, preprocessing, and where its weights come from.

Nothing of it depends on the values of the weights: random ones are drawn where the learned ones can't be had.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from goldenrule.core.errors import OptionError
from goldenrule.core.option import HeadKind
from goldenrule.core.schema import as_json
from goldenrule.models.backbone import Backbone, backbone, pooling_for
from goldenrule.models.catalog import OWN_ARCHITECTURES, canonical_name, is_embedded, side_by_side
from goldenrule.models.cost import multiply_adds
from goldenrule.models.heads import fresh_head

if TYPE_CHECKING:
    import torch


MOST_CLASSES = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One layer, or one block of them: its name, kind, output for one picture, parameters, and group."""

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    group: str  # "early", "late", "early, late", "head", or "" where there is nothing to learn

    @property
    def cells(self) -> tuple[str, str, str, str, str]:
        """Name, kind, output, parameters and group as text."""
        output = " x ".join(map(str, self.shape))
        return self.name, self.kind, output, f"{self.parameters:,}" if self.parameters else "", self.group


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSummary:
    """A network with a head for `classes` classes; `groups` and `trainable` count parameters.

    `trainable` is by the way of training: all, or with transfer learning those of the head. `multiply_adds` are those
    of one picture.
    """

    name: str
    input: tuple[int, int, int]
    classes: int
    layers: tuple[Layer, ...]
    parameters: int
    trainable: Mapping[str, int]
    groups: Mapping[str, int]
    multiply_adds: int
    preprocessing: Mapping[str, Any]
    weights: str
    licence: str

    def __repr__(self) -> str:
        return (
            f"NetworkSummary({self.name}: {len(self.layers)} layers, {self.parameters:,} parameters, "
            f"{self.multiply_adds / 1e6:,.1f} M multiply-adds, {' x '.join(map(str, self.input))})"
        )


def summary(
    name: str,
    *,
    weights: Path | None = None,
    size: int | None = None,
    classes: int = 2,
    head: HeadKind = "linear",
    depth: int = 2,
) -> NetworkSummary:
    """Describe a network by name; `depth` is how deep into blocks of blocks the list of layers goes.

    Raises `UnknownBackbone`, or `OptionError` for a size that it does not take, fewer than two classes, no depth.
    """
    import numpy as np

    if not 2 <= classes <= MOST_CLASSES or depth < 1:
        raise OptionError(
            f"--classes {classes} --depth {depth}: wanted 2 to {MOST_CLASSES:,} classes, and a depth of 1 or more."
        )
    name = canonical_name(name)
    learned = weights is not None or is_embedded(name)
    pretrained = backbone(name, weights=weights, size=size, pooling=pooling_for(head), drawn=None if learned else 0)
    spec = pretrained.spec
    on_top = fresh_head(head, features=spec.features, classes=classes, draws=np.random.default_rng(0))
    in_head = sum(value.size for value in on_top.tensors.values())
    groups = _parameters_of_groups(pretrained) | {"head": in_head}
    total = spec.parameters + in_head
    origin = spec.source if learned else origin_of(name)
    products = sum(value.size for value in on_top.tensors.values() if value.ndim == 2)
    return NetworkSummary(
        name=name,
        input=(3, spec.preprocessing.size, spec.preprocessing.size),
        classes=classes,
        layers=(
            *_layers(pretrained, depth),
            Layer(name="head", kind=head, shape=(classes,), parameters=in_head, group="head"),
        ),
        parameters=total,
        trainable={"fromzero": total, "fine_tuning": total, "transfer_learning": in_head},
        groups=groups,
        multiply_adds=multiply_adds(pretrained) + products,
        preprocessing=as_json(spec.preprocessing),
        weights=str(origin["from"]),
        licence=str(origin["licence"]),
    )


def origin_of(name: str) -> dict[str, str]:
    """Return where the learned weights of a network that is not embedded come from, and under which licence."""
    if name == "original":
        return {"from": "none: goldenrule's own small network, to be trained from scratch", "licence": "yours"}
    if name in OWN_ARCHITECTURES:
        file = "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth"
        return {"from": f"torchvision, by --weights FILE: {file}", "licence": "BSD-3-Clause (torchvision)"}
    if len(parts := side_by_side(name)) > 1:
        each = [origin_of(part) for part in parts if not is_embedded(part)]
        return {key: "; ".join(dict.fromkeys(one[key] for one in each)) for key in ("from", "licence")}
    import timm

    config = timm.get_pretrained_cfg(name)
    hub, address = (getattr(config, place, None) or "" for place in ("hf_hub_id", "url"))
    if not hub and not address:
        return {"from": "none: timm has no learned weights of it", "licence": "yours"}
    return {
        "from": f"the Hugging Face hub, {hub}, or --weights FILE" if hub else f"{address}, or --weights FILE",
        "licence": getattr(config, "license", None) or f"see the model's page {'on the hub' if hub else 'of timm'}",
    }


def _parameters_of_groups(pretrained: Backbone) -> dict[str, int]:
    counts = {"early": 0, "late": 0}
    for name, parameter in pretrained.module.get_submodule("model").named_parameters():
        counts[pretrained.spec.groups[name]] += parameter.numel()
    return counts


def _layers(pretrained: Backbone, depth: int) -> list[Layer]:
    """Return the layers in the order in which they first run, blocks no deeper than `depth`."""
    import torch

    model: torch.nn.Module = pretrained.module.get_submodule("model")
    seen: dict[str, tuple[int, ...]] = {}
    wanted = {name: module for name, module in model.named_modules() if _is_row(name, module, depth)}

    def note(name: str) -> Any:
        def hook(module: Any, inputs: Any, output: Any) -> None:
            del module, inputs
            if isinstance(output, torch.Tensor):
                seen.setdefault(name, tuple(output.shape[1:]))

        return hook

    hooks = [module.register_forward_hook(note(name)) for name, module in wanted.items()]
    try:
        with torch.no_grad():
            pretrained.module(torch.zeros(1, 3, pretrained.spec.preprocessing.size, pretrained.spec.preprocessing.size))
    finally:
        for hook in hooks:
            hook.remove()
    return [_layer(name, wanted[name], shape, pretrained) for name, shape in seen.items()]


def _is_row(name: str, module: torch.nn.Module, depth: int) -> bool:
    """Return whether a module is a line of its own: a block at the greatest depth, or a layer above it."""
    level = name.count(".") + 1
    return bool(name) and (level == depth or (level < depth and not any(True for _ in module.children())))


def _layer(name: str, module: torch.nn.Module, shape: tuple[int, ...], pretrained: Backbone) -> Layer:
    named = {id(value): key for key, value in pretrained.module.get_submodule("model").named_parameters()}
    names = [named[id(value)] for value in module.parameters()]  # one that blocks share has the name of the first
    return Layer(
        name=name,
        kind=type(module).__name__,
        shape=shape,
        parameters=sum(parameter.numel() for parameter in module.parameters()),
        group=", ".join(sorted({pretrained.spec.groups[key] for key in names})),
    )
