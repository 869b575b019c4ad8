"""`goldenrule tune`: which settings suit these images, tried on validation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from goldenrule.cli.options import Live, Numbers, command, only, output
from goldenrule.cli.terminal import show_findings
from goldenrule.runs.image_source import ImageSource
from goldenrule.runs.options import FitOptions

SHOWN = 8
EXAMPLES = """Examples:

  goldenrule tune photos                     50 heads on cached features

  goldenrule tune photos --trials 200        goes on from there to 200

  goldenrule tune photos --live              10 of late layers and whole networks too: minutes each

  goldenrule tune photos --minutes 5 --out runs/try
"""


@command(EXAMPLES)
def tune(
    source: ImageSource,
    options: Annotated[FitOptions, only("backbone", "levels", "sample", "min_per_class", "minutes", "seed", "threads")],
    trials: Annotated[int, typer.Option(help="How many heads are tried in all, those of before included.")] = 50,
    live: Live = False,
    out: Annotated[Path | None, output("Where to write.", "runs/NAME-tune")] = None,
) -> Numbers:
    """Search for settings (head, augmentation, optimizer, rate, batch size, loss ...) that do better on validation."""
    from rich.table import Table

    from goldenrule.core.console import Console, Text
    from goldenrule.core.progress import Bars
    from goldenrule.pipelines.tuning.search import search as searched
    from goldenrule.pipelines.tuning.search_report import NUMBERS, code, headline, next_steps, page_rows, sentences

    images, minutes = source.table(), options.minutes
    options = replace(options, minutes=None)  # of the search, not of its first fit
    found = searched(images, trials=trials, live=live, minutes=minutes, options=options, out=out, progress=Bars())
    console, rows = Console(), page_rows(found)
    show_findings(images.findings, console)
    table = Table("trial", "settings", "log loss", "right")
    best, default = rows[:SHOWN], [row for row in rows[SHOWN:] if row["default"]]
    for row in [*best, *default]:
        mark = "default: " if row["default"] else ""
        cells = (f"{row['study']} {row['number']}", mark + row["what"], row["log_loss"] or row["state"], row["quality"])
        table.add_row(*map(Text, cells))
    console.print(table)
    console.print(Text(f"{headline(found)}.", style="bold"))
    for sentence in sentences(found):
        console.print(Text(sentence))
    for step in next_steps(found):
        console.print(Text(step), soft_wrap=True)  # a command that is broken can't be copied
    if found.replaced and code(found):
        console.print(Text(f"\n{code(found)}", lines=True))
    console.print(Text(f"Page: {found.page} ({found.seconds:.0f} s)"), soft_wrap=True)
    return found.folder / NUMBERS
