"""`goldenrule lr-find`: the learning-rate finder's curve, in the terminal and as a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from goldenrule.cli.common import Levels, refuse, show_findings, with_examples
from goldenrule.cli.source import Asked, Exclude
from goldenrule.cli.views import Augment

EXAMPLES = """Examples:

  goldenrule lr-find photos                          a fresh head on precomputed activations: seconds

  goldenrule lr-find photos --live                   the same on live, augmented images

  goldenrule lr-find photos --unfrozen               the whole network: 40 steps, a minute or two

  goldenrule lr-find photos --unfrozen --from runs/photos -o curve.svg
"""


def lr_find(
    context: typer.Context,
    folder: Annotated[
        Path, typer.Argument(help="The images: CLASS/image.jpg or train/CLASS/image.jpg.", show_default=False)
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="The curve as a picture: .svg, .png or .pdf.")] = Path(
        "lr_find.svg"
    ),
    unfrozen: Annotated[bool, typer.Option("--unfrozen", help="Raise the rate of the whole network.")] = False,
    live: Annotated[bool, typer.Option("--live", help="On live, augmented images instead of activations.")] = False,
    steps: Annotated[
        int | None, typer.Option(help="Steps. \\[default: 100 on activations, 40 live]", show_default=False)
    ] = None,
    lowest: Annotated[float, typer.Option(help="The first rate.")] = 1e-5,
    highest: Annotated[float, typer.Option(help="The last rate.")] = 10.0,
    start_from: Annotated[
        Path | None, typer.Option("--from", help="Start from the network of an earlier run.", show_default=False)
    ] = None,
    backbone: Annotated[
        str, typer.Option(help="efficientnet_lite0, 1 or 2 (embedded), or any timm name.")
    ] = "efficientnet_lite0",
    augment: Augment = "auto",
    levels: Levels = None,
    exclude: Exclude = None,
    seed: Annotated[int, typer.Option(help="Seed of the split, the fresh head and the batches.")] = 0,
) -> None:
    """Raise the learning rate step by step and draw the loss: which rate to train with."""
    from goldenrule.foundation.console import Console, Text
    from goldenrule.foundation.errors import OptionError
    from goldenrule.foundation.outputs import to_terminal, written_into
    from goldenrule.foundation.progress import Bars
    from goldenrule.recipes.rate import find_rate_of
    from goldenrule.training.terminal import range_text

    if not (live or unfrozen):
        refuse(context, ("augment",), "on activations of plain images: give --live or --unfrozen too")
    if start_from is not None:
        refuse(context, ("backbone",), "with --from, which names the network")
    if out.suffix not in (".svg", ".png", ".pdf") and written_into(out) is None:
        raise OptionError(f"-o {out}: wanted a name that ends in .svg, .png or .pdf.")
    table = Asked(folder=folder, exclude=exclude).table()
    test = find_rate_of(
        table,
        backbone=backbone,
        augment=augment,
        seed=seed,
        start_from=start_from,
        levels=levels,
        unfrozen=unfrozen,
        live=live,
        steps=steps,
        lowest=lowest,
        highest=highest,
        picture=out,
        progress=Bars(),
    )
    console = Console(stderr=to_terminal(out))
    show_findings(table.findings, console)
    console.print(Text(range_text(test), lines=True))
    console.print(Text(f"{test} (S: the suggestion, by {test.rule}; M: the minimum)"))
    console.print(Text(f"Picture: {out}"), soft_wrap=True)


with_examples(lr_find, EXAMPLES)
