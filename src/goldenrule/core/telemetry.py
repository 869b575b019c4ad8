"""Telemetry of dependencies: turned off before they are imported (law 13)."""

from __future__ import annotations

import os

SETTINGS = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "DO_NOT_TRACK": "1",
    "TOKENIZERS_PARALLELISM": "false",
}


def quiet_dependencies() -> None:
    """Turn telemetry and chatter of dependencies off, where the user has not said otherwise."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
