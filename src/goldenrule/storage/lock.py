"""One writer per folder."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import filelock

from goldenrule.core.errors import GoldenRuleError, RunError, RunInUse, StorageError
from goldenrule.storage.files import make_folder, storage_errors, write_atomic

LOCK, HOLDER = ".lock", ".lock.pid"
_LONGEST_PID = 20


@contextlib.contextmanager
def only_writer(folder: Path, *, instead: str = "another folder") -> Iterator[None]:
    """Keep a folder, made where it is missing, for this process; a second writer gets `RunInUse` with the first's pid.

    `instead` says what else the user may choose. The system itself lets go of the lock of a process that was killed.
    A folder that was made for what then failed goes again, with its parents, where nothing was written to it.
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    make_folder(folder)
    check_no_links(folder)
    holder = folder / HOLDER
    lock = filelock.FileLock(folder / LOCK, timeout=0)
    if not _acquired(lock, folder):
        raise RunInUse(
            f"{folder} is being written by the process {_pid(holder)}. Wait for it, stop it (kill {_pid(holder)}), "
            f"or choose {instead}."
        )
    try:
        write_atomic(holder, f"{os.getpid()}\n")
        yield
    except GoldenRuleError:
        _remove_unused(missing)
        raise
    finally:
        with contextlib.suppress(OSError):  # a disk that can no longer be written: there is an error already
            holder.unlink(missing_ok=True)
        lock.release()


def _remove_unused(made: Sequence[Path]) -> None:
    """Remove folders that were made, the innermost first, as long as they hold nothing but the lock."""
    with contextlib.suppress(OSError):
        if made and {path.name for path in made[0].iterdir()} <= {LOCK, HOLDER}:
            for path in made[0].iterdir():
                path.unlink()
            for folder in made:
                folder.rmdir()


def check_no_links(folder: Path) -> None:
    """Raise `RunError` where a folder that is written to holds symbolic links that lead elsewhere.

    Whoever made the folder would choose what is overwritten: all that is written to it stays in it.
    """
    for place, folders, files in os.walk(folder):
        for name in sorted([*folders, *files]):
            path = Path(place, name)
            if path.is_symlink() and (path.is_dir() or name == LOCK):
                raise RunError(
                    f"{path} is a symbolic link to {path.resolve()}; what is written to {folder} has to stay in it. "
                    "Nothing was changed: remove the link, or choose another folder."
                )


def _acquired(lock: filelock.BaseFileLock, folder: Path) -> bool:
    try:
        with storage_errors(folder):
            lock.acquire()
    except StorageError as error:
        if isinstance(error.__cause__, filelock.Timeout):
            return False
        raise
    return True


def _pid(holder: Path) -> str:
    try:
        with holder.open(encoding="ascii", errors="replace") as file:
            text = file.read(_LONGEST_PID).strip()
    except OSError:
        return "?"
    return text if text.isdecimal() else "?"
