"""Rows of predictions, written in parts: what is written stays, and a command that was killed goes on behind it.

The parts of `out.csv` lie beside it in `.out.csv.parts`, with a journal that says what they are of. When the last one
is written they become the file, whole or not at all, and the folder goes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from goldenrule.core.errors import FormatError, OptionError
from goldenrule.core.schema import Count, as_json, as_type
from goldenrule.storage.files import digest, read_digested_json, write_atomic, write_digested_json
from goldenrule.storage.lock import HOLDER, LOCK, only_writer
from goldenrule.storage.unfinished import is_marked, remove_leftovers

JOURNAL = "journal.json"
SCHEMA_VERSION = 2


class PartJson(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A part: how many rows, the digest of its content, and that of all pictures up to its end; what it counts."""

    rows: Count
    content: str
    pictures: str
    counts: dict[str, Any]


class JournalJson(msgspec.Struct, forbid_unknown_fields=True):
    """What the parts are of, and each of them in order."""

    schema_version: int
    about: dict[str, Any]
    parts: list[PartJson]


class RowParts:
    """The parts of one file of rows, open for writing by this process alone."""

    def __init__(self, out: Path, about: Mapping[str, Any]) -> None:
        self.out, self.about = out, as_json(dict(about))
        self.folder = out.with_name(f".{out.name}.parts")
        self.parts: list[PartJson] = []

    def found(self) -> bool:
        """Read what an earlier command has left; return whether it was about the same."""
        if not (self.folder / JOURNAL).is_file():
            return False
        try:
            value = read_digested_json(self.folder / JOURNAL)
            journal = as_type(value, JournalJson, what=str(self.folder / JOURNAL))
        except FormatError:  # damaged: the rows are made anew
            return False
        if journal.about != self.about or journal.schema_version != SCHEMA_VERSION:
            return False
        for number, part in enumerate(journal.parts):
            path = self._path(number)
            if not path.is_file() or digest(path.read_bytes()).hex() != part.content:
                break  # from here on they are made anew
            self.parts.append(part)
        return bool(self.parts)

    def clear(self) -> None:
        """Forget what is there: it is of something else."""
        self.parts = []
        if self.folder.is_dir():
            for path in self.folder.iterdir():
                if path.name not in (LOCK, HOLDER):
                    path.unlink()

    def add(self, rows: int, content: bytes, pictures: str, counts: Mapping[str, Any]) -> None:
        """Write a part; once the journal names it, it stays."""
        write_atomic(self._path(len(self.parts)), content)
        made = PartJson(rows=rows, content=digest(content).hex(), pictures=pictures, counts=as_json(dict(counts)))
        self.parts.append(made)
        value = {"schema_version": SCHEMA_VERSION, "about": self.about, "parts": as_json(self.parts)}
        write_digested_json(self.folder / JOURNAL, value)

    def paths(self) -> list[Path]:
        """Return the files of all parts, in order."""
        return [self._path(number) for number in range(len(self.parts))]

    def _path(self, number: int) -> Path:
        return self.folder / f"part-{number:06d}"


@contextmanager
def row_parts(out: Path, about: Mapping[str, Any]) -> Iterator[RowParts]:
    """Open the parts of a file; a second process gets `RunInUse`. They go when the block ends well.

    Raises `OptionError` where the folder of the parts holds something else.
    """
    parts = RowParts(out, about)
    _check_ours(parts.folder)
    with only_writer(parts.folder, instead="another -o"):
        remove_leftovers(parts.folder)
        if not parts.found():
            parts.clear()
        yield parts
        parts.clear()
    for path in parts.folder.iterdir():  # the lock
        path.unlink()
    parts.folder.rmdir()


def _check_ours(folder: Path) -> None:
    if not folder.exists():
        return
    strange = [
        path.name
        for path in folder.iterdir()
        if not (path.name in (JOURNAL, LOCK, HOLDER) or path.name.startswith("part-") or is_marked(path))
    ]
    if strange or folder.is_symlink():
        raise OptionError(
            f"{folder} is where the parts of the output are kept until it is whole, and holds something else "
            f"({', '.join(strange[:3]) or 'a link'}). Move that away, or give another -o."
        )
