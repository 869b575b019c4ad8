"""Which layers of a backbone are early and which late: the groups that share a rate and freeze together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from goldenrule.core.errors import OptionError

if TYPE_CHECKING:
    import torch


def layer_groups(model: Any) -> dict[str, str]:
    """Return "early" or "late" for every parameter, from timm's group matcher; the head is the third group.

    Late are the last third of timm's coarse layers, at least two: blocks 5-6 of an EfficientNet-Lite,
    layers 3-4 of a ResNet. Of a network for which timm knows no such layers they are the last half (`custom_groups`).
    """
    from timm.models import group_parameters

    if hasattr(model, "networks"):  # side by side: each has its own
        each = [(number, layer_groups(network)) for number, network in enumerate(model.networks)]
        return {f"networks.{number}.{name}": group for number, groups in each for name, group in groups.items()}
    try:
        numbers = group_parameters(model, model.group_matcher(coarse=True), reverse=True)
    except (AttributeError, AssertionError):
        parameters = {name for name, _ in model.named_parameters()}
        return {name: group for name, group in custom_groups(model).items() if name in parameters}
    layers = max(numbers.values()) + 1
    first_late = layers - max(2, layers // 3)
    return {name: "late" if number >= first_late else "early" for name, number in sorted(numbers.items())}


def custom_groups(model: torch.nn.Module, late: Sequence[str] | None = None) -> dict[str, str]:
    """Return "early" or "late" for every parameter and buffer, whose names begin as `late` says.

    Without `late`: late are the last children that together hold half of the parameters, and not the first child.

    >>> import torch
    >>> layers = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2), torch.nn.Linear(2, 8))
    >>> {name: group for name, group in custom_groups(layers).items() if name.endswith("weight")}
    {'0.weight': 'early', '1.weight': 'early', '2.weight': 'late'}
    """
    names = sorted(model.state_dict())
    if late is None:
        late = _last_half(model) or names
    elif isinstance(late, str):
        late = (late,)
    for prefix in late:
        if not any(_below(name, prefix) for name in names):
            known = ", ".join(dict.fromkeys(name.split(".")[0] for name in model.state_dict()))
            raise OptionError(f"late={list(late)}: nothing in the module is called {prefix!r}; it has {known}.")
    return {name: "late" if any(_below(name, prefix) for prefix in late) else "early" for name in names}


def _below(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(f"{prefix}.")


def _last_half(model: torch.nn.Module) -> list[str]:
    """Return the names of the last children with half of the parameters; an only child's own children are looked at."""
    path, children = "", _children(model)
    while len(children) == 1 and _children(children[0][1]):
        path, children = f"{path}{children[0][0]}.", _children(children[0][1])
    counts = [sum(parameter.numel() for parameter in child.parameters()) for _, child in children]
    first = max((n for n in range(len(counts)) if 2 * sum(counts[n:]) >= sum(counts)), default=0)
    if len(children) > 1:
        first = max(first, 1)
    return [f"{path}{name}" for name, _ in children[first:]]


def _children(module: torch.nn.Module) -> list[tuple[str, torch.nn.Module]]:
    return [(name, child) for name, child in module.named_children() if any(True for _ in child.parameters())]
