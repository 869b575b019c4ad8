"""`goldenrule labels`: suspected label errors, most confident mistakes, most uncertain and best images of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from goldenrule.cli.options import FinishedRun, Numbers, Threads, command

if TYPE_CHECKING:
    from goldenrule.core.console import Console
    from goldenrule.report.pages.insight_page import Section

SHOWN = 10
"""So many images of a list are printed; the page has all of them."""
EXAMPLES = """Examples:

  goldenrule labels runs/photos                 tables here, runs/photos/labels/labels.html to look at

  goldenrule labels runs/photos --at-most 50    more images in each list

The labels, all of them, the most doubtful first: runs/photos/labels/label_errors.csv
"""


@command(EXAMPLES)
def labels(
    run: FinishedRun,
    top: Annotated[int, typer.Option("--at-most", help="Images in each list.")] = 20,
    threads: Threads = None,
) -> Numbers:
    """Find suspected label errors of a run, the most doubtful first; on the page its mistakes and doubts too."""
    from goldenrule.core.console import Console, Text
    from goldenrule.core.progress import Bars
    from goldenrule.tasks.label_check import LABELS, NUMBERS, check_labels

    found = check_labels(run, top=top, threads=threads, progress=Bars())
    console = Console()
    show(found.sections[0], console)  # mistakes, doubts and the best are on the page, and in the report
    for note in found.notes():
        console.print(Text(f"warning: {note}", style="yellow"))
    if found.kept_csv:
        stays = f"warning: {found.folder / LABELS} holds something else, and stays: move it away to have it anew."
        console.print(Text(stays, style="yellow"), soft_wrap=True)
    console.print(Text(f"Look:    {found.page} ({found.seconds:.1f} s)"), soft_wrap=True)
    console.print(Text(f"Labels:  {found.folder / LABELS}"), soft_wrap=True)
    console.print(Text(f"Numbers: {found.folder / NUMBERS}"), soft_wrap=True)
    console.print("Next:    look at the first labels; move what is wrong to its class, and fit again.", highlight=False)
    return found.folder / NUMBERS


def show(section: Section, console: Console) -> None:
    """Print a section: its table, then what it says."""
    from rich.table import Table

    from goldenrule.core.console import Text

    if section.cards:
        others = any(card.other for card in section.cards)
        table = Table(title=section.title, title_justify="left")
        for name in ("image", "split", "label", *(["rather"] if others else []), "probability"):
            table.add_column(name, overflow="fold")
        for card in section.cards[:SHOWN]:
            other = [Text(card.other)] if others else []
            table.add_row(Text(card.uri), card.split, Text(card.label), *other, Text(card.note))
        console.print(table)
        if len(section.cards) > SHOWN:
            console.print(f"... and {len(section.cards) - SHOWN:,} more on the page", highlight=False)
    for sentence in section.sentences:
        console.print(Text(sentence, style="dim" if section.cards else ""))
    console.print()
