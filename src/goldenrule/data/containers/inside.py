"""Files by their paths, be they in a folder or in an archive: `photos.zip/cats/1.jpg` is a path as well.

An archive is indexed once per process, again where it has changed, and each read opens it anew: threads share nothing.
"""

from __future__ import annotations

import io
import os
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO

from goldenrule.core.errors import SourceError
from goldenrule.data.containers.in_parquet import scanned_parquet
from goldenrule.data.containers.in_tar import scanned_tar
from goldenrule.data.containers.in_zip import scanned_zip
from goldenrule.data.containers.members import Contents, Members, unusable
from goldenrule.data.containers.objects import (
    contents_below,
    has_objects_below,
    is_address,
    is_object,
    objects_below,
    objects_in,
    opened_object,
    read_object,
    stamp_of_object,
)
from goldenrule.storage.regular_files import open_regular, read_regular

PARQUET = ".parquet"
ENDINGS = (".tar", ".zip", PARQUET)
PACKED_ENDINGS = (".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst")
_ANY_SIZE = 1 << 62
Stamp = tuple[int, int, int]
"""Size in bytes, time of the last change in ns, and inode: what is the same after each look at an untouched file."""
_known: dict[Path, tuple[Stamp, Members]] = {}
_names: dict[Path, tuple[Stamp, Contents]] = {}
_scanning = threading.Lock()


def divided(path: Path) -> tuple[Path, str] | None:
    """Return the archive that a path leads into, and the name in it ("" for all of it); None where it leads into none.

    >>> divided(Path("photos/cats/1.jpg")) is None
    True
    """
    for count, piece in enumerate(path.parts, start=1):
        if piece.lower().endswith(ENDINGS):
            archive = Path(*path.parts[:count])
            if is_object(archive) if is_address(archive) else archive.is_file():
                return archive, "/".join(path.parts[count:])
    return None


def container_name(path: Path) -> str:
    """Return the name of a folder, or that of an archive without its ending.

    >>> container_name(Path("sets/photos.zip")), container_name(Path("sets/v1.2"))
    ('photos', 'v1.2')
    """
    return path.stem if path.name.lower().endswith(ENDINGS) and not path.is_dir() else path.name


def read_file(path: Path, *, most_bytes: int) -> bytes:
    """Return the bytes of a file. Raises `OSError` as `read_regular` does, and for what an archive lacks."""
    try:
        if not is_address(path):
            return read_regular(path, most_bytes=most_bytes)
        if (found := divided(path)) is None:
            return read_object(path, most_bytes=most_bytes)
    except (NotADirectoryError, FileNotFoundError):
        if is_address(path) or (found := divided(path)) is None or not found[1]:
            raise
    except SourceError as error:
        raise unusable(str(path), "its address can't be asked any more") from error
    archive, name = found
    _names.clear()  # some bytes for each image, which nobody asks for from here on
    with _opened(archive) as (file, stamp):
        try:
            members = _members(archive, file, stamp)
        except SourceError as error:  # it was one when its images were listed
            raise unusable(str(path), "the archive can't be read any more") from error
        return members.read(file, name, most_bytes=most_bytes)


