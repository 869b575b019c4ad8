"""`goldenrule split`: a labelled folder copied into train, valid and test, proved file by file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from goldenrule.cli.options import Numbers, command, given, only, refuse
from goldenrule.core.errors import OptionError
from goldenrule.runs.image_source import ImageSource
from goldenrule.runs.options import FitOptions

if TYPE_CHECKING:
    from goldenrule.data.table import ImageTable
    from goldenrule.tasks.split_folder import SplitFolder

MOST_CLASSES = 30
"""So many classes have a line of their own."""
EXAMPLES = """Examples:

  goldenrule split photos photos_split                     8:1:1, class by class

  goldenrule split photos photos_split --valid 0.2 --test 0

  goldenrule split frames frames_split --group-by "(.+)_frame"

  goldenrule split photos photos_split --csv table.csv --group patient

  goldenrule split photos photos_split --link reflink      shares the blocks of the originals (btrfs, XFS)

  goldenrule split --verify photos_split                   read every file again and compare it with the manifest
"""


@command(EXAMPLES)
def split(
    context: typer.Context,
    source: ImageSource,
    options: Annotated[FitOptions, only("seed")],
    destination: Annotated[
        Path | None, typer.Argument(help="The new folder with train/, valid/ and test/.", show_default=False)
    ] = None,
    valid: Annotated[float, typer.Option(help="Share that validates.")] = 0.1,
    test: Annotated[float, typer.Option(help="Share that tests.")] = 0.1,
    near_duplicates: Annotated[
        bool, typer.Option("--near-duplicates/--no-near-duplicates", help="Keep near duplicates on one side.")
    ] = True,
    anew: Annotated[bool, typer.Option("--anew", help="Deal out again what has splits already.")] = False,
    link: Annotated[str, typer.Option(help="none (copy), hard, or reflink.")] = "none",
    verify: Annotated[bool, typer.Option("--verify", help="Prove a folder that was split before.")] = False,
) -> Numbers:
    """Copy a folder into train, valid and test splits; every file is proved by its sha256, the original only read."""
    from goldenrule.core.progress import Bars
    from goldenrule.data.splits.splitting import Shares
    from goldenrule.tasks.split_folder import split_folder

    folder = source.folder
    if verify:
        if destination is not None:
            raise OptionError(f"--verify proves one folder: {folder} or {destination}?")
        others = set(context.params) - {"folder", "destination", "verify"}
        refuse(context, others, "with --verify, which reads a folder that was split before")
        return show_verified(folder)
    images = source.images()
    if destination is None:
        from goldenrule.storage.files import in_shell

        table_of(images, source.group_by)  # what can't be read says so first
        raise OptionError(f"Where to? goldenrule split {in_shell(folder)} NEW_FOLDER (or --verify to prove {folder}).")
    if "test" in given(context) and not anew and "test" in table_of(images, source.group_by).splits:
        raise OptionError(
            f"--test {test:g} has no effect: {folder} has a test split, which stays as it is. Omit it, or give "
            "--anew to deal all images out again."
        )
    found = split_folder(
        images,
        destination,
        shares=Shares(valid=valid, test=test),
        seed=options.seed,
        group_by=source.group_by,
        anew=anew,
        near_duplicates=near_duplicates,
        link=link,  # type: ignore[arg-type]  # checked there
        progress=Bars(),
    )
    show(found)
    return numbers(found)


def table_of(images: Path | ImageTable, group_by: str) -> ImageTable:
    """Return the images of a folder, or those that were found already."""
    from goldenrule.data.sources.label_tables import from_source

    return from_source(images, group_by=group_by) if isinstance(images, Path) else images


def show(found: SplitFolder) -> None:
    """Print what is in the splits, what was kept together, what was found, and what to do next."""
    from goldenrule.cli.terminal import show_counts
    from goldenrule.core.console import Console, Text
    from goldenrule.core.findings import plural
    from goldenrule.storage.files import in_shell

    console = Console()
    show_counts(str(found.folder), found.counts, console, most=MOST_CLASSES)
    for finding in found.findings:
        console.print(Text(str(finding), style="yellow" if finding.severity == "warning" else ""))
    together = [f"{plural(count, 'group')} of {what}" for what, count in found.together.items() if count]
    console.print(f"Kept on one side: {', '.join(together) or 'nothing had to be'}.", highlight=False)
    console.print(f"{_size(found)} {'were split before, and' if found.again else 'copied, all'} verified by sha256.")
    console.print(Text(f"Prove it again: goldenrule split --verify {in_shell(found.folder)}"), soft_wrap=True)
    console.print(Text(f"Next:           goldenrule fit {in_shell(found.folder)}"), soft_wrap=True)


def numbers(found: SplitFolder) -> Mapping[str, Any]:
    """Return what is in the splits, for programs."""
    return {
        "folder": str(found.folder),
        "files": found.files,
        "bytes": found.size,
        "counts": found.counts,
        "together": found.together,
        "findings": found.findings,
    }


def show_verified(folder: Path) -> Numbers:
    """Prove a split folder and say so; differences end with exit code 2."""
    from goldenrule.cli.terminal import show_counts
    from goldenrule.core.console import Console, Text
    from goldenrule.core.errors import RunMismatch
    from goldenrule.core.findings import plural
    from goldenrule.core.progress import Bars
    from goldenrule.tasks.split_folder import verify_split

    found, wrong = verify_split(folder, progress=Bars())
    console = Console()
    show_counts(str(found.folder), found.counts, console, most=MOST_CLASSES)
    for one in wrong:
        console.print(Text(f"{one.path}: {one.what}", style="yellow"), soft_wrap=True)
    if wrong:
        raise RunMismatch(
            f"{folder} is not as its manifest says: {plural(len(wrong), 'file')} of {found.files:,}, listed above. "
            "Bring them back from the source that split.json names, or split again into a new folder."
        )
    console.print(Text(f"{_size(found)} each is what manifest.csv says, and there is no other."))
    return numbers(found)


def _size(found: SplitFolder) -> str:
    from goldenrule.core.memory import readable_bytes

    return f"{found.files:,} files, {readable_bytes(found.size)},"
