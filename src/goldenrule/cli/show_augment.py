"""`goldenrule show-augment`: what a kind of augmentation does to one's own images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from goldenrule.cli.options import LABELS, Numbers, command, only, output, refuse
from goldenrule.cli.terminal import show_findings
from goldenrule.runs.image_source import ImageSource
from goldenrule.runs.options import SHEET_SIZE, SHEET_VIEWS, FitOptions

EXAMPLES = """Examples:

  goldenrule show-augment photos                            side_on, as goldenrule fit uses it

  goldenrule show-augment satellite --augment top_down --views 8

  goldenrule show-augment photos --augment trivial -o trivial.png

  goldenrule show-augment photos --augment changes.py:foggy          a function of your own

  goldenrule show-augment photos --crop resized
"""


@command(EXAMPLES)
def show_augment(
    context: typer.Context,
    source: Annotated[ImageSource, LABELS],
    options: Annotated[FitOptions, only("augment", "crop", "levels", views=SHEET_VIEWS, size=SHEET_SIZE)],
    num_images: Annotated[int, typer.Option(help="Images, of different classes as far as there are.")] = 4,
    out: Annotated[Path, output("The sheet: .png, .svg or .pdf.")] = Path("augment.png"),
) -> Numbers:
    """Draw a sheet of augmented views: the very ones that training sees."""
    from goldenrule.core.console import Console, Text
    from goldenrule.core.progress import Bars
    from goldenrule.storage.outputs import to_terminal
    from goldenrule.tasks.augmentation_sheet import draw_augmentation

    if options.augment == "none":
        refuse(context, ("views",), "with --augment none, which makes none")
    table = source.table()
    shown = draw_augmentation(
        table,
        augment=options.augment,
        crop=options.crop,
        levels=options.levels,
        views=options.views or 0,
        size=options.size or 0,
        images=num_images,
        out=out,
        progress=Bars(),
    )
    console = Console(stderr=to_terminal(out))
    show_findings(table.findings, console)
    console.print(
        Text(f"{options.augment}: {', '.join(shown)}, each as it is and in {options.views} views."), soft_wrap=True
    )
    console.print(Text(f"Look: {out}"), soft_wrap=True)
    return {"sheet": str(out), "images": shown, "views": options.views, "augment": options.augment}
