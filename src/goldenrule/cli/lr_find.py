"""`goldenrule lr-find`: the learning-rate finder's curve, in the terminal and as a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from goldenrule.cli.options import Live, Numbers, command, only, output, refuse
from goldenrule.cli.terminal import show_findings
from goldenrule.runs.image_source import ImageSource
from goldenrule.runs.options import FitOptions

EXAMPLES = """Examples:

  goldenrule lr-find photos                          a fresh head on precomputed features: seconds

  goldenrule lr-find photos --live                   the same on live, augmented images

  goldenrule lr-find photos --unfrozen               the whole network: 40 steps, a minute or two

  goldenrule lr-find photos --unfrozen --from runs/photos -o curve.svg
"""


@command(EXAMPLES)
def lr_find(
    context: typer.Context,
    source: ImageSource,
    options: Annotated[FitOptions, only("backbone", "start_from", "augment", "levels", "seed")],
    out: Annotated[Path, output("The curve as a picture: .svg, .png or .pdf.")] = Path("lr_find.svg"),
    unfrozen: Annotated[bool, typer.Option("--unfrozen", help="Raise the rate of the whole network.")] = False,
    live: Live = False,
    steps: Annotated[
        int | None, typer.Option(help="Steps. \\[default: 100 on features, 40 live]", show_default=False)
    ] = None,
    lowest: Annotated[float, typer.Option(help="The first rate.")] = 1e-5,
    highest: Annotated[float, typer.Option(help="The last rate.")] = 10.0,
) -> Numbers:
    """Raise the learning rate step by step and draw the loss: which rate to train with."""
    from goldenrule.core.console import Console, Text
    from goldenrule.core.errors import OptionError
    from goldenrule.core.progress import Bars
    from goldenrule.core.schema import as_json
    from goldenrule.storage.outputs import to_terminal, written_into
    from goldenrule.tasks.lr_curve import find_rate_of
    from goldenrule.training.inputs.terminal_curves import range_text

    if not (live or unfrozen):
        refuse(context, ("augment",), "on features of plain images: give --live or --unfrozen too")
    if options.start_from is not None:
        refuse(context, ("backbone",), "with --from, which names the network")
    if out.suffix not in (".svg", ".png", ".pdf") and written_into(out) is None:
        raise OptionError(f"-o {out}: wanted a name that ends in .svg, .png or .pdf.")
    table = source.table()
    test = find_rate_of(
        table,
        options=options,
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
    return {"picture": str(out), **as_json(test)}
