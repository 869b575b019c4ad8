"""`Trainable`: a backbone and a head as one module to train, with its layer groups, and back again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from goldenrule.core.errors import OptionError
from goldenrule.models.backbone import Backbone, BackboneSpec, new_module, put_in_cache
from goldenrule.models.custom_heads import arrays_of
from goldenrule.models.graphs.cutting import cut
from goldenrule.models.graphs.folding import fold, unfolded_state
from goldenrule.models.heads import Head
from goldenrule.models.network import Network, head_module
from goldenrule.storage.files import digest

Arrays = Mapping[str, npt.NDArray[np.float32]]
GROUPS = ("early", "late", "head")
"""The layer groups in the order of the network: the unit of freezing and of learning rates."""

BatchNormFrozen = Literal["all", "early", "none"]
"""Which BatchNorms keep their statistics, beside those of frozen groups."""


class Trainable(Network):
    """Backbone and head with their groups; what is frozen has no gradient, and its BatchNorms keep their statistics.

    The BatchNorms that `bn_frozen` names keep their statistics and are folded into the convolutions before
    them (`models.folding`); the others of trained groups follow the batches. With `from_boundary` its input are the
    activations (batch, features) that a `models.boundary.Boundary` gives, not pixels.
    """

    def __init__(
        self,
        backbone: Backbone,
        head: Head,
        *,
        first_trained: int,
        bn_frozen: BatchNormFrozen,
        from_boundary: bool = False,
    ) -> None:
        module = new_module(backbone)
        original = {name: value.clone() for name, value in timm_model(module).state_dict().items()}
        groups = _of_modules(backbone.spec.groups)
        early_or_all = {"all": lambda _: True, "early": lambda norm: groups.get(norm) == "early"}
        folded = fold(timm_model(module), early_or_all[bn_frozen]) if bn_frozen in early_or_all else ()
        super().__init__(module, head_module(head))
        self._original = original
        self._folded, self._head = folded, head
        self._tensor_groups, self._module_groups = backbone.spec.groups, groups
        self._bn_frozen = bn_frozen
        self.first_trained = first_trained
        for number, name in enumerate(GROUPS):
            for parameter in self.group(name):
                parameter.requires_grad_(number >= first_trained)
        self._late = _late(module, backbone) if from_boundary else None

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the logits (batch, classes) of pixels, or of activations at the boundary."""
        if self._late is None:
            return super().forward(inputs)
        shape, (late,) = self._late
        maps = inputs.reshape(len(inputs), *shape)
        if maps.ndim == 4:
            maps = maps.contiguous(memory_format=torch.channels_last)
        logits: torch.Tensor = self.head(late(maps))
        return logits

    def group(self, name: str) -> list[torch.nn.Parameter]:
        """Return the parameters of "early", "late" or "head"."""
        return [parameter for _, parameter in self._named_group(name)]

    def groups(self) -> tuple[list[torch.nn.Parameter], ...]:
        """Return the parameters of all groups."""
        return tuple(self.group(name) for name in GROUPS)

    def train(self, mode: bool = True) -> Trainable:
        """Set the mode; what is frozen stays as it is at inference."""
        super().train(mode)
        for name, module in timm_model(self.backbone).named_modules():
            if isinstance(module, torch.nn.modules.batchnorm._BatchNorm) and self._keeps_statistics(name):
                module.eval()
        if mode and self.first_trained >= GROUPS.index("head"):
            self.backbone.eval()
        return self

    def backbone_state(self) -> dict[str, npt.NDArray[np.float32]]:
        """Return the backbone's tensors under timm's names; those of frozen groups are bit for bit what they were."""
        model = timm_model(self.backbone)
        state = unfolded_state(model, self._folded, self._original) if self._folded else model.state_dict()
        state |= {name: value for name, value in self._original.items() if self._frozen(self._group_of(name))}
        return {name: value.detach().cpu().numpy().copy() for name, value in state.items()}

    def head_value(self) -> Head:
        """Return the head as plain arrays."""
        return head_of(self.head, self._head)

    def _named_group(self, name: str) -> Iterator[tuple[str, torch.nn.Parameter]]:
        if name == "head":
            yield from self.head.named_parameters()
            return
        for name_of, parameter in timm_model(self.backbone).named_parameters():
            if self._group_of(name_of) == name:
                yield name_of, parameter

    def _group_of(self, tensor: str) -> str:
        """Return the group; a buffer, or a bias that folding has made, belongs where its module does."""
        return self._tensor_groups.get(tensor) or self._module_groups.get(tensor.rpartition(".")[0], "")

    def _frozen(self, group: str) -> bool:
        return group in GROUPS[: self.first_trained]

    def _keeps_statistics(self, norm: str) -> bool:
        group = self._module_groups.get(norm, "")
        return self._bn_frozen == "all" or self._bn_frozen == group == "early" or self._frozen(group)


