"""What is prepared once per machine and kept in the cache: it is believed only where it is what was written."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from goldenrule.foundation.errors import FormatError
from goldenrule.foundation.files import atomic_folder, file_digest, json_digest, read_json, write_json

RECORD = "manifest.json"
Stamp = tuple[int, int, int, int]

_WHOLE: dict[Path, tuple[Stamp, ...]] = {}
"""Folders that this process has checked, with what the system says of their files: they are read once."""


@contextlib.contextmanager
def sealed_folder(folder: Path) -> Iterator[Path]:
    """Give a temporary folder that becomes `folder` with a record of its files when the block ends well."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        folder.unlink()  # no folder of ours
    with atomic_folder(folder) as temporary:
        yield temporary
        seal(temporary)
    _WHOLE.pop(folder, None)


def seal(folder: Path) -> None:
    """Write the record of the files that lie in a folder now."""
    names = [path.name for path in sorted(folder.iterdir()) if path.is_file() and path.name != RECORD]
    files = {name: file_digest(folder / name) for name in names}
    write_json(folder / RECORD, {"files": files, "digest": json_digest(files)})


def is_whole(folder: Path, names: Sequence[str]) -> bool:
    """Return whether these files, and all others of the folder's record, are bit for bit what was written.

    They are read once per process: about a millisecond per megabyte.
    """
    try:
        files = read_json(folder / RECORD)
        known = files["files"]
        if files["digest"] != json_digest(known) or not {*names} <= {*known}:
            return False
        paths = [folder / str(name) for name in known]
        stamps = tuple(_stamp(path) for path in (folder / RECORD, *paths))
        if _WHOLE.get(folder) != stamps:
            if not all(path.is_file() and file_digest(path) == known[path.name] for path in paths):
                return False
            _WHOLE[folder] = stamps
    except (OSError, FormatError, KeyError, TypeError, ValueError):
        return False
    return True


def is_there(folder: Path) -> bool:
    """Return whether anything is in the place of a prepared folder, whole or not."""
    return folder.exists() or folder.is_symlink()


def _stamp(path: Path) -> Stamp:
    found = path.stat()
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino
