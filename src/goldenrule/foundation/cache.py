"""The one folder that holds what can be computed again: prepared backbones, engines, activation banks."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "GOLDENRULE_CACHE"


def cache_folder() -> Path:
    """Give the folder named by GOLDENRULE_CACHE, by default the user's cache folder."""
    if named := os.environ.get(VARIABLE):
        return Path(named).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("goldenrule"))
