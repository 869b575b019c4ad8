"""What a picture's file says of itself, and the guarded opening of it."""

from __future__ import annotations

import contextlib
import os
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

from PIL import ExifTags, Image

from goldenrule.core.errors import GoldenRuleError, OptionError, UnreadableImage
from goldenrule.data.pictures.colours import is_recoloured
from goldenrule.data.pictures.decoding_memory import room
from goldenrule.data.pictures.deep_pixels import is_deep, stored_bits
from goldenrule.data.pictures.formats import opened_picture, why_not_decoded

LARGEST_PIXELS = 120_000_000
"""Width x height above which a file is refused: so many pixels take less than 1 GB on their way to RGB."""
LIMIT_VARIABLE = "GOLDENRULE_MAX_PIXELS"
"""The environment variable that sets another limit."""
_ALPHA_MODES = ("RGBA", "LA", "PA", "La", "RGBa")
_USED_BANDS = {"RGB": 3, "RGBA": 3, "CMYK": 4, "YCbCr": 3, "LAB": 3}
_EXTRA_SAMPLES, _SAMPLES_PER_PIXEL = 338, 277
_IS_ALPHA = (1, 2, 999)  # TIFF 6.0: associated, unassociated; Corel's own
_PILLOW = re.compile(r"PIL\.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a picture's file says of itself."""

    format: str  # Pillow's name: JPEG, PNG, WEBP, ...
    mode: str  # Pillow's: RGB, L, RGBA, CMYK, I;16, P, ...
    width: int  # px, as stored
    height: int
    orientation: int  # EXIF 2.3, tag 0x0112; 1: upright
    animated: bool
    recoloured: bool  # an ICC profile makes its colours others than the bare numbers say
    progressive: bool = False  # a JPEG whose decoder keeps more than its pixels
    bits: int = 8  # of a band's value, as stored
    alpha: bool = False  # a band that says how much is seen of the others
    left_out: int = 0  # bands that are neither light nor alpha, such as near-infrared: not used

    @property
    def is_plain_jpeg(self) -> bool:
        """Whether libjpeg-turbo gives the final pixels at once."""
        return is_plain_jpeg(self.format, self.mode) and not self.recoloured

    @property
    def is_deep(self) -> bool:
        """Whether its light has more than 8 bits."""
        return is_deep(self.mode, self.bits)

    @property
    def room(self) -> contextlib.AbstractContextManager[None]:
        """The memory that it is decoded and looked at in, reserved while a block runs."""
        pixels = self.width * self.height
        return room(pixels, kind=self.format, deep=self.is_deep, progressive=self.progressive)


def header(content: bytes) -> Header:
    """Return the header of the picture in `content`; raises `UnreadableImage` with the reason where there is none."""
    with opened(content) as image:
        return _header(image, content)


def taken(content: bytes) -> str | None:
    """Return when a picture was taken, as its EXIF says it ("2026:11:28 10:00:00": sorts as text); None where it can't.

    EXIF 2.3, DateTimeOriginal, else DateTime.
    """
    try:
        with opened(content) as image:
            exif = image.getexif()
            told = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.DateTimeOriginal)
            told = str(told or exif.get(ExifTags.Base.DateTime) or "").strip()
    except UnreadableImage:
        return None
    return told if re.fullmatch(r"(?!0000)[0-9]{4}(:[0-9]{2}){2} [0-9]{2}(:[0-9]{2}){2}", told) else None


def pixel_limit() -> int:
    """Return the number of pixels above which a file is refused."""
    given = os.environ.get(LIMIT_VARIABLE, "")
    if not given:
        return LARGEST_PIXELS
    if not given.isdecimal() or int(given) < 1:
        raise OptionError(f"{LIMIT_VARIABLE}={given}: wanted the largest number of pixels that a picture may have.")
    return int(given)


@contextlib.contextmanager
def opened(content: bytes) -> Iterator[Image.Image]:
    """Open a picture; whatever goes wrong with it inside the block is an `UnreadableImage` with the reason."""
    if not content:
        raise UnreadableImage("the file is empty")
    limit = pixel_limit()
    if Image.MAX_IMAGE_PIXELS is not None and limit > 2 * Image.MAX_IMAGE_PIXELS:  # Pillow refuses from there on
        Image.MAX_IMAGE_PIXELS = limit
    _silence_pillow()
    try:
        with opened_picture(content) as image:
            if image.width * image.height > limit:
                raise UnreadableImage(
                    f"{image.width:,} x {image.height:,} pixels are too many",
                    f"{limit:,} pixels at most ({LIMIT_VARIABLE} sets the limit)",
                )
            yield image
    except GoldenRuleError:
        raise
    except Image.DecompressionBombError as error:
        raise UnreadableImage("the picture has too many pixels") from error
    except MemoryError as error:
        raise UnreadableImage("there is too little memory to decode it") from error
    except Exception as error:
        raise UnreadableImage(why_not_decoded(content, error)) from error


def _header(image: Image.Image, content: bytes) -> Header:
    return Header(
        format=image.format or "",
        mode=image.mode,
        width=image.width,
        height=image.height,
        orientation=orientation_of(image),
        animated=bool(getattr(image, "is_animated", False)),
        recoloured=is_recoloured(image),
        progressive=bool(image.info.get("progressive")),
        bits=stored_bits(image, content),
        alpha=has_alpha(image, content) and image.mode in _ALPHA_MODES,
        left_out=_left_out(image, content),
    )


def _left_out(image: Image.Image, content: bytes) -> int:
    """Return how many bands of a TIFF are neither light nor alpha."""
    if image.format != "TIFF":
        return 0
    samples = int(image.tag_v2.get(_SAMPLES_PER_PIXEL, 1))  # type: ignore[attr-defined]
    used = _USED_BANDS.get(image.mode, 1)
    return max(0, samples - used - has_alpha(image, content))


def has_alpha(image: Image.Image, content: bytes) -> bool:
    """Return whether a picture has a band of alpha: of a TIFF and a TGA only where the file says that it is."""
    if image.mode not in _ALPHA_MODES and "transparency" not in image.info:
        return False
    if image.format == "TGA":
        return bool(content[17] & 15)  # as many bits of alpha, says its descriptor
    if image.format == "TIFF":
        extra = image.tag_v2.get(_EXTRA_SAMPLES, ())  # type: ignore[attr-defined]
        return any(one in _IS_ALPHA for one in extra)
    return True


def is_plain_jpeg(kind: str | None, mode: str) -> bool:
    """Return whether libjpeg-turbo decodes such a picture, but for its colour profile."""
    return kind == "JPEG" and mode in ("RGB", "L")


def _silence_pillow() -> None:
    """Ignore Pillow's remarks on odd EXIF and palettes from now on.

    `warnings.catch_warnings` is not for threads: restored in another order than entered, it would leave all
    warnings of the process ignored.
    """
    if not any(found[3] == _PILLOW for found in warnings.filters):
        warnings.filterwarnings("ignore", module=_PILLOW.pattern)


def orientation_of(image: Image.Image) -> int:
    """Return the EXIF orientation of a picture, 1 where its EXIF is damaged."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # noqa: BLE001 - Pillow raises whatever it likes on damaged EXIF
        return 1
