"""Policies: changes of colour and form that are drawn from a list, with a strength drawn too.

TrivialAugment (Müller and Hutter 2021, "TrivialAugment: tuning-free yet state-of-the-art data augmentation"): of
each view one change, all equally likely, at a strength that is uniform over its range; the ranges are those of the
paper's "wide" setting.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageEnhance, ImageOps

Change = Callable[[Image.Image, float], Image.Image]

SHEAR, TURN_DEGREES, SHIFT_PX, ENHANCE = 0.99, 135.0, 32.0, 0.99
FEWEST_BITS, MOST_BITS = 2, 8


def _affine(
    image: Image.Image, *, shear: tuple[float, float] = (0, 0), shift: tuple[float, float] = (0, 0)
) -> Image.Image:
    """Shear around the middle, or shift in px (right, down); what comes in from outside is gray."""
    across, down = shear
    middle_x, middle_y = image.width / 2, image.height / 2
    matrix = (1, across, -across * middle_y - shift[0], down, 1, -down * middle_x - shift[1])
    return image.transform(
        image.size, Image.Transform.AFFINE, matrix, resample=Image.Resampling.BILINEAR, fillcolor=(128, 128, 128)
    )


CHANGES: dict[str, Change] = {
    "identity": lambda image, _: image,
    "shear across": lambda image, strength: _affine(image, shear=(SHEAR * strength, 0)),
    "shear down": lambda image, strength: _affine(image, shear=(0, SHEAR * strength)),
    "shift right": lambda image, strength: _affine(image, shift=(SHIFT_PX * strength, 0)),
    "shift down": lambda image, strength: _affine(image, shift=(0, SHIFT_PX * strength)),
    "turn": lambda image, strength: image.rotate(
        TURN_DEGREES * strength, resample=Image.Resampling.BILINEAR, fillcolor=(128, 128, 128)
    ),
    "brightness": lambda image, strength: ImageEnhance.Brightness(image).enhance(1 + ENHANCE * strength),
    "colour": lambda image, strength: ImageEnhance.Color(image).enhance(1 + ENHANCE * strength),
    "contrast": lambda image, strength: ImageEnhance.Contrast(image).enhance(1 + ENHANCE * strength),
    "sharpness": lambda image, strength: ImageEnhance.Sharpness(image).enhance(1 + ENHANCE * strength),
    "posterize": lambda image, strength: ImageOps.posterize(
        image, round(MOST_BITS - (MOST_BITS - FEWEST_BITS) * abs(strength))
    ),
    "solarize": lambda image, strength: ImageOps.solarize(image, round(255 * (1 - abs(strength)))),
    "autocontrast": lambda image, _: ImageOps.autocontrast(image),
    "equalize": lambda image, _: ImageOps.equalize(image),
}
"""Name to change of an RGB picture; its strength is -1 to 1, 0 being the weakest."""


def changed(view: npt.NDArray[np.float32], name: str, strength: float) -> npt.NDArray[np.float32]:
    """Return a view (height, width, 3), values 0-255, after the change of that name."""
    if name == "identity":
        return view
    picture = Image.fromarray(np.clip(view + np.float32(0.5), 0, 255).astype(np.uint8))
    return np.asarray(CHANGES[name](picture, strength), np.float32)
