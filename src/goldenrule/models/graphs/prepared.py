"""What is prepared once per machine and kept in the cache: it is believed only where it is what was written."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from goldenrule.core.errors import FormatError
from goldenrule.storage.cache_folder import made_in_cache
from goldenrule.storage.manifest import MANIFEST, Sealed, seal

Stamp = tuple[int, int, int, int]

_WHOLE: dict[Path, tuple[Stamp, ...]] = {}
"""Folders that this process has checked, with what the system says of their files: they are read once."""


@contextlib.contextmanager
def sealed_folder(folder: Path) -> Iterator[Path]:
    """Return a temporary folder that becomes `folder` with a record of its files when the block ends well."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        folder.unlink()  # no folder of ours
    with made_in_cache(folder) as temporary:
        yield temporary
        seal(temporary)
    _WHOLE.pop(folder, None)


def is_whole(folder: Path, names: Sequence[str]) -> bool:
    """Return whether these files, and all others of the folder's record, are bit for bit what was written.

    They are read once per process: two to five milliseconds per megabyte.
    """
    try:
        sealed = Sealed(folder)
        if not {*names} <= {*sealed.files}:
            return False
        stamps = tuple(_stamp(folder / name) for name in (MANIFEST, *sealed.files))
        if _WHOLE.get(folder) != stamps:
            for name in sealed.files:
                sealed.check(name)
            _WHOLE[folder] = stamps
    except (OSError, FormatError):
        return False
    return True


def is_there(folder: Path) -> bool:
    """Return whether anything is in the place of a prepared folder, whole or not."""
    return folder.exists() or folder.is_symlink()


def _stamp(path: Path) -> Stamp:
    found = path.stat()
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino
