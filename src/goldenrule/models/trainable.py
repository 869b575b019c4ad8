"""`Trainable`: a backbone and a head as one module to train, with its layer groups, and back again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from goldenrule.foundation.cache import cache_folder
from goldenrule.foundation.errors import OptionError
from goldenrule.foundation.files import atomic_folder, digest, write_json
from goldenrule.models.backbone import Backbone, new_module
from goldenrule.models.folding import fold, unfolded_state
from goldenrule.models.head import Head, HeadKind, head_from_tensors
from goldenrule.models.network import Network, head_module

Arrays = Mapping[str, npt.NDArray[np.float32]]
GROUPS = ("early", "late", "head")
"""The layer groups in the order of the network: the unit of freezing and of learning rates."""

BatchNormFrozen = Literal["all", "early", "none"]
"""Which BatchNorms keep their statistics, beside those of frozen groups."""


class Trainable(Network):
    """Body and head with their groups; what is frozen has no gradient, and its BatchNorms keep their statistics.

    The BatchNorms that `bn_frozen` names keep their statistics and are folded into the convolutions before
    them (`models.folding`); the others of trained groups follow the batches.
    """

    def __init__(self, backbone: Backbone, head: Head, *, first_trained: int, bn_frozen: BatchNormFrozen) -> None:
        body = new_module(backbone)
        original = {name: value.clone() for name, value in timm_model(body).state_dict().items()}
        groups = {name.rpartition(".")[0]: group for name, group in backbone.spec.groups.items()}
        early_or_all = {"all": lambda _: True, "early": lambda norm: groups.get(norm) == "early"}
        folded = fold(timm_model(body), early_or_all[bn_frozen]) if bn_frozen in early_or_all else ()
        super().__init__(body, head_module(head))
        self._original = original
        self._folded, self._kind, self._spec_groups = folded, head.kind, backbone.spec.groups
        self._bn_frozen = bn_frozen
        self.first_trained = first_trained
        for number, name in enumerate(GROUPS):
            for parameter in self.group(name):
                parameter.requires_grad_(number >= first_trained)

    def group(self, name: str) -> list[torch.nn.Parameter]:
        """Give the parameters of "early", "late" or "head"."""
        return [parameter for _, parameter in self._named_group(name)]

    def groups(self) -> tuple[list[torch.nn.Parameter], ...]:
        """Give the parameters of all groups."""
        return tuple(self.group(name) for name in GROUPS)

    def train(self, mode: bool = True) -> Trainable:
        """Set the mode; what is frozen stays as it is at inference."""
        super().train(mode)
        for name, module in timm_model(self.body).named_modules():
            if isinstance(module, torch.nn.modules.batchnorm._BatchNorm) and self._keeps_statistics(name):
                module.eval()
        if mode and self.first_trained >= GROUPS.index("head"):
            self.body.eval()
        return self

    def body_state(self) -> dict[str, npt.NDArray[np.float32]]:
        """Give the body's tensors under timm's names; those of frozen groups are bit for bit what they were."""
        model = timm_model(self.body)
        state = unfolded_state(model, self._folded, self._original) if self._folded else model.state_dict()
        state |= {name: value for name, value in self._original.items() if self._frozen(name.rpartition(".")[0])}
        return {name: value.detach().cpu().numpy().copy() for name, value in state.items()}

    def head_value(self) -> Head:
        """Give the head as plain arrays."""
        return head_of(self.head, self._kind)

    def _named_group(self, name: str) -> Iterator[tuple[str, torch.nn.Parameter]]:
        if name == "head":
            yield from self.head.named_parameters()
            return
        for own, parameter in timm_model(self.body).named_parameters():
            if self._group_of(own) == name:
                yield own, parameter

    def _group_of(self, parameter: str) -> str:
        """Give the group; a bias that folding has made belongs where its convolution's weight does."""
        groups = self._spec_groups
        return groups[parameter] if parameter in groups else groups[f"{parameter.rpartition('.')[0]}.weight"]

    def _frozen(self, module: str) -> bool:
        weight = f"{module}.weight"
        return weight in self._spec_groups and GROUPS.index(self._spec_groups[weight]) < self.first_trained

    def _keeps_statistics(self, norm: str) -> bool:
        early = self._spec_groups.get(f"{norm}.weight") == "early"
        return self._bn_frozen == "all" or (self._bn_frozen == "early" and early) or self._frozen(norm)


def timm_model(body: torch.nn.Module) -> torch.nn.Module:
    """Give timm's own module inside a pooled body: its tensors have timm's names."""
    return body.get_submodule("model")


def head_of(module: torch.nn.Module, kind: HeadKind) -> Head:
    """Give the arrays of a module that `head_module` made."""
    state = {name: value.detach().cpu().numpy().copy() for name, value in module.state_dict().items()}
    if kind == "concat-pool":
        state = {
            "scale_1": state["0.scale"],
            "shift_1": state["0.shift"],
            "weight_1": state["1.weight"],
            "scale_2": state["3.scale"],
            "shift_2": state["3.shift"],
            "weight_2": state["4.weight"],
            "bias_2": state["4.bias"],
        }
    return head_from_tensors(kind, state)


def with_body(backbone: Backbone, state: Arrays) -> Backbone:
    """Give a backbone with other tensors (timm's names), kept in the cache by their content."""
    from dataclasses import replace

    from safetensors.numpy import save

    content = save({name: np.asarray(value, order="C") for name, value in state.items()})
    name = digest(content).hex()
    folder = cache_folder() / "backbones" / f"trained-{name[:32]}"
    spec = replace(backbone.spec, weights=name, source={**backbone.spec.source, "trained": True})
    if not (folder / "spec.json").exists():
        with atomic_folder(folder) as temporary:
            (temporary / "body.safetensors").write_bytes(content)
            write_json(temporary / "spec.json", spec.to_json())
    return Backbone(spec, folder)


def rates_of_groups(rate: float | list[float] | tuple[float, ...], *, spread: float | None = None) -> tuple[float, ...]:
    """Give one rate per group, early layers first: of a list, of one rate, or falling by `spread` per group.

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
