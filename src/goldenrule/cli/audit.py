"""`goldenrule audit`: what should be known of images before anything is learned from them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from goldenrule.cli.options import Ended, Numbers, command, output, said_again
from goldenrule.runs.image_source import ImageSource, name_of

if TYPE_CHECKING:
    from goldenrule.analysis.audit import Audit
    from goldenrule.core.console import Console

MOST_CLASSES = 20
"""So many classes have a line of their own."""
FOUND = 1
"""The exit code of --strict where something was found."""
EXAMPLES = """Examples:

  goldenrule audit photos                        a table here, audits/photos/audit.html to look at

  goldenrule audit photos --strict               exit code 1 where there is a warning: for pipelines

  goldenrule audit photos -o checked/photos      audit.html and audit.json in a folder of your choice

  goldenrule audit photos --csv table.csv --id file --label species

  goldenrule audit photos --csv table.csv --split split        is a photo in two of the splits that the table names?
"""


@command(EXAMPLES)
def audit(
    context: typer.Context,
    source: ImageSource,
    out: Annotated[Path | None, output("Folder of page and numbers.", "audits/NAME")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit code 1 where there is a warning or an error.")] = False,
) -> Numbers:
    """Look at every image: unreadable and odd files, duplicates, leaks between splits, shortcuts, small classes."""
    from goldenrule.core.console import Console, Text
    from goldenrule.core.progress import Bars
    from goldenrule.tasks.auditing import NUMBERS, PAGE, audit_images

    images = source.images()
    folder = out or Path("audits") / name_of(images)
    found = audit_images(images, out=folder, group_by=source.group_by, progress=Bars())
    console = Console()
    show(found, console)
    console.print(Text(f"Look:    {folder / PAGE}"), soft_wrap=True)
    console.print(Text(f"Numbers: {folder / NUMBERS}"), soft_wrap=True)
    again = said_again(context, without={"out", "strict"}).replace("goldenrule audit", "goldenrule fit", 1)
    console.print(Text(f"Next:    {again}"), soft_wrap=True)
    odd = any(finding.severity != "note" for finding in found.findings)
    return Ended(folder / NUMBERS, FOUND if strict and odd else 0)


def show(found: Audit, console: Console) -> None:
    """Print images per class and split, what the files are, and the findings."""
    from rich.table import Table

    from goldenrule.cli.terminal import show_counts
    from goldenrule.core.console import Text
    from goldenrule.core.memory import readable_bytes
    from goldenrule.report.facts import value_text

    facts = found.facts()
    show_counts(found.table.name, facts["counts"], console, most=MOST_CLASSES)
    sizes = [f"{one[0]}-{one[-1]} px" for one in (facts["width"], facts["height"]) if one]
    size = f", {' by '.join(sizes)} ({facts['sizes']:,} different)" if sizes else ""
    formats = value_text(facts["formats"]) or "none"
    console.print(
        f"Files: {readable_bytes(facts['bytes'])}, {formats}; {value_text(facts['modes'])}{size}.", highlight=False
    )
    if not found.findings:
        console.print("Nothing odd was found.")
        return
    table = Table(box=None, show_header=False, padding=(0, 1), pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column()
    style = {"error": "bold red", "warning": "yellow", "note": ""}
    for finding in found.findings:
        shown = ", ".join(finding.evidence[:3]) + (", ..." if len(finding.evidence) > 3 else "")
        text = Text(f"{finding.sentence}{f' ({shown})' if shown else ''}. ", style=style[finding.severity])
        table.add_row(Text(finding.severity, style=style[finding.severity]), text.append(finding.advice, style="dim"))
    console.print(table)
