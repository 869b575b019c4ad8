"""Colours of 8 bits: alpha laid over white, and the colours of a profile as those of sRGB."""

from __future__ import annotations

import functools
import io

import numpy as np
from PIL import Image, ImageCms

from goldenrule.core.errors import UnreadableImage

LARGEST_PROFILE_BYTES = 16 << 20
"""A colour profile of more bytes is none: the largest that printers come with have eight million."""
SRGB_LEVELS = 2
"""A colour profile that moves no colour by more levels than these is taken for sRGB itself."""


def is_recoloured(image: Image.Image) -> bool:
    """Return whether a profile makes the colours of a picture others than the bare numbers say."""
    profile, flat = profile_of(image), image.mode if image.mode in ("L", "CMYK") else "RGB"
    return profile is not None and _to_srgb(profile, flat) is not None


def profile_of(image: Image.Image) -> bytes | None:
    """Return the ICC profile of a picture; raises `UnreadableImage` for one that is too large."""
    profile = image.info.get("icc_profile")
    if not isinstance(profile, bytes) or not profile:
        return None
    if len(profile) > LARGEST_PROFILE_BYTES:
        raise UnreadableImage(
            f"a colour profile of {len(profile):,} bytes",
            f"a colour profile of {LARGEST_PROFILE_BYTES:,} at most",
        )
    return profile


def srgb(flat: Image.Image, profile: bytes | None) -> Image.Image:
    """Return a picture without alpha as RGB, its colours those of sRGB."""
    transform = _to_srgb(profile, flat.mode) if profile is not None else None
    moved = ImageCms.applyTransform(flat, transform) if transform is not None else None
    return flat.convert("RGB") if moved is None else moved


def flat_colours(image: Image.Image, alpha: bool) -> Image.Image:
    """Return a picture of 8 bits without alpha: L, RGB or CMYK."""
    if alpha:
        return over_white((image.convert("LA") if image.mode == "La" else image).convert("RGBA"))
    if image.mode == "LAB":
        lab = ImageCms.applyTransform(image, _from_lab())
        assert lab is not None
        return lab
    return image if image.mode in ("L", "RGB", "CMYK") else image.convert("RGB")


def over_white(image: Image.Image) -> Image.Image:
    """Return an RGBA picture as RGB, laid over white."""
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


@functools.cache
def _from_lab() -> ImageCms.ImageCmsTransform:
    return ImageCms.buildTransform(ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB")


@functools.lru_cache(maxsize=16)
def _to_srgb(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return the way from a profile's colours to sRGB; None where there is nothing to do, or the profile is none."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
        if mode == "CMYK":
            return transform
        levels = np.stack(np.meshgrid(*[np.arange(0, 256, 15, dtype=np.uint8)] * 3), axis=-1).reshape(1, -1, 3)
        colours = Image.fromarray(levels).convert(mode)
        moved = np.asarray(ImageCms.applyTransform(colours, transform)).astype(int) - np.asarray(colours.convert("RGB"))
        return transform if np.abs(moved).max() > SRGB_LEVELS else None
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None
