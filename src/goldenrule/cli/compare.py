"""`goldenrule compare`: which of two finished runs is better, and whether that can be told."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

FEW = 30
EXAMPLES = """Examples:

  goldenrule compare runs/photos runs/photos_lite2

  goldenrule compare runs/photos runs/photos_lite2 --json compared.json

  goldenrule compare runs/photos runs/photos_lite2 --part valid     on validation images, though the test part is clean
"""


def compare(
    run: Annotated[Path, typer.Argument(help="The folder of a finished run.", show_default=False)],
    other: Annotated[Path, typer.Argument(help="The folder of another.", show_default=False)],
    part: Annotated[
        str,
        typer.Option(help="test, valid or out-of-fold; auto takes the first with common images."),
    ] = "auto",
    json: Annotated[Path | None, typer.Option(help="Write the numbers to this file.", show_default=False)] = None,
) -> None:
    """Compare two finished runs on the images that both were judged by, image by image."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from goldenrule.evaluation import value_and_interval
    from goldenrule.foundation.files import write_json
    from goldenrule.foundation.findings import plural
    from goldenrule.recipes.compared_runs import compare_runs

    compared = compare_runs(run, other, part=part)  # type: ignore[arg-type]
    table = Table()
    for heading in ("", *compared.names, "gain"):
        table.add_column(Text(heading), overflow="fold")
    for name, pair in compared.estimates.items():
        table.add_row(name, *map(value_and_interval, pair), value_and_interval(compared.gains[name].gain))
    console = Console()
    console.print(table)
    judged = {
        "out-of-fold": "out-of-fold, of the solved heads: what was trained after them is not compared",
        "valid": "validation" if compared.basis == "clean" else "validation, which helped to choose",
        "test": "test",
    }[compared.part]
    console.print(Text(f"{plural(compared.n, 'common image')}: {judged}."))
    asked = ("Who is right: ", "Log loss: ")[-len(compared.sentences) :]
    for question, sentence in zip(asked, compared.sentences, strict=True):
        console.print(Text(f"{question}{sentence}."))
    for reason, count in compared.left_out.items():
        console.print(Text(f"Left out: {plural(count, 'image')} {reason}.", style="yellow"))
    if compared.n < FEW and compared.part != "out-of-fold":
        console.print(Text("These are few: --part out-of-fold compares the solved heads on more."))
    if json is not None:
        write_json(json, compared.to_json())
        console.print(Text(f"Written: {json}"), soft_wrap=True)


compare.__doc__ = f"{compare.__doc__}\n\n{EXAMPLES}"
