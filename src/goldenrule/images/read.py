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
from PIL import ExifTags, Image, ImageCms, UnidentifiedImageError

from goldenrule.foundation.errors import OptionError, UnreadableImage
from goldenrule.foundation.files import digest
from goldenrule.foundation.findings import Finding
from goldenrule.foundation.progress import Progress, Silent
from goldenrule.images.table import ImageTable

DECODING = 2
"""The version of `decode`: activations of another one are computed anew (law 3)."""
LARGEST_PIXELS = 120_000_000
"""Width x height above which a file is refused: so many pixels take less than 1 GB on their way to RGB."""
LIMIT_VARIABLE = "GOLDENRULE_MAX_PIXELS"
"""The environment variable that sets another limit."""
BAND_ROWS = 256
"""So many rows at a time are turned into RGB."""
SRGB_LEVELS = 2
"""A colour profile that moves no colour by more levels than these is taken for sRGB itself."""

Pixels = npt.NDArray[np.uint8]
_HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
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

    @property
    def is_plain_jpeg(self) -> bool:
        """Whether libjpeg-turbo gives the final pixels at once."""
        return _is_plain_jpeg(self.format, self.mode) and not self.recoloured


def header(content: bytes) -> Header:
    """Give the header of the picture in `content`; raises `UnreadableImage` with the reason where there is none."""
    with _opened(content) as image:
        return _header(image)


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


def decode(content: bytes, *, least_side: int | None = None) -> Pixels:
    """Give the picture in `content` as RGB uint8 (height, width, 3), upright.

    EXIF orientation is applied; the colours of an ICC profile become those of sRGB; alpha is laid over white;
    16-bit values are scaled, never clipped; the first frame of an animation is taken. Plain JPEGs go through
    libjpeg-turbo directly (bit-equal to Pillow, about twice as fast); whatever it refuses, Pillow decides. With
    `least_side` a plain JPEG is decoded at 1/2, 1/4 or 1/8 of its size as long as its shorter side keeps so many px:
    several times as fast for large photos, and other pixels. Raises `UnreadableImage` with the reason.
    """
    with _opened(content) as image:
        plain = _is_plain_jpeg(image.format, image.mode) and not _is_recoloured(image)
        pixels = _fast_jpeg(content, _divisor(image.size, least_side)) if plain else None
        if pixels is None:
            image.load()  # a TIFF is turned by this
            pixels = _rgb_pixels(image, _profile(image))
        return upright(pixels, _orientation(image))


def pixel_limit() -> int:
    """Give the number of pixels above which a file is refused."""
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
    """Give the table with the digest of every file's bytes; a file that can't be opened is a finding."""
    uris = table.uris

    def read(uri: str) -> bytes | str:
        try:
            return digest(table.read(uri))
        except OSError as error:
            return f"{uri}: {error.strerror or error}"

    with (progress or Silent()).task("read", len(uris), "files") as task:
        results = []
        for result in _map(read, uris, threads):
            results.append(result)
            task.advance()
    failures = [result for result in results if isinstance(result, str)]
    read_table = table.with_digests([r if isinstance(r, bytes) else None for r in results])
    return read_table.with_findings(*([unreadable(failures)] if failures else []))


def unreadable(reasons: list[str]) -> Finding:
    """Give the finding for files that are no pictures, from "uri: reason" lines."""
    one = len(reasons) == 1
    return Finding(
        severity="warning",
        code="unreadable",
        sentence=f"{len(reasons):,} file{'' if one else 's'} can't be read",
        evidence=tuple(sorted(reasons)),
        advice=f"{'It is' if one else 'They are'} left out of training and scores; replace or remove "
        f"{'it' if one else 'them'}.",
    )


def _map(function, items, threads: int) -> Iterator[bytes | str]:  # type: ignore[no-untyped-def]
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
        with _identified(content) as image:
            if image.width * image.height > limit:
                raise UnreadableImage(
                    f"{image.width:,} x {image.height:,} pixels are too many ({LIMIT_VARIABLE} sets the limit)"
                )
            yield image
    except UnreadableImage:
        raise
    except Image.DecompressionBombError as error:
        raise UnreadableImage("the picture has too many pixels") from error
    except UnidentifiedImageError as error:
        raise UnreadableImage("not a picture in any known format") from error
    except Exception as error:
        raise UnreadableImage(str(error) or type(error).__name__) from error


def _identified(content: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(content))
    except UnidentifiedImageError:
        if content[4:8] != b"ftyp" or content[8:12] not in _HEIC_BRANDS:
            raise
    try:
        import pi_heif
    except ImportError:
        raise UnreadableImage("a HEIC picture: pip install 'goldenrule[heic]' to read it") from None
    pi_heif.register_heif_opener()
    return Image.open(io.BytesIO(content))


def _header(image: Image.Image) -> Header:
    return Header(
        format=image.format or "",
        mode=image.mode,
        width=image.width,
        height=image.height,
        orientation=_orientation(image),
        animated=bool(getattr(image, "is_animated", False)),
        recoloured=_is_recoloured(image),
    )


def _is_plain_jpeg(kind: str | None, mode: str) -> bool:
    return kind == "JPEG" and mode in ("RGB", "L")


def _is_recoloured(image: Image.Image) -> bool:
    profile, flat = _profile(image), image.mode if image.mode in ("L", "CMYK") else "RGB"
    return profile is not None and _to_srgb(profile, flat) is not None


def _profile(image: Image.Image) -> bytes | None:
    profile = image.info.get("icc_profile")
    return profile if isinstance(profile, bytes) and profile else None


def _silence_pillow() -> None:
    """Ignore Pillow's remarks on odd EXIF and palettes from now on.

    `warnings.catch_warnings` is not for threads: restored in another order than entered, it would leave all
    warnings of the process ignored.
    """
    if not any(found[3] == _PILLOW for found in warnings.filters):
        warnings.filterwarnings("ignore", module=_PILLOW.pattern)


def _divisor(size: tuple[int, int], least_side: int | None) -> int:
    """Give by how much a picture can be shrunk while decoding: powers of two are those that pay."""
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
    """Give the EXIF orientation of a picture, 1 where its EXIF is damaged."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # noqa: BLE001 - Pillow raises whatever it likes on damaged EXIF
        return 1


def _rgb_pixels(image: Image.Image, profile: bytes | None) -> Pixels:
    """Give RGB (height, width, 3) of a loaded picture, in bands: beside both, little memory is needed."""
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    for top in range(0, image.height, BAND_ROWS):
        bottom = min(top + BAND_ROWS, image.height)
        whole = bottom - top == image.height
        pixels[top:bottom] = np.asarray(_srgb(image if whole else image.crop((0, top, image.width, bottom)), profile))
    return pixels


def _srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    flat = _flat(image)
    transform = _to_srgb(profile, flat.mode) if profile is not None else None
    moved = ImageCms.applyTransform(flat, transform) if transform is not None else None
    return flat.convert("RGB") if moved is None else moved


def _flat(image: Image.Image) -> Image.Image:
    """Give a picture of 8 bits without alpha: L, RGB or CMYK."""
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise UnreadableImage(f"gray values from {values.min()} to {values.max()}; wanted 8 or 16 bits")
        return Image.fromarray((values / 257 + 0.5).astype(np.uint8))
    if image.mode == "F":
        raise UnreadableImage("floating-point pixels; wanted 8 or 16 bits per channel")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        picture = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    return image if image.mode in ("L", "RGB", "CMYK") else image.convert("RGB")


@functools.lru_cache(maxsize=64)
def _to_srgb(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Give the way from a profile's colours to sRGB; None where there is nothing to do, or the profile is none."""
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
