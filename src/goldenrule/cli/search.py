"""`goldenrule search`: which settings suit these images, tried on validation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from goldenrule.cli.common import Levels, MinPerClass, Threads, show_findings, with_examples
from goldenrule.cli.source import Asked, Exclude, GroupBy

SHOWN = 8
EXAMPLES = """Examples:

  goldenrule search photos                     50 heads on activations from the bank

  goldenrule search photos --trials 200        goes on from there to 200

  goldenrule search photos --live              10 of late layers and whole networks too: minutes each

  goldenrule search photos --minutes 5 --out runs/try
"""


def search(
    folder: Annotated[
        Path, typer.Argument(help="The images: CLASS/image.jpg or train/CLASS/image.jpg.", show_default=False)
    ],
    trials: Annotated[int, typer.Option(help="How many heads are tried in all, those of before included.")] = 50,
    minutes: Annotated[
        float | None, typer.Option(help="Begin no trial that would probably end later.", show_default=False)
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="Then try late layers and the whole network, a fifth as often.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of the split, the draws and the training.")] = 0,
    out: Annotated[
        Path | None, typer.Option("--out", help="Where to write. \\[default: runs/NAME-search]", show_default=False)
    ] = None,
    backbone: Annotated[
        str, typer.Option(help="efficientnet_lite0, 1 or 2 (embedded), or any timm name.")
    ] = "efficientnet_lite0",
    sample: Annotated[
        int | None, typer.Option(help="Take so many images per class and part.", show_default=False)
    ] = None,
    min_per_class: MinPerClass = None,
    levels: Levels = None,
    group_by: GroupBy = "auto",
    exclude: Exclude = None,
    threads: Threads = None,
) -> None:
    """Search for settings (head, augmentation, optimizer, rate, batch size, loss ...) that do better on validation."""
    from rich.table import Table

    from goldenrule.foundation.console import Console, Text
    from goldenrule.foundation.errors import OptionError
    from goldenrule.foundation.progress import Bars
    from goldenrule.recipes.options import FitOptions
    from goldenrule.recipes.search import search as searched
    from goldenrule.recipes.search_report import code, headline, next_steps, page_rows, sentences

    if minutes is not None and not 0 < minutes < 1e6:
        raise OptionError(f"--minutes {minutes:g}: wanted how long the search may take, more than 0.")
    options = FitOptions(
        backbone=backbone,
        levels=levels,
        sample=sample,
        min_per_class=min_per_class,
        group_by=group_by,
        seed=seed,
        threads=threads,
    )
    images = Asked(folder=folder, group_by=group_by, exclude=exclude).table()
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


with_examples(search, EXAMPLES)
