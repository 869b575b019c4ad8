"""BatchNorm with frozen statistics, folded into the convolution before it, and written back.

A BatchNorm that keeps its statistics is an affine map per channel. Absorbed by the convolution before it, the
network computes the same with fewer tensors to keep for the backward pass. Jacob et al., "Quantization and
training of neural networks for efficient integer-arithmetic-only inference", 2018, section 3.2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch

State = dict[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class Folded:
    """One BatchNorm that was folded: the names of both modules and its epsilon."""

    convolution: str
    norm: str
    epsilon: float


def fold(backbone: torch.nn.Module, wanted: Callable[[str], bool] = lambda _: True) -> tuple[Folded, ...]:
    """Fold every BatchNorm2d that alone follows a convolution and is `wanted` by its name, in place; say which.

    What the BatchNorm module does after normalising (timm joins it with the activation) stays. A backbone that
    can't be traced is left as it is.
    """
    done = []
    for convolution, norm in _pairs(backbone):
        if not wanted(norm):
            continue
        conv, bn = backbone.get_submodule(convolution), backbone.get_submodule(norm)
        assert isinstance(conv, torch.nn.Conv2d)
        assert isinstance(bn, torch.nn.BatchNorm2d)
        conv.weight, conv.bias = _folded(conv, bn)
        parent, _, name = norm.rpartition(".")
        setattr(backbone.get_submodule(parent), name, _after(bn))
        done.append(Folded(convolution, norm, bn.eps))
    return tuple(done)


def unfolded_state(
    backbone: torch.nn.Module, folded: tuple[Folded, ...], original: Mapping[str, torch.Tensor]
) -> State:
    """Return a folded backbone's tensors under the names of `original`, with BatchNorms that only add the bias.

    Their scale and variance cancel exactly: folding what comes out gives the same bits again.
    """
    state = {name: value.detach().clone() for name, value in backbone.state_dict().items()}
    for one in folded:
        bias = state[f"{one.convolution}.bias"]
        if f"{one.convolution}.bias" in original:
            state[f"{one.convolution}.bias"] = torch.zeros_like(bias)
        state[f"{one.norm}.weight"] = torch.ones_like(bias)
        state[f"{one.norm}.bias"] = bias
        state[f"{one.norm}.running_mean"] = torch.zeros_like(bias)
        state[f"{one.norm}.running_var"] = torch.full_like(bias, 1 - one.epsilon)
        tracked = f"{one.norm}.num_batches_tracked"
        if tracked in original:
            state[tracked] = original[tracked].clone()
    return {name: state[name] for name in original}


def _pairs(backbone: torch.nn.Module) -> Iterator[tuple[str, str]]:
    """Return the names of a convolution and the BatchNorm that is its only user."""
    from goldenrule.core.errors import BackboneError
    from goldenrule.models.graphs.cutting import traced

    try:
        graph = traced(backbone)
    except BackboneError:
        return
    modules = dict(backbone.named_modules())
    for node in graph.nodes:
        if node.op != "call_module" or not isinstance(modules[node.target], torch.nn.BatchNorm2d):
            continue
        (source, *_) = node.all_input_nodes
        if source.op == "call_module" and _foldable(modules[source.target], modules[node.target]):
            once = sum(other.op == "call_module" and other.target == source.target for other in graph.nodes) == 1
            if once and len(source.users) == 1 and isinstance(modules[source.target], torch.nn.Conv2d):
                yield source.target, node.target


def _foldable(convolution: torch.nn.Module, norm: torch.nn.BatchNorm2d) -> bool:
    """Return whether both compute what their names say, as PyTorch's and timm's do, and the norm is an affine map."""
    kinds = type(convolution), type(norm)
    known = all(kind.__module__.partition(".")[0] in ("torch", "timm") for kind in kinds)
    affine = norm.weight is not None and norm.running_mean is not None
    return known and affine and kinds[0].__name__.startswith("Conv2d")


def _folded(conv: torch.nn.Conv2d, bn: torch.nn.BatchNorm2d) -> tuple[torch.nn.Parameter, torch.nn.Parameter]:
    """Return weight and bias of the convolution with the BatchNorm inside, computed in float64."""
    assert bn.running_mean is not None
    assert bn.running_var is not None
    with torch.no_grad():
        variance = bn.running_var.double() + bn.eps
        variance = torch.where((variance - 1).abs() < 1e-7, 1.0, variance)  # float32 of 1 - eps is a little off
        scale = bn.weight.double() / variance.sqrt()
        before = conv.bias.double() if conv.bias is not None else torch.zeros_like(scale)
        weight = conv.weight.double() * scale[:, None, None, None]
        bias = bn.bias.double() + (before - bn.running_mean.double()) * scale
    return torch.nn.Parameter(weight.float()), torch.nn.Parameter(bias.float())


def _after(bn: torch.nn.BatchNorm2d) -> torch.nn.Module:
    """Return what the module does after normalising: timm's BatchNormAct2d drops and activates."""
    parts = [getattr(bn, name) for name in ("drop", "act") if isinstance(getattr(bn, name, None), torch.nn.Module)]
    parts = [part for part in parts if not isinstance(part, torch.nn.Identity)]
    return torch.nn.Sequential(*parts) if len(parts) != 1 else parts[0]
