"""`goldenrule compare-runs`: which of two finished runs is better, image by image."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from goldenrule.cli.options import FinishedRun, Numbers, command
from goldenrule.core.errors import OptionError

FEW = 30
EXAMPLES = """Examples:

  goldenrule compare-runs runs/photos runs/photos-2

  goldenrule compare-runs runs/photos runs/photos-2 --on valid --json compared.json
"""


@command(EXAMPLES)
def compare_runs(
    run: FinishedRun,
    other: Annotated[Path, typer.Argument(help="The folder of the other one.", show_default=False)],
    on: Annotated[
        str | None,
        typer.Option(
            help="Of two runs: test, valid or out-of-fold. \\[default: the first with common images]",
            show_default=False,
        ),
    ] = None,
) -> Numbers:
    """Compare two finished runs on the images that both were evaluated on, image by image."""
    from rich.table import Table

    from goldenrule.core.console import Console, Text
    from goldenrule.core.findings import plural
    from goldenrule.metrics import value_and_interval
    from goldenrule.metrics.estimate import Basis
    from goldenrule.tasks.run_comparison import compare_runs as compared_by

    if run.resolve() == other.resolve():
        raise OptionError(f"{run} is given twice: wanted two runs.")
    compared = compared_by(run, other, split=on or "auto")  # type: ignore[arg-type]  # checked there
    table = Table()
    for heading in ("", *compared.names, "gain"):
        table.add_column(Text(heading), overflow="fold")
    for name, pair in compared.estimates.items():
        table.add_row(name, *map(value_and_interval, pair), value_and_interval(compared.gains[name].gain))
    console = Console()
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
    return compared
