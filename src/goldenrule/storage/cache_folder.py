"""The one folder that holds what can be computed again: prepared backbones, engines, feature caches."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from goldenrule.storage.files import atomic_folder, read_digested_json, tell_elsewhere, write_digested_json
from goldenrule.storage.unfinished import MARK, leftovers, remove_leftovers, size_of

VARIABLE = "GOLDENRULE_CACHE"


@contextlib.contextmanager
def made_in_cache(folder: Path) -> Iterator[Path]:
    """Return a temporary folder that becomes `folder` of the cache when the block ends well.

    What killed processes left beside it goes first; what living ones are making stays.
    """
    remove_leftovers(folder.parent)
    with atomic_folder(folder) as temporary:
        yield temporary


def cache_leftovers() -> list[Path]:
    """Return what killed processes left unfinished in the cache."""
    folders = {path.parent for path in cache_folder().rglob(f"{MARK}*")}
    return [path for folder in sorted(folders) for path in leftovers(folder)]


def clear_leftovers() -> tuple[int, int]:
    """Remove what killed processes left unfinished in the cache; return how many they were, and their bytes."""
    left = cache_leftovers()
    size = sum(map(size_of, left))
    for folder in {path.parent for path in left}:
        remove_leftovers(folder)
    return len(left), size


def cache_folder() -> Path:
    """Return the folder named by GOLDENRULE_CACHE, by default the user's cache folder."""
    if named := os.environ.get(VARIABLE):
        return Path(named).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("goldenrule"))


def _elsewhere(path: Path) -> str:
    inside = path.resolve().is_relative_to(cache_folder().resolve())
    return f" for the cache of features: the environment variable {VARIABLE} names it" if inside else ""


tell_elsewhere(_elsewhere)


def write_cached(path: Path, value: Any) -> None:
    """Write a JSON value that can be measured again, with its digest."""
    write_digested_json(path, {"value": value})


def read_cached(path: Path) -> Any:
    """Return what `write_cached` wrote; raises `FormatError` for anything else: it is to be measured again."""
    return read_digested_json(path)["value"]
