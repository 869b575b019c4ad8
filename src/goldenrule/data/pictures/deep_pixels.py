"""Pictures of more than 8 bits: their values as they are stored, the range they use, and how they become 8 bits.

A file of 16 bits may hold the 12 bits of a camera (0 to 4,095), temperatures (30,000 to 31,000), a depth map, signed
or floating-point values. What is black and what is white is a matter of the set, never of one picture: stretched one
by one, pictures could not be compared any more. `levels` says it, a part of `Preprocessing`.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from goldenrule.core.errors import OptionError, UnreadableImage
from goldenrule.core.findings import plural
from goldenrule.data.pictures.formats import opened_picture
from goldenrule.data.pictures.tiff import compressed_planes, planes_of

Levels = tuple[float, float]
"""The values that become black and white."""
FULL = "full"
"""What all bits of each file are called."""
BAND_ROWS = 256
"""So many rows at a time are turned into 8 bits."""
SAMPLED = 65_536
"""Of so many values of a picture the range without hot pixels is taken."""
OUTLIERS = 0.001
"""The share of values at either end that may be hot or dead pixels."""

NARROW_BELOW = 2**14
"""A picture of 16 bits whose values are all below this may come from a sensor of fewer."""

_APART = "16-bit colours with alpha beside them"
Values = npt.NDArray[Any]
_BITS, _PHOTOMETRIC = 258, 262
_SWAPPED = {"L": "B", "B": "L", "N": "B" if sys.byteorder == "little" else "L"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """The values that one picture uses: all of them, and without the few at either end."""

    low: float
    high: float
    usual_low: float
    usual_high: float
    bits: int  # how many the file says that a value has
    floating: bool = False

    def __str__(self) -> str:
        return f"{self.low:,g} to {self.high:,g}" if self.floating else f"{self.low:,.0f} to {self.high:,.0f}"


def check_levels(levels: Levels) -> None:
    """Raise `OptionError` unless black and white are two numbers, white the larger."""
    black, white = levels
    if not (math.isfinite(black) and math.isfinite(white) and black < white):
        raise OptionError(f"levels {black:g}..{white:g}: wanted the value of black and that of white, a larger one.")


def levels_text(levels: Levels | None) -> str:
    """Return levels as the option that gives them.

    >>> levels_text((0, 4095)), levels_text((0, 0.5)), levels_text(None)
    ('0..4095', '0..0.5', 'full')
    """
    return FULL if levels is None else "..".join(f"{one:.15g}" for one in levels)


def clipped(count: int, levels: Levels) -> str:
    """Return the sentence on images whose values lie outside of the levels a classifier learned with.

    >>> clipped(1, (0, 4095))
    '1 image has values outside of 0..4095, the levels that were learned: they are cut off there, black or white.'
    """
    return (
        f"{plural(count, 'image')} {'have' if count > 1 else 'has'} values outside of {levels_text(levels)}, the "
        "levels that were learned: they are cut off there, black or white."
    )


def unlevelled(count: int) -> str:
    """Return the sentence on dark images of more than 8 bits that a classifier without levels sees.

    >>> unlevelled(2)
    '2 images of more than 8 bits use less than a quarter of their range, and this classifier saw all bits: dark.'
    """
    return (
        f"{plural(count, 'image')} of more than 8 bits {'use' if count > 1 else 'uses'} less than a quarter of "
        f"{'their' if count > 1 else 'its'} range, and this classifier saw all bits: dark."
    )


def stored_bits(image: Image.Image, content: bytes) -> int:
    """Return how many bits a value of a band has, as the file says; 8 where the decoder makes them 8 by itself."""
    if image.format == "TIFF":
        return int(max(image.tag_v2.get(_BITS, (1,))))  # type: ignore[attr-defined]
    if image.format == "PNG" and content[12:16] == b"IHDR":
        return content[24]
    if is_odd_portable(image) and _maximum(image) > 255:
        return 16
    return 16 if image.mode.startswith("I") else 32 if image.mode == "F" else 8


def is_deep(mode: str, bits: int) -> bool:
    """Return whether a picture has more than 8 bits for the light of each place; inks and palettes do not count."""
    return mode.startswith(("I", "F")) or (bits > 8 and mode in ("RGB", "RGBA"))


class Deep:
    """A picture of more than 8 bits, loaded: gray, or RGB perhaps with alpha.

    Pillow keeps 8 of the 16 bits of a colour: the other 8 are read by decoding once more, with the bytes swapped.
    """

    def __init__(self, image: Image.Image, content: bytes, *, low_bytes: bool = True) -> None:
        self.image, self.content = image, content
        self.bits = stored_bits(image, content)
        self.inverted = image.format == "TIFF" and image.tag_v2.get(_PHOTOMETRIC) == 0  # type: ignore[attr-defined]
        self.floating = image.mode == "F"
        self.colour = image.mode in ("RGB", "RGBA")
        self._values: npt.NDArray[np.uint16] | None = None
        self._low: Image.Image | None = None
        if is_odd_portable(image):
            self._values = portable_values(image, content)
        elif self.colour and low_bytes:
            self._low = _low_bytes(image, content)
        if self._values is None:
            image.load()

    @property
    def full(self) -> Levels:
        """Black and white where no levels are given: the range of the bits that the file says."""
        return (0.0, float(2 ** min(self.bits, 16) - 1))

    def bands(self) -> Iterator[tuple[int, int, Values]]:
        """Return first and last row and the values (rows, width) or (rows, width, 3) of some rows at a time."""
        width, height = self.image.size
        for top in range(0, height, BAND_ROWS):
            bottom = min(top + BAND_ROWS, height)
            if self._values is not None:
                yield top, bottom, self._values[top:bottom]
                continue
            box = (0, top, width, bottom)
            values = np.asarray(self.image.crop(box))
            if self.colour:
                high = values[:, :, :3].astype(np.uint16) << 8
                values = high if self._low is None else high | np.asarray(self._low.crop(box))[:, :, :3]
            if self.floating and not np.isfinite(values).all():
                raise UnreadableImage("it holds NaN or infinity", "a number for every pixel")
            yield top, bottom, values

    def alpha(self, top: int, bottom: int) -> npt.NDArray[np.uint8]:
        """Return the alpha (rows, width, 1) of some rows, 8 bits."""
        return np.asarray(self.image.crop((0, top, self.image.width, bottom)))[:, :, 3:]

    def used(self) -> Used:
        """Return the range of values in use."""
        pixels = self.image.width * self.image.height * (3 if self.colour else 1)
        step = max(1, pixels // SAMPLED)
        lows, highs, some = [], [], []
        for _, _, values in self.bands():
            lows.append(values.min())
            highs.append(values.max())
            some.append(values.reshape(-1)[::step])
        low, high = np.quantile(np.concatenate(some).astype(np.float64), (OUTLIERS, 1 - OUTLIERS))
        return Used(
            low=float(min(lows)),
            high=float(max(highs)),
            usual_low=float(low),
            usual_high=float(high),
            bits=self.bits,
            floating=self.floating,
        )


def eight_bits(values: Values, levels: Levels, *, inverted: bool = False) -> npt.NDArray[np.uint8]:
    """Return values as 0 (black, and whatever is below) to 255 (white, and whatever is above), rounded.

    >>> eight_bits(np.array([0, 2047, 4095, 60000]), (0, 4095)).tolist()
    [0, 127, 255, 255]
    """
    black, white = levels
    scaled = np.clip((values.astype(np.float64) - black) * (255 / (white - black)) + 0.5, 0, 255)
    found = scaled.astype(np.uint8)
    return 255 - found if inverted else found


def is_multiplied(image: Image.Image) -> bool:
    """Return whether the colours of an opened picture are stored multiplied by its alpha."""
    return any("RGBa" in str(tile.args) for tile in getattr(image, "tile", ()))


def check_upper_bits(deep: Deep) -> None:
    """Raise `UnreadableImage` for colours of 16 bits, multiplied by alpha, that use the lower bits only: 8 are read."""
    if deep.used().high < NARROW_BELOW:
        raise UnreadableImage("16-bit colours that are multiplied by alpha, and use the lower bits only", _APART)


def _low_bytes(image: Image.Image, content: bytes) -> Image.Image:
    """Return the low bytes of 16-bit colours as a picture of 8 bits."""
    other = opened_picture(content)
    if compressed_planes(image):
        planes = [opened_picture(plane) for plane in planes_of(content, 3)]
        return Image.merge("RGB", [Image.fromarray(np.asarray(band).astype(np.uint8)) for band in planes])
    tiles = []
    for tile in other.tile:  # type: ignore[attr-defined]
        arguments = (tile.args,) if isinstance(tile.args, str) else tuple(tile.args)
        name = arguments[0]
        if name == "LA;16B":
            return _low_bytes_of_gray(image, other)
        if not name.endswith((";16L", ";16B", ";16N")) or name.startswith("RGBa"):
            raise UnreadableImage("16-bit colours that are multiplied by alpha", _APART)
        swapped = (name[:-1] + _SWAPPED[name[-1]], *arguments[1:])
        tiles.append(tile._replace(args=swapped[0] if isinstance(tile.args, str) else swapped))
    other.tile = tiles  # type: ignore[attr-defined]
    other.load()
    return other


def _low_bytes_of_gray(image: Image.Image, other: Image.Image) -> Image.Image:
    """Return the low bytes of 16-bit gray with alpha, whose four bytes are read as if they were four bands."""
    (tile,) = other.tile  # type: ignore[attr-defined]
    other.tile = [tile._replace(args="RGBA" if isinstance(tile.args, str) else ("RGBA", *tile.args[1:]))]  # type: ignore[attr-defined]
    other.load()
    low = other.getchannel("G")
    return Image.merge("RGB", (low, low, low)) if image.size == other.size else other


def is_odd_portable(image: Image.Image) -> bool:
    """Return whether a picture is a binary PPM whose white is another value than 255, not decoded yet."""
    return image.format == "PPM" and bool(image.tile) and image.tile[0].codec_name == "ppm"  # type: ignore[attr-defined]


def portable_values(image: Image.Image, content: bytes) -> npt.NDArray[Any]:
    """Return the values (height, width) or (height, width, 3) of such a PPM: white is 255, or 65535 of two bytes.

    As Pillow computes them, which takes a minute for every 50 megapixels.
    """
    top, start = _maximum(image), image.tile[0].offset  # type: ignore[attr-defined]
    shape = (image.height, image.width, 3) if image.mode == "RGB" else (image.height, image.width)
    stored, made, white = (np.dtype("u1"), np.uint8, 255) if top < 256 else (np.dtype(">u2"), np.uint16, 65535)
    count = math.prod(shape)
    if len(content) < start + stored.itemsize * count:
        raise UnreadableImage("image file is truncated")
    scaled = np.rint(np.minimum(np.arange(2 ** (8 * stored.itemsize)) / top * white, white)).astype(made)
    return np.asarray(scaled[np.frombuffer(content, stored, count, start).reshape(shape)])


def _maximum(image: Image.Image) -> int:
    return int(image.tile[0].args[-1])  # type: ignore[attr-defined]
