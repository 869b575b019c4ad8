"""A folder copied by a manifest that is written first: every file is proved by its sha256, now and later."""

from __future__ import annotations

import csv
import errno
import hashlib
import os
import shutil
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import astuple, dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Literal

from goldenrule.core.cells import csv_text
from goldenrule.core.errors import FormatError, OptionError, SourceError
from goldenrule.core.progress import Progress, Silent
from goldenrule.data.containers.inside import is_file, open_file
from goldenrule.data.in_order import in_order
from goldenrule.storage.files import storage_errors, write_atomic
from goldenrule.storage.regular_files import open_regular

ABOUT, MANIFEST = "split.json", "manifest.csv"
SUMS = "SHA256SUMS"
"""The same digests as `sha256sum --check SHA256SUMS` reads them: proof without goldenrule."""
COPYING = ".copying"
_PIECE = 1 << 20
_ANY_SIZE = 1 << 62
"""A copy is made piece by piece: films beside photos may have any size."""
_FICLONE = 0x40049409  # linux/fs.h

Link = Literal["none", "hard", "reflink"]
LINKS: tuple[Link, ...] = ("none", "hard", "reflink")


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """One file of the new folder."""

    path: str  # below the new folder
    source: str  # below the old one; "": made for the new one, and there already
    split: str  # train, valid or test; "" for what is no image
    size: int  # bytes
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A file that is not as the manifest says."""

    path: str
    what: Literal["missing", "changed", "not in the manifest"]


def write_manifest(folder: Path, copies: Sequence[Copy]) -> None:
    """Write the manifest, atomically."""
    columns = [field.name for field in fields(Copy)]
    write_atomic(folder / MANIFEST, csv_text([columns, *map(astuple, copies)]))


def read_manifest(folder: Path) -> list[Copy]:
    """Read what `write_manifest` wrote; raises `FormatError` where it is none."""
    try:
        with (folder / MANIFEST).open(newline="", encoding="utf-8") as file:
            rows = csv.reader(file, strict=True)
            if next(rows, None) != [field.name for field in fields(Copy)]:
                raise FormatError(f"{folder / MANIFEST} is not the manifest of a split.")
            copies = [
                Copy(path=path, source=source, split=split, size=int(size), sha256=sha256)
                for path, source, split, size, sha256 in rows
            ]
            if outside := [copy.path for copy in copies if not _is_inside(copy.path)]:
                raise FormatError(f"{folder / MANIFEST} names {outside[0]}, which lies outside of {folder}.")
            return copies
    except (OSError, UnicodeDecodeError, csv.Error, ValueError) as error:
        raise FormatError(f"{folder / MANIFEST} can't be read as the manifest of a split: {error}.") from error


def _is_inside(path: str) -> bool:
    """Return whether a path stays below the folder that it starts from.

    >>> _is_inside("train/cat/1.jpg"), _is_inside("../1.jpg"), _is_inside("/etc/passwd")
    (True, False, False)
    """
    relative = PurePosixPath(path)
    return not relative.is_absolute() and ".." not in relative.parts and relative != PurePosixPath()


def copy_all(
    source: Path, folder: Path, copies: Sequence[Copy], *, link: Link = "none", progress: Progress | None = None
) -> None:
    """Make every file that is not there yet as the manifest says; a file appears under its name only when whole.

    `link` "hard" gives the same file a second name, "reflink" shares its blocks until one is written to (btrfs, XFS).
    Raises `SourceError` where a source is not what the manifest was made of, `OptionError` where the file system
    can't link so.
    """
    workshop = folder / COPYING
    shutil.rmtree(workshop, ignore_errors=True)
    with storage_errors(folder), (progress or Silent()).task("copy", len(copies), "files") as task:
        workshop.mkdir()
        for place in sorted({(folder / copy.path).parent for copy in copies}):
            place.mkdir(parents=True, exist_ok=True)
        for copy in copies:
            target = folder / copy.path
            if copy.source and not _is(target, copy):
                temporary = workshop / "file"
                temporary.unlink(missing_ok=True)
                _made(source / copy.source, temporary, copy, link)
                temporary.replace(target)
            task.advance()
        shutil.rmtree(workshop)
        write_atomic(folder / SUMS, "".join(_sums_line(copy) for copy in copies))
        os.sync()  # all of it is on the disk before the folder gets its name


def verify_copies(
    folder: Path, copies: Sequence[Copy], *, threads: int = 4, progress: Progress | None = None
) -> list[Difference]:
    """Read every file and give those that are not as the manifest says, and those that it does not name."""
    found: list[Difference] = []
    with (
        (progress or Silent()).task("verify", len(copies), "files") as task,
        closing(in_order(lambda copy: _is(folder / copy.path, copy), copies, threads=threads)) as checked,
    ):
        for copy, same in zip(copies, checked, strict=True):
            if not same:
                there = (folder / copy.path).exists()
                found.append(Difference(path=copy.path, what="changed" if there else "missing"))
            task.advance()
    known = {copy.path for copy in copies} | {ABOUT, MANIFEST, SUMS}
    files = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    strange = sorted(str(path) for path in files if path.as_posix() not in known and not _is_hidden(path))
    return found + [Difference(path=path, what="not in the manifest") for path in strange]


def sha256_of(path: Path) -> str:
    """Return the hexadecimal sha256 of a file, read in pieces."""
    return size_and_sha256(path)[1]


def size_and_sha256(path: Path) -> tuple[int, str]:
    """Return the bytes that a file has, and its hexadecimal sha256."""
    state, size = hashlib.sha256(), 0
    with open_file(path, most_bytes=_ANY_SIZE) as file:
        while piece := file.read(_PIECE):
            state.update(piece)
            size += len(piece)
    return size, state.hexdigest()


def _is_hidden(path: Path) -> bool:
    return any(name.startswith(".") for name in path.parts)


def _is(path: Path, copy: Copy) -> bool:
    try:
        return path.stat().st_size == copy.size and sha256_of(path) == copy.sha256
    except OSError:
        return False


def _made(source: Path, temporary: Path, copy: Copy, link: Link) -> None:
    try:
        match link:
            case "hard" | "reflink" if not source.is_file():
                raise OptionError(f"--link {link}: {source} lies in an archive, and can't be linked. Omit --link.")
            case "hard":
                os.link(source.resolve(), temporary)
                found = sha256_of(temporary)
            case "reflink":
                _reflink(source, temporary)
                found = sha256_of(temporary)
            case "none":
                found = _copied(source, temporary)
    except FileNotFoundError as error:
        if is_file(source):
            raise  # it is the copy that can't be written
        raise SourceError(f"{source} is gone since the split began. {_ANEW}") from error
    except OSError as error:
        if error.filename == str(source):
            raise SourceError(f"{source} can't be read any more ({error.strerror}). {_ANEW}") from error
        if link != "none" and error.errno != errno.ENOSPC:  # a full disk is another run
            raise OptionError(
                f"--link {link}: {source} and {temporary.parent.parent} can't share a file here ({error.strerror}). "
                "Omit --link to copy."
            ) from error
        raise
    if found != copy.sha256:
        raise SourceError(f"{source} was changed since the split began. {_ANEW}")
    if link != "hard" and source.is_file():  # one of an archive has no times of its own
        shutil.copystat(source, temporary)


_ANEW = "Nothing was lost: the unfinished copy is removed and begun anew by the same command."


def _copied(source: Path, target: Path) -> str:
    state = hashlib.sha256()
    with open_file(source, most_bytes=_ANY_SIZE) as reader, target.open("wb") as writer:
        while piece := reader.read(_PIECE):
            state.update(piece)
            writer.write(piece)
    return state.hexdigest()


def _reflink(source: Path, target: Path) -> None:
    if sys.platform != "linux":
        raise OSError(errno.EOPNOTSUPP, "reflinks are known on Linux only")
    import fcntl

    with open_regular(source, most_bytes=_ANY_SIZE) as reader, target.open("wb") as writer:
        fcntl.ioctl(writer.fileno(), _FICLONE, reader.fileno())


def _sums_line(copy: Copy) -> str:
    """Return the line of sha256sum; a name with a line break or backslash is escaped as it does."""
    escaped = copy.path.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    return f"{'' if escaped == copy.path else chr(92)}{copy.sha256}  {escaped}\n"
