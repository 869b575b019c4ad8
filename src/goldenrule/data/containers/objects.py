"""Objects at addresses such as `s3://bucket/photos`: listed once, read one by one, a failing read a few times.

Only addresses that the user names are asked. Credentials, region and endpoint are those of the usual environment
(AWS_ACCESS_KEY_ID, AWS_PROFILE, AWS_REGION, AWS_ENDPOINT_URL ...).
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import time
from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from urllib.parse import urlsplit

from goldenrule.core.errors import SourceError
from goldenrule.core.extras import Late, need
from goldenrule.data.containers.members import Contents, no_such_file, plain_name, too_large, why_refused

fs = Late("pyarrow.fs")
SCHEME = "s3:"
TRIES, PAUSE_SECONDS, PATIENCE_SECONDS = 3, 0.3, 20
BUFFER_BYTES = 1 << 20
MOST_STAMPS = 10_000
Stamp = tuple[int, int, int]
R = TypeVar("R")


def is_address(path: Path) -> bool:
    """Return whether a path is an address of objects: `Path` makes `s3:/bucket` of `s3://bucket`.

    >>> is_address(Path("s3://bucket/photos")), is_address(Path("photos"))
    (True, False)
    """
    return str(path).startswith(f"{SCHEME}/")


def absolute(path: Path) -> Path:
    """Return a path that means the same in every folder; an address does so already."""
    return path if is_address(path) else path.resolve()


def written(path: Path) -> str:
    """Return a path as text, an address as it is usually written.

    >>> written(Path("s3://bucket/photos"))
    's3://bucket/photos'
    """
    return str(path).replace(f"{SCHEME}/", f"{SCHEME}//", 1) if is_address(path) else str(path)


def read_object(path: Path, *, most_bytes: int) -> bytes:
    """Return the bytes of an object. Raises `OSError` where it can't be read in a few tries, or is too large."""

    def once() -> bytes:
        with _system(path).open_input_file(_key(path)) as file:
            if file.size() > most_bytes:
                raise too_large(written(path))
            return bytes(file.read())

    return _tried(once, path)


@contextlib.contextmanager
def opened_object(path: Path) -> Iterator[BinaryIO]:
    """Return an object, open to be read from any place in it."""
    file = _tried(lambda: _system(path).open_input_file(_key(path)), path)
    try:
        yield io.BufferedReader(file, BUFFER_BYTES)
    finally:
        file.close()


@lru_cache(maxsize=MOST_STAMPS)
def stamp_of_object(path: Path) -> Stamp:
    """Return what changes when an object does, as it was when this process first asked. Raises `OSError` for none."""
    found = _info(path)
    if found.type != fs.FileType.File:
        raise no_such_file(written(path))
    return found.size, found.mtime_ns or 0, 0


def is_object(path: Path) -> bool:
    """Return whether there is an object of that name."""
    try:
        return bool(stamp_of_object(path))
    except FileNotFoundError:
        return False
    except OSError as error:
        raise _unreachable(path, error) from error


def has_objects_below(path: Path) -> bool:
    """Return whether the names of some objects go on from this address."""
    try:
        return bool(_info(path).type == fs.FileType.Directory)
    except OSError as error:
        raise _unreachable(path, error) from error


def objects_in(folder: Path, *, folders: bool) -> list[Path]:
    """Return the objects whose names have one more piece than an address, or the `folders` there."""
    wanted = fs.FileType.Directory if folders else fs.FileType.File
    found = _tried(lambda: _system(folder).get_file_info(fs.FileSelector(_key(folder))), folder)
    return [folder / one.base_name for one in found if one.type == wanted]


def objects_below(root: Path) -> dict[str, Stamp]:
    """Return the names below an address, and their stamps. Raises `SourceError` where it can't be listed."""
    key = _key(root)
    try:
        found = _tried(lambda: _system(root).get_file_info(fs.FileSelector(key, recursive=True)), root)
    except OSError as error:
        raise _unreachable(root, error) from error
    return {
        one.path[len(key) :].lstrip("/"): (one.size, one.mtime_ns or 0, 0)
        for one in found
        if one.type == fs.FileType.File
    }


def contents_below(root: Path) -> Contents:
    """Return the names below an address as the contents of an archive."""
    contents = Contents()
    for name in objects_below(root):
        if why := why_refused(name):
            contents.refused[name] = why
        elif plain_name(name) == name:
            contents.files.append(name)
    contents.folders = {name[:at] for name in contents.files for at, sign in enumerate(name) if sign == "/"}
    return contents


def _key(path: Path) -> str:
    return "/".join(path.parts[1:])


def _info(path: Path) -> Any:
    return _tried(lambda: _system(path).get_file_info(_key(path)), path)


def _unreachable(path: Path, error: OSError) -> SourceError:
    said = str(error).splitlines()[0]
    return SourceError(
        f"{written(path)} can't be asked: {said}. Check the address, and AWS_ENDPOINT_URL, AWS_REGION and the "
        "credentials of the environment."
    )


def _system(path: Path) -> Any:
    need("s3", what=f"The address {written(path)}")
    if len(path.parts) < 2:
        raise SourceError(f"{written(path)} names no bucket: wanted s3://BUCKET/PHOTOS.")
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or ""
    return _system_of(endpoint, region, "" if endpoint or region else path.parts[1])


@cache
def _system_of(endpoint: str, region: str, bucket: str) -> Any:
    """Return what talks to a server; where no region is known, the bucket is asked for its own."""
    more: dict[str, Any] = {}
    if endpoint:
        parts = urlsplit(endpoint if "//" in endpoint else f"//{endpoint}")
        more |= {"endpoint_override": parts.netloc + parts.path.rstrip("/"), "scheme": parts.scheme or "https"}
    if bucket:
        with contextlib.suppress(OSError):
            region = fs.resolve_s3_region(bucket)
    if region:
        more["region"] = region
    retry = fs.AwsStandardS3RetryStrategy(max_attempts=TRIES)
    return fs.S3FileSystem(
        retry_strategy=retry, connect_timeout=PATIENCE_SECONDS, request_timeout=PATIENCE_SECONDS, **more
    )


def _tried(once: Callable[[], R], path: Path) -> R:
    """Return what a call gives in one of a few tries. Raises `OSError` with the last reason."""
    for number in range(TRIES):
        try:
            return once()
        except FileNotFoundError:
            raise no_such_file(written(path)) from None
        except OSError as error:
            if number + 1 == TRIES or error.errno == errno.EFBIG:
                raise
            time.sleep(PAUSE_SECONDS * 2**number)
    raise AssertionError
