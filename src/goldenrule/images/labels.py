"""Labels that stand in a table beside the images: CSV files as contests have them, and data frames."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from goldenrule.foundation.errors import OptionError, SourceError
from goldenrule.foundation.findings import Finding, Severity, plural
from goldenrule.images.folds import fold_name
from goldenrule.images.grouping import with_given_groups, with_groups
from goldenrule.images.label_files import (
    ID_OF_PARTS,
    Columns,
    joined,
    labels_file,
    part_called,
    part_of,
    read_columns,
    tables_of_parts,
)
from goldenrule.images.sources import from_folder, image_files
from goldenrule.images.table import ImageTable, Part, image_table

LABEL_NAMES = ("label", "labels", "tags", "class", "class_name", "category", "breed", "species")
ID_NAMES = ("id", "image", "image_id", "image_name", "filename", "filenames", "file_name", "file", "path", "name")
SEPARATORS = (",", ";", "|")
SPACED_NAMES = ("tags", "labels")
"""Columns whose cells hold several labels between spaces; in others a space belongs to a name."""


def from_source(
    folder: str | os.PathLike[str],
    *,
    train: str | None = None,
    valid: str | None = None,
    test: str | None = None,
    group_by: str = "auto",
) -> ImageTable:
    """Give the images of class folders (`from_folder`), or of a folder whose labels stand in one of `KNOWN_FILES`.

    The table counts where there are no two class folders: a single one (`images`) is no class. A Hugging Face image
    folder may have its metadata in each part's folder.
    """
    file = labels_file(folder)
    in_parts = {} if file else tables_of_parts(Path(folder).expanduser())
    if file is None and not in_parts:
        return from_folder(folder, train=train, valid=valid, test=test, group_by=group_by)
    try:
        table = from_folder(folder, train=train, valid=valid, test=test, group_by=group_by)
    except SourceError:
        table = None
    if table is not None and len(table.classes) > 1:
        return table
    if file is not None:
        return from_csv(file, group_by=group_by)
    wanted = _Wanted(id=ID_OF_PARTS, label=None, separator=None, part=None, group=None, fold=None)
    return _labelled(joined(in_parts), Path(folder).expanduser(), wanted, group_by=group_by, said="metadata")


def from_csv(
    path: str | os.PathLike[str],
    *,
    images: str | os.PathLike[str] | None = None,
    id: str | None = None,  # noqa: A002 - what contests call it
    label: str | None = None,
    separator: str | None = None,
    part: str | None = None,
    group: str | None = None,
    fold: str | None = None,
    group_by: str = "auto",
) -> ImageTable:
    """Give the images below a folder (by default the file's own) with the labels of a CSV file.

    `id` is the column that names the image: its path below the folder or its file name, with or without the
    extension; by default a column with a usual name, else the first. `label` is the column of labels: one class
    per image, or several between `separator` (by default a comma, semicolon or bar where a cell has one; a space
    in columns called tags or labels; "" for none). Without `label`: the only other column, all others where
    they hold 0 and 1 (one-hot), or the one with a usual name. `part`, `group` and `fold` are columns too, by
    default those of that name: train, valid or test; what stays together; and the fold in which an image validates
    (`k_fold`). An empty cell says nothing of its image. Images in a test folder that the file does not name are the
    unlabelled test part. Images that are missing, named twice or not at all are findings.

    Raises `SourceError` for a file that can't be read so, `OptionError` for a column that it does not have.
    """
    file = Path(path).expanduser()
    root = Path(images).expanduser() if images is not None else file.parent
    wanted = _Wanted(id=id, label=label, separator=separator, part=part, group=group, fold=fold)
    return _labelled(read_columns(file), root, wanted, group_by=group_by, said=str(file))


def from_dataframe(
    frame: Any,
    *,
    images: str | os.PathLike[str],
    id: str | None = None,  # noqa: A002
    label: str | None = None,
    separator: str | None = None,
    part: str | None = None,
    group: str | None = None,
    fold: str | None = None,
    group_by: str = "auto",
) -> ImageTable:
    """Give the images below a folder with the labels of a table that speaks Arrow: pandas, polars, pyarrow.

    The arguments are those of `from_csv`.
    """
    import pyarrow as pa

    try:
        table = pa.table(frame)
    except (TypeError, ValueError) as error:
        raise OptionError(
            f"{type(frame).__name__}: wanted a data frame of pandas, polars or pyarrow ({error})."
        ) from error
    columns = {
        name: ["" if value is None else str(value) for value in table[name].to_pylist()] for name in table.column_names
    }
    wanted = _Wanted(id=id, label=label, separator=separator, part=part, group=group, fold=fold)
    return _labelled(columns, Path(images).expanduser(), wanted, group_by=group_by, said="the data frame")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """The columns that were asked for."""

    id: str | None
    label: str | None
    separator: str | None
    part: str | None
    group: str | None
    fold: str | None

    @property
    def columns(self) -> tuple[str, ...]:
        """The names that were asked for."""
        return tuple(name for name in (self.id, self.label, self.part, self.group, self.fold) if name is not None)


@dataclass(slots=True)
class _Files:
    """The images below a folder, found by what a table may call them."""

    root: Path
    uris: list[str] = field(init=False)
    _by_path: dict[str, list[str]] = field(init=False)
    _by_name: dict[str, list[str]] = field(init=False)

    def __post_init__(self) -> None:
        if not self.root.is_dir():
            raise SourceError(f"{self.root} is no folder. Give the folder of the images.")
        self.uris = [name for name, _ in image_files([self.root])]
        self._by_path, self._by_name = defaultdict(list), defaultdict(list)
        for uri in self.uris:
            path = PurePosixPath(uri)
            for known, keys in (
                (self._by_path, (uri, str(path.with_suffix("")))),
                (self._by_name, (path.name, path.stem)),
            ):
                for key in dict.fromkeys(keys):
                    known[key].append(uri)

    def named(self, identity: str) -> list[str]:
        """Give all images of that name, those outside of a test part where there are any."""
        key = identity.strip().replace("\\", "/").removeprefix("./")
        found = self._by_path.get(key) or self._by_name.get(key, [])
        return [uri for uri in found if part_of(uri) != "test"] or found


def _labelled(columns: Columns, root: Path, wanted: _Wanted, *, group_by: str, said: str) -> ImageTable:
    for name in wanted.columns:
        if name not in columns:
            raise OptionError(f"{said} has no column {name!r}, only {', '.join(columns)}.")
    if wanted.group is not None and group_by not in ("auto", "none"):
        raise OptionError(
            f"The column {wanted.group} and --group-by {group_by} both say what stays together: give one."
        )
    own = wanted.id or next((name for name in columns if name.lower() in ID_NAMES), next(iter(columns)))
    grouped = wanted.group is not None or group_by == "auto"  # else a column called group is not what was meant
    wanted = _completed(wanted, columns, own)
    labels = _labels(columns, own, wanted, said)
    files = _Files(root)
    rows: dict[str, int] = {}  # which line of the table an image has
    missing: list[str] = []
    unclear: list[str] = []
    twice: list[str] = []
    for row, identity in enumerate(columns[own]):
        found = files.named(identity)
        if len(found) != 1:
            (unclear if found else missing).append(f"{identity}: {', '.join(found[:3])}" if found else identity)
        elif found[0] in rows and labels[row] != labels[rows[found[0]]]:
            twice.append(f"{identity}: {' '.join(labels[rows[found[0]]])}, then {' '.join(labels[row])}")
        else:
            rows.setdefault(found[0], row)
    if not rows:
        raise SourceError(
            f"{said}: none of the {len(columns[own]):,} images in its column {own} is below {root}, for example "
            f"{columns[own][0]!r}. Give the folder of the images, or the column that names them."
        )
    unlisted = [uri for uri in files.uris if uri not in rows]
    tested = [uri for uri in unlisted if part_of(uri) == "test"]
    uris = sorted([*rows, *tested])
    classes = sorted({label for row in rows.values() for label in labels[row]})
    index = {name: number for number, name in enumerate(classes)}
    table = image_table(
        root,
        classes,
        uris=uris,
        parts=[_part(uri, rows.get(uri), columns, wanted.part) for uri in uris],
        labels=[sorted(index[label] for label in labels[rows[uri]]) if uri in rows else [] for uri in uris],
    )
    unlabelled = [uri for uri in uris if uri in rows and not labels[rows[uri]]]
    others = [uri for uri in unlisted if part_of(uri) != "test"]
    table = table.with_findings(*_findings(said, missing, unclear, twice, unlabelled, others))
    if wanted.fold is not None:
        named = [fold_name(cell) for cell in columns[wanted.fold]]
        table = table.with_folds([named[rows[uri]] if uri in rows else None for uri in uris])
    if wanted.group is None or not grouped:
        return with_groups(table, group_by)
    given = [cell.strip() or None for cell in columns[wanted.group]]
    return with_given_groups(table, [given[rows[uri]] if uri in rows else None for uri in uris], wanted.group)


def _completed(wanted: _Wanted, columns: Columns, own: str) -> _Wanted:
    """Take a column called part or split for parts if it names nothing else, those called group and fold for that.

    The latter only if a column is left for labels.
    """
    free = [name for name in columns if name not in (own, *wanted.columns)]
    parts = (
        name for name in free if name in ("part", "split") and all(part_called(cell.strip()) for cell in columns[name])
    )
    part = wanted.part or next(parts, None)
    labelled = wanted.label is not None or bool(set(free) - {part, "group", "fold"})
    group = "group" if "group" in free and labelled else None
    fold = "fold" if "fold" in free and labelled else None
    return replace(wanted, part=part, group=wanted.group or group, fold=wanted.fold or fold)


def _labels(columns: Columns, own: str, wanted: _Wanted, said: str) -> list[list[str]]:
    """Give the labels of every line, without repetition."""
    if wanted.label is not None:
        return _split(columns[wanted.label], wanted.label, wanted.separator)
    others = [name for name in columns if name not in (own, wanted.part, wanted.group, wanted.fold)]
    if len(others) == 1:
        return _split(columns[others[0]], others[0], wanted.separator)
    marks = {cell.strip() for name in others for cell in columns[name]}
    if others and marks <= {"0", "1", "0.0", "1.0"}:
        lines = zip(*(columns[name] for name in others), strict=True)
        return [[name for name, cell in zip(others, line, strict=True) if float(cell)] for line in lines]
    usual = [name for name in others if name.lower() in LABEL_NAMES]
    if len(usual) == 1:
        return _split(columns[usual[0]], usual[0], wanted.separator)
    raise OptionError(f"{said} has the columns {', '.join(columns)}: say which one holds the label.")


def _split(cells: Sequence[str], name: str, separator: str | None) -> list[list[str]]:
    if separator is None:
        separator = next((mark for mark in SEPARATORS if any(mark in cell for cell in cells)), None)
    if separator is None and name.lower() in SPACED_NAMES:
        separator = " "
    parted = (cell.split(separator) if separator else [cell] for cell in cells)
    return [list(dict.fromkeys(label.strip() for label in labels if label.strip())) for labels in parted]


def _part(uri: str, row: int | None, columns: Columns, column: str | None) -> Part | None:
    if column is None or row is None:
        return part_of(uri)
    named = columns[column][row].strip()
    part = part_called(named)
    if named and part is None:
        raise OptionError(f"The column {column} says {named!r}: wanted train, valid, test, or nothing.")
    return part


def _findings(
    said: str, missing: list[str], unclear: list[str], twice: list[str], unlabelled: list[str], others: list[str]
) -> Iterator[Finding]:
    """Give a finding per way in which table and folder do not fit together."""
    kinds: tuple[tuple[Severity, str, list[str], str, str], ...] = (
        ("warning", "images-missing", missing, "without a file", "Add the files or remove the lines."),
        ("warning", "names-unclear", unclear, "that several files may be", "Name them by their paths."),
        ("warning", "labelled-twice", twice, "with other labels in a later line", "The first line counts."),
        ("warning", "label-empty", unlabelled, "without a label", "Nothing is learned from them."),
        ("note", "images-unlisted", others, "that it does not name", "They are left out."),
    )
    for severity, code, evidence, what, advice in kinds:
        if evidence:
            sentence = f"{said}: {plural(len(evidence), 'image')} {what}"
            yield Finding(severity=severity, code=code, sentence=sentence, evidence=tuple(evidence), advice=advice)
