"""The picture formats that are read, and the one place where a file is opened as a picture.

Pillow knows forty formats and tells them apart by content, whatever the name says. Some of them start a program
(PostScript: Ghostscript), others are read by code that hardly anybody uses. So only those of `FORMATS` are ever asked.
What a file makes decoders do is bounded before they see it: the scans of a JPEG, the strips of a TIFF.
"""

from __future__ import annotations

import io
import re

from PIL import Image, UnidentifiedImageError

from goldenrule.core.errors import UnreadableImage
from goldenrule.core.reason import Reason
from goldenrule.data.pictures.tiff import STRIP_OFFSETS, TILE_OFFSETS, WANTED_LAYOUTS, layout, read_whole, tags

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "AVIF", "PPM", "JPEG2000", "DIB", "TGA")
"""Pillow's names of the formats that are read, the commonest first; MPO comes with JPEG, HEIC with its extra."""
WANTED_FORMATS = "AVIF, BMP, GIF, HEIC, JPEG, JPEG 2000, MPO, PNG, PPM, TGA, TIFF or WebP"
MOST_SCANS = 100
"""Scans of a JPEG above which it is refused: each is as much work as the picture, and ten are usual."""
MOST_STRIPS = 1_000_000
"""Strips or tiles of a TIFF above which it is refused: each costs some 300 bytes before the first pixel is read."""
MOST_METADATA_BYTES = 32 << 20
"""Bytes before the first scan of a JPEG above which it is refused: Pillow copies them again with every 64 kB."""
MOST_HEADER_BYTES = 65_536
"""Bytes that the header of a PPM with its comments may have: Pillow reads them one by one."""
MOST_PLAIN_VALUES = 10_000_000
"""Values of a PPM in plain text above which it is refused: they are read one by one, in some seconds."""

HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
_SIGNATURES = (
    (0, b"%!PS", "PostScript"),
    (0, b"\xc5\xd0\xd3\xc6", "PostScript"),
    (0, b"%PDF", "a PDF"),
    (0, b"8BPS", "a Photoshop file"),
    (0, b"gimp xcf", "a GIMP file"),
    (0, b"SIMPLE  =", "FITS"),
    (128, b"DICM", "DICOM"),
    (0, b"\x89HDF", "HDF5"),
    (0, b"GRIB", "GRIB"),
    (0, b"BUFR", "BUFR"),
    (0, b"\0\0\1\0", "an icon"),
    (0, b"\0\0\2\0", "a cursor"),
    (0, b"icns", "an icon"),
    (0, b"DDS ", "a DDS texture"),
    (0, b"qoif", "QOI"),
    (0, b"\xd7\xcd\xc6\x9a", "a Windows metafile"),
    (40, b" EMF", "a Windows metafile"),
    (0, b"FUJIFILMCCD-RAW", "a camera's raw file"),
    (0, b"PK\3\4", "a ZIP archive"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"\x1aE\xdf\xa3", "a video"),
    (8, b"AVI ", "a video"),
    (0, b"\0\0\1\xba", "a video"),
    (4, b"ftyp", "a video, or a picture of an unknown kind"),
    (0, b"version https://git-lfs", "a pointer of Git LFS, without its picture"),
)
_MARKUP = ((b"<svg", "SVG"), (b"<!doctype html", "a web page"), (b"<html", "a web page"))
_TIFF_ERRORS = ("decoder error", "unknown raw mode", "conversion from", "cannot decode", "bad configuration")
_PORTABLE = re.compile(rb"P[1-6]\s")
_STANDALONE = frozenset((0x01, *range(0xD0, 0xD8)))
_SOI, _EOI, _SOS = 0xD8, 0xD9, 0xDA


def opened_picture(content: bytes) -> Image.Image:
    """Return the picture in `content`, opened but not decoded.

    Raises `UnreadableImage` naming what was found where it is in none of `FORMATS`.
    """
    _check_work(content)
    try:
        image = Image.open(io.BytesIO(content), formats=FORMATS)
        return read_whole(image, content) if image.format == "TIFF" else image
    except UnidentifiedImageError:
        pass
    if content[4:8] == b"ftyp" and content[8:12] in HEIC_BRANDS:
        return _opened_heic(content)
    raise UnreadableImage(_found(content))


