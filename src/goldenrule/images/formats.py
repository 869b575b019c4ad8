"""The picture formats that are read, and the one place where a file is opened as a picture.

Pillow knows forty formats and tells them apart by content, whatever the name says. Some of them start a program
(PostScript: Ghostscript), others are read by code that hardly anybody uses. So only those of `FORMATS` are ever asked.
What a file makes decoders do is bounded before they see it: the scans of a JPEG, the strips of a TIFF.
"""

from __future__ import annotations

import io
import re
import struct

from PIL import Image, UnidentifiedImageError

from goldenrule.foundation.errors import UnreadableImage

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "AVIF", "PPM", "JPEG2000", "DIB", "TGA")
"""Pillow's names of the formats that are read, the commonest first; MPO comes with JPEG, HEIC with its extra."""
NAMES = "AVIF, BMP, GIF, HEIC, JPEG, JPEG 2000, MPO, PNG, PPM, TGA, TIFF, WebP"
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
MOST_TAGS = 4_096
"""Entries of a TIFF's directory that are looked at."""

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
_TIFF = {b"II": "<", b"MM": ">"}
_STRIP_OFFSETS, _TILE_OFFSETS, _BITS, _PLANES = 273, 324, 258, 284
_PORTABLE = re.compile(rb"P[1-6]\s")
_STANDALONE = frozenset((0x01, *range(0xD0, 0xD8)))
_SOI, _EOI, _SOS = 0xD8, 0xD9, 0xDA


def opened_picture(content: bytes) -> Image.Image:
    """Return the picture in `content`, opened but not decoded.

    Raises `UnreadableImage` naming what was found where it is in none of `FORMATS`.
    """
    _check_work(content)
    try:
        return _checked(Image.open(io.BytesIO(content), formats=FORMATS))
    except UnidentifiedImageError:
        pass
    if content[4:8] == b"ftyp" and content[8:12] in HEIC_BRANDS:
        return _opened_heic(content)
    raise UnreadableImage(f"{_found(content)}; formats that can be read: {NAMES}")


def _opened_heic(content: bytes) -> Image.Image:
    try:
        import pi_heif
    except ImportError:
        raise UnreadableImage("a HEIC picture: pip install 'goldenrule[heic]' to read it") from None
    pi_heif.register_heif_opener()
    try:
        return Image.open(io.BytesIO(content), formats=("HEIF",))
    except UnidentifiedImageError:
        raise UnreadableImage("a HEIC picture that is damaged") from None


def _checked(image: Image.Image) -> Image.Image:
    """Let a TIFF be read with all its bits and strips.

    Pillow takes each value of 16 bits in a plane for two of 8, and leaves black what strips are missing of.
    """
    if image.format != "TIFF":
        return image
    planes = image.tag_v2.get(_PLANES) == 2  # type: ignore[attr-defined]
    tiles = [tile for tile in image.tile if tile.codec_name == "raw"]  # type: ignore[attr-defined]
    area = sum((right - left) * (bottom - top) for _, (left, top, right, bottom), *_ in tiles)
    if tiles and area < image.width * image.height * (len(image.getbands()) if planes else 1):
        raise UnreadableImage("image file is truncated: strips are missing")
    if not planes or max(image.tag_v2.get(_BITS, (8,))) != 16:  # type: ignore[attr-defined]
        return image
    order = "L" if image.tag_v2.prefix == b"II" else "B"  # type: ignore[attr-defined]
    gray = {"L": "I;16", "B": "I;16B"}[order]
    image.tile = [  # type: ignore[attr-defined]
        tile._replace(args=(gray if tile.args[0] == "I" else f"{tile.args[0]};16{order}", *tile.args[1:]))
        if tile.codec_name == "raw"
        else tile
        for tile in image.tile  # type: ignore[attr-defined]
    ]
    return image


