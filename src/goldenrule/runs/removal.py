"""A run removed as a whole: only what goldenrule wrote, and never while something is writing it."""

from __future__ import annotations

import contextlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from goldenrule.core.errors import FormatError, RunError, SourceError
from goldenrule.runs.store import NAMES
from goldenrule.runs.verified_files import is_run
from goldenrule.storage.files import storage_errors
from goldenrule.storage.lock import HOLDER, LOCK, only_writer
from goldenrule.storage.manifest import recorded
from goldenrule.storage.unfinished import is_marked, unfinished_folder

OTHERS = {"run.json", "tune.sqlite3", "trials.svg", "importance.svg", LOCK, HOLDER}
"""What else lies in a run's folder, beside the names that a run asks for before it begins."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much a folder holds."""

    files: int
    bytes: int


def size_of_run(folder: Path) -> Size:
    """Return the number of files and bytes below a folder, without following links."""
    files, total = 0, 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):  # gone meanwhile
                total += Path(place, name).lstat().st_size
                files += 1
    return Size(files, total)


def strange_in(folder: Path) -> list[str]:
    """Return what a run's folder holds that no run writes; a comparison holds runs."""
    written: set[str] = set()
    with contextlib.suppress(FormatError):  # a damaged manifest names nothing
        written = {name.split("/")[0] for name in recorded(folder)}
    known = NAMES | OTHERS | written
    strange = []
    for path in sorted(folder.iterdir()):
        of_report = path.name.startswith("report.") and path.suffix == ".html"  # in another language
        run = path.is_dir() and not path.is_symlink() and is_run(path)
        if not (path.name in known or of_report or is_marked(path) or run):
            strange.append(path.name)
        elif run:
            strange += [f"{path.name}/{name}" for name in strange_in(path)]
    return strange


def check_removable(folder: Path) -> None:
    """Raise `SourceError` where a folder is no run, `RunError` where it holds what is not a run's."""
    if folder.is_symlink():
        raise RunError(f"{folder} is a symbolic link. Nothing was removed: name the run that it leads to.")
    if not is_run(folder):
        raise SourceError(f"{folder} holds no run. Nothing was removed. goldenrule runs lists them.")
    if strange := strange_in(folder):
        raise RunError(
            f"{folder} holds {', '.join(strange[:3])}{', ...' if strange[3:] else ''}, which no run writes. Nothing "
            "was removed: move that away first."
        )


def remove_run(folder: Path) -> Size:
    """Remove a run; `RunInUse` where a process is writing it. It vanishes at once, then its files go."""
    check_removable(folder)
    size = size_of_run(folder)
    with only_writer(folder, instead="another run"):
        check_removable(folder)
    with storage_errors(folder), unfinished_folder(folder.parent) as away:
        folder.rename(away / folder.name)
        shutil.rmtree(away / folder.name)
    return size
