"""Augmentation: random views of a picture whose parameters are drawn by what they are for.

`Augmentation` = sample(generator) -> `Warp`, apply(warp, canvas) -> pixels. The generator is keyed by (seed,
view or epoch, image digest), so that a view has the same parameters on any machine and in any order.
`kinds` names the usual ones, `custom` makes one of a user's function.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

import msgspec
import numpy as np
import numpy.typing as npt
from PIL import Image

from goldenrule.core.errors import FormatError, OptionError
from goldenrule.core.randomness import generator
from goldenrule.core.schema import Count, as_json, as_type, fields_as_json, from_json, reads
from goldenrule.data.augmentation.custom_change import CustomChange
from goldenrule.data.augmentation.policies import CHANGES, changed

VERSION = 3

Crop = Literal["random", "centre", "resized"]
"""Where a view is cut: the network's size anywhere on the canvas, or in its middle, or a window of random area
and shape that is then brought to the network's size (Szegedy et al. 2015, "Going deeper with convolutions")."""
SMALLEST_WINDOW, WIDEST_WINDOW = 0.35, 4 / 3
"""A random window has at least this share of the canvas, and its sides are at most in this proportion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Warp:
    """The parameters of one view: what `Augmentation.sample` drew."""

    degrees: float  # counter-clockwise
    zoom: float  # 1: the crop has the network's size on the canvas
    shift: tuple[float, float]  # where the crop lies in the free space, (down, right), -1..1
    brightness: float  # added, in units of the full range
    contrast: float  # factor around the picture's mean
    turns: int  # quarter turns, after all else
    mirrored: bool
    shear: float = 0.0  # how far the top moves against the bottom, as a share of the height
    change: str = "identity"  # one of `policies.CHANGES`, after light
    strength: float = 0.0  # of that change, -1..1
    window: tuple[float, float] | None = None  # share of the canvas and width / height of a random window
    custom: int | None = None  # the seed of the user's own change, the last of all


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """A kind of random view, a plain JSON value."""

    name: str
    symmetry: Literal["none", "mirror", "square"] = "none"
    rotate_degrees: float = 10.0
    rotate_probability: float = 0.75
    lighting: float = 0.05  # brightness and contrast
    max_zoom: float = 1.0
    min_zoom: float = 1.0  # below 1 the picture gets smaller, with a reflected rim
    shear: float = 0.0
    contrast: float = 0.0  # more of it than `lighting` says
    policy: Literal["none", "trivial"] = "none"
    crop: Crop = "random"
    custom: CustomChange | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.max_zoom <= 4:
            raise OptionError(f"max_zoom={self.max_zoom}: wanted 1 (no zoom) to 4.")
        if not 0.75 <= self.min_zoom <= 1:
            raise OptionError(f"min_zoom={self.min_zoom}: wanted .75 to 1 (never smaller).")
        if not 0 <= self.shear <= 0.25:
            raise OptionError(f"shear={self.shear}: wanted 0 (none) to .25.")
        for name in ("rotate_degrees", "rotate_probability", "lighting", "contrast"):
            if not 0 <= getattr(self, name) <= 360:
                raise OptionError(f"{name}={getattr(self, name)}: wanted 0 (none) or more.")
        if self.crop not in get_args(Crop):
            raise OptionError(f"crop={self.crop!r}: wanted one of {', '.join(get_args(Crop))}.")

    @property
    def rim(self) -> float:
        """How wide the reflected rim of a canvas has to be, as a share of the view's side."""
        return 1 / 6 if self.min_zoom == 1 and not self.shear else 0.4

    def sample(self, draws: np.random.Generator) -> Warp:
        """Draw the parameters of one view."""
        turned = draws.random() < self.rotate_probability
        degrees = draws.uniform(-self.rotate_degrees, self.rotate_degrees)
        zoom = draws.uniform(self.min_zoom, self.max_zoom)
        down, right = draws.uniform(-1, 1, size=2)
        brightness, contrast = draws.uniform(-self.lighting, self.lighting, size=2)
        mirrored, turns = bool(draws.random() < 0.5), int(draws.integers(4))
        shear, more = draws.uniform(-self.shear, self.shear), draws.uniform(-self.contrast, self.contrast)
        change, strength = tuple(CHANGES)[draws.integers(len(CHANGES))], draws.uniform(-1, 1)
        contrast += more
        share, shape = draws.uniform(SMALLEST_WINDOW, 1), draws.uniform(-1, 1)
        seed = int(draws.integers(2**63))
        return Warp(
            degrees=float(degrees) if turned else 0.0,
            zoom=float(zoom),
            shift=(0.0, 0.0) if self.crop == "centre" else (float(down), float(right)),
            brightness=float(brightness),
            contrast=float(1 + contrast if contrast > 0 else 1 / (1 - contrast)),
            turns=turns if self.symmetry == "square" else 0,
            mirrored=mirrored and self.symmetry != "none",
            shear=float(shear),
            change=change if self.policy == "trivial" else "identity",
            strength=float(strength) if self.policy == "trivial" else 0.0,
            window=(float(share), float(WIDEST_WINDOW**shape)) if self.crop == "resized" else None,
            custom=seed if self.custom else None,
        )

    def apply(self, warp: Warp, canvas: npt.NDArray[np.float32], size: int) -> npt.NDArray[np.float32]:
        """Return a view (size, size, 3), values 0-255, of a canvas (height, width, 3), reflected at its edges."""
        return self.apply_to(warp, Reflected.of(canvas, size, rim=self.rim))

    def apply_to(self, warp: Warp, source: Reflected) -> npt.NDArray[np.float32]:
        """Return a view as `apply` does, of a canvas that was made ready for several views."""
        matrix = affine(warp, source)
        image = source.image.transform(
            (source.size, source.size), Image.Transform.AFFINE, matrix, resample=Image.Resampling.BILINEAR
        )
        view = changed(_lit(np.asarray(image, dtype=np.float32), warp), warp.change, warp.strength)
        view = np.rot90(view, warp.turns)
        view = view[:, ::-1] if warp.mirrored else view
        return self.custom.applied(view, np.random.default_rng(warp.custom)) if self.custom else view


