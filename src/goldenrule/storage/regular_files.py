"""Files of a user's, read without surprises: regular ones only, their size asked before a byte is read."""

from __future__ import annotations

import errno
import os
import stat
from enum import StrEnum
from io import BufferedReader

from goldenrule.core.memory import readable_bytes

LARGEST_TABLE_BYTES = 1 << 30
"""A table, or another text of a user's, that has more bytes is refused."""
_WAYS = (
    os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
)  # not all systems have all of them


class FileKind(StrEnum):
    """What an entry of a file system is, in words."""

    FILE = "a file"
    FOLDER = "a folder"
    PIPE = "a named pipe"
    SOCKET = "a socket"
    DEVICE = "a device"


_KINDS = (
    (stat.S_ISDIR, FileKind.FOLDER),
    (stat.S_ISFIFO, FileKind.PIPE),
    (stat.S_ISSOCK, FileKind.SOCKET),
    (stat.S_ISCHR, FileKind.DEVICE),
    (stat.S_ISBLK, FileKind.DEVICE),
)


def open_regular(path: str | os.PathLike[str], *, most_bytes: int) -> BufferedReader:
    """Return a regular file, open for reading bytes; links are followed.

    A pipe, socket or device is not even opened: that alone may wait for ever, or do something. Raises `OSError`, whose
    `strerror` says why, for what is no regular file, and for one of more than `most_bytes`.
    """
    _check(os.stat(path), path, most_bytes)  # noqa: PTH116 - called for every file
    handle = os.open(path, _WAYS)
    try:
        _check(os.fstat(handle), path, most_bytes)  # it may have become something else meanwhile
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def read_regular(path: str | os.PathLike[str], *, most_bytes: int) -> bytes:
    """Return the bytes of a regular file. Raises `OSError` as `open_regular` does, and where it grows meanwhile."""
    with open_regular(path, most_bytes=most_bytes) as file:
        content = file.read(os.fstat(file.fileno()).st_size + 1)
        while len(content) <= most_bytes and (more := file.read(1 << 20)):
            content += more
    if len(content) > most_bytes:
        raise _too_large(len(content), path, most_bytes)
    return content


def what_it_is(mode: int) -> FileKind:
    """Return what an entry of a file system is, by its mode.

    >>> print(what_it_is(stat.S_IFIFO), what_it_is(stat.S_IFREG), sep=", ")
    a named pipe, a file
    """
    return next((kind for is_kind, kind in _KINDS if is_kind(mode)), FileKind.FILE)


def _check(found: os.stat_result, path: str | os.PathLike[str], most_bytes: int) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, f"it is {what_it_is(found.st_mode)}, no regular file", str(path))
    if found.st_size > most_bytes:
        raise _too_large(found.st_size, path, most_bytes)


def _too_large(size: int, path: str | os.PathLike[str], most_bytes: int) -> OSError:
    return OSError(
        errno.EFBIG, f"it has {readable_bytes(size)}; at most {readable_bytes(most_bytes)} are read", str(path)
    )
