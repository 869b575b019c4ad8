"""Where every file of a labelled folder goes when it is split: split folders, the paths within them, labels.csv."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from goldenrule.core.cells import csv_text
from goldenrule.core.errors import SourceError
from goldenrule.data.scan import FileScan
from goldenrule.data.sources.label_columns import SEPARATORS
from goldenrule.data.splits.copy_out import ABOUT, MANIFEST, SUMS, Copy, size_and_sha256
from goldenrule.data.table import ImageTable, Split

LABELS = "labels.csv"


def new_places(
    before: ImageTable, after: ImageTable, files: Sequence[str], looks: Sequence[FileScan]
) -> tuple[list[Copy], str | None]:
    """Return the manifest, and the text of labels.csv where labels do not stand in the names of folders.

    `before` has the parts of the source, `after` those that are wanted. An image whose split has a folder of its own
    moves to that of its new split; all others come below `PART/` with the path they have. Files that are no images
    stay with the training images, or where they are beside or within part folders. No two get one name. Raises
    `SourceError` for a file that can't be read.
    """
    folders = _split_folders(before)
    by_folder = _are_class_folders(before, folders)
    taken = {ABOUT, MANIFEST, SUMS, *([] if by_folder else [LABELS])}
    copies: list[Copy] = []
    apart = "" if by_folder or len(_tops(before, folders)) < 2 else "images/"  # else folders would be taken for classes
    images = zip(before.uris, before.splits, after.splits, looks, strict=True)
    for uri, old, new, scan in images:
        assert new is not None
        inner = apart + (uri.partition("/")[2] if old in folders else uri)
        path = _free(f"{folders.get(new, new)}/{inner}", taken)
        copies.append(Copy(path=path, source=uri, split=new, size=scan.size, sha256=scan.sha256 or ""))
    text = None if by_folder else _labels_text(after, [copy.path for copy in copies])
    if text is not None:
        content = text.encode()
        copies.append(
            Copy(path=LABELS, source="", split="", size=len(content), sha256=hashlib.sha256(content).hexdigest())
        )
    used = set(before.uris)
    for name in files:
        if name not in used:
            inside = "/" not in name or name.partition("/")[0] in folders.values()
            path = _free(name if inside else f"{folders.get('train', 'train')}/{name}", taken)
            whole = before.root / name
            try:
                size, sha256 = size_and_sha256(whole)
            except OSError as error:
                raise SourceError(
                    f"{whole} can't be read ({error.strerror}). Nothing was split: ask for access, remove it, or leave "
                    "it out (--exclude)."
                ) from error
            copies.append(Copy(path=path, source=name, split="", size=size, sha256=sha256))
    return sorted(copies, key=lambda copy: copy.path), text


def _split_folders(table: ImageTable) -> dict[Split | None, str]:
    """Return the folder of each split that has one of its own."""
    folders: dict[Split | None, set[str]] = defaultdict(set)
    for uri, split in zip(table.uris, table.splits, strict=True):
        folders[split].add(uri.partition("/")[0] if "/" in uri else "")
    names = Counter(name for found in folders.values() for name in found)
    return {
        split: next(iter(found))
        for split, found in folders.items()
        if split is not None and len(found) == 1 and "" not in found and names[next(iter(found))] == 1
    }


def _are_class_folders(table: ImageTable, folders: Mapping[Split | None, str]) -> bool:
    labels = table.rows["labels"].to_pylist()
    for uri, split, indices in zip(table.uris, table.splits, labels, strict=True):
        inner = uri.partition("/")[2] if split in folders else uri
        if indices and [inner.partition("/")[0]] != [table.classes[label] for label in indices]:
            return False
    return True


def _tops(table: ImageTable, folders: Mapping[Split | None, str]) -> set[str]:
    """Return the first folders of the images, within those of their splits."""
    inner = (
        uri.partition("/")[2] if split in folders else uri for uri, split in zip(table.uris, table.splits, strict=True)
    )
    return {name.partition("/")[0] for name in inner if "/" in name}


def _free(path: str, taken: set[str]) -> str:
    """Return the path, with a number where another file has it already."""
    free, number = PurePosixPath(path), 1
    while path in taken:
        number += 1
        path = str(free.with_name(f"{free.stem}-{number}{free.suffix}"))
    taken.add(path)
    return path


def _labels_text(table: ImageTable, paths: Sequence[str]) -> str:
    """Return the labels as `from_csv` reads them: a column where no name could be taken for several, else one-hot."""
    rows = [(path, indices) for path, indices in zip(paths, table.rows["labels"].to_pylist(), strict=True) if indices]
    plain = not any(mark in name for name in table.classes for mark in SEPARATORS)
    if plain and all(len(indices) == 1 for _, indices in rows):
        return csv_text([("path", "label"), *((path, table.classes[indices[0]]) for path, indices in rows)])
    one_hot = ((path, *(int(label in indices) for label in range(len(table.classes)))) for path, indices in rows)
    return csv_text([("path", *table.classes), *one_hot])
