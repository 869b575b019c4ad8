"""One writer per folder."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import filelock

from goldenrule.foundation.errors import RunInUse
from goldenrule.foundation.files import make_folder, storage_errors

LOCK, HOLDER = ".lock", ".lock.pid"


@contextlib.contextmanager
def only_writer(folder: Path, *, instead: str = "another folder") -> Iterator[None]:
    """Keep a folder, made where it is missing, for this process; a second writer gets `RunInUse` with the first's pid.

    `instead` says what else the user may choose. The system itself lets go of the lock of a process that was killed.
    """
    make_folder(folder)
    lock = filelock.FileLock(folder / LOCK, timeout=0)
    holder = folder / HOLDER
    try:
        with storage_errors(folder):
            lock.acquire()
    except filelock.Timeout:
        pid = holder.read_text().strip() if holder.exists() else "?"
        raise RunInUse(
            f"{folder} is being written by the process {pid}. Wait for it, stop it (kill {pid}), or choose {instead}."
        ) from None
    try:
        with storage_errors(folder):
            holder.write_text(f"{os.getpid()}\n")
        yield
    finally:
        with contextlib.suppress(OSError):  # a disk that can no longer be written: there is an error already
            holder.unlink(missing_ok=True)
        lock.release()
