"""The images of a run with the labels that were decided, as a table, or as a copy in class folders."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from goldenrule.core.cells import csv_text, to_cell
from goldenrule.core.errors import OptionError, SourceError
from goldenrule.data.table import ImageTable
from goldenrule.deploy.class_folders import ClassFolders, folder_names
from goldenrule.runs.decided_labels import checked_changes, with_labels
from goldenrule.runs.finished import check_finished
from goldenrule.runs.review_journal import journal_of, read_journal, standing
from goldenrule.runs.verified_files import run_images
from goldenrule.storage.files import atomic_folder, in_shell
from goldenrule.storage.outputs import Kind, check_output, csv_like, write_output

COLUMNS = ("path", "label", "split")
TABLE = Kind(name="a CSV file", example="cleaned.csv", ours=csv_like(*COLUMNS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaned:
    """What was written: where, how many images, and how many of the run's were relabelled, or left out."""

    written: str
    images: int
    relabelled: int
    removed: int
    unlabelled: int


def write_cleaned(run: Path, out: Path) -> Cleaned:
    """Write the labelled images of a run with its journal's decisions: a `.csv` table, else a folder of copies.

    The folder has SPLIT/CLASS/image; it is new, and whole or absent. Raises `OptionError` where nothing was decided, or
    something else is there.
    """
    check_finished(run)
    table = run_images(run)
    journal = journal_of(run)
    if not journal.is_file() or not (held := standing(read_journal(journal)[0])):
        raise OptionError(f"{run} has no decisions yet: make some with goldenrule review {in_shell(run)}.")
    if table.task == "multi":
        raise OptionError(f"{run} has several labels an image, and decisions are about one.")
    decided = with_labels(table, checked_changes(table, held, journal))
    images = decided.table.only_labelled()
    if out.suffix.lower() == ".csv":
        check_output(out, TABLE, option="--apply")
        write_output(out, _text(images))
    else:
        _copy(images, out)
    return Cleaned(
        written=str(out),
        images=len(images),
        relabelled=decided.relabelled,
        removed=decided.removed,
        unlabelled=len(decided.table) - len(images),
    )


def _text(images: ImageTable) -> str:
    each = zip(images.uris, images.splits, images.targets, strict=True)
    return csv_text([
        COLUMNS,
        *([to_cell(uri), to_cell(images.classes[label]), split] for uri, split, label in each),
    ])  # fmt: skip


def _copy(images: ImageTable, out: Path) -> None:
    place, root = out.resolve(), images.place
    if place == root or root in place.parents or place in root.parents:
        raise OptionError(f"--apply {out} and {images.root} lie in each other: give a folder beside it.")
    if out.is_symlink() or (out.exists() and (not out.is_dir() or any(out.iterdir()))):
        raise OptionError(f"--apply {out}: something is there, and stays. Give a new folder, or a name with .csv.")
    names = folder_names(images.classes)
    if strange := [f"{name} ({folder})" for name, folder in names.items() if name != folder]:
        raise OptionError(
            f"--apply {out}: these classes can't be the names of folders: {', '.join(strange[:3])}. Write a table "
            "instead: --apply cleaned.csv."
        )
    with atomic_folder(out) as new:
        for uri, split, label in zip(images.uris, images.splits, images.targets, strict=True):
            folders = ClassFolders(folder=new / (split or "train"), names=names)
            folders.put(images.root / uri, "ok", [images.classes[label]])
            if folders.failed:
                raise SourceError(f"{images.root / uri} is gone: nothing was written. Put it back, or fit again.")
