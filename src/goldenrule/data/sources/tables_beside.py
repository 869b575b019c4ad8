"""Tables that lie beside images: which one names them, and whether it agrees with the folders that they are in."""

from __future__ import annotations

import contextlib
import posixpath
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from goldenrule.core.errors import OptionError, SourceError
from goldenrule.core.findings import Finding
from goldenrule.data.containers.inside import is_file, tables_in
from goldenrule.data.sources.folders import TABLE_ENDINGS
from goldenrule.data.sources.label_columns import Wanted, completed, id_column, labels_of, lacks_header
from goldenrule.data.sources.label_files import Columns, is_image_name, read_columns, without_header
from goldenrule.data.sources.named_files import MOSTLY, NamedFiles
from goldenrule.data.splits.copy_out import MANIFEST
from goldenrule.data.table import ImageTable
from goldenrule.storage.files import in_shell

AGREE = 0.95
"""A column says the same as the folders where it does so for so large a share of the images."""
MOST_CLASSES = 3


def tables_beside(root: Path) -> list[Path]:
    """Return the tables in a folder, but for a manifest of copies, and examples of what a competition wants."""
    return sorted(
        path
        for path in _listed(root)
        if path.suffix.lower() in TABLE_ENDINGS
        and is_file(path)
        and "submission" not in path.name.lower()
        and path.name != MANIFEST
    )


def _listed(root: Path) -> list[Path]:
    """Return what lies in a folder; nothing where it may not be looked into, which is told elsewhere."""
    with contextlib.suppress(OSError):
        return tables_in(root)
    return []


def only_table(root: Path, exclude: Sequence[str] = ()) -> Path | None:
    """Return the one table in a folder that names its images; None where none does.

    Raises `SourceError` where several do.
    """
    naming = [path for path, _ in _naming(root, exclude=exclude)]
    if len(naming) > 1:
        commands = "; ".join(f"--csv {in_shell(path)}" for path in naming)
        raise SourceError(f"{root}: several tables name its images. Say which one has their labels: {commands}.")
    return naming[0] if naming else None


