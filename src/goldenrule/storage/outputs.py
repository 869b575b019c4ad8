"""Paths that a user names to be written: one rule for all of them, asked before the work begins.

What is no regular file (a pipe, a terminal, /dev/null, /dev/stdout, /dev/fd/N) is written into. A file that is there is
replaced only where its content shows that goldenrule wrote it (`Kind.ours`), or where it is empty; anything else stays,
and is an `OptionError`. So nothing of the user's is overwritten, and the same command twice still works. A symbolic
link is looked through: the file that it leads to is checked and written, the link stays; one that leads nowhere is
refused.
"""

from __future__ import annotations

import contextlib
import json
import mimetypes
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from goldenrule.core.errors import OptionError, StorageError, of_system
from goldenrule.storage.files import storage_errors, write_atomic
from goldenrule.storage.unfinished import remove_leftovers

MADE_BY = "goldenrule"
FIGURE_METADATA: Mapping[str, Mapping[str, str]] = {
    ".svg": {"Creator": MADE_BY},
    ".pdf": {"Creator": MADE_BY},
    ".png": {"Software": MADE_BY},
}
"""What a figure says of its maker, by its suffix."""
_FIGURE_MARKS = (b"<dc:title>goldenrule</dc:title>", b"/Creator (goldenrule)", b"Software\x00goldenrule")
_PAGE_MARKS = (b'<meta name="generator" content="goldenrule">', b'class="brand-mark"')
_DESCRIPTOR = re.compile(r"/(?:dev|proc/(?:self|thread-self|\d+))/fd/(\d+)")
_STANDARD = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}
_MOST_LINKS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of output: what people call it, an example of a name, and how a file of ours is known by its content."""

    name: str
    example: str
    ours: Callable[[bytes], bool]
    picture: bool = False


def csv_like(*columns: str) -> Callable[[bytes], bool]:
    """Return whether a CSV file is one of ours: its first columns are these.

    >>> csv_like("path", "status")(b"path,status,prediction"), csv_like("path", "status")(b"name,label")
    (True, False)
    """
    begins = ",".join(columns).encode()
    return lambda content: content == begins or content.startswith((begins + b",", begins + b"\n"))


def json_like(*names: str) -> Callable[[bytes], bool]:
    """Return whether a JSON file is one of ours: an object with all these names, or a list of such objects."""

    def ours(content: bytes) -> bool:
        try:
            value = json.loads(content)
        except (ValueError, RecursionError):
            return False
        every = value if isinstance(value, list) else [value]
        return bool(every) and all(isinstance(one, dict) and set(names) <= one.keys() for one in every)

    return ours


def is_page(content: bytes) -> bool:
    """Return whether an HTML file is one of ours."""
    return any(mark in content for mark in _PAGE_MARKS)


def is_figure(content: bytes) -> bool:
    """Return whether a figure is one of ours, as its metadata says."""
    return any(mark in content for mark in _FIGURE_MARKS)


def page(name: str, example: str) -> Kind:
    """Return the kind of a page."""
    return Kind(name=name, example=example, ours=is_page)


FIGURE = Kind(name="a picture", example="curve.svg", ours=is_figure, picture=True)


def check_output(path: Path, kind: Kind, *, option: str = "-o") -> None:
    """Raise `OptionError` where a path that a user named may not be written, `StorageError` where it can't be."""
    if written_into(path):
        return
    try:
        found = path.lstat()
    except FileNotFoundError:
        found = None
    except (OSError, ValueError) as error:
        said = of_system(error, named=False) if isinstance(error, OSError) else f"{error}. Give another name."
        raise StorageError(f"{option} {path} can't be written: {said}") from error
    if path.is_dir():
        example = path / kind.example
        raise OptionError(f"{option} {path} is a folder; wanted the name of {kind.name}, such as {example}.")
    if found is not None and not path.exists():
        raise OptionError(
            f"{option} {path} is a symbolic link that leads to no file. Nothing was written: remove it, or give the "
            f"name of {kind.name}, such as {kind.example}."
        )
    if found is not None and not path.is_file():
        raise OptionError(
            f"{option} {path} is a block device or a socket; wanted the name of {kind.name}, such as {kind.example}. "
            "Nothing was written."
        )
    image = _says_image(path)
    if image and not kind.picture:
        raise OptionError(
            f"{option} {path} has the name of an image; wanted the name of {kind.name}, such as {kind.example}. "
            "Nothing was written. A pattern such as *.jpg behind the option gives it the first photo."
        )
    if found is not None:
        _check_content(path, kind, option, image=image)
    check_place(path, instead=f"Give another name with {option}.")