def _late(module: torch.nn.Module, backbone: Backbone) -> tuple[torch.Size, tuple[torch.nn.Module]]:
    """Return the shape of one image's activations at the boundary, and the late layers, which share their modules.

    In a tuple, so that PyTorch does not count their parameters twice.
    """
    size = backbone.spec.preprocessing.size
    early, late = cut(module, {f"model.{name}": group for name, group in backbone.spec.groups.items()})
    with torch.no_grad():
        return early(torch.zeros(1, 3, size, size)).shape[1:], (late,)


def timm_model(module: torch.nn.Module) -> torch.nn.Module:
    """Return timm's own module inside a pooled backbone: its tensors have timm's names."""
    return module.get_submodule("model")


def _of_modules(groups: Mapping[str, str]) -> dict[str, str]:
    """Return the group of every module that has tensors of its own; "late" where it has some in both."""
    return {name.rpartition(".")[0]: group for name, group in sorted(groups.items(), key=lambda item: item[1])}


def head_of(module: torch.nn.Module, like: Head) -> Head:
    """Return the arrays of a module that `head_module` made of a head."""
    return like.with_tensors(arrays_of(module))


def tensors_of(network: torch.nn.Module, like: Head) -> dict[str, npt.NDArray[Any]]:
    """Return what a fit has changed, under head. and backbone.: the head, and the backbone where it was trained."""
    if not isinstance(network, Trainable):
        return {f"head.{name}": value for name, value in head_of(network, like).tensors.items()}
    head = {f"head.{name}": value for name, value in network.head_value().tensors.items()}
    return head | {f"backbone.{name}": value for name, value in network.backbone_state().items()}


def under(prefix: str, tensors: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    """Return the tensors whose names begin with head. or backbone., without that."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def moving_norms(network: torch.nn.Module) -> int:
    """Count the BatchNorms whose statistics follow the batches where they are trained."""
    norms = (module for module in network.modules() if isinstance(module, torch.nn.modules.batchnorm._BatchNorm))
    return sum(norm.track_running_stats for norm in norms)


def with_weights(backbone: Backbone, state: Arrays) -> Backbone:
    """Return a backbone with other tensors (timm's names), kept in the cache by their content."""
    content, spec = _content_of(backbone, state)
    return replace(backbone, spec=spec, folder=put_in_cache(spec, content))


def backbone_written(backbone: Backbone, state: Arrays, folder: Path) -> Backbone:
    """Return a backbone with other tensors (timm's names), which are written into a folder that is there."""
    content, spec = _content_of(backbone, state)
    (folder / "backbone.safetensors").write_bytes(content)
    return replace(backbone, spec=spec, folder=folder)


def _content_of(backbone: Backbone, state: Arrays) -> tuple[bytes, BackboneSpec]:
    from safetensors.numpy import save

    content = save({name: np.asarray(value, order="C") for name, value in state.items()})
    source = {**backbone.spec.source, "trained": True}
    return content, replace(backbone.spec, weights=digest(content).hex(), source=source)


def rates_of_groups(rate: float | list[float] | tuple[float, ...], *, spread: float | None = None) -> tuple[float, ...]:
    """Return one rate per group, early layers first: of a list, of one rate, or falling by `spread` per group.

    >>> rates_of_groups(1e-2, spread=10)
    (0.0001, 0.001, 0.01)
    """
    if isinstance(rate, (list, tuple)):
        if len(rate) != len(GROUPS):
            raise OptionError(f"{len(rate)} rates {list(rate)}: wanted one, or one per group: {', '.join(GROUPS)}.")
        rates = tuple(map(float, rate))
    elif spread is not None:
        if not 1 <= spread <= 1000:
            raise OptionError(f"spread={spread}: wanted by how much earlier groups learn slower, 3 to 10 as a rule.")
        rates = tuple(float(f"{rate / spread**power:.12g}") for power in reversed(range(len(GROUPS))))
    else:
        rates = (float(rate),) * len(GROUPS)
    if not all(0 <= one < float("inf") for one in rates):
        raise OptionError(f"rates {list(rates)}: wanted finite numbers, 0 or more.")
    return rates
