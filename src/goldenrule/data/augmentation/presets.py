"""The usual kinds of augmentation, by name.

Those of fast.ai 0.7: basic (rotate 10 degrees with probability .75, lighting .05), side_on (and a horizontal flip),
top_down (and the 8 symmetries of a square), each with a zoom up to `max_zoom`; beside them keras (shear, zoom, flip,
contrast) and trivial (TrivialAugment, `policies`).
"""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path

from goldenrule.core.errors import OptionError
from goldenrule.core.functions import from_file
from goldenrule.data.augmentation.augment import Augmentation, Crop
from goldenrule.data.augmentation.custom_change import CustomChange, PictureChange
from goldenrule.storage.files import file_digest


def basic(*, max_zoom: float = 1.0, crop: Crop = "random") -> Augmentation:
    """Rotate by up to 10 degrees (probability .75), lighting .05, random crop."""
    return Augmentation(name="basic", max_zoom=max_zoom, crop=crop)


def side_on(*, max_zoom: float = 1.0, crop: Crop = "random") -> Augmentation:
    """Add a horizontal flip to `basic`: photos taken from the side (animals, products, scenes)."""
    return replace(basic(max_zoom=max_zoom, crop=crop), name="side_on", symmetry="mirror")


def top_down(*, max_zoom: float = 1.0, crop: Crop = "random") -> Augmentation:
    """Add the 8 symmetries of a square to `basic`: pictures without an up (satellite, microscope, surfaces)."""
    return replace(basic(max_zoom=max_zoom, crop=crop), name="top_down", symmetry="square")


def keras(*, max_zoom: float = 1.2, crop: Crop = "random") -> Augmentation:
    """Shear .2, zoom .8 to 1.2, horizontal flip and contrast .2: what Keras tutorials use."""
    return Augmentation(
        name="keras",
        symmetry="mirror",
        rotate_probability=0.0,
        lighting=0.0,
        max_zoom=max(1.2, max_zoom),
        min_zoom=0.8,
        shear=0.2,
        contrast=0.2,
        crop=crop,
    )


def trivial(*, max_zoom: float = 1.0, crop: Crop = "random") -> Augmentation:
    """TrivialAugment: a random crop, a horizontal flip, and one change of a list at a random strength."""
    return Augmentation(
        name="trivial",
        symmetry="mirror",
        rotate_probability=0.0,
        lighting=0.0,
        max_zoom=max_zoom,
        policy="trivial",
        crop=crop,
    )


def custom(change: PictureChange, *, after: Augmentation | None = None, key: str | None = None) -> Augmentation:
    """Change the views of `after`, or else random crops, with a function of your own.

    `change(picture, random)` gets uint8 (size, size, 3) and a numpy generator, and gives a picture of that shape. It
    has to draw from that generator alone: then a view is the same in any order, on any thread and after any
    interruption. What was made by it is kept under its source, or under `key`; change the key where something
    changes that it takes from elsewhere. Raises `OptionError` for a function without source or key.
    """
    base = after or Augmentation(name="crops", rotate_probability=0.0, lighting=0.0)
    made = CustomChange.of(change, key)
    return replace(base, name=f"{base.name} + {made.name}", custom=made)


def stronger(augmentation: Augmentation) -> Augmentation:
    """Return the same kind with much more light and zoom: where few objects were photographed in few lights.

    >>> more = stronger(side_on())
    >>> more.symmetry, more.lighting, more.max_zoom
    ('mirror', 0.3, 1.25)
    """
    return replace(augmentation, lighting=max(0.3, augmentation.lighting), max_zoom=max(1.25, augmentation.max_zoom))


AUGMENTATIONS = {
    "auto": side_on,
    "none": None,
    "basic": basic,
    "side_on": side_on,
    "top_down": top_down,
    "keras": keras,
    "trivial": trivial,
}
"""`auto` is `side_on`, until a recipe knows that the pictures are no ordinary photos."""


def by_name(name: str, *, max_zoom: float = 1.1, crop: Crop = "random") -> Augmentation | None:
    """Return the augmentation a command line names; `none` gives None.

    FILE.py:NAME is a user's own: a function for `own`, or an `Augmentation`. It is kept under the digest of the file.
    """
    if ".py:" in name:
        return replace(_from_file(name, _digest_of_file(name)), crop=crop)
    if name not in AUGMENTATIONS:
        raise OptionError(f"--augment {name}: wanted one of {', '.join(AUGMENTATIONS)}, or FILE.py:NAME.")
    make = AUGMENTATIONS[name]
    return make(max_zoom=max_zoom, crop=crop) if make else None


def _digest_of_file(reference: str) -> str:
    path = Path(reference.rpartition(":")[0]).expanduser()
    return file_digest(path) if path.is_file() else ""


@functools.lru_cache(maxsize=8)
def _from_file(reference: str, digest: str) -> Augmentation:
    """Run a file once as long as it stays the same."""
    found = from_file(reference)
    if isinstance(found, Augmentation):
        return replace(found, custom=replace(found.custom, key=digest)) if found.custom else found
    if not callable(found):
        raise OptionError(f"--augment {reference}: wanted a function (picture, random) or an Augmentation.")
    return custom(found, key=digest)
