"""The one folder that holds what can be computed again: prepared backbones, engines, activation banks."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from goldenrule.foundation.errors import FormatError
from goldenrule.foundation.files import json_digest, read_json, write_json

VARIABLE = "GOLDENRULE_CACHE"


def cache_folder() -> Path:
    """Give the folder named by GOLDENRULE_CACHE, by default the user's cache folder."""
    if named := os.environ.get(VARIABLE):
        return Path(named).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("goldenrule"))


def write_cached(path: Path, value: Any) -> None:
    """Write a JSON value that can be measured again, with its digest."""
    write_json(path, {"value": value, "digest": json_digest(value)})


def read_cached(path: Path) -> Any:
    """Return what `write_cached` wrote; raises `FormatError` for anything else: it is to be measured again."""
    kept = read_json(path)
    if "value" not in kept or kept.get("digest") != json_digest(kept["value"]):
        raise FormatError(f"{path} is not what was written.")
    return kept["value"]
