"""The two photos that ship with scikit-learn, read without importing it: that takes longer than most of a fit."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

NAMES = ("china.jpg", "flower.jpg")


def sample_photos() -> tuple[Any, ...]:
    """Return the photos (height, width, 3) as `sklearn.datasets.load_sample_images` gives them."""
    from PIL import Image

    found = find_spec("sklearn")
    assert found is not None
    assert found.origin is not None
    folder = Path(found.origin).parent / "datasets" / "images"
    return tuple(np.asarray(Image.open(folder / name)) for name in NAMES)
