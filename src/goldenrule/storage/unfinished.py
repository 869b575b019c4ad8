"""Files and folders that are not whole yet: named by a mark of ours, held by a lock while their writer lives.

The mark is `.goldenrule-`, sixteen random hexadecimal digits and `.tmp`. A killed writer leaves such a name behind, and
its lock goes with it: `remove_leftovers` takes away what has the mark and no lock, and nothing else.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

MARK = ".goldenrule-"
_MARK = re.compile(re.escape(MARK) + r"[0-9a-f]{16}\.tmp")
_STALE_SECONDS = 24 * 3600
"""Where the system has no such locks, what is older than a day was left behind."""


@contextlib.contextmanager
def unfinished_file(folder: Path) -> Iterator[Path]:
    """Return a new file in `folder` that goes when the block ends, unless it was renamed."""

    def create(path: Path) -> None:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))

    with _held(folder, create) as path:
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def unfinished_folder(folder: Path) -> Iterator[Path]:
    """Return a new folder in `folder` that goes when the block ends, unless it was renamed."""
    with _held(folder, Path.mkdir) as path:
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)


def leftovers(folder: Path) -> list[Path]:
    """Return what killed writers left in `folder`: names with our mark whose writers live no more."""
    return [path for path in _marked(folder) if _abandoned(path, lambda _: None)]


def remove_leftovers(folder: Path) -> None:
    """Remove what killed writers left in `folder`; what a living process is writing stays."""
    for path in _marked(folder):
        _abandoned(path, _removed)


def is_marked(path: Path) -> bool:
    """Return whether a name is one that we give to what is not whole yet."""
    return _MARK.fullmatch(path.name) is not None


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder; 0 where it is gone meanwhile."""
    files = [path, *path.rglob("*")] if path.is_dir() else [path]
    total = 0
    for file in files:
        with contextlib.suppress(OSError):
            total += 0 if file.is_dir() else file.lstat().st_size
    return total


def _marked(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if is_marked(path))
    except OSError:
        return []


@contextlib.contextmanager
def _held(folder: Path, create: Callable[[Path], None]) -> Iterator[Path]:
    """Create something under a name of ours and hold its lock while the block runs."""
    while True:
        path = folder / f"{MARK}{secrets.token_hex(8)}.tmp"
        create(path)
        if fcntl is None:
            yield path
            return
        try:
            handle = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            continue  # taken for a leftover before its lock was held
        try:
            with contextlib.suppress(OSError):  # a file system without locks
                fcntl.flock(handle, fcntl.LOCK_EX)
            if path.exists():
                yield path
                return
        finally:
            os.close(handle)


def _abandoned(path: Path, then: Callable[[Path], None]) -> bool:
    """Return whether nobody holds a path any more, and do something with it before anybody else can."""
    if fcntl is None:
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _STALE_SECONDS:
                then(path)
                return True
        return False
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        then(path)
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(handle)


def _removed(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
