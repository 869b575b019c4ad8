"""Cutting a traced backbone at the boundary of two layer groups."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import fx

from goldenrule.core.errors import BackboneError


def cut(backbone: torch.nn.Module, groups: Mapping[str, str]) -> tuple[torch.nn.Module, torch.nn.Module]:
    """Return (prefix, suffix) with suffix(prefix(x)) = backbone(x); the prefix is all that comes before "late".

    `groups` names the group ("early", "late") of every parameter. The cut is at the last single tensor before
    the first late parameter is used. Both share their modules with `backbone`.
    """
    graph = traced(backbone)
    for node in [node for node in graph.nodes if node.target is torch._assert]:
        graph.erase_node(node)  # a check of the input's shape, which would need the input in the suffix
    boundary = _boundary(graph, {name for name, group in groups.items() if group == "late"})
    return _until(backbone, graph, boundary), _from(backbone, graph, boundary)


def traced(backbone: torch.nn.Module) -> fx.Graph:
    """Return the graph of a timm backbone with its layers as leaves; `BackboneError` where it can't be traced."""
    from timm.layers import get_notrace_functions, get_notrace_modules
    from torchvision.models.feature_extraction import NodePathTracer

    tracer = NodePathTracer(leaf_modules=get_notrace_modules(), autowrap_functions=get_notrace_functions())
    try:
        graph: fx.Graph = tracer.trace(backbone)
    except Exception as error:
        raise BackboneError(f"This backbone can't be traced: {error}") from error
    return graph


def _boundary(graph: fx.Graph, late: set[str]) -> fx.Node:
    """Return the last node before the late parameters through which everything flows.

    Parameters that are read directly (get_attr) belong to whoever uses them.
    """
    nodes = [node for node in graph.nodes if node.op not in ("get_attr", "output")]
    place = {node: number for number, node in enumerate(nodes)}
    first_late = next(number for number, node in enumerate(nodes) if _uses(node, late))
    reach = -1  # how far forward the nodes before this one are still used
    boundary: fx.Node | None = None
    for number, node in enumerate(nodes[:first_late]):
        if number > 0 and reach <= number:
            boundary = node
        reach = max([reach, *(place.get(user, len(nodes)) for user in node.users)])
    if boundary is None:
        raise BackboneError("The layer groups of this backbone are joined by more than one tensor: no cut there.")
    return boundary


def _uses(node: fx.Node, parameters: set[str]) -> bool:
    if node.op == "call_module":
        return any(name.startswith(f"{node.target}.") for name in parameters)
    return any(source.op == "get_attr" and source.target in parameters for source in node.all_input_nodes)


def _copy(graph: fx.Graph) -> tuple[fx.Graph, dict[fx.Node, fx.Node]]:
    copied, places = fx.Graph(), dict[fx.Node, fx.Node]()
    copied.output(copied.graph_copy(graph, places))
    return copied, places


def _until(backbone: torch.nn.Module, graph: fx.Graph, boundary: fx.Node) -> fx.GraphModule:
    copied, places = _copy(graph)
    (end,) = (node for node in copied.nodes if node.op == "output")
    end.args = (places[boundary],)
    return _module(backbone, copied)


def _from(backbone: torch.nn.Module, graph: fx.Graph, boundary: fx.Node) -> fx.GraphModule:
    copied, places = _copy(graph)
    (start,) = (node for node in copied.nodes if node.op == "placeholder")
    places[boundary].replace_all_uses_with(start)
    return _module(backbone, copied)


def _module(backbone: torch.nn.Module, graph: fx.Graph) -> fx.GraphModule:
    module = fx.GraphModule(backbone, graph)
    module.graph.eliminate_dead_code()
    module.delete_all_unused_submodules()
    module.recompile()
    return module