def check_folder(folder: Path, files: Mapping[str, Kind]) -> None:
    """Check a folder that a user named, and every file that would be written there; `files` are their names."""
    names = ", ".join(files)
    if folder.exists() and not folder.is_dir():
        raise OptionError(f"-o {folder} is a file; wanted a folder for {names}.")
    if folder.is_symlink() and not folder.exists():
        raise OptionError(f"-o {folder} is a symbolic link that leads nowhere; wanted a folder for {names}.")
    if holds_others(folder, files):
        raise OptionError(f"-o {folder} holds something else. Nothing was changed: give a new folder for {names}.")
    for name, kind in files.items():
        path = folder / name
        if path.is_symlink():
            raise OptionError(f"-o: {path} is a symbolic link, and is not followed. Remove it.")
        check_output(path, kind, option="-o")


def holds_others(folder: Path, files: Iterable[str]) -> bool:
    """Return whether a folder holds files, but none of these: what is written there would lie among them."""
    if not folder.is_dir():
        return False
    there = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    return bool(there) and there.isdisjoint(files)


def write_output(path: Path, content: bytes | str) -> None:
    """Write what `check_output` allowed: into a device, pipe or descriptor, else whole or not at all."""
    data = content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content
    into = written_into(path)
    if into is not None:
        with storage_errors(path), open(into.target, "wb", closefd=True) as file:  # noqa: PTH123 - may be a descriptor
            file.write(data)
        return
    target = Path(os.path.realpath(path))
    write_atomic(target, data)
    remove_leftovers(target.parent)


@contextlib.contextmanager
def kept_open(into: WrittenInto) -> Iterator[BinaryIO]:
    """Return a pipe, device or descriptor, open until the block ends: who reads a pipe that is closed has its end."""
    with storage_errors(into.path), open(into.target, "wb", closefd=True) as file:  # noqa: PTH123 - may be a descriptor
        yield file


@dataclass(frozen=True, slots=True)
class WrittenInto:
    """What is written into instead of replaced: a path, or a descriptor of this process."""

    path: Path
    descriptor: int | None

    @property
    def target(self) -> Path | int:
        """What to open: a descriptor is doubled, so that both go on from the same place in the file."""
        return self.path if self.descriptor is None else os.dup(self.descriptor)


def written_into(path: Path) -> WrittenInto | None:
    """Return where to write if a path is a pipe, a character device or a descriptor of this process; else None."""
    name = os.path.abspath(path)  # noqa: PTH100 - resolve() would look through /dev/stdout
    for _ in range(_MOST_LINKS):
        if name in _STANDARD:
            return WrittenInto(path, _STANDARD[name])
        if found := _DESCRIPTOR.fullmatch(name):
            process = name.split("/")[2]
            if process in ("fd", "self", "thread-self", str(os.getpid())):
                return WrittenInto(path, int(found[1]))
        try:
            name = os.path.normpath(os.path.join(os.path.dirname(name), os.readlink(name)))  # noqa: PTH115, PTH118, PTH120
        except (OSError, ValueError):
            break
    with contextlib.suppress(OSError, ValueError):
        mode = path.stat().st_mode
        if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
            return WrittenInto(path, None)
    return None


def to_terminal(path: Path | None) -> bool:
    """Return whether an output goes where the words for people go: those belong on standard error then."""
    if path is None or (into := written_into(path)) is None:
        return False
    if into.descriptor is not None:
        return into.descriptor == 1
    try:
        return os.path.samestat(path.stat(), os.fstat(1))
    except OSError:
        return False


def _check_content(path: Path, kind: Kind, option: str, *, image: bool) -> None:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise StorageError(f"{option} {path} is there and can't be read: {of_system(error, named=False)}") from error
    if content and not kind.ours(content):
        what = "an image" if image else "a file"
        raise OptionError(
            f"{option} {path} is {what} that goldenrule did not write, and stays as it is; wanted the name of "
            f"{kind.name}, such as {kind.example}. Give another name, or move that file away."
        )


def check_place(path: Path, *, instead: str) -> None:
    """Raise `StorageError` unless the nearest folder that is there is one, and may be written to.

    `instead` says how another place is given: this one may be that of no option.
    """
    for folder in Path(os.path.realpath(path)).parents:
        if not folder.exists():
            continue
        if not folder.is_dir():
            raise StorageError(f"{path} can't be written: {folder} is a file and no folder. {instead}")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise StorageError(f"{path} can't be written: {folder} is not yours to write to. {instead}")
        return


def _says_image(path: Path) -> bool:
    return (mimetypes.guess_type(path.name)[0] or "").startswith("image/")


def shown_path(path: Path) -> str:
    """Return a folder as files name it that others may see: as it was given, of an absolute path the name alone.

    >>> shown_path(Path("photos/train")), shown_path(Path("/home/ada/photos")), shown_path(Path("../photos"))
    ('photos/train', 'photos', '../photos')
    """
    if not path.is_absolute():
        return path.as_posix() if path.name else path.resolve().name or "."
    return path.name or "images"
