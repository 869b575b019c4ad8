"""`goldenrule show-augment`: what a kind of augmentation does to one's own images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from goldenrule.cli.common import Levels, refuse, show_findings, with_examples
from goldenrule.cli.source import Asked, Exclude
from goldenrule.cli.views import Augment, Crop

EXAMPLES = """Examples:

  goldenrule show-augment photos                            side_on, as goldenrule fit uses it

  goldenrule show-augment satellite --augment top_down --views 8

  goldenrule show-augment photos --augment trivial -o trivial.png

  goldenrule show-augment photos --augment changes.py:foggy          a function of your own

  goldenrule show-augment photos --crop resized
"""


def show_augment(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="The images; only read.", show_default=False)],
    augment: Augment = "auto",
    crop: Crop = "random",
    views: Annotated[int, typer.Option(help="Augmented views per image.")] = 6,
    images: Annotated[int, typer.Option(help="Images, of different classes as far as there are.")] = 4,
    exclude: Exclude = None,
    levels: Levels = None,
    size: Annotated[int, typer.Option(help="Side of the network's input in px.")] = 224,
    out: Annotated[Path, typer.Option("-o", "--out", help="The sheet: .png, .svg or .pdf.")] = Path("augment.png"),
) -> None:
    """Draw a sheet of augmented views: the very ones that training sees."""
    from goldenrule.foundation.console import Console, Text
    from goldenrule.foundation.outputs import to_terminal
    from goldenrule.foundation.progress import Bars
    from goldenrule.recipes.showing import draw_augmentation

    if augment == "none":
        refuse(context, ("views",), "with --augment none, which makes none")
    table = Asked(folder=folder, exclude=exclude).table()
    shown = draw_augmentation(
        table,
        augment=augment,
        crop=crop,  # type: ignore[arg-type]  # checked by FitOptions
        levels=levels,
        views=views,
        images=images,
        size=size,
        out=out,
        progress=Bars(),
    )
    console = Console(stderr=to_terminal(out))
    show_findings(table.findings, console)
    console.print(Text(f"{augment}: {', '.join(shown)}, each as it is and in {views} views."), soft_wrap=True)
    console.print(Text(f"Look: {out}"), soft_wrap=True)


with_examples(show_augment, EXAMPLES)
