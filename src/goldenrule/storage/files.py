"""Files that are whole or absent, and the digests by which content is known."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import json
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from goldenrule.core.errors import FormatError, StorageError, nearest, of_system
from goldenrule.core.schema import check_schema, parse_json
from goldenrule.storage.regular_files import open_regular, read_regular
from goldenrule.storage.unfinished import unfinished_file, unfinished_folder

DIGEST_BYTES = 32
SHOWN_RUNS = 3
BELOW, IMAGES = ("", "*/", "*/*/"), ("jpg", "jpeg", "png", "JPG", "JPEG", "PNG")
"""Where a few looks tell that a folder is one of images."""
DIGEST_FIELD = "digest"
MOST_BYTES = 1 << 50
_NO_TEXT = re.compile("[\ud800-\udfff]")
MOST_JSON_BYTES = 200_000_000
"""A JSON file that is larger is none of ours."""


def digest(content: bytes | bytearray | memoryview) -> bytes:
    """Return the blake2b digest (32 bytes) by which goldenrule knows content."""
    return hashlib.blake2b(content, digest_size=DIGEST_BYTES).digest()


def file_digest(path: Path) -> str:
    """Return the hexadecimal blake2b digest of a file, read in pieces."""
    return file_record(path)[1]


def file_record(path: Path) -> tuple[int, str]:
    """Return size in bytes and hexadecimal blake2b digest of a regular file, read in pieces."""
    with open_regular(path, most_bytes=MOST_BYTES) as file:
        found = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=DIGEST_BYTES)).hexdigest()
        return file.tell(), found


def canonical_json(value: Any) -> str:
    """Return the one spelling of a JSON value that digests are taken of.

    >>> canonical_json({"b": 1, "a": [1.5, None]})
    '{"a":[1.5,null],"b":1}'
    """
    return _encodable(json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False))


def json_digest(value: Any) -> str:
    """Return the hexadecimal digest of a JSON value, equal for equal values."""
    return digest(canonical_json(value).encode()).hex()


def list_digest(items: Iterable[Any]) -> str:
    """Return `json_digest` of a list whose items come one by one, and are not kept.

    >>> list_digest(iter([1, ["a", None]])) == json_digest([1, ["a", None]]), list_digest([]) == json_digest([])
    (True, True)
    """
    state, between = hashlib.blake2b(b"[", digest_size=DIGEST_BYTES), ""
    for item in items:
        state.update(f"{between}{canonical_json(item)}".encode())
        between = ","
    state.update(b"]")
    return state.hexdigest()


@contextlib.contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn what the system says of a file that can't be written into a `StorageError` that says what to do."""
    try:
        yield
    except BrokenPipeError:
        raise  # the reader of a pipe has seen enough
    except OSError as error:
        match error.errno:
            case errno.ENOSPC | errno.EDQUOT:
                raise StorageError(
                    f"The disk is full: {path} could not be written. What was finished before is intact. "
                    "Free some space (`goldenrule cache` shows the features that can be cleared) "
                    "and give the same command again: it goes on where it stopped."
                ) from error
            case errno.EACCES | errno.EPERM | errno.EROFS | errno.ENOTDIR | errno.EISDIR | errno.EEXIST:
                raise StorageError(
                    f"{path} can't be written ({error.strerror}). Choose a folder of yours{_elsewhere(path)}."
                ) from error
            case _:
                raise StorageError(f"{path} can't be written: {of_system(error, named=False)}") from error


_ELSEWHERE: list[Callable[[Path], str]] = []
"""What says how another place than that of a path is named, or ""; of the cache, told by its own file."""


def tell_elsewhere(how: Callable[[Path], str]) -> None:
    """Let errors ask this how another place than that of a path is named; it returns "" for what it does not know."""
    _ELSEWHERE.append(how)


def _elsewhere(path: Path) -> str:
    """Return how another place than this is named: the cache's by its variable, most others by an option."""
    with contextlib.suppress(OSError, ValueError, RuntimeError):
        return next((said for how in _ELSEWHERE if (said := how(path))), ", such as with --out")
    return ", such as with --out"


def no_run_but(folder: Path) -> str:
    """Return what a folder without a run is: none at all, one of several runs, or of images; "" for something else.

    >>> no_run_but(Path("no such folder"))
    ' There is no such folder.'
    """
    if not folder.exists():
        known = sorted({*folder.parent.glob("*/result.json"), *Path("runs").glob("*/result.json")})
        runs = {str(found.parent): found.parent.name for found in known}
        close = [path for path, name in runs.items() if name == folder.name] or [
            path for path, name in runs.items() if name in nearest(folder.name, runs.values(), most=1)
        ]
        return " There is no such folder." + (f" Did you mean {in_shell(close[0])}?" if close else "")
    inside = sorted(str(found.parent) for found in folder.glob("*/result.json"))
    several = " ..." if len(inside) > SHOWN_RUNS else ""
    made = Path("runs") / folder.resolve().name
    if not inside and (made / "result.json").is_file() and made.resolve() != folder.resolve():
        return f" Its run is {made}: give that."
    if not inside and any(next(folder.glob(f"{below}*.{ending}"), None) for below in BELOW for ending in IMAGES):
        return f" It is a folder of images, of which goldenrule fit {in_shell(folder)} makes a run."
    return f" It holds runs: give one of them, such as {', '.join(inside[:SHOWN_RUNS])}{several}" if inside else ""


