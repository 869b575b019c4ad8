"""The demo set: scikit-learn's 1,797 handwritten digits as PNG class folders."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from goldenrule.core.errors import OptionError
from goldenrule.runs.options import FitOptions
from goldenrule.storage.files import atomic_folder

DIGITS_OPTIONS = FitOptions(quick=True, augment="basic", views=2)  # a mirrored 2 is no 2; two views keep the demo short
SCALE = 8
NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def write_digits(folder: Path) -> Path:
    """Write FOLDER/CLASS/0000.png, 64 x 64 px, and give the folder; one that is there stays as it is.

    From Alpaydin & Kaynak, "Optical Recognition of Handwritten Digits", UCI, 1998, as scikit-learn ships it.
    """
    if folder.is_dir():
        if not all((folder / name).is_dir() for name in NAMES):
            raise OptionError(f"{folder} holds something else than the digits, and stays: give another --folder.")
        return folder
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    with atomic_folder(folder) as temporary:
        for name in NAMES:
            (temporary / name).mkdir()
        for number, (picture, label) in enumerate(zip(digits.images, digits.target, strict=True)):
            grey = np.rint(255 - picture * (255 / 16)).astype(np.uint8).repeat(SCALE, 0).repeat(SCALE, 1)
            content = io.BytesIO()
            Image.fromarray(grey).save(content, "PNG")
            (temporary / NAMES[int(label)] / f"{number:04d}.png").write_bytes(content.getvalue())
    return folder