@dataclass(frozen=True, slots=True, eq=False)
class Reflected:
    """A canvas as 8-bit picture with a reflected margin: what several views of one image are cut from."""

    image: Image.Image
    margin: int
    size: int

    @property
    def bytes(self) -> int:
        """What it takes in memory."""
        return 3 * self.image.width * self.image.height

    @classmethod
    def of(cls, canvas: npt.NDArray[np.float32], size: int, *, rim: float = 1 / 6) -> Reflected:
        """Make it from a canvas (height, width, 3), values 0-255, for views of `size` px with a rim of that share."""
        margin = min(int(size * rim), *(side - 1 for side in canvas.shape[:2]))
        picture = np.clip(canvas + np.float32(0.5), 0, 255).astype(np.uint8)
        padded = np.pad(picture, ((margin, margin), (margin, margin), (0, 0)), mode="reflect")
        return cls(Image.fromarray(padded), margin, size)


def affine(warp: Warp, source: Reflected) -> tuple[float, float, float, float, float, float]:
    """Return (a, b, c, d, e, f): the view's point (x, y) lies at (ax + by + c, dx + ey + f) of the reflected picture.

    Before quarter turns and mirroring; in px, from the upper left corners.
    """
    size, margin = source.size, source.margin
    width, height = (side - 2 * margin for side in source.image.size)
    tall, wide = _window(warp.window, height, width) if warp.window else (size, size)
    tall, wide = tall / warp.zoom, wide / warp.zoom
    middle_y = margin + height / 2 + warp.shift[0] * max(height - tall, 0) / 2
    middle_x = margin + width / 2 + warp.shift[1] * max(width - wide, 0) / 2
    cosine, sine = math.cos(math.radians(warp.degrees)), math.sin(math.radians(warp.degrees))
    right, below = cosine, cosine * warp.shear - sine
    down, under = sine, sine * warp.shear + cosine
    a, b, d, e = right * wide / size, below * wide / size, down * tall / size, under * tall / size
    return a, b, middle_x - (a + b) * size / 2, d, e, middle_y - (d + e) * size / 2


def _window(window: tuple[float, float], height: float, width: float) -> tuple[float, float]:
    """Return the (height, width) of a window with that share of the area and that proportion, as far as it fits in."""
    share, shape = window
    tall = min(math.sqrt(share * height * width / shape), height, width / shape)
    return tall, tall * shape


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One deterministic way to turn a file into pixels: plain, or augmentation number `index` (from 1)."""

    augmentation: Augmentation | None = None
    index: int = 0
    seed: int = 0

    def warp(self, digest: bytes) -> Warp | None:
        """Return the parameters for an image, None for the plain view."""
        if self.augmentation is None:
            return None
        return self.augmentation.sample(generator(self.seed, "view", self.index, digest))


class _Augmented(msgspec.Struct, forbid_unknown_fields=True):
    """A view that is not plain, as JSON."""

    kind: Literal["augmented"]
    by: dict[str, Any]
    index: Count
    seed: Count


@as_json.register(Augmentation)
def _(value: Augmentation) -> dict[str, Any]:
    return fields_as_json(value) | {"version": VERSION}  # of the arithmetic


@reads(Augmentation)
def _(value: Any) -> Augmentation:
    if value.get("version") != VERSION:
        raise FormatError(f"Augmentation version {value.get('version')!r}; this goldenrule knows {VERSION}.")
    if value.get("custom") is not None:
        raise FormatError(f"Only who has the function {value['custom'].get('name')!r} can make these views again.")
    plain = {name: item for name, item in value.items() if name not in ("version", "custom")}
    return as_type(plain, Augmentation, what="this augmentation", optional={"custom"})


@as_json.register(View)
def _(value: View) -> dict[str, Any]:
    """Return what the pixels of this view depend on beside the image and the preprocessing."""
    if value.augmentation is None:
        return {"kind": "plain"}
    by = as_json(value.augmentation)
    return {"kind": "augmented", "by": by, "index": value.index, "seed": value.seed}


@reads(View)
def _(value: Any) -> View:
    if value == {"kind": "plain"}:
        return PLAIN
    found = as_type(value, _Augmented, what="this view")
    return View(augmentation=from_json(found.by, Augmentation), index=found.index, seed=found.seed)


PLAIN = View()
VIEW_SEED = 0
"""The seed of the cache's views: one for all runs, so that they share features (law 3)."""


def views(augmentation: Augmentation | None, count: int) -> tuple[View, ...]:
    """Return the plain view and `count` augmented ones."""
    if count < 0:
        raise OptionError(f"--views {count}: wanted the number of augmented views per image, 0 or more.")
    if augmentation is None:
        return (PLAIN,)
    more = (View(augmentation=augmentation, index=index + 1, seed=VIEW_SEED) for index in range(count))
    return (PLAIN, *more)


def _lit(view: npt.NDArray[np.float32], warp: Warp) -> npt.NDArray[np.float32]:
    """Brightness and contrast as in fast.ai 0.7: (x - mean) * contrast + mean + brightness, clipped."""
    mean = float(view.mean())
    lit = (view - mean) * np.float32(warp.contrast) + np.float32(mean + 255 * warp.brightness)
    return np.asarray(np.clip(lit, 0, 255), np.float32)
