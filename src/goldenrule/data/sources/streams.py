"""Pictures one after another, from folders, files, patterns, lists, tables and archives: nothing of them is kept.

An archive is read as it stands, and never unpacked onto the disk. The order is always the same, so that a prediction
that was stopped can go on.
"""

from __future__ import annotations

import glob
import io
import os
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO

from goldenrule.core.errors import SourceError
from goldenrule.core.findings import Finding
from goldenrule.data.containers.inside import PARQUET
from goldenrule.data.sources.folders import TABLE_ENDINGS, FilesOf, files_to_predict
from goldenrule.data.sources.label_files import read_columns
from goldenrule.data.sources.parquet_samples import pictures_in_rows
from goldenrule.data.sources.picture_files import LARGEST_PICTURE_BYTES, by_name, read_picture
from goldenrule.data.sources.shards import SHARD_ENDINGS, shards_at
from goldenrule.storage.regular_files import LARGEST_TABLE_BYTES, read_regular

STDIN = "-"
TAR_ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
LIST_ENDINGS = (".txt", ".lst")
LOOKED_AT = 100
"""So many rows of a table say which of its columns names files."""
_WILD = "*?["


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture: its name, what reads its bytes, and a stamp that changes when its file does.

    `path` is its file, None where it lies in an archive.
    """

    name: str
    read: Callable[[], bytes]
    stamp: str = ""
    path: Path | None = None


@dataclass(slots=True)
class Pictures:
    """Pictures to be gone through once; `total` is None where that is not known before, as of standard input.

    `findings` grow while the pictures are read: what an archive holds beside them, and where it is damaged.
    """

    arguments: tuple[str, ...]
    findings: list[Finding] = field(default_factory=list)
    total: int | None = None
    known: Mapping[str, FilesOf] = field(default_factory=dict)  # of folders and files, as they were listed
    _listed: int = field(init=False, default=0)

    def __iter__(self) -> Iterator[Picture]:
        """Yield every picture, in an order that is always the same."""
        del self.findings[self._listed :]
        several = len(self.arguments) > 1
        for one in self.arguments:
            if one in self.known:
                yield from (
                    Picture(name, partial(read_picture, path), _stamp(path), path) for name, path in self.known[one]
                )
            else:
                yield from (
                    Picture(f"{one}/{each.name}", each.read, each.stamp, each.path) if several else each
                    for each in self._in_container(one)
                )

    def __post_init__(self) -> None:
        self._listed = len(self.findings)

    @property
    def again(self) -> bool:
        """Whether they can be gone through a second time."""
        return STDIN not in self.arguments

    def _in_container(self, argument: str) -> Iterator[Picture]:
        if argument == STDIN:
            yield from _listed(sys.stdin, Path(), "standard input")
            return
        path = Path(argument).expanduser()
        if not path.exists():
            yield from _globbed(argument)
        elif argument.lower().endswith(TAR_ENDINGS):
            yield from _in_tar(path, self.findings)
        elif argument.lower().endswith(PARQUET):
            names, stamp = pictures_in_rows(path), _stamp(path)
            yield from (Picture(name, partial(read_picture, path / name), stamp) for name in names)
        elif argument.lower().endswith(".zip"):
            yield from _in_zip(path, self.findings)
        elif argument.lower().endswith(LIST_ENDINGS):
            yield from _listed(io.StringIO(_text(path)), path.parent, argument)
        else:
            yield from _in_table(path)


def pictures_of(arguments: Sequence[str | Path], *, exclude: Sequence[str] = ()) -> Pictures:
    """Return the pictures of these arguments, in their order.

    A folder (all pictures below it), a picture, a pattern (`'photos/**/*.jpg'`), a list (.txt, a path a line), a table
    with a column of paths (.csv, .tsv, .jsonl) or of bytes (.parquet), an archive (.tar and its kinds, .zip; shards of
    WebDataset are such), or "-", the list on standard input. Paths in a list or a table are looked for where the
    command runs, then beside it. Names are relative to the folder or archive; with several arguments those of archives,
    lists and tables begin with them. Raises `SourceError` for what is not there, and for a folder without a picture.
    """
    words = tuple(one for argument in arguments for one in _shards_or(str(argument)))
    patterns = (exclude,) if isinstance(exclude, str) else tuple(exclude)
    findings: list[Finding] = []
    plain = [one for one in words if not is_container(one)]
    known = _known(plain, patterns, findings) if plain else {}
    total = sum(len(known[one]) for one in plain) if len(plain) == len(words) else None
    found = Pictures(words, findings, total, known)
    for one in words:
        if is_container(one) and one != STDIN and not Path(one).expanduser().exists():
            _globbed(one)
    return found


def _shards_or(argument: str) -> list[str]:
    """Return the archives that a pattern names, or that lie in a folder without pictures; else the argument itself."""
    path = Path(argument).expanduser()
    some = path.is_dir() and any(one.name.lower().endswith(SHARD_ENDINGS) for one in path.iterdir())
    named = shards_at(path) if some or (argument != STDIN and not path.exists()) else []
    return [str(one) for one in named] or [argument]


def is_container(argument: str | os.PathLike[str]) -> bool:
    """Return whether an argument is more than a folder or a picture: an archive, a list, a table, a pattern, "-"."""
    argument = os.fspath(argument)
    if argument == STDIN:
        return True
    path = Path(argument).expanduser()
    if path.is_file():
        return argument.lower().endswith((*TAR_ENDINGS, ".zip", PARQUET, *LIST_ENDINGS, *TABLE_ENDINGS))
    return not path.exists() and not path.is_symlink() and any(mark in argument for mark in _WILD)


def _known(plain: list[str], exclude: Sequence[str], findings: list[Finding]) -> dict[str, FilesOf]:
    """Return the files of folders and files by argument; names that two would share begin with their arguments."""
    found = files_to_predict(plain, exclude=exclude)
    findings += found.findings
    return dict(zip(plain, found.arguments, strict=True))


def _stamp(path: Path) -> str:
    try:
        found = path.stat()
    except OSError:
        return ""
    return f"{found.st_size}-{found.st_mtime_ns}"


def _file(name: str, beside: Path) -> Picture:
    path = Path(name).expanduser()
    if not path.is_absolute() and not path.exists() and (beside / path).exists():
        path = beside / path
    return Picture(name, partial(read_picture, path), _stamp(path), path)


def _globbed(pattern: str) -> list[Picture]:
    names = sorted(glob.glob(str(Path(pattern).expanduser()), recursive=True))  # noqa: PTH207 - patterns with ** of any root
    found = [_file(name, Path()) for name in names if Path(name).is_file() and by_name(name) != "other"]
    if not found:
        raise SourceError(f"{pattern} names no picture: wanted a pattern such as 'photos/**/*.jpg'.")
    return found


def _listed(lines: IO[str], beside: Path, what: str) -> Iterator[Picture]:
    """Yield the pictures whose paths stand in a list, a line each; one that is not there has its row all the same."""
    there, count = False, 0
    for line in lines:
        if name := line.strip("\r\n"):
            found = _file(name, beside)
            there, count = there or bool(found.stamp), count + 1
            if count == LOOKED_AT and not there:
                break
            yield found
    if not there:
        raise SourceError(
            f"{what} is text, and is read as a list of pictures, the path of one a line: none of its lines is a file "
            "that is there."
        )


def _text(path: Path) -> str:
    try:
        return read_regular(path, most_bytes=LARGEST_TABLE_BYTES).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no UTF-8 text"
        raise SourceError(f"{path} can't be read: {reason}.") from error


def _in_table(path: Path) -> Iterator[Picture]:
    columns = read_columns(path)
    there = {
        name: sum(bool(cell) and bool(_file(cell, path.parent).stamp) for cell in cells[:LOOKED_AT])
        for name, cells in columns.items()
    }
    best = max(there, key=lambda name: there[name], default=None)
    if best is None or not there[best]:
        raise SourceError(
            f"{path} has no column of paths: none of {', '.join(columns) or 'its columns'} names a file that is there. "
            "Paths are looked for where the command runs, and beside the table."
        )
    yield from (_file(cell, path.parent) for cell in columns[best])


def _in_tar(path: Path, findings: list[Finding]) -> Iterator[Picture]:
    """Yield the pictures in a tar file: of a plain one from their places in it, of a packed one as they come."""
    packed = not path.name.lower().endswith(".tar")
    others = 0
    try:
        with tarfile.open(path, "r|*" if packed else "r:") as archive:
            for member in archive:
                if not member.isfile() or by_name(member.name) not in ("picture", "variant"):
                    others += member.isfile()
                    continue
                stamp = f"{member.size}-{member.mtime}"
                if member.size > LARGEST_PICTURE_BYTES:
                    yield Picture(member.name, _too_large, stamp)
                elif packed:
                    content = archive.extractfile(member)
                    yield Picture(member.name, partial(bytes, content.read() if content else b""), stamp)
                else:
                    yield Picture(member.name, partial(_part_of, path, member.offset_data, member.size), stamp)
    except (tarfile.TarError, EOFError, OSError) as error:
        findings.append(_damaged(path, error))
    findings += _others(path, others)


def _in_zip(path: Path, findings: list[Finding]) -> Iterator[Picture]:
    others = 0
    try:
        archive = zipfile.ZipFile(path)  # it is closed when its last picture was read, which may be later than this
        for member in archive.infolist():
            if member.is_dir() or by_name(member.filename) not in ("picture", "variant"):
                others += not member.is_dir()
                continue
            stamp = f"{member.file_size}-{member.CRC}"
            yield Picture(member.filename, partial(_of_zip, archive, member), stamp)
    except (zipfile.BadZipFile, OSError) as error:
        findings.append(_damaged(path, error))
    findings += _others(path, others)


def _of_zip(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    if member.file_size > LARGEST_PICTURE_BYTES:
        _too_large()
    try:
        with archive.open(member) as file:
            content = file.read(LARGEST_PICTURE_BYTES + 1)
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError, ValueError) as error:
        raise OSError(f"it can't be unpacked: {error}") from error
    return content if len(content) <= LARGEST_PICTURE_BYTES else _too_large()


def _part_of(path: Path, offset: int, size: int) -> bytes:
    with path.open("rb") as file:
        file.seek(offset)
        content = file.read(size)
    if len(content) < size:
        raise OSError("the archive ends within it")
    return content


def _too_large() -> bytes:
    raise OSError("it is too large for a picture")


def _damaged(path: Path, error: Exception) -> Finding:
    return Finding(severity="warning", code="archive-damaged", fields={"archive": str(path), "error": str(error)})


def _others(path: Path, count: int) -> list[Finding]:
    found = Finding(severity="note", code="archive-others", fields={"archive": str(path), "n": count})
    return [found] if count else []
