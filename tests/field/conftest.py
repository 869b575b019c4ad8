"""Folders of pictures as people have them, drawn by the tests: each class has its own hue."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

HUES = {"cats": 0, "dogs": 1, "horses": 2, "cat": 0, "dog": 1, "horse": 2, "ill": 0, "well": 1}
Draw = Callable[..., Path]


@pytest.fixture
def draw(tmp_path: Path) -> Draw:
    """Draw `folder/NAME` for each name; the hue is that of the class, by default the name of the picture's folder."""

    def drawn(names: Iterable[str] | dict[str, str], folder: str = "set") -> Path:
        root = tmp_path / folder
        classes = names if isinstance(names, dict) else {name: Path(name).parent.name for name in names}
        for name, label in classes.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            draws = np.random.default_rng(zlib.crc32(name.encode()))
            pixels = draws.integers(0, 90, size=(40, 48, 3))
            pixels[:, :, HUES.get(label, zlib.crc32(label.encode()) % 3)] += 150
            Image.fromarray(pixels.astype(np.uint8)).save(path)
        return root

    return drawn
