"""Files that hold labels: which ones a folder is known by, and their columns as text."""

from __future__ import annotations

import codecs
import contextlib
import csv
import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from goldenrule.core.errors import SourceError
from goldenrule.core.findings import plural
from goldenrule.data.containers.inside import folders_in, is_file, read_file
from goldenrule.data.sources.picture_files import IMAGE_EXTENSIONS
from goldenrule.data.sources.split_folders import split_called
from goldenrule.storage.regular_files import LARGEST_TABLE_BYTES

KNOWN_FILES = ("labels.csv", "train_v2.csv", "metadata.csv", "metadata.jsonl")
"""Names by which a folder's table of labels is recognised; the last two are Hugging Face's, also in part folders."""
LISTED = "\x1f"
"""Stands behind each label of a cell that was a list: no name holds it, so nothing has to be guessed."""
UNNAMED = "column"
UNNAMED_FIRST = f"{UNNAMED} 1"
"""What columns without names are called, with their number."""
ID_OF_SPLITS = "file_name"
"""The column by which metadata in part folders names its images."""

Columns = Mapping[str, Sequence[str]]


def labels_file(folder: str | os.PathLike[str]) -> Path | None:
    """Return the table of labels that a folder is known by, None where it has none, or may not be looked into."""
    with contextlib.suppress(OSError):
        return next((path for name in KNOWN_FILES if is_file(path := Path(folder).expanduser() / name)), None)
    return None


def common_folder(cells: Sequence[str]) -> Path | None:
    """Return the folder below which all files lie that cells name by whole paths; None where they are none such.

    >>> common_folder(["/photos/a/1.jpg", "/photos/b/2.jpg"]), common_folder(["a/1.jpg"]), common_folder(["/photos"])
    (PosixPath('/photos'), None, None)
    """
    named = [Path(cell) for cell in cells if cell]
    if not named or not all(path.is_absolute() and path.suffix.lower() in IMAGE_EXTENSIONS for path in named):
        return None
    return Path(os.path.commonpath([path.parent for path in named]))


def read_columns(path: Path) -> dict[str, list[str]]:
    """Read a table as text by column: CSV whose first line names the columns, or JSON lines.

    Commas, semicolons or tabs stand between the columns. Where the first line names an image instead of columns, these
    are called "column 1" and so on. UTF-8, or UTF-16 with a mark of the byte order. Raises `SourceError` for what can't
    be read so, naming the line.
    """
    if path.suffix.lower() == ".jsonl":
        return _read_jsonl(path)
    text = _text(path)
    try:
        head = text.partition("\n")[0]
        delimiter = max(",;\t", key=head.count)
        lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise SourceError(f"{path} can't be read as a CSV file: {error}.") from error
    lines = [line for line in lines if line]
    if lines and (len(lines) > 1 or len(lines[0]) > 1) and any(map(is_image_name, lines[0])):
        lines.insert(0, [f"{UNNAMED} {number}" for number in range(1, len(lines[0]) + 1)])  # see without_header
    if len(lines) < 2:
        raise SourceError(
            f"{path} has {plural(len(lines), 'line')}; wanted one that names the columns, then one per image."
        )
    names = [name.strip() for name in lines[0]]
    if len(names) < 2 or len(set(names)) < len(names):
        raise SourceError(
            f"{path} has the columns {', '.join(names)}; wanted two or more, each with a name of its own."
        )
    for number, line in enumerate(lines[1:], start=2):
        if len(line) != len(names):
            raise SourceError(
                f"{path}, line {number}: {len(line)} cells, but there are {len(names)} columns: {line[:5]}."
            )
    return {name: [line[column] for line in lines[1:]] for column, name in enumerate(names)}