def holds_classifier(folder: Path) -> bool:
    """Return whether a folder is that of a run or of a classifier, as far as its files' names say."""
    with contextlib.suppress(OSError, ValueError):  # what can't be looked at is told by who reads it
        return any((folder / name).is_file() for name in ("classifier/classifier.json", "classifier.json", "run.json"))
    return False


def in_shell(word: object) -> str:
    """Return a path or another value as a word of a command that can be copied into a shell.

    >>> in_shell(Path("runs/dogs")), in_shell(Path("runs/my dogs"))
    ('runs/dogs', "'runs/my dogs'")
    >>> in_shell(Path("s3://bucket/photos"))  # of which `Path` makes one slash
    's3://bucket/photos'
    """
    return shlex.quote(re.sub(r"^s3:/(?!/)", "s3://", str(word)))


def make_folder(path: Path) -> Path:
    """Make a folder with its parents and give it back."""
    with storage_errors(path):
        path.mkdir(parents=True, exist_ok=True)
    return path


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write a file so that a reader, or a crash at any moment, sees the old content or the new, whole.

    Temporary file in the same folder, fsync, rename, fsync of the folder.
    """
    data = content.encode() if isinstance(content, str) else content
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON value for people and programs, atomically."""
    write_atomic(path, json_text(value))


def json_text(value: Any) -> str:
    """Return a JSON value as the text of a file."""
    return _encodable(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)) + "\n"


def _encodable(text: str) -> str:
    """Return JSON in which bytes of a path that are no UTF-8 are spelled out, as text that any program reads."""
    return text if text.isascii() else _NO_TEXT.sub(lambda found: "\\" + ascii(found[0])[1:-1], text)


def write_digested_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON object with its own digest, atomically: a file that stands alone, in a folder without manifest."""
    write_json(path, {**value, DIGEST_FIELD: json_digest(value)})


def read_digested_json(path: Path, *, schema: int | None = None) -> dict[str, Any]:
    """Read what `write_digested_json` wrote; one flipped bit is a `FormatError`."""
    value = read_json(path, schema=schema)
    found = value.pop(DIGEST_FIELD, None)
    if found != json_digest(value):
        raise FormatError(f"{path} is not what was written: it was changed or damaged. Remove it, or copy it again.")
    return value


def read_json(path: Path, *, schema: int | None = None) -> dict[str, Any]:
    """Read a JSON object; a damaged file, or one of another schema version than `schema`, is a `FormatError`."""
    try:
        content = read_regular(path, most_bytes=MOST_JSON_BYTES)
    except OSError as error:
        raise FormatError(f"{path} can't be read: {error.strerror or error}.") from error
    return json_object(content, path, schema=schema)


def json_object(content: bytes, path: Path, *, schema: int | None = None) -> dict[str, Any]:
    """Return the JSON object in the content of `path`; raises `FormatError` as `read_json` does."""
    try:
        value = parse_json(content)
    except ValueError as error:
        raise FormatError(f"{path} can't be read as JSON: {error}.") from error
    if not isinstance(value, dict):
        raise FormatError(f"{path} holds a {type(value).__name__}, wanted a JSON object.")
    if schema is not None:
        check_schema(value.get("schema_version"), schema, path)
    return value


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Return a temporary path beside `path`; what was written there takes its place when the block ends well."""
    make_folder(path.parent)
    with storage_errors(path), unfinished_file(path.parent) as temporary:
        yield temporary
        _sync(temporary)
        temporary.replace(path)
        _sync(path.parent)


@contextlib.contextmanager
def atomic_folder(path: Path, *, known_by: Sequence[str] = ()) -> Iterator[Path]:
    """Return a temporary folder that becomes `path` when the block ends well; an older `path` is replaced.

    `known_by` names files, one of which a folder of ours has: another folder is not replaced, but a `StorageError`.
    """
    make_folder(path.parent)
    if known_by:
        check_replaceable(path, known_by=known_by)
    with storage_errors(path), unfinished_folder(path.parent) as temporary:
        yield temporary
        for file in sorted(temporary.rglob("*")):
            _sync(file)
        _sync(temporary)
        _replace_folder(temporary, path)
        _sync(path.parent)


def check_replaceable(path: Path, *, known_by: Sequence[str]) -> None:
    """Raise `StorageError` where something else than a folder of ours, or an empty one, stands at `path`."""
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        kind = "a file" if path.is_file() else "a pipe, a device or a socket"
        what = "a symbolic link" if path.is_symlink() else kind
        raise StorageError(f"{path} is {what}; wanted a new folder. Nothing was changed: give another name.")
    if path.is_dir() and not any((path / name).is_file() for name in known_by) and any(path.iterdir()):
        raise StorageError(
            f"{path} holds other files (it has no {known_by[0]} of goldenrule's), and would be replaced. "
            "Nothing was changed: give the name of a new folder."
        )


def _replace_folder(new: Path, path: Path) -> None:
    if not path.exists():
        new.rename(path)
        return
    if _exchanged(new, path):
        return  # what is old goes with the temporary folder
    with unfinished_folder(path.parent) as old:
        path.rename(old / path.name)
        new.rename(path)


def _exchanged(one: Path, other: Path) -> bool:
    """Swap two folders in one step, so that no moment is without either; False where the system can't (not Linux)."""
    renameat2 = getattr(ctypes.CDLL(None), "renameat2", None) if sys.platform == "linux" else None
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    return renameat2 is not None and renameat2(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0


def _sync(path: Path) -> None:
    if os.name == "nt" and path.is_dir():
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
