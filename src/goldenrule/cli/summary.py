"""`goldenrule summary`: what a network is made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from goldenrule.cli.options import Numbers, command, only
from goldenrule.runs.options import FitOptions

if TYPE_CHECKING:
    from goldenrule.core.console import Console
    from goldenrule.models.summary import NetworkSummary

EXAMPLES = """Examples:

  goldenrule summary -m original                     goldenrule's own small network

  goldenrule summary -m resnet18 --size 96 --classes 43

  goldenrule summary -m efficientnet --depth 3       block by block, layer by layer

  goldenrule summary -m mobilenet --json mobilenet.json
"""


@command(EXAMPLES)
def summary(
    options: Annotated[FitOptions, only("weights", "size", "head", backbone="original")],
    classes: Annotated[int, typer.Option(help="How many classes the head tells apart.")] = 2,
    depth: Annotated[int, typer.Option(help="How deep into blocks of blocks the list goes.")] = 2,
) -> Numbers:
    """Show a network: layers, shapes, parameters, multiply-adds, layer groups, preprocessing, weights, licence."""
    from goldenrule.core.console import Console
    from goldenrule.models.summary import summary as summary_of

    found = summary_of(
        options.backbone,
        weights=options.weights,
        size=options.size,
        classes=classes,
        head=options.head_kind,
        depth=depth,
    )
    show(found, Console())
    return found


def show(found: NetworkSummary, console: Console) -> None:
    """Print the layers, then what they add up to."""
    from rich import box
    from rich.table import Table

    from goldenrule.core.console import Text
    from goldenrule.models.catalog import is_embedded

    layers = Table(box=box.SIMPLE_HEAD, title=found.name, title_justify="left")
    for heading in ("layer", "kind", "output", "parameters", "group"):
        layers.add_column(heading, justify="right" if heading == "parameters" else "left")
    for one in found.layers:
        layers.add_row(*map(Text, one.cells))
    console.print(layers)
    facts = Table(show_header=False, box=None)
    groups = ", ".join(f"{name} {count:,}" for name, count in found.groups.items())
    look = found.preprocessing
    rows = {
        "input": " x ".join(map(str, found.input)),
        "parameters": f"{found.parameters:,} ({groups})",
        "trainable": ", ".join(f"{name} {count:,}" for name, count in found.trainable.items()),
        "multiply-adds": f"{found.multiply_adds / 1e6:,.1f} M a picture",
        "preprocessing": f"{look['size']} px, {100 * look['crop_fraction']:g} % of the picture's {_side(look)}, "
        f"{look['interpolation']}, mean {_listed(look['mean'])}, std {_listed(look['std'])}",
        "weights": found.weights,
        "licence": found.licence,
    }
    for name, value in rows.items():
        facts.add_row(name, Text(value, overflow="fold"))
    console.print(facts)
    way = "transfer_learning" if is_embedded(found.name) else "fromzero"
    console.print(Text(f"Train it: goldenrule train FOLDER -m {found.name} -t {way}"), soft_wrap=True)


def _side(look: Mapping[str, Any]) -> str:
    return "both sides" if look["resize"] == "squish" else "shorter side"


def _listed(values: list[float]) -> str:
    return " ".join(f"{value:.3g}" for value in values)