@contextmanager
def reading(archive: Path, *, most_bytes: int) -> Iterator[Callable[[str], bytes]]:
    """Return what reads one file after another by its name in an archive, which is opened once."""
    with _opened(archive) as (file, stamp):
        yield partial(_members(archive, file, stamp).read, file, most_bytes=most_bytes)


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Return a file or an object, open to be read from any place in it."""
    with _opened(path) as (file, _):
        yield file


def open_file(path: Path, *, most_bytes: int) -> BinaryIO:
    """Return a file, open for reading bytes; one of an archive is held in memory."""
    try:
        if not is_address(path):
            return open_regular(path, most_bytes=most_bytes)
        return io.BytesIO(read_file(path, most_bytes=most_bytes))
    except (NotADirectoryError, FileNotFoundError):
        return io.BytesIO(read_file(path, most_bytes=most_bytes))


def stamp_of(path: Path) -> Stamp:
    """Return what changes when a file does; of a file in an archive that of the archive. Raises `OSError` for none."""
    if is_address(path):
        return stamp_of_object(found[0] if (found := divided(path)) else path)
    try:
        status = os.stat(path)  # noqa: PTH116 - called for every file
    except NotADirectoryError:
        if (inside := divided(path)) is None:
            raise
        return _stamp(os.stat(inside[0]))  # noqa: PTH116
    return _stamp(status)


def stamps_of(root: Path, names: Sequence[str]) -> dict[str, Stamp | None]:
    """Return the stamp of each file below a root, None where there is no such file; objects are listed, not read."""
    if not is_address(root):
        return {name: _stamp_or_none(root / name) for name in names}
    if (inside := divided(root)) is not None:
        stamp_of_object.cache_clear()
        return dict.fromkeys(names, _stamp_or_none(inside[0]))
    known = objects_below(root)
    shards = {name: stamp for name, stamp in known.items() if name.lower().endswith(ENDINGS)}

    def stamp(name: str) -> Stamp | None:
        ends = [at for at, sign in enumerate(name) if sign == "/"] if shards else []
        return known.get(name) or next((shards[name[:end]] for end in ends if name[:end] in shards), None)

    return {name: stamp(name) for name in names}


def _stamp_or_none(path: Path) -> Stamp | None:
    try:
        return stamp_of(path)
    except OSError:
        return None


def is_folder(path: Path) -> bool:
    """Return whether a path is that of a folder, of an archive, or of a folder in one."""
    if path.is_dir() or (found := divided(path)) is None:
        return has_objects_below(path) if is_address(path) else path.is_dir()
    return not found[1] or found[1] in members_of(found[0]).layout.folders


def is_file(path: Path) -> bool:
    """Return whether a path is that of a file, be it in an archive; an archive is a file too."""
    if path.is_file() or (found := divided(path)) is None:
        return is_object(path) if is_address(path) else path.is_file()
    if not found[1]:
        return True
    return members_of(found[0]).has(found[1])


def tables_in(folder: Path) -> list[Path]:
    """Return the tables and what else lies in a folder itself, or the tables alone in one of an archive."""
    if folder.is_dir() or (found := divided(folder)) is None:
        return objects_in(folder, folders=False) if is_address(folder) else list(folder.iterdir())
    archive, inner = found
    return [archive / name for name in members_of(archive).layout.tables if name.rpartition("/")[0] == inner]


def folders_in(folder: Path) -> list[Path]:
    """Return the folders that lie in a folder itself."""
    if folder.is_dir() or (found := divided(folder)) is None:
        local = () if is_address(folder) else folder.iterdir()
        return objects_in(folder, folders=True) if is_address(folder) else [path for path in local if path.is_dir()]
    archive, inner = found
    return [archive / name for name in members_of(archive).layout.folders if name.rpartition("/")[0] == inner]


def members_of(archive: Path) -> Members:
    """Return the files of an archive, by its index. Raises `SourceError` where it is none."""
    with _opened(archive) as (file, stamp):
        return _members(archive, file, stamp)


def contents_of(archive: Path) -> Contents:
    """Return the names in an archive, or below an address. Raises `SourceError` for a file that is no archive."""
    if is_address(archive):
        stamp_of_object.cache_clear()  # it may be another one by now
        if not is_object(archive):
            return contents_below(archive)
    with _opened(archive) as (file, stamp):
        if (found := _names.get(archive)) is not None and found[0] == stamp:
            return found[1]
        contents, members = _scanned(archive, file, stamp)
        _known[archive] = stamp, members
        return contents


@contextmanager
def _opened(path: Path) -> Iterator[tuple[BinaryIO, Stamp]]:
    if is_address(path):
        with opened_object(path) as remote:
            yield remote, stamp_of_object(path)
        return
    with open_regular(path, most_bytes=_ANY_SIZE) as file:
        yield file, _stamp(os.fstat(file.fileno()))


def _members(archive: Path, file: BinaryIO, stamp: Stamp) -> Members:
    if (found := _known.get(archive)) is None or found[0] != stamp:
        with _scanning:  # one thread looks, the others wait for it
            if (found := _known.get(archive)) is None or found[0] != stamp:
                found = _known[archive] = stamp, _scanned(archive, file, stamp)[1]
    return found[1]


def _scanned(archive: Path, file: BinaryIO, stamp: Stamp) -> tuple[Contents, Members]:
    """Look through an archive; its names are kept until its images are read, since they are asked for several times."""
    file.seek(0)
    try:
        name = archive.name.lower()
        scanned = scanned_parquet if name.endswith(PARQUET) else scanned_zip if name.endswith(".zip") else scanned_tar
        contents, members = scanned(file)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, ValueError, NotImplementedError) as error:
        raise SourceError(
            f"{archive} is no archive that can be read ({error}): its end may be missing. Copy it again, whole."
        ) from error
    _names.clear()
    _names[archive] = stamp, contents
    return contents, members


def _stamp(found: os.stat_result) -> Stamp:
    return found.st_size, found.st_mtime_ns, found.st_ino
