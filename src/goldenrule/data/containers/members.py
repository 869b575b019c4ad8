"""What an archive holds: names that could lie below a folder, what is refused, and where the bytes of each name are."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import BinaryIO, Protocol

import numpy as np
import numpy.typing as npt

from goldenrule.core.findings import Finding
from goldenrule.core.messages import Field

TABLES = (".csv", ".tsv", ".jsonl")
DOCUMENTS = (".txt", ".md", ".rst", ".pdf", ".html", "license", "readme", ".ds_store", "thumbs.db")
"""What lies beside images to be read by people, or by a system."""
_DRIVE = re.compile(r"^[A-Za-z]:")
_KEY_BYTES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What is kept of the names in an archive: its folders, its tables, and the folders that hold more than those.

    `holding` are the folders ("" is the archive itself) in which files lie that are neither tables nor `DOCUMENTS`.
    """

    folders: frozenset[str]
    tables: tuple[str, ...]
    holding: frozenset[str]

    @classmethod
    def of(cls, contents: Contents) -> Layout:
        """Return the layout of what an archive holds."""
        more = (name for name in contents.files if not name.lower().endswith((*TABLES, *DOCUMENTS)))
        return cls(
            folders=frozenset(contents.folders),
            tables=tuple(name for name in contents.files if name.lower().endswith(TABLES)),
            holding=frozenset(name.rpartition("/")[0] for name in more),
        )


class Members(Protocol):
    """The files in one archive, found by their names: some bytes of memory for each."""

    layout: Layout

    def has(self, name: str) -> bool:
        """Return whether a file has that name."""

    def read(self, file: BinaryIO, name: str, *, most_bytes: int) -> bytes:
        """Return the bytes of a file, from the open archive. Raises `OSError` where there is none, or it is damaged."""


@dataclass(slots=True, kw_only=True)
class Contents:
    """The names in an archive as they stand in it, and what of it can't be taken.

    `refused` says by name why something is left out; a name that stands in the archive twice is in `twice`.
    """

    files: list[str] = field(default_factory=list)
    folders: set[str] = field(default_factory=set)
    refused: dict[str, str] = field(default_factory=dict)
    twice: list[str] = field(default_factory=list)
    damaged: str = ""

    def findings(self, archive: str) -> tuple[Finding, ...]:
        """Return what has to be said of this archive."""
        found = []
        if self.damaged:
            said: dict[str, Field] = {"archive": archive, "error": self.damaged}
            found.append(Finding(severity="warning", code="archive-damaged", fields=said))
        for code, evidence in (
            ("archive-refused", tuple(f"{name}: {why}" for name, why in sorted(self.refused.items()))),
            ("archive-twice", tuple(sorted(set(self.twice)))),
        ):
            if evidence:
                counted: dict[str, Field] = {"archive": archive, "n": len(evidence)}
                found.append(Finding(severity="warning", code=code, fields=counted, evidence=evidence))
        return tuple(found)


class Places:
    """Where in an archive the bytes of each file are: rows of numbers, found by name; no name is kept."""

    def __init__(self, names: Sequence[str], numbers: npt.NDArray[np.int64]) -> None:
        keys = np.frombuffer(b"".join(map(_key, names)), np.uint64)
        order = np.argsort(keys, kind="stable")
        self._keys, self._numbers = keys[order], numbers[order]

    def of(self, name: str) -> npt.NDArray[np.int64] | None:
        """Return the numbers of a file; None where no file has that name."""
        key = np.frombuffer(_key(name), np.uint64)[0]
        at = int(np.searchsorted(self._keys, key))
        return self._numbers[at] if at < len(self._keys) and self._keys[at] == key else None

    @property
    def nbytes(self) -> int:
        """The memory that this takes."""
        return self._keys.nbytes + self._numbers.nbytes


class PlacedMembers:
    """The files in one archive whose bytes are found by the numbers of `Places`."""

    def __init__(self, contents: Contents, places: Places) -> None:
        self.layout = Layout.of(contents)
        self._places = places

    def has(self, name: str) -> bool:
        """Return whether a file has that name."""
        return self._places.of(name) is not None

    def numbers(self, name: str) -> list[int]:
        """Return the numbers of a file. Raises `OSError` where no file has that name."""
        if (found := self._places.of(name)) is None:
            raise no_such_file(name)
        return [int(number) for number in found]


def _key(name: str) -> bytes:
    return blake2b(name.encode("utf-8", "surrogateescape"), digest_size=_KEY_BYTES).digest()


def plain_name(name: str) -> str:
    """Return the name of an entry as a path below a folder, "" for the folder itself.

    >>> plain_name("./cats//1.jpg"), plain_name("./")
    ('cats/1.jpg', '')
    """
    return "/".join(piece for piece in name.split("/") if piece not in ("", "."))


def why_refused(name: str) -> str:
    """Return why a name can't be that of a file below a folder; "" where it can.

    >>> why_refused("../cats/1.jpg"), why_refused("/etc/passwd"), why_refused("cats/1.jpg")
    ('its name leads out of the archive', 'its name is an absolute path', '')
    """
    if name.startswith("/") or _DRIVE.match(name):
        return "its name is an absolute path"
    if ".." in name.split("/"):
        return "its name leads out of the archive"
    if "\0" in name:
        return "its name has a NUL byte"
    return ""


def settled(contents: Contents, rows: dict[str, int]) -> None:
    """Put the names of `rows` into what an archive holds, but for files whose name is that of a folder too."""
    above: set[str] = set()
    for name in rows:
        parent = name.rpartition("/")[0]
        while parent and parent not in above:
            above.add(parent)
            parent = parent.rpartition("/")[0]
    contents.folders |= above
    for name in above & rows.keys():
        contents.refused[name] = "a file and a folder have this name"
        del rows[name]
    contents.files = list(rows)


def no_such_file(name: str) -> FileNotFoundError:
    """Return the error that a file system would raise."""
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)


def unusable(name: str, why: str) -> OSError:
    """Return the error of an entry whose bytes can't be had; `strerror` says why."""
    return OSError(errno.EINVAL, why, name)


def too_large(name: str) -> OSError:
    """Return the error of an entry that is refused before it is read."""
    return OSError(errno.EFBIG, "it is too large for what it should be", name)
