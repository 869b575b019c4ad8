"""Files that hold labels: which ones a folder is known by, and their columns as text."""

from __future__ import annotations

import contextlib
import csv
import json
import os
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path, PurePosixPath

from goldenrule.foundation.errors import SourceError
from goldenrule.foundation.findings import plural
from goldenrule.images.sources import PART_NAMES
from goldenrule.images.table import Part

KNOWN_FILES = ("labels.csv", "train_v2.csv", "metadata.csv", "metadata.jsonl")
"""Names by which a folder's table of labels is recognised; the last two are Hugging Face's, also in part folders."""
ID_OF_PARTS = "file_name"
"""The column by which metadata in part folders names its images."""

Columns = Mapping[str, Sequence[str]]


def labels_file(folder: str | os.PathLike[str]) -> Path | None:
    """Give the table of labels that a folder is known by, None where it has none, or may not be looked into."""
    with contextlib.suppress(PermissionError):
        return next((path for name in KNOWN_FILES if (path := Path(folder).expanduser() / name).is_file()), None)
    return None


def part_of(uri: str) -> Part | None:
    """Give the part that an image's first folder names.

    >>> part_of("train/7.jpg"), part_of("test1/7.jpg"), part_of("images/7.jpg")
    ('train', 'test', None)
    """
    return part_called(PurePosixPath(uri).parts[0])


def part_called(name: str) -> Part | None:
    """Give the part that a name means, None where it means none."""
    return next((part for part, names in PART_NAMES.items() if name.lower() in names), None)


def read_columns(path: Path) -> dict[str, list[str]]:
    """Read a CSV file whose first line names the columns; commas, semicolons or tabs stand between them."""
    if path.suffix.lower() == ".jsonl":
        return _read_jsonl(path)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            head = file.readline()
            delimiter = max(",;\t", key=head.count)
            lines = list(csv.reader(chain([head], file), delimiter=delimiter, strict=True))  # a pipe can't be rewound
    except FileNotFoundError:
        raise SourceError(f"{path} does not exist. Give a CSV file that has a line per image.") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"{path} can't be read as a CSV file in UTF-8: {error}.") from error
    lines = [line for line in lines if line]
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


def _read_jsonl(path: Path) -> dict[str, list[str]]:
    """Read a file with a JSON object per line, all with the same keys; lists become cells with commas."""
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise SourceError(f"{path} can't be read as JSON lines: {error}.") from error
    names = list(lines[0]) if lines and isinstance(lines[0], dict) else []
    if len(names) < 2 or any(not isinstance(line, dict) or list(line) != names for line in lines):
        raise SourceError(f"{path}: wanted a JSON object per line, each with the same two keys or more.")
    return {
        name: [",".join(map(str, cell)) if isinstance(cell := line[name], list) else str(cell) for line in lines]
        for name in names
    }


def tables_of_parts(root: Path) -> dict[str, Path]:
    """Give the metadata files of part folders by the folder's name."""
    names = KNOWN_FILES[2:]
    with contextlib.suppress(OSError):
        folders = sorted(path for path in root.iterdir() if path.is_dir() and part_called(path.name))
        found = {path.name: path / name for path in folders for name in names if (path / name).is_file()}
        return found if any(part_called(name) == "train" for name in found) else {}
    return {}


def joined(files: Mapping[str, Path]) -> dict[str, list[str]]:
    """Read the metadata of several parts as one table; ids begin with the part's folder."""
    tables = {folder: read_columns(path) for folder, path in files.items()}
    names = list(next(iter(tables.values())))
    for folder, columns in tables.items():
        if ID_OF_PARTS not in columns or set(columns) != set(names):
            raise SourceError(
                f"{files[folder]} has the columns {', '.join(columns)}; wanted {ID_OF_PARTS}, "
                "and the same in all parts."
            )
    return {
        name: [
            f"{folder}/{cell}" if name == ID_OF_PARTS else cell
            for folder, columns in tables.items()
            for cell in columns[name]
        ]
        for name in names
    }