def _found(content: bytes) -> str:
    """Return what a file is that is no picture in a format that is read.

    >>> _found(b"%!PS-Adobe-3.0 EPSF-3.0")
    'PostScript'
    """
    for start, signature, name in _SIGNATURES:
        if content.startswith(signature, start):
            return name
    if _tags(content):
        return f"a TIFF in a layout that can't be read ({_layout(content)})"
    beginning = content[:1024].lower()
    return next((name for mark, name in _MARKUP if mark in beginning), "not a picture in any known format")


def _check_work(content: bytes) -> None:
    """Raise `UnreadableImage` for a picture that would take far more time or memory than its pixels need."""
    if content[:2] == b"\xff\xd8":
        _check_jpeg(content)
    elif _PORTABLE.match(content):
        _check_portable(content)
    for tag, (_, count) in _tags(content).items():
        if tag in (_STRIP_OFFSETS, _TILE_OFFSETS) and count > MOST_STRIPS:
            raise UnreadableImage(f"a TIFF of {count:,} strips or tiles; wanted {MOST_STRIPS:,} at most")


def _check_jpeg(content: bytes) -> None:
    if len(content) > MOST_METADATA_BYTES and (before := _scans(content, most=1)[1]) > MOST_METADATA_BYTES:
        raise UnreadableImage(f"a JPEG of {before:,} bytes before its pixels; wanted {MOST_METADATA_BYTES:,} at most")
    if content.count(b"\xff\xda") > MOST_SCANS and (scans := _scans(content)[0]) > MOST_SCANS:
        raise UnreadableImage(f"a JPEG of {scans:,} scans; wanted {MOST_SCANS} at most")


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


def _tags(content: bytes) -> dict[int, tuple[int, int]]:
    """Return tag -> (place of its value, count) of the first directory of a TIFF or BigTIFF; empty for other files."""
    order = _TIFF.get(content[:2])
    kind = content[2:4] if order == ">" else content[3:1:-1]
    if order is None or kind not in (b"\0*", b"\0+"):
        return {}
    large = kind == b"\0+"
    at, pointer, number, entry = (8, "Q", "Q", "HHQ") if large else (4, "L", "H", "HHL")
    found = {}
    try:
        (start,) = struct.unpack_from(f"{order}{pointer}", content, at)
        (entries,) = struct.unpack_from(f"{order}{number}", content, start)
        head, step = struct.calcsize(f"{order}{entry}"), struct.calcsize(f"{order}{entry}{pointer}")
        first = start + struct.calcsize(f"{order}{number}")
        for place in range(first, first + step * min(entries, MOST_TAGS), step):
            tag, _, count = struct.unpack_from(f"{order}{entry}", content, place)
            found[tag] = (place + head, count)
    except struct.error:
        pass
    return found


def _layout(content: bytes) -> str:
    """Return how a TIFF's pixels are laid out: bands, bits, what they mean."""
    order, tags = _TIFF[content[:2]], _tags(content)

    def numbers(tag: int, usual: int) -> tuple[int, ...]:
        place, count = tags.get(tag, (-1, 0))
        if not 1 <= count <= 64:
            return (usual,)
        if count > 2:
            (place,) = struct.unpack_from(f"{order}L", content, place)
        try:
            return struct.unpack_from(f"{order}{count}H", content, place)
        except struct.error:
            return (usual,)

    bits = sorted(set(numbers(258, 1)))
    kind = {1: "integers", 2: "signed integers", 3: "floating-point", 5: "complex", 6: "complex"}
    meaning = {0: "gray", 1: "gray", 2: "RGB", 3: "palette", 5: "ink", 6: "YCbCr", 8: "Lab"}
    bands = numbers(277, 1)[0]
    planes = ", in planes" if numbers(_PLANES, 1)[0] == 2 else ""
    return (
        f"{bands} band{'s' * (bands != 1)} of {' and '.join(map(str, bits))} bits, "
        f"{kind.get(numbers(339, 1)[0], 'unknown values')}, {meaning.get(numbers(262, 1)[0], 'unknown colours')}"
        f"{planes}"
    )
