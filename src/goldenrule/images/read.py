"""From a file's bytes to RGB pixels: one function, whatever comes."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import ExifTags, Image, UnidentifiedImageError

from goldenrule.foundation.errors import UnreadableImage
from goldenrule.foundation.files import digest
from goldenrule.foundation.findings import Finding
from goldenrule.foundation.progress import Progress, Silent
from goldenrule.images.table import ImageTable

Pixels = npt.NDArray[np.uint8]
LARGEST_PIXELS = 178_956_970
"""Width x height above which a file is refused (Pillow's own limit against decompression bombs)."""


_PILLOW = re.compile(r"PIL\.")


def decode(content: bytes) -> Pixels:
    """Give the picture in `content` as RGB uint8 (height, width, 3), upright.

    EXIF orientation is applied; alpha is laid over white; 16-bit gray is scaled, never clipped; the first
    frame of an animation is taken. Plain JPEGs go through libjpeg-turbo directly (bit-equal to Pillow, about
    twice as fast); whatever it refuses, Pillow decides. Raises `UnreadableImage` with the reason.
    """
    if not content:
        raise UnreadableImage("the file is empty")
    _silence_pillow()
    try:
        with Image.open(io.BytesIO(content)) as image:
            if image.width * image.height > LARGEST_PIXELS:
                raise UnreadableImage(f"{image.width:,} x {image.height:,} pixels are too many")
            plain_jpeg = image.format == "JPEG" and image.mode in ("RGB", "L")
            pixels = _fast_jpeg(content) if plain_jpeg else None
            if pixels is None:
                pixels = np.asarray(_rgb(image))
            return _upright(pixels, _orientation(image))
    except UnreadableImage:
        raise
    except Image.DecompressionBombError as error:
        raise UnreadableImage("the picture has too many pixels") from error
    except UnidentifiedImageError as error:
        raise UnreadableImage("not a picture in any known format") from error
    except Exception as error:
        raise UnreadableImage(str(error) or type(error).__name__) from error


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


def _silence_pillow() -> None:
    """Ignore Pillow's remarks on odd EXIF and palettes from now on.

    `warnings.catch_warnings` is not for threads: restored in another order than entered, it would leave all
    warnings of the process ignored.
    """
    if not any(found[3] == _PILLOW for found in warnings.filters):
        warnings.filterwarnings("ignore", module=_PILLOW.pattern)


def _fast_jpeg(content: bytes) -> Pixels | None:
    try:
        return np.asarray(simplejpeg.decode_jpeg(content, "RGB"))
    except ValueError:
        return None


def _orientation(image: Image.Image) -> int:
    """Give the EXIF orientation of a loaded picture, 1 where its EXIF is damaged; loading a TIFF turns it already."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # noqa: BLE001 - Pillow raises whatever it likes on damaged EXIF
        return 1


def _upright(pixels: Pixels, orientation: int) -> Pixels:
    """Turn stored pixels upright; `orientation` as in EXIF 2.3, tag 0x0112."""
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


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise UnreadableImage(f"gray values from {values.min()} to {values.max()}; wanted 8 or 16 bits")
        return Image.fromarray((values / 257 + 0.5).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise UnreadableImage("floating-point pixels; wanted 8 or 16 bits per channel")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        picture = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    return image.convert("RGB")
