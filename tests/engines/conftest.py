"""Engines run the real backbone here."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def prepared_cache(pretrained_cache: Path) -> Path:
    """Here the real backbone is what is tested."""
    return pretrained_cache
