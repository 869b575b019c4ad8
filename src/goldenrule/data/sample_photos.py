"""The two photos that ship with scikit-learn, read without importing it: that takes longer than most of a fit."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from goldenrule.data.pictures.formats import opened_picture

NAMES = ("china.jpg", "flower.jpg")


def sample_photos() -> tuple[Any, ...]:
    """Return the photos (height, width, 3) as `sklearn.datasets.load_sample_images` gives them."""
    found = find_spec("sklearn")
    assert found is not None
    assert found.origin is not None
    folder = Path(found.origin).parent / "datasets" / "images"
    return tuple(np.asarray(opened_picture((folder / name).read_bytes())) for name in NAMES)