def _text(path: Path) -> str:
    """Read a text file in UTF-8, or in UTF-16 where it begins with a mark of the byte order."""
    try:
        content = read_file(path, most_bytes=LARGEST_TABLE_BYTES)
    except FileNotFoundError:
        raise SourceError(f"{path} does not exist. Give a CSV file that has a line per image.") from None
    except OSError as error:
        raise SourceError(f"{path} can't be read: {error.strerror}.") from error
    marked = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return content.decode("utf-16" if marked else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SourceError(
            f"{path} is no text in UTF-8 (byte 0x{content[error.start]:02x} in line {line}). Save it as UTF-8: in "
            'Excel "CSV UTF-8", elsewhere: iconv -f WINDOWS-1252 -t UTF-8 (or the encoding that it is in).'
        ) from error


def is_image_name(cell: str) -> bool:
    """Return whether a cell ends as the name of an image does."""
    return PurePosixPath(cell.strip().replace("\\", "/")).suffix.lower() in IMAGE_EXTENSIONS


def _read_jsonl(path: Path) -> dict[str, list[str]]:
    """Read a file with a JSON object per line, all with the same keys; null is an empty cell."""
    columns: dict[str, list[str]] = {}
    for number, text in enumerate(_text(path).splitlines(), start=1):
        if not text.strip():
            continue
        try:
            line = json.loads(text)
        except json.JSONDecodeError as error:
            raise SourceError(f"{path}, line {number}: no JSON ({error}).") from error
        names = list(columns or line) if isinstance(line, dict) else []
        if len(names) < 2 or line.keys() != set(names):
            wanted = f"the keys of the first line ({', '.join(columns)})" if columns else "two keys or more"
            found = f"the keys {', '.join(line)}" if isinstance(line, dict) else repr(line)[:40]
            raise SourceError(f"{path}, line {number}: wanted a JSON object with {wanted}, found {found}.")
        for name in names:
            columns.setdefault(name, []).append(_cell(line[name], f"{path}, line {number}: {name}"))
    if not columns:
        raise SourceError(f"{path} has no line; wanted a JSON object per image.")
    return columns


def _cell(value: Any, where: str) -> str:
    """Return a JSON value as a cell of a table."""
    if value is None:
        return ""
    if isinstance(value, dict) or (isinstance(value, list) and any(isinstance(one, dict | list) for one in value)):
        raise SourceError(f"{where} holds an object or lists in a list; wanted a name, or a list of names.")
    return cell_of(value)


def cell_of(value: Any) -> str:
    """Return a value of a data frame or of JSON as the text of a cell: nothing for None, lists as `LISTED` labels.

    >>> cell_of(None), cell_of(3), cell_of(["a", None, "b"]).split(LISTED)
    ('', '3', ['a', 'b', ''])
    """
    if value is None or value != value:  # nan is no name
        return ""
    if isinstance(value, list | tuple):
        return "".join(f"{name}{LISTED}" for name in map(cell_of, value) if name)
    return str(value)


def without_header(columns: Columns) -> dict[str, list[str]]:
    """Return the columns of a table whose first line was no header: that line is the first row."""
    return {f"{UNNAMED} {number}": [name, *cells] for number, (name, cells) in enumerate(columns.items(), start=1)}


def tables_of_splits(root: Path) -> dict[str, Path]:
    """Return the metadata files of split folders by the folder's name."""
    names = KNOWN_FILES[2:]
    with contextlib.suppress(OSError):
        folders = sorted(path for path in folders_in(root) if split_called(path.name))
        found = {path.name: path / name for path in folders for name in names if is_file(path / name)}
        return found if any(split_called(name) == "train" for name in found) else {}
    return {}


def joined(files: Mapping[str, Path]) -> dict[str, list[str]]:
    """Read the metadata of several splits as one table; ids begin with the split's folder."""
    tables = {folder: read_columns(path) for folder, path in files.items()}
    names = list(next(iter(tables.values())))
    for folder, columns in tables.items():
        if ID_OF_SPLITS not in columns or set(columns) != set(names):
            raise SourceError(
                f"{files[folder]} has the columns {', '.join(columns)}; wanted {ID_OF_SPLITS}, "
                "and the same in all splits."
            )
    return {
        name: [
            f"{folder}/{cell}" if name == ID_OF_SPLITS else cell
            for folder, columns in tables.items()
            for cell in columns[name]
        ]
        for name in names
    }
