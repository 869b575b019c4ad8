"""`goldenrule runs`: the runs that are there, with their numbers; and their removal."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from goldenrule.cli.options import Command, Group, Numbers, command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from goldenrule.runs.listed import ListedRun
    from goldenrule.runs.removal import Size

EXAMPLES = """Examples:

  goldenrule runs                      the runs in runs/, with their numbers

  goldenrule runs --runs demo/runs     those in another folder

  goldenrule runs rm runs/photos-2     remove one, after asking
"""
WIDE = 80
"""Characters of a terminal that has room for numbers and times on one line."""
WHOLE_NAME = 16
"""Characters of a run's name that are kept on one line."""
UNBROKEN = ("images", "number (95 %)", "size", "when")
app = typer.Typer(cls=Group, invoke_without_command=True, pretty_exceptions_enable=False)


@command(EXAMPLES)
def runs(
    context: typer.Context,
    folder: Annotated[Path, typer.Option("--runs", help="The folder that holds the runs.", metavar="PATH")] = Path(
        "runs"
    ),
) -> Numbers:
    """List the runs that are there, with their numbers."""
    if context.invoked_subcommand is not None:
        return {}
    from goldenrule.runs.listed import listed_runs

    found = listed_runs(folder)
    _show(folder, found)
    return {"runs": found}


@command()
def rm(
    folders: Annotated[list[Path], typer.Argument(metavar="RUN...", help="The runs to remove.", show_default=False)],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> Numbers:
    """Remove runs, after asking; images and the feature cache stay."""
    from goldenrule.core.console import Console, Text
    from goldenrule.core.memory import readable_bytes
    from goldenrule.runs.removal import check_removable

    folders = [_as_listed(folder) for folder in folders]
    for folder in folders:
        check_removable(folder)
    removed = []
    for folder in folders:
        size = removed_after_asking(folder, yes=yes)
        if size is not None:
            said = f"Removed: {folder} ({size.files:,} files, {readable_bytes(size.bytes)})"
            Console().print(Text(said), soft_wrap=True)
            removed.append({"folder": str(folder), "files": size.files, "bytes": size.bytes})
    return {"removed": removed}


def _as_listed(folder: Path) -> Path:
    """Return the run that is meant: the list gives names of runs in runs/."""
    from goldenrule.runs.verified_files import is_run

    return folder if is_run(folder) or not is_run(Path("runs") / folder) else Path("runs") / folder


def removed_after_asking(folder: Path, *, yes: bool = False) -> Size | None:
    """Remove a run where the user says so; return how much it was, None where the answer is no.

    Raises `OptionError` where nobody can answer.
    """
    from goldenrule.core.alive import shown
    from goldenrule.core.errors import OptionError
    from goldenrule.core.memory import readable_bytes
    from goldenrule.core.visible import visible
    from goldenrule.runs.removal import check_removable, remove_run, size_of_run
    from goldenrule.storage.files import in_shell

    check_removable(folder)
    if not yes:
        if not sys.stdin.isatty():
            raise OptionError(
                f"{folder} is removed only after asking, and nobody can answer here. Nothing was removed: goldenrule "
                f"runs rm {in_shell(folder)} --yes."
            )
        size = size_of_run(folder)
        asked = f"Remove {visible(folder)} ({size.files:,} files, {readable_bytes(size.bytes)})?"
        with shown():
            agreed = typer.confirm(asked, err=True)
        if not agreed:
            return None
    return remove_run(folder)


def _show(folder: Path, found: Sequence[ListedRun]) -> None:
    import datetime

    from rich import box
    from rich.table import Table

    from goldenrule.core.console import Console, Text
    from goldenrule.core.findings import plural
    from goldenrule.core.memory import readable_bytes

    console = Console()
    if not found:
        console.print(Text(f"There are no runs in {folder}."))
        return
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    wide = console.width >= WIDE
    for name in ("run", "what", "images", "number (95 %)", "size", "when"):
        right = name in ("images", "size")
        table.add_column(name, justify="right" if right else "left", overflow="fold", no_wrap=wide and name in UNBROKEN)
    if wide:
        table.columns[0].min_width = min(max(len(run.folder.name) for run in found), WHOLE_NAME)
    for run in found:
        when = datetime.datetime.fromtimestamp(run.changed).strftime("%Y-%m-%d %H:%M")
        style = "yellow" if run.damaged else ""
        images = f"{run.images:,}" if run.images else ""
        cells = (run.folder.name, run.kind, images, _number(run), readable_bytes(run.bytes), when)
        table.add_row(*map(Text, cells), style=style)
    console.print(table)
    for run in found:
        if run.damaged:
            console.print(Text(f"warning: {run.damaged}", style="yellow"), soft_wrap=True)
    size = readable_bytes(sum(run.bytes for run in found))
    console.print(Text(f"{plural(len(found), 'run')} in {folder}, {size}. Remove one: goldenrule runs rm RUN"))


def _number(run: ListedRun) -> str:
    from goldenrule.metrics import value_and_interval

    return f"{value_and_interval(run.number)} {run.split}" if run.number else ""


app.callback(invoke_without_command=True)(runs)
app.command(cls=Command)(rm)
