"""`goldenrule compare-models`: which network, trained which way, for these images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from goldenrule.cli.options import Numbers, command, of, only, output, refuse
from goldenrule.core.errors import OptionError
from goldenrule.core.option import options_of
from goldenrule.runs.image_source import ImageSource
from goldenrule.runs.options import FitOptions
from goldenrule.runs.training_options import TrainingOptions

if TYPE_CHECKING:
    from rich.table import Table

    from goldenrule.pipelines.comparison.compared_networks import ComparedNetworks

NETWORKS = "The networks, as for train; NAME@PX for another input side. Several may follow."
UNSET = "original, efficientnet_lite0"
WAYS = "fromzero, transfer_learning, fine_tuning. Several may follow."
EXAMPLES = """Examples:

  goldenrule compare-models photos -m original efficientnet -t all          networks and ways of training, in one table

  goldenrule compare-models photos -m efficientnet efficientnet_lite2 -t transfer_learning

  goldenrule compare-models photos -m original resnet18@96 -t fromzero --epochs 60 --augment basic

  goldenrule compare-models photos -m resnet --weights-of resnet=resnet50.safetensors -t transfer_learning fine_tuning
"""


@command(EXAMPLES)
def compare_models(
    context: typer.Context,
    what: Annotated[
        list[str],
        typer.Argument(metavar="FOLDER", help="The folder of images.", show_default=False),
    ],
    source: Annotated[ImageSource, only(*(name for name in options_of(ImageSource) if name != "folder"))],
    options: Annotated[
        FitOptions,
        only("augment", "crop", "levels", "sample", "min_per_class", "seed", "device", "threads"),
    ],
    how: Annotated[TrainingOptions, only("epochs", "stop")],
    backbone: Annotated[list[str] | None, of(FitOptions, "backbone", help=NETWORKS, unset=UNSET)] = None,
    types: Annotated[list[str] | None, of(TrainingOptions, "type", help=WAYS, unset="all")] = None,
    weights_of: Annotated[
        list[str] | None,
        typer.Option(help="NAME=FILE: pretrained weights of a network. Repeatable.", show_default=False),
    ] = None,
    out: Annotated[Path | None, output("Where networks are compared.", "runs/NAME-compare")] = None,
) -> Numbers:
    """Compare networks and ways of training on a folder of images.

    Networks share the split, near duplicates and feature cache. The one to take is chosen on validation; the test split
    is opened once, afterwards. A killed comparison goes on where it stopped, and grows when other networks are named.
    """
    from goldenrule.core.progress import Bars
    from goldenrule.pipelines.comparison.comparing import compare_networks
    from goldenrule.runs.verified_files import is_run

    if is_run(Path(what[0])):
        raise OptionError(
            f"{what[0]} is a run, and no folder of images. Two finished runs are compared by: goldenrule compare-runs "
            "RUN OTHER."
        )
    models, ways = _named(what, backbone, types)
    place = out or Path("runs") / f"{Path(what[0]).resolve().name}-compare"
    if set(ways) == {"transfer_learning"} and not is_run(place):  # a comparison that goes on is known by them
        refuse(context, ("epochs", "stop"), "where -t transfer_learning alone is compared: its heads are fitted")
    found = compare_networks(
        replace(source, folder=Path(what[0])).images(),
        models,
        ways,
        epochs=how.epochs,
        stop=how.stop,
        weights=_weights(weights_of or []),
        options=options,
        out=out,
        progress=Bars(),
    )
    _show(found)
    return found


def _named(what: list[str], model: list[str] | None, training: list[str] | None) -> tuple[list[str], list[str]]:
    """Return the networks and ways of training that were named.

    Words that follow the folder are more of what was listed: a way of training by its name, else a network.
    """
    from goldenrule.pipelines.comparison.entries import DEFAULT_MODELS
    from goldenrule.runs.training_options import TYPES

    first, *more = what
    if model and not Path(first).exists() and more and Path(more[-1]).exists():
        from goldenrule.storage.files import in_shell

        command = f"goldenrule compare-models {in_shell(more[-1])} -m {model[0]}"
        raise OptionError(f"{first} is no folder: give the images first, as {command}.")
    words = [word for text in (model or []) for word in text.split(",")]
    types = [word for text in (training or []) for word in text.split(",")]
    for word in more:
        (types if word in (*TYPES, "all") else words).append(word)
    if "all" in types or not types:
        types = list(TYPES)
    return words or list(DEFAULT_MODELS), types


def _weights(said: list[str]) -> dict[str, Path]:
    found = {}
    for one in said:
        name, equals, path = one.partition("=")
        if not (name and equals and path):
            raise OptionError(f"--weights-of {one}: wanted NAME=FILE, such as resnet=resnet50.safetensors.")
        found[name] = Path(path)
    return found


def _show(found: ComparedNetworks) -> None:
    """Print the table, which to take and why, and what next."""
    from goldenrule.core.console import Console, Text
    from goldenrule.pipelines.comparison.comparison_report import next_steps

    console = Console()
    console.print(networks_table(found))
    console.print(Text(f"{found.headline}.", style="bold"))
    for sentence in found.sentences:
        console.print(Text(sentence))
    for finding in found.findings:
        console.print(Text(str(finding), style="" if finding.severity == "note" else "yellow"))
    for step in next_steps(found)[:2]:
        console.print(Text(f"  {step}"), soft_wrap=True)
    console.print(Text(f"Page: {found.page}"), soft_wrap=True)


def networks_table(found: ComparedNetworks) -> Table:
    """Return the rows of a comparison as a table that 80 columns hold with no word broken."""
    from rich import box
    from rich.table import Table

    from goldenrule.core.console import Text
    from goldenrule.pipelines.comparison.comparison_report import cells, columns

    table = Table(box=box.SIMPLE, padding=(0, 1, 0, 0))
    for heading in columns(found):
        text = Text(heading.replace(" on ", "\non ").replace(", n=", "\nn="), lines=True)
        longest = max(map(len, heading.split()))
        table.add_column(text, overflow="fold", no_wrap=heading == "network", min_width=longest)
    for row in found.ranked:
        style = "bold" if row is found.chosen else ""
        table.add_row(*(Text(_folded(cell), style=style, lines=True) for cell in cells(found, row)))
    return table


def _folded(cell: str) -> str:
    """Put a name's way of training, an interval and a verdict's reasons on lines of their own."""
    return cell.replace(" [", "\n[").replace(": ", "\n").replace(", p ", "\np ").replace(", ", ",\n", 1 - ("[" in cell))
