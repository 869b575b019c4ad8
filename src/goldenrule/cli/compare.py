"""`goldenrule compare`: which of two finished runs is better; or which network, trained which way, for these images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from goldenrule.cli.options import Json, command, given, json_kind, of, only, output, refuse, spellings
from goldenrule.core.errors import OptionError
from goldenrule.core.option import options_of
from goldenrule.runs.image_source import ImageSource
from goldenrule.runs.options import FitOptions
from goldenrule.runs.training_options import TrainingOptions

if TYPE_CHECKING:
    from rich.table import Table

    from goldenrule.pipelines.comparison.compared_networks import ComparedNetworks

FEW = 30
NETWORKS = "The networks, as for train; NAME@PX for another input side. Several may follow."
UNSET = "original, efficientnet_lite0"
WAYS = "all, or fromzero, transfer_learning, fine_tuning. Several may follow."
OF_TWO_RUNS = {"what", "on", "json"}
"""What may be said of two finished runs."""
EXAMPLES = """Examples:

  goldenrule compare photos -m original efficientnet -t all          networks and ways of training, in one table

  goldenrule compare photos -m efficientnet efficientnet_lite2 -t transfer_learning

  goldenrule compare photos -m original resnet18@96 -t fromzero --epochs 60 --augment basic

  goldenrule compare photos -m resnet --weights-of resnet=resnet50.safetensors -t transfer_learning fine_tuning

  goldenrule compare runs/photos runs/photos_lite2                   two finished runs

  goldenrule compare runs/photos runs/photos_lite2 --on valid --json compared.json
"""


@command(EXAMPLES)
def compare(
    context: typer.Context,
    what: Annotated[
        list[str],
        typer.Argument(
            metavar="PHOTOS | RUN OTHER", help="A folder of images, with -m; or two finished runs.", show_default=False
        ),
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
    on: Annotated[
        str | None,
        typer.Option(
            help="Of two runs: test, valid or out-of-fold. \\[default: the first with common images]",
            show_default=False,
        ),
    ] = None,
    json: Json = None,
) -> None:
    """Compare networks and ways of training on a folder of images; or two finished runs, image by image.

    Networks share the split, near duplicates and feature cache. The one to take is chosen on validation; the test split
    is opened once, afterwards. A killed comparison goes on where it stopped, and grows when other networks are named.
    """
    if json is not None:
        from goldenrule.storage.outputs import check_output

        of_runs, of_networks = ("runs", "estimates", "gains"), ("images", "chosen", "rows")
        check_output(json, json_kind("compared.json", of_runs, of_networks), option="--json")
    named = _named(what, backbone, types)
    if named is None:
        if len(what) != 2:
            raise OptionError(
                f"{', '.join(what)}: wanted two finished runs, or a folder of images and the networks to compare on "
                "it, such as: goldenrule compare photos -m original efficientnet."
            )
        if foreign := given(context) - OF_TWO_RUNS:
            said = ", ".join(spellings(context, foreign))
            raise OptionError(f"{said}: nothing is trained to compare two runs, which takes --on and --json alone.")
        first, other = map(Path, what)
        if first.resolve() == other.resolve():
            raise OptionError(f"{first} is given twice: wanted two runs.")
        _runs(first, other, on or "auto", json)
        return
    from goldenrule.core.progress import Bars
    from goldenrule.core.schema import as_json
    from goldenrule.pipelines.comparison.comparing import compare_networks
    from goldenrule.runs.verified_files import is_run
    from goldenrule.storage.files import json_text
    from goldenrule.storage.outputs import write_output

    models, ways = named
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
    if json is not None:
        write_output(json, json_text(as_json(found)))
    _show(found, json)


def _named(what: list[str], model: list[str] | None, training: list[str] | None) -> tuple[list[str], list[str]] | None:
    """Return the networks and ways of training that were named; None where two runs are meant.

    Words that follow the folder are more of what was listed: a way of training by its name, else a network.
    """
    from goldenrule.pipelines.comparison.entries import DEFAULT_MODELS
    from goldenrule.runs.training_options import TYPES
    from goldenrule.runs.verified_files import is_run

    if not model and not training and not (len(what) == 1 and not is_run(Path(what[0]))):
        return None
    first, *more = what
    if model and not Path(first).exists() and more and Path(more[-1]).exists():
        raise OptionError(
            f"{first} is no folder: give the images first, as goldenrule compare {more[-1]} -m {model[0]}."
        )
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


def _show(found: ComparedNetworks, json: Path | None) -> None:
    """Print the table, which to take and why, and what next."""
    from goldenrule.core.console import Console, Text
    from goldenrule.pipelines.comparison.comparison_report import next_steps
    from goldenrule.storage.outputs import to_terminal

    console = Console(stderr=to_terminal(json))
    console.print(networks_table(found))
    console.print(Text(f"{found.headline}.", style="bold"))
    for sentence in found.sentences:
        console.print(Text(sentence))
    for finding in found.findings:
        console.print(Text(str(finding), style="" if finding.severity == "note" else "yellow"))
    for step in next_steps(found)[:2]:
        console.print(Text(f"  {step}"), soft_wrap=True)
    console.print(Text(f"Page: {found.page}"), soft_wrap=True)
    if json is not None:
        console.print(Text(f"Written: {json}"), soft_wrap=True)


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


def _runs(run: Path, other: Path, split: str, json: Path | None) -> None:
    """Compare two finished runs on the images that both were evaluated on."""
    from rich.table import Table

    from goldenrule.core.console import Console, Text
    from goldenrule.core.findings import plural
    from goldenrule.core.schema import as_json
    from goldenrule.metrics import value_and_interval
    from goldenrule.metrics.estimate import Basis
    from goldenrule.storage.files import json_text
    from goldenrule.storage.outputs import to_terminal, write_output
    from goldenrule.tasks.run_comparison import compare_runs

    compared = compare_runs(run, other, split=split)  # type: ignore[arg-type]
    table = Table()
    for heading in ("", *compared.names, "gain"):
        table.add_column(Text(heading), overflow="fold")
    for name, pair in compared.estimates.items():
        table.add_row(name, *map(value_and_interval, pair), value_and_interval(compared.gains[name].gain))
    console = Console(stderr=to_terminal(json))
    console.print(table)
    evaluated = {
        "out-of-fold": "out-of-fold, of the linear heads: what was trained after them is not compared",
        "valid": "validation" if compared.basis == Basis.HELD_OUT else "validation, which helped to choose",
        "test": "test",
    }[compared.split]
    console.print(Text(f"{plural(compared.n, 'common image')}: {evaluated}."))
    asked = ("Who is right: ", "Log loss: ")[-len(compared.sentences) :]
    for question, sentence in zip(asked, compared.sentences, strict=True):
        console.print(Text(f"{question}{sentence}."))
    for reason, count in compared.left_out.items():
        console.print(Text(f"Left out: {plural(count, 'image')} {reason}.", style="yellow"))
    if compared.n < FEW and compared.split != "out-of-fold":
        console.print(Text("These are few: --on out-of-fold compares the linear heads on more."))
    if json is not None:
        write_output(json, json_text(as_json(compared)))
        console.print(Text(f"Written: {json}"), soft_wrap=True)