def why_not_decoded(content: bytes, error: Exception) -> Reason:
    """Return the reason for an error of a decoder; those of TIFFs are numbers, and the layout says more."""
    reason = str(error) or type(error).__name__
    if not (tags(content) and reason.startswith(_TIFF_ERRORS)):
        return Reason(reason)
    return Reason(f"a TIFF that is damaged, or in a layout that can't be read ({layout(content)})", WANTED_LAYOUTS)


def _opened_heic(content: bytes) -> Image.Image:
    try:
        import pi_heif
    except ImportError:
        raise UnreadableImage("a HEIC picture", "its reader: pip install 'goldenrule[heic]'") from None
    pi_heif.register_heif_opener()
    try:
        return Image.open(io.BytesIO(content), formats=("HEIF",))
    except UnidentifiedImageError:
        raise UnreadableImage("a HEIC picture that is damaged") from None


def _found(content: bytes) -> Reason:
    """Return what a file is that is no picture in a format that is read, and what is wanted.

    >>> str(_found(b"%!PS-Adobe-3.0 EPSF-3.0"))
    'PostScript; wanted AVIF, BMP, GIF, HEIC, JPEG, JPEG 2000, MPO, PNG, PPM, TGA, TIFF or WebP'
    """
    for start, signature, name in _SIGNATURES:
        if content.startswith(signature, start):
            return Reason(name, WANTED_FORMATS)
    if tags(content):
        return Reason(f"a TIFF in a layout that can't be read ({layout(content)})", WANTED_LAYOUTS)
    beginning = content[:1024].lower()
    name = next((name for mark, name in _MARKUP if mark in beginning), "not a picture in any known format")
    return Reason(name, WANTED_FORMATS)


def _check_work(content: bytes) -> None:
    """Raise `UnreadableImage` for a picture that would take far more time or memory than its pixels need."""
    if content[:2] == b"\xff\xd8":
        _check_jpeg(content)
    elif _PORTABLE.match(content):
        _check_portable(content)
    for tag, (_, count) in tags(content).items():
        if tag in (STRIP_OFFSETS, TILE_OFFSETS) and count > MOST_STRIPS:
            raise UnreadableImage(f"a TIFF of {count:,} strips or tiles", f"{MOST_STRIPS:,} strips at most")


def _check_jpeg(content: bytes) -> None:
    if len(content) > MOST_METADATA_BYTES and (before := _scans(content, most=1)[1]) > MOST_METADATA_BYTES:
        raise UnreadableImage(f"a JPEG of {before:,} bytes before its pixels", f"{MOST_METADATA_BYTES:,} bytes at most")
    if content.count(b"\xff\xda") > MOST_SCANS and (scans := _scans(content)[0]) > MOST_SCANS:
        raise UnreadableImage(f"a JPEG of {scans:,} scans", f"{MOST_SCANS} scans at most")


def _check_portable(content: bytes) -> None:
    words = re.sub(rb"#[^\r\n]*([\r\n]|$)", b" ", content[:MOST_HEADER_BYTES]).split(maxsplit=4)
    if len(words) < (3 if words[0] in (b"P1", b"P4") else 4):
        raise UnreadableImage(f"a PPM whose header does not end within {MOST_HEADER_BYTES:,} bytes")
    values = 1
    for word in words[1:3]:
        values *= int(word) if word.isdigit() and len(word) < 10 else 1
    if words[0] in (b"P1", b"P2", b"P3") and values * (3 if words[0] == b"P3" else 1) > MOST_PLAIN_VALUES:
        raise UnreadableImage(f"a PPM in plain text of {values:,} pixels: save it as a binary one, or as PNG")


def _scans(content: bytes, most: int | None = None) -> tuple[int, int]:
    """Return how many scans the first picture of a JPEG file has, and where the last one counted begins."""
    at, scans = 2, 0
    while (at := content.find(b"\xff", at)) >= 0 and at + 3 < len(content):
        marker = content[at + 1]
        if marker == 0xFF:
            at += 1
        elif marker in (0x00, _SOI) or marker in _STANDALONE:
            at += 2
        elif marker == _EOI:
            break
        else:
            scans += marker == _SOS
            if scans == most:
                break
            at += 2 + int.from_bytes(content[at + 2 : at + 4], "big")
    return scans, max(at, 0)
