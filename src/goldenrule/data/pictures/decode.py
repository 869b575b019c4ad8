"""From a file's bytes to RGB pixels: one function, whatever comes."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import re
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import ExifTags, Image, ImageCms

from goldenrule.core.errors import GoldenRuleError, OptionError, UnreadableImage
from goldenrule.core.progress import Progress, Silent
from goldenrule.core.reason import Reason
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
from goldenrule.data.pictures.formats import opened_picture, why_not_decoded
from goldenrule.data.pictures.unread import unreadable
from goldenrule.data.table import ImageTable
from goldenrule.storage.files import digest

DECODING = 4
"""The version of `decode`: features of another one are computed anew (law 3)."""
LARGEST_PIXELS = 120_000_000
"""Width x height above which a file is refused: so many pixels take less than 1 GB on their way to RGB."""
LIMIT_VARIABLE = "GOLDENRULE_MAX_PIXELS"
"""The environment variable that sets another limit."""
LARGEST_PROFILE_BYTES = 16 << 20
"""A colour profile of more bytes is none: the largest that printers come with have eight million."""
DARK = 64
"""Of 256 levels: a quarter."""
BEYOND = 0.01
"""A share of values outside the levels that is worth a word: fewer may be hot pixels."""
SRGB_LEVELS = 2
"""A colour profile that moves no colour by more levels than these is taken for sRGB itself."""

Pixels = npt.NDArray[np.uint8]
_NOTHING: Pixels = np.empty((0, 0, 3), np.uint8)
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
        return _is_plain_jpeg(self.format, self.mode) and not self.recoloured

    @property
    def is_deep(self) -> bool:
        """Whether its light has more than 8 bits."""
        return is_deep(self.mode, self.bits)

    @property
    def room(self) -> contextlib.AbstractContextManager[None]:
        """The memory that it is decoded and looked at in, reserved while a block runs."""
        pixels = self.width * self.height
        return room(pixels, kind=self.format, deep=self.is_deep, progressive=self.progressive)


@dataclass(slots=True)
class Decoded:
    """RGB uint8 (height, width, 3), upright, and the share of values that lay outside the levels.

    `dark` is a picture of more than 8 bits, seen without levels, that has no value in three quarters of its range.
    """

    pixels: Pixels
    beyond: float = 0.0
    dark: bool = False


def header(content: bytes) -> Header:
    """Return the header of the picture in `content`; raises `UnreadableImage` with the reason where there is none."""
    with _opened(content) as image:
        return _header(image, content)


def taken(content: bytes) -> str | None:
    """Return when a picture was taken, as its EXIF says it ("2026:11:28 10:00:00": sorts as text); None where it can't.

    EXIF 2.3, DateTimeOriginal, else DateTime.
    """
    try:
        with _opened(content) as image:
            exif = image.getexif()
            told = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.DateTimeOriginal)
            told = str(told or exif.get(ExifTags.Base.DateTime) or "").strip()
    except UnreadableImage:
        return None
    return told if re.fullmatch(r"(?!0000)[0-9]{4}(:[0-9]{2}){2} [0-9]{2}(:[0-9]{2}){2}", told) else None


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
    with _opened(content) as image:
        plain = _is_plain_jpeg(image.format, image.mode) and not _is_recoloured(image)
        divisor = _divisor(image.size, least_side) if plain else 1
        held.enter_context(_room_for(image, content, divisor))
        if plain and (pixels := _fast_jpeg(content, divisor)) is not None:
            return Decoded(upright(pixels, _orientation(image)))
        deep = is_deep(image.mode, stored_bits(image, content))
        found = _loaded(image, content, levels)  # a TIFF is turned by this
        dark = deep and levels is None and bool(found.pixels.max() < DARK)
        return Decoded(upright(found.pixels, _orientation(image)), found.beyond, dark)


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
    with _opened(content) as image:
        if not is_deep(image.mode, stored_bits(image, content)):
            return None
        with _room_for(image, content):
            found = Deep(image, content, low_bytes=False).used()
            if image.mode not in ("RGB", "RGBA") or found.high >= NARROW_BELOW:
                return found
            with _opened(content) as again:
                return Deep(again, content).used()


def pixel_limit() -> int:
    """Return the number of pixels above which a file is refused."""
    given = os.environ.get(LIMIT_VARIABLE, "")
    if not given:
        return LARGEST_PIXELS
    if not given.isdecimal() or int(given) < 1:
        raise OptionError(f"{LIMIT_VARIABLE}={given}: wanted the largest number of pixels that a picture may have.")
    return int(given)


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


def with_digests(table: ImageTable, *, threads: int = 4, progress: Progress | None = None) -> ImageTable:
    """Return the table with the digest of every file's bytes; a file that can't be opened is a finding."""
    read_table, failures = digested(table, threads=threads, progress=progress)
    return read_table.with_findings(*([unreadable(failures)] if failures else []))


def digested(
    table: ImageTable, *, threads: int = 4, progress: Progress | None = None
) -> tuple[ImageTable, dict[str, Reason]]:
    """Return the table with the digest of every file's bytes, and why a file can't be opened, by its uri."""
    uris = table.uris

    def read(uri: str) -> bytes | Reason:
        try:
            return digest(table.read(uri))
        except OSError as error:
            return Reason(error.strerror or str(error))

    with (progress or Silent()).task("read", len(uris), "files") as task:
        results = []
        for result in _map(read, uris, threads):
            results.append(result)
            task.advance()
    failures = {uri: why for uri, why in zip(uris, results, strict=True) if isinstance(why, Reason)}
    return table.with_digests([outcome if isinstance(outcome, bytes) else None for outcome in results]), failures


def _map(function, items, threads: int) -> Iterator[bytes | Reason]:  # type: ignore[no-untyped-def]
    with ThreadPoolExecutor(max_workers=threads) as pool:
        yield from pool.map(function, items, chunksize=32)


@contextlib.contextmanager
def _opened(content: bytes) -> Iterator[Image.Image]:
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
        orientation=_orientation(image),
        animated=bool(getattr(image, "is_animated", False)),
        recoloured=_is_recoloured(image),
        progressive=bool(image.info.get("progressive")),
        bits=stored_bits(image, content),
        alpha=_has_alpha(image, content) and image.mode in _ALPHA_MODES,
        left_out=_left_out(image, content),
    )


def _left_out(image: Image.Image, content: bytes) -> int:
    """Return how many bands of a TIFF are neither light nor alpha."""
    if image.format != "TIFF":
        return 0
    samples = int(image.tag_v2.get(_SAMPLES_PER_PIXEL, 1))  # type: ignore[attr-defined]
    used = _USED_BANDS.get(image.mode, 1)
    return max(0, samples - used - _has_alpha(image, content))


def _has_alpha(image: Image.Image, content: bytes) -> bool:
    """Return whether a picture has a band of alpha: of a TIFF and a TGA only where the file says that it is."""
    if image.mode not in _ALPHA_MODES and "transparency" not in image.info:
        return False
    if image.format == "TGA":
        return bool(content[17] & 15)  # as many bits of alpha, says its descriptor
    if image.format == "TIFF":
        extra = image.tag_v2.get(_EXTRA_SAMPLES, ())  # type: ignore[attr-defined]
        return any(one in _IS_ALPHA for one in extra)
    return True


def _is_plain_jpeg(kind: str | None, mode: str) -> bool:
    return kind == "JPEG" and mode in ("RGB", "L")


def _is_recoloured(image: Image.Image) -> bool:
    profile, flat = _profile(image), image.mode if image.mode in ("L", "CMYK") else "RGB"
    return profile is not None and _to_srgb(profile, flat) is not None


def _profile(image: Image.Image) -> bytes | None:
    profile = image.info.get("icc_profile")
    if not isinstance(profile, bytes) or not profile:
        return None
    if len(profile) > LARGEST_PROFILE_BYTES:
        raise UnreadableImage(
            f"a colour profile of {len(profile):,} bytes",
            f"a colour profile of {LARGEST_PROFILE_BYTES:,} at most",
        )
    return profile


def _silence_pillow() -> None:
    """Ignore Pillow's remarks on odd EXIF and palettes from now on.

    `warnings.catch_warnings` is not for threads: restored in another order than entered, it would leave all
    warnings of the process ignored.
    """
    if not any(found[3] == _PILLOW for found in warnings.filters):
        warnings.filterwarnings("ignore", module=_PILLOW.pattern)


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


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation of a picture, 1 where its EXIF is damaged."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # noqa: BLE001 - Pillow raises whatever it likes on damaged EXIF
        return 1


def _loaded(image: Image.Image, content: bytes, levels: Levels | None) -> Decoded:
    """Return RGB of a picture that is decoded now, in bands: beside both, little memory is needed."""
    profile, gray = _profile(image), image.mode.startswith(("I", "F"))
    if gray or (levels is not None and is_deep(image.mode, stored_bits(image, content))):
        return _deep_pixels(Deep(image, content), levels, profile)
    if is_odd_portable(image):
        values = portable_values(image, content)
        image = Image.fromarray(values if values.dtype == np.uint8 else eight_bits(values, (0, 65535)))
    if is_multiplied(image) and stored_bits(image, content) > 8:
        check_upper_bits(Deep(image, content, low_bytes=False))
    image.load()
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    alpha = _has_alpha(image, content)
    for top in range(0, image.height, BAND_ROWS):
        bottom = min(top + BAND_ROWS, image.height)
        whole = bottom - top == image.height
        band = image if whole else image.crop((0, top, image.width, bottom))
        pixels[top:bottom] = np.asarray(_srgb(_flat(band, alpha), profile))
    return Decoded(pixels)


def _deep_pixels(deep: Deep, levels: Levels | None, profile: bytes | None) -> Decoded:
    if levels is None:
        _check_scale(deep)
    wanted = levels or deep.full
    width, height = deep.image.size
    pixels = np.empty((height, width, 3), np.uint8)
    alpha, beyond, count = deep.image.mode == "RGBA" and _has_alpha(deep.image, deep.content), 0, 0
    for top, bottom, values in deep.bands():
        flat = Image.fromarray(eight_bits(values, wanted, inverted=deep.inverted))
        if alpha:
            flat = _over_white(Image.fromarray(np.dstack([np.asarray(flat), deep.alpha(top, bottom)])))
        pixels[top:bottom] = np.asarray(_srgb(flat, profile))
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


def _srgb(flat: Image.Image, profile: bytes | None) -> Image.Image:
    transform = _to_srgb(profile, flat.mode) if profile is not None else None
    moved = ImageCms.applyTransform(flat, transform) if transform is not None else None
    return flat.convert("RGB") if moved is None else moved


def _flat(image: Image.Image, alpha: bool) -> Image.Image:
    """Return a picture of 8 bits without alpha: L, RGB or CMYK."""
    if alpha:
        return _over_white((image.convert("LA") if image.mode == "La" else image).convert("RGBA"))
    if image.mode == "LAB":
        lab = ImageCms.applyTransform(image, _from_lab())
        assert lab is not None
        return lab
    return image if image.mode in ("L", "RGB", "CMYK") else image.convert("RGB")


def _over_white(image: Image.Image) -> Image.Image:
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
