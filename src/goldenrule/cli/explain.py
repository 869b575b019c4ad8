"""`goldenrule explain`: what a classifier says of images, their nearest training images, and where it looked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from goldenrule.cli.options import NOTHING_READ, Ended, Exclude, FinishedRun, Numbers, Threads, command, output, refuse
from goldenrule.cli.terminal import show_findings

if TYPE_CHECKING:
    from goldenrule.analysis.explanation import Explained
    from goldenrule.core.console import Console

MOST_ROWS = 8
EXAMPLES = """Examples:

  goldenrule explain runs/dogscats photo.jpg             a table here, explained/dogscats/explained.html to look at

  goldenrule explain runs/dogscats new_photos/ -k 8 -o explained/new

  goldenrule explain runs/dogscats photo.jpg --class cats      what in it speaks for cats, whatever was predicted

  goldenrule explain runs/dogscats photo.jpg --no-heat         the nearest training images alone
"""


@command(EXAMPLES)
def explain(
    context: typer.Context,
    run: FinishedRun,
    images: Annotated[list[Path], typer.Argument(help="Images and folders.", show_default=False, readable=False)],
    k: Annotated[int, typer.Option("-k", help="How many of the nearest training images.")] = 5,
    out: Annotated[Path | None, output("Folder of page and numbers.", "explained/NAME")] = None,
    of: Annotated[
        str | None,
        typer.Option("--class", help="Heat maps of this class. \\[default: the predicted one]", show_default=False),
    ] = None,
    heat: Annotated[bool, typer.Option("--heat/--no-heat", help="Heat maps: they need the extra explain.")] = True,
    exclude: Exclude = None,
    threads: Threads = None,
) -> Numbers:
    """Explain predictions: the nearest training images and a heat map of each, as a table and a page."""
    from goldenrule.core.console import Console, Text
    from goldenrule.core.progress import Bars
    from goldenrule.data.sources.folders import files_to_predict
    from goldenrule.tasks.explaining import NUMBERS, PAGE, asked, free_folder
    from goldenrule.tasks.explaining import explain as explained_by

    if not heat:
        refuse(context, ("of",), "with --no-heat: it says of which class the heat maps are")
    default = Path("explained") / (run.resolve().name or "run")
    files = files_to_predict(images, exclude=exclude or ())
    folder = out or free_folder(default, asked(run, files.files, of))
    found = explained_by(
        run, images, k=k, of=of, out=folder, heat=heat, exclude=exclude or (), threads=threads, progress=Bars()
    )
    console = Console()
    show(found, console)
    show_findings(files.findings, console)
    console.print(Text(f"Look:    {folder / PAGE}"), soft_wrap=True)
    console.print(Text(f"Numbers: {folder / NUMBERS}"), soft_wrap=True)
    read = not len(found) or any(one.status == "ok" for one in found.explanations)
    return Ended(folder / NUMBERS, 0 if read else NOTHING_READ)


def show(found: Explained, console: Console) -> None:
    """Print a row per image with its nearest training images, and what is missing."""
    from rich.table import Table

    from goldenrule.core.console import Text
    from goldenrule.core.findings import plural
    from goldenrule.report.sentences import sureness

    table = Table()
    for name in ("path", "prediction", "probability", "nearest", "alike", "training image"):
        table.add_column(name, overflow="fold", justify="right" if name in ("probability", "alike") else "left")
    for explanation in found.explanations[:MOST_ROWS]:
        if explanation.status != "ok":
            table.add_row(
                Text(explanation.id), explanation.status, "", Text(explanation.why), style="yellow", end_section=True
            )
            continue
        named = f"{explanation.prediction} (out-of-distribution)" if explanation.ood else explanation.prediction
        first = (
            Text(explanation.id),
            Text(named, style="yellow" if explanation.ood else "bold"),
            sureness(explanation.probability),
        )
        for place, one in enumerate(explanation.nearest):
            style = "" if explanation.prediction in one.labels else "yellow"
            named = f"{one.id} ({one.copy})" if one.copy else one.id
            cells = (Text(", ".join(one.labels), style=style), f"{one.similarity:.2f}", Text(named))
            table.add_row(*(first if place == 0 else ("", "", "")), *cells)
        if not explanation.nearest:
            table.add_row(*first, "", "", "")
        table.add_section()
    console.print(table)
    if len(found) > MOST_ROWS:
        console.print(f"... and {len(found) - MOST_ROWS:,} more in explained.json")
    if unread := [f"{one.id}: {one.why.partition(';')[0]}" for one in found.explanations if one.status != "ok"]:
        named = ", ".join(unread[:2]) + (", ..." if len(unread) > 2 else "")
        said = f"warning: {plural(len(unread), 'image')} can't be read: no explanation ({named})"
        console.print(Text(said, style="yellow"))
    for note in found.notes:
        console.print(Text(f"note: {note}", style="yellow"))
    seconds = ", ".join(f"{name} {took:.1f}" for name, took in found.seconds)
    console.print(Text(f"Seconds: {seconds}."))
