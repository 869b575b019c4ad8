"""`goldenrule labels`: suspected label errors, most confident mistakes, most uncertain and best images of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from goldenrule.cli.options import FinishedRun, Numbers, Threads, command, refuse

if TYPE_CHECKING:
    from goldenrule.core.console import Console
    from goldenrule.report.pages.insight_page import Section

SHOWN = 10
"""So many images of a list are printed; the page has all of them."""
EXAMPLES = """Examples:

  goldenrule labels runs/photos                 tables here, runs/photos/labels/labels.html to look at

  goldenrule labels runs/photos --at-most 50    more images in each list

  goldenrule labels runs/photos --apply cleaned.csv    a table of what was decided in goldenrule review

  goldenrule labels runs/photos --apply cleaned        or a copy of the images, cleaned/SPLIT/CLASS/image

  goldenrule labels runs/photos --export label-studio tasks.json     labels and doubts for Label Studio; or cvat

  goldenrule labels runs/photos --import export.json   what was decided there becomes decisions of review

The labels, all of them, the most doubtful first: runs/photos/labels/label_errors.csv
"""


@command(EXAMPLES)
def labels(
    context: typer.Context,
    run: FinishedRun,
    top: Annotated[int, typer.Option("--at-most", help="Images in each list.")] = 20,
    apply: Annotated[
        Path | None,
        typer.Option(help="Write what was decided: OUT.csv, or a new folder of copies.", metavar="OUT"),
    ] = None,
    export: Annotated[
        tuple[str, Path] | None,
        typer.Option(help="Write the labels for label-studio or cvat.", metavar="TOOL FILE"),
    ] = None,
    import_: Annotated[
        Path | None, typer.Option("--import", help="Take decisions from such a file.", metavar="FILE")
    ] = None,
    threads: Threads = None,
) -> Numbers:
    """Find suspected label errors of a run, the most doubtful first; on the page its mistakes and doubts too."""
    from goldenrule.core.console import Console, Text
    from goldenrule.core.findings import plural
    from goldenrule.core.progress import Bars
    from goldenrule.storage.files import in_shell
    from goldenrule.tasks.cleaning.tool_exchange import check_export, export_labels
    from goldenrule.tasks.label_check import LABELS, NUMBERS, check_labels

    if apply is not None:
        refuse(context, ("top", "export", "import_", "threads"), "with --apply, which writes what was decided")
        return show_cleaned(run, apply)
    if import_ is not None:
        refuse(context, ("top", "export", "threads"), "with --import, which takes what was decided")
        return show_imported(run, import_)
    if export is not None:
        check_export(*export)
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
    if export is not None:
        count = export_labels(run, *export, found.suspected.errors)
        console.print(Text(f"Written: {export[1]} ({plural(count, 'image')} for {export[0]})"), soft_wrap=True)
    console.print(Text(f"Next:    goldenrule review {in_shell(run)}     decide on them, one key each"), soft_wrap=True)
    return found.folder / NUMBERS


def show_cleaned(run: Path, out: Path) -> Numbers:
    """Write the images with the labels that were decided, and say so."""
    from goldenrule.core.console import Console, Text
    from goldenrule.core.findings import plural
    from goldenrule.deploy.review.cleaned_copy import write_cleaned

    done = write_cleaned(run, out)
    said = f"{plural(done.images, 'image')}, {done.relabelled:,} relabelled, {done.removed:,} left out"
    if done.unlabelled:
        said += f"; {done.unlabelled:,} without a label are not in it"
    Console().print(Text(f"Written: {out} ({said})"), soft_wrap=True)
    return done


def show_imported(run: Path, path: Path) -> Numbers:
    """Take decisions from another tool, and say what they are."""
    from goldenrule.core.console import Console, Text
    from goldenrule.tasks.cleaning.tool_exchange import import_labels

    done = import_labels(run, path)
    said = f"{done.relabelled:,} relabelled, {done.kept:,} labelled as before, {done.unsure:,} unsure"
    Console().print(Text(f"Imported from {done.tool}: {said}; {done.same:,} as they are here."), soft_wrap=True)
    Console().print(Text(f"Journal: {done.journal}"), soft_wrap=True)
    return done


def show(section: Section, console: Console) -> None:
    """Print a section: its table, then what it says."""
    from rich.table import Table

    from goldenrule.core.console import Text

    if section.cards:
        table = Table(title=section.title, title_justify="left")
        for name in ("image", "split", "label", "rather", ""):
            table.add_column(name, overflow="fold")
        for card in section.cards[:SHOWN]:
            label, other = card.shares or ("", "")
            standing = "\n".join(filter(None, (card.standing, card.note)))
            cells = (f"{card.label} {label}", f"{card.other} {other}", standing)
            table.add_row(*(Text(cell, lines=True) for cell in (card.uri, card.split, *cells)))
        console.print(table)
        if len(section.cards) > SHOWN:
            console.print(f"... and {len(section.cards) - SHOWN:,} more on the page", highlight=False)
    for sentence in section.sentences:
        console.print(Text(sentence, style="dim" if section.cards else ""))
    console.print()