def other_labels(root: Path, table: ImageTable) -> Iterator[Finding]:
    """Return a finding for a table that names the images of class folders and is not used.

    Raises `SourceError` where its labels are other ones than the folders': which are meant can't be told.
    """
    if not tables_beside(root):
        return
    folders = {
        uri: [table.classes[label] for label in indices]
        for uri, indices in zip(table.uris, table.rows["labels"].to_pylist(), strict=True)
        if indices
    }
    files = NamedFiles(root, folders)
    same: dict[Path, set[str]] = {}  # which images a table names that says the same as the folders
    for path, columns in _naming(root, files):
        text = _id(columns, files, path)
        rows = [(found[0], row) for row, name in enumerate(columns[text]) if len(found := files.named(name)) == 1]
        classes = {label for uri, _ in rows for label in folders[uri]}
        if any(_agrees(cells, rows, folders) for name, cells in columns.items() if name != text):
            same[path] = {uri for uri, _ in rows}
            yield from _otherwise(path, columns, rows, folders)
            continue
        try:
            lines = labels_of(columns, completed(Wanted(), columns, text), files, str(path)).lines
        except OptionError:
            lines = []
        labels = {label for _, row in rows for label in lines[row]} if lines else set[str]()
        named = " and ".join(sorted(classes)[:2]) + (" ..." if len(classes) > 2 else "")
        most = len(rows) >= MOSTLY * len(folders)
        if most and (1 < len(labels) <= max(2, len(rows) // 2) or (len(classes) > 1 and _numbered(classes))):
            raise SourceError(
                f"{root}: {path.name} names the images of the folder{'s' * (len(classes) > 1)} {named}, and says "
                f"otherwise what they are{_examples(sorted(labels))}. Say which labels are meant: --csv "
                f"{in_shell(path)}{'' if labels else ' --label COLUMN'} takes the table's, --labels-from folder those "
                "of the folders."
            )
        if len(rows) < AGREE * len(folders):
            yield _part_named(path, {uri for uri, _ in rows}, folders)
            continue
        yield Finding(
            severity="note",
            code="table-not-used",
            fields={"table": path.name, "columns": tuple(columns), "path": in_shell(path)},
        )
    if len(set().union(*same.values())) < AGREE * len(folders):
        for path, uris in same.items():
            yield _part_named(path, uris, folders)
    yield from _of_other_images(root, files, table)


def _part_named(path: Path, named: Collection[str], folders: Mapping[str, Sequence[str]]) -> Finding:
    """Return a finding on a table that names some of the images of class folders, and is not used."""
    classes = sorted({label for uri in named for label in folders[uri]})
    return Finding(
        severity="warning",
        code="table-names-part",
        fields={
            "table": path.name,
            "named": len(named),
            "n": len(folders),
            "folders": tuple(classes[:MOST_CLASSES]) + (("...",) if len(classes) > MOST_CLASSES else ()),
            "path": in_shell(path),
        },
    )


def _otherwise(
    path: Path, columns: Columns, rows: Sequence[tuple[str, int]], folders: Mapping[str, Sequence[str]]
) -> Iterator[Finding]:
    """Return a finding on the few images that a table calls otherwise which has the folders' names for all others."""
    differ = min(
        (
            [f"{uri}: {cells[row].strip()}" for uri, row in rows if cells[row].strip() not in folders[uri]]
            for cells in columns.values()
        ),
        key=len,
    )
    if differ and len(differ) <= (1 - AGREE) * len(rows):
        yield Finding(
            severity="warning",
            code="table-says-otherwise",
            fields={"table": path.name, "n": len(differ), "path": in_shell(path)},
            evidence=tuple(differ),
        )


def _of_other_images(root: Path, labelled: NamedFiles, table: ImageTable) -> Iterator[Finding]:
    """Return a finding for each table that names images most of which have no label, or are not here at all."""
    every = NamedFiles(root, table.uris)
    for path in tables_beside(root):
        try:
            columns: Columns = read_columns(path)
        except SourceError:
            continue
        named = [cells for cells in columns.values() if sum(map(is_image_name, cells)) > MOSTLY * len(cells)]
        if not named or any(labelled.counted(cells) > MOSTLY * len(cells) for cells in columns.values()):
            continue
        if (here := max(map(every.counted, named))) > MOSTLY * len(named[0]):
            yield _of_unlabelled(path, max(named, key=every.counted), every)
            continue
        yield Finding(
            severity="note",
            code="table-of-other-images",
            fields={"table": path.name, "n": len(named[0]), "named": here},
        )


def _of_unlabelled(path: Path, cells: Sequence[str], files: NamedFiles) -> Finding:
    """Return a finding on a table of images that have no label by their folders, such as those of test."""
    uris = [found[0] for name in cells if len(found := files.named(name)) == 1]
    folder = files.root / posixpath.commonpath([posixpath.dirname(uri) for uri in uris])
    return Finding(
        severity="note",
        code="table-of-unlabelled",
        fields={"table": path.name, "n": len(uris), "folder": in_shell(folder), "path": in_shell(path)},
    )


def _examples(labels: Sequence[str]) -> str:
    return f" ({', '.join(labels[:3])}{', ...' if len(labels) > 3 else ''})" if labels else ""


def _naming(
    root: Path, files: NamedFiles | None = None, *, exclude: Sequence[str] = ()
) -> Iterator[tuple[Path, Columns]]:
    """Return the tables in a folder most of whose rows name an image below it, and their columns."""
    tables = tables_beside(root)
    if not tables:
        return
    try:
        files = files or NamedFiles.below(root, exclude)
    except SourceError:
        return
    for path in tables:
        try:
            columns: Columns = read_columns(path)
        except SourceError:
            continue
        if lacks_header(columns, files):
            columns = without_header(columns)
        lines = len(next(iter(columns.values())))
        if max(files.counted(cells) for cells in columns.values()) > MOSTLY * lines:
            yield path, columns


def _id(columns: Columns, files: NamedFiles, path: Path) -> str:
    try:
        return id_column(columns, Wanted(), files, path.name)[0]
    except OptionError:
        return next(iter(columns))


def _agrees(cells: Sequence[str], rows: Sequence[tuple[str, int]], folders: Mapping[str, Sequence[str]]) -> bool:
    """Return whether a column names the folders, by name or by any other word for each of them."""
    pairs = Counter((cells[row].strip(), *folders[uri]) for uri, row in rows)
    words = Counter(pair[0] for pair in pairs)
    one_each = len(words) == len({pair[1:] for pair in pairs}) == len(pairs)
    same = sum(count for pair, count in pairs.items() if pair[0] in pair[1:])
    return same >= AGREE * len(rows) or (one_each and len(pairs) > 1)


def _numbered(classes: set[str]) -> bool:
    """Return whether folders are called the same but for a number: parts of one heap of images, not classes.

    >>> _numbered({"images_part_1", "images_part_2"}), _numbered({"cat", "dog"}), _numbered({"0", "1"})
    (True, False, False)
    """
    bare = {"".join(letter for letter in name if not letter.isdigit()) for name in classes}
    numbers = {"".join(letter for letter in PurePosixPath(name).name if letter.isdigit()) for name in classes}
    return len(bare) == 1 and any(letter.isalpha() for letter in next(iter(bare))) and len(numbers) == len(classes)
