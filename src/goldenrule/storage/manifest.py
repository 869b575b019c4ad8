"""A folder's manifest: size and digest of each of its files, so that nothing in it is believed unread.

FOLDER/manifest.json holds `files`, name -> one or two of {"size" in bytes, "blake2b"}, and `digest`, that of `files` as
canonical JSON. A file's record is written before the file: a kill between the two leaves the old content, or no file,
whose record (`ABSENT`) stays beside the new one until the next write of any file.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from goldenrule.core.errors import FormatError
from goldenrule.core.schema import Count, Digest, Name, as_json, as_type
from goldenrule.storage.files import (
    digest,
    file_record,
    json_digest,
    json_object,
    json_text,
    read_json,
    write_atomic,
    write_json,
)
from goldenrule.storage.regular_files import read_regular

MANIFEST = "manifest.json"
SCHEMA_VERSION = 1
CHANGED = "was changed or damaged after it was written: copy it again, whole, or fit again."


class Record(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What a file's content is known by."""

    size: Count
    blake2b: Digest

    @classmethod
    def of(cls, content: bytes) -> Record:
        """Return the record of a content."""
        return cls(len(content), digest(content).hex())


class _Manifest(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    schema_version: Literal[1]
    files: dict[Name, Annotated[tuple[Record, ...], msgspec.Meta(min_length=1, max_length=2)]]
    digest: Digest


Files = Mapping[str, tuple[Record, ...]]
ABSENT = Record(0, "0" * 64)
"""The record of a file that is not there yet."""


def seal(folder: Path) -> None:
    """Write the manifest of a folder with all files that lie in it now."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    _write(folder, {name: (Record(*file_record(folder / name)),) for name in names if name != MANIFEST})


def write_recorded(folder: Path, name: str, content: bytes | str) -> None:
    """Write FOLDER/name so that a crash leaves the old content or the new, and either is known by the manifest.

    The caller is the only writer of the folder.
    """
    data = content.encode() if isinstance(content, str) else content
    files = recorded(folder) if is_sealed(folder) else {}
    now = {
        relative: records if len(records) == 1 else _present(folder / relative, records)
        for relative, records in files.items()
    }
    before, new = _present(folder / name, files.get(name, (ABSENT,)))[0], Record.of(data)
    if files != now | {name: (new,)}:
        _write(folder, now | {name: (new,) if before == new else (new, before)})
    if not _is(folder / name, new):
        write_atomic(folder / name, data)


def write_recorded_json(folder: Path, name: str, value: Any) -> None:
    """Write a JSON value as `write_recorded` does."""
    write_recorded(folder, name, json_text(value))


def is_sealed(folder: Path) -> bool:
    """Return whether a folder has a manifest."""
    return (folder / MANIFEST).is_file()


def recorded(folder: Path) -> Files:
    """Return the records of a folder by file name; raises `FormatError` where there is no manifest or it is damaged."""
    path = folder / MANIFEST
    if not is_sealed(folder):
        raise FormatError(
            f"{folder} has no {MANIFEST}, which says what its files were written as. It is incomplete, or of an older "
            "goldenrule: copy it again, whole, or fit again."
        )
    found = as_type(read_json(path), _Manifest, what=str(path))
    if found.digest != _digest(found.files):
        raise FormatError(f"{path} {CHANGED}")
    return found.files


class Sealed:
    """A folder whose files are read with their records checked. Raises `FormatError` for what was not written so."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.files = folder, recorded(folder)

    def __contains__(self, name: str) -> bool:
        """Whether a file was written, also if it is gone since."""
        return name in self.files and not (ABSENT in self.files[name] and _is(self.folder / name, ABSENT))

    def read(self, name: str) -> bytes:
        """Return the content of a file."""
        path, records = self.folder / name, self._records(name)
        with contextlib.suppress(OSError):
            content = read_regular(path, most_bytes=max(record.size for record in records))
            if Record.of(content) in records:
                return content
        raise self._differs(name)

    def json(self, name: str, *, schema: int | None = None) -> dict[str, Any]:
        """Return the JSON object in a file."""
        return json_object(self.read(name), self.folder / name, schema=schema)

    def check(self, name: str) -> Path:
        """Return the path of a file whose content is what was written; it is read in pieces."""
        self.digest(name)
        return self.folder / name

    def digest(self, name: str) -> str:
        """Return the hexadecimal blake2b digest of a file whose content is what was written."""
        for record in self._records(name):
            if _is(self.folder / name, record):
                return record.blake2b
        raise self._differs(name)

    def _differs(self, name: str) -> FormatError:
        path = self.folder / name
        return FormatError(f"{path} {CHANGED if path.exists() else 'is missing: copy it again, whole, or fit again.'}")

    def _records(self, name: str) -> tuple[Record, ...]:
        if name not in self.files:
            raise FormatError(
                f"{self.folder / name} is not in {MANIFEST}: it was put there by somebody else. Fit again."
            )
        return self.files[name]


def _present(path: Path, records: tuple[Record, ...]) -> tuple[Record, ...]:
    """Return the record that a file has now, of those that it may have; all of them where it has none."""
    return tuple(record for record in records if _is(path, record))[:1] or records


def _is(path: Path, record: Record) -> bool:
    """Return whether a file is there and has this record; of `ABSENT` whether there is none."""
    if record == ABSENT:
        return not path.exists()
    try:
        return path.stat().st_size == record.size and Record(*file_record(path)) == record
    except (OSError, FormatError):
        return False


def _write(folder: Path, files: Files) -> None:
    plain = as_json(dict(sorted(files.items())))
    write_json(folder / MANIFEST, {"schema_version": SCHEMA_VERSION, "files": plain, "digest": json_digest(plain)})


def _digest(files: Files) -> str:
    return json_digest(as_json(files))
