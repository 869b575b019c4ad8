"""From a file's bytes to RGB pixels: one function, whatever comes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image

from goldenrule.core.errors import UnreadableImage
from goldenrule.data.pictures.colours import flat_colours, is_recoloured, over_white, profile_of, srgb
from goldenrule.data.pictures.decoding_memory import room
from goldenrule.data.pictures.deep_pixels import (
    BAND_ROWS,
    NARROW_BELOW,
    Deep,
    Levels,
    Used,
    check_upper_bits,
    eight_bits,
    is_deep,
    is_multiplied,
    is_odd_portable,
    portable_values,
    stored_bits,
)
from goldenrule.data.pictures.header import has_alpha, is_plain_jpeg, opened, orientation_of

DECODING = 4
"""The version of `decode`: features of another one are computed anew (law 3)."""
DARK = 64
"""Of 256 levels: a quarter."""
BEYOND = 0.01
"""A share of values outside the levels that is worth a word: fewer may be hot pixels."""

Pixels = npt.NDArray[np.uint8]
_NOTHING: Pixels = np.empty((0, 0, 3), np.uint8)


@dataclass(slots=True)
class Decoded:
    """RGB uint8 (height, width, 3), upright, and the share of values that lay outside the levels.

    `dark` is a picture of more than 8 bits, seen without levels, that has no value in three quarters of its range.
    """

    pixels: Pixels
    beyond: float = 0.0
    dark: bool = False


def decode(content: bytes, *, least_side: int | None = None, levels: Levels | None = None) -> Pixels:
    """Return the picture in `content` as RGB uint8 (height, width, 3), upright.

    EXIF orientation is applied; the colours of an ICC profile become those of sRGB; alpha is laid over white;
    values of more than 8 bits are scaled; the first frame of an animation is taken. Plain JPEGs go through
    libjpeg-turbo directly (bit-equal to Pillow, about twice as fast); whatever it refuses, Pillow decides. With
    `least_side` a plain JPEG is decoded at 1/2, 1/4 or 1/8 of its size as long as its shorter side keeps so many px:
    several times as fast for large photos, and other pixels. `levels` are the values of more than 8 bits that become
    black and white, by default 0 and all bits set; pictures of 8 bits know none. Raises `UnreadableImage` with the
    reason.
    """
    with decoded(content, least_side=least_side, levels=levels) as found:
        return found.pixels


@contextlib.contextmanager
def decoded(content: bytes, *, least_side: int | None = None, levels: Levels | None = None) -> Iterator[Decoded]:
    """Decode as `decode` does, and keep the memory for it reserved while the block runs (`room`)."""
    with contextlib.ExitStack() as held:
        found = _decoded(content, least_side, levels, held)
        try:
            yield found
        finally:
            found.pixels = _NOTHING  # before its room is another's


@contextlib.contextmanager
def shown(content: bytes, *, used: Used | None = None, least_side: int | None = None) -> Iterator[Decoded]:
    """Decode as `decoded` does, for eyes: a picture of more than 8 bits is stretched to the values it uses.

    What is learned from is never stretched one by one; but many such pictures would be shown black. `used` are these
    values where they are known: to find them the picture is decoded. `least_side` as for `decode`.
    """
    used = used or used_range(content)
    levels = (used.usual_low, used.usual_high) if used and used.usual_low < used.usual_high else None
    with decoded(content, levels=levels, least_side=least_side) as found:
        yield found


def _decoded(content: bytes, least_side: int | None, levels: Levels | None, held: contextlib.ExitStack) -> Decoded:
    with opened(content) as image:
        plain = is_plain_jpeg(image.format, image.mode) and not is_recoloured(image)
        divisor = _divisor(image.size, least_side) if plain else 1
        held.enter_context(_room_for(image, content, divisor))
        if plain and (pixels := _fast_jpeg(content, divisor)) is not None:
            return Decoded(upright(pixels, orientation_of(image)))
        deep = is_deep(image.mode, stored_bits(image, content))
        found = _loaded(image, content, levels)  # a TIFF is turned by this
        dark = deep and levels is None and bool(found.pixels.max() < DARK)
        return Decoded(upright(found.pixels, orientation_of(image)), found.beyond, dark)


def _room_for(image: Image.Image, content: bytes, divisor: int = 1) -> contextlib.AbstractContextManager[None]:
    return room(
        image.width * image.height,
        kind=image.format or "",
        deep=is_deep(image.mode, stored_bits(image, content)),
        progressive=bool(image.info.get("progressive")),
        divisor=divisor,
    )


def used_range(content: bytes) -> Used | None:
    """Return the values that a picture of more than 8 bits uses; None for all others.

    Of a colour picture that uses the upper bits, only the high bytes are looked at.
    """
    with opened(content) as image:
        if not is_deep(image.mode, stored_bits(image, content)):
            return None
        with _room_for(image, content):
            found = Deep(image, content, low_bytes=False).used()
            if image.mode not in ("RGB", "RGBA") or found.high >= NARROW_BELOW:
                return found
            with opened(content) as again:
                return Deep(again, content).used()


def upright(pixels: Pixels, orientation: int) -> Pixels:
    """Turn stored pixels (height, width, ...) upright; `orientation` as in EXIF 2.3, tag 0x0112."""
    match orientation:
        case 2:
            return pixels[:, ::-1]
        case 3:
            return pixels[::-1, ::-1]
        case 4:
            return pixels[::-1]
        case 5:
            return pixels.transpose(1, 0, 2)
        case 6:
            return np.rot90(pixels, -1)
        case 7:
            return pixels[::-1, ::-1].transpose(1, 0, 2)
        case 8:
            return np.rot90(pixels)
        case _:
            return pixels


def _divisor(size: tuple[int, int], least_side: int | None) -> int:
    """Return by how much a picture can be shrunk while decoding: powers of two are those that pay."""
    if least_side is None:
        return 1
    return next(divisor for divisor in (8, 4, 2, 1) if divisor == 1 or min(size) >= divisor * least_side)


def _fast_jpeg(content: bytes, divisor: int) -> Pixels | None:
    try:
        if divisor == 1:
            return np.asarray(simplejpeg.decode_jpeg(content, "RGB"))
        height, width, *_ = simplejpeg.decode_jpeg_header(content)
        least = {"min_height": -(-height // divisor), "min_width": -(-width // divisor)}
        return np.asarray(simplejpeg.decode_jpeg(content, "RGB", **least))
    except ValueError:
        return None


def _loaded(image: Image.Image, content: bytes, levels: Levels | None) -> Decoded:
    """Return RGB of a picture that is decoded now, in bands: beside both, little memory is needed."""
    profile, gray = profile_of(image), image.mode.startswith(("I", "F"))
    if gray or (levels is not None and is_deep(image.mode, stored_bits(image, content))):
        return _deep_pixels(Deep(image, content), levels, profile)
    if is_odd_portable(image):
        values = portable_values(image, content)
        image = Image.fromarray(values if values.dtype == np.uint8 else eight_bits(values, (0, 65535)))
    if is_multiplied(image) and stored_bits(image, content) > 8:
        check_upper_bits(Deep(image, content, low_bytes=False))
    image.load()
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    alpha = has_alpha(image, content)
    for top in range(0, image.height, BAND_ROWS):
        bottom = min(top + BAND_ROWS, image.height)
        whole = bottom - top == image.height
        band = image if whole else image.crop((0, top, image.width, bottom))
        pixels[top:bottom] = np.asarray(srgb(flat_colours(band, alpha), profile))
    return Decoded(pixels)


def _deep_pixels(deep: Deep, levels: Levels | None, profile: bytes | None) -> Decoded:
    if levels is None:
        _check_scale(deep)
    wanted = levels or deep.full
    width, height = deep.image.size
    pixels = np.empty((height, width, 3), np.uint8)
    alpha, beyond, count = deep.image.mode == "RGBA" and has_alpha(deep.image, deep.content), 0, 0
    for top, bottom, values in deep.bands():
        flat = Image.fromarray(eight_bits(values, wanted, inverted=deep.inverted))
        if alpha:
            flat = over_white(Image.fromarray(np.dstack([np.asarray(flat), deep.alpha(top, bottom)])))
        pixels[top:bottom] = np.asarray(srgb(flat, profile))
        beyond += int(np.count_nonzero((values < wanted[0]) | (values > wanted[1])))
        count += values.size
    return Decoded(pixels, beyond / max(1, count))


def _check_scale(deep: Deep) -> None:
    """Raise `UnreadableImage` for values of which nobody has said what is black and what is white."""
    if not deep.floating and deep.image.mode.startswith("I;16"):
        return
    used = deep.used()
    if deep.floating or used.low < 0 or used.high > 65535:
        kind = "floating-point pixels" if deep.floating else "gray values"
        raise UnreadableImage(
            f"{kind} from {used}",
            "8 or 16 bits, or a fit that is told what is black and white: --levels LOW..HIGH",
        )
