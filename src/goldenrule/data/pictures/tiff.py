"""TIFF, of which no two are alike: how the values of a file lie in it, and how Pillow is told to read all of them."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from PIL import Image

from goldenrule.core.errors import UnreadableImage

MOST_TAGS = 4_096
"""Entries of a TIFF's directory that are looked at."""
WANTED_LAYOUTS = (
    "a PNG, or a TIFF of 1, 3 or 4 bands of 8 or 16 bits without a sign, uncompressed or compressed by LZW or deflate"
)
STRIP_OFFSETS, TILE_OFFSETS = 273, 324
_STRIP_BYTES, _TILE_BYTES, _BITS, _COMPRESSION, _MEANING, _BANDS, _PLANES, _SIGN = (
    *(279, 325),
    *(258, 259, 262, 277, 284, 339),
)
_SIGNED = 2
_EXTRA, _PRIVATE = 338, 65_000
_ORDER = {b"II": "<", b"MM": ">"}
_KINDS = {1: "integers", 2: "signed integers", 3: "floating-point", 5: "complex", 6: "complex"}
_MEANINGS = {0: "gray", 1: "gray", 2: "RGB", 3: "palette", 5: "ink", 6: "YCbCr", 8: "Lab"}
_COMPRESSIONS = {
    2: "fax",
    3: "fax",
    4: "fax",
    5: "LZW",
    6: "JPEG",
    7: "JPEG",
    8: "deflate",
    32773: "PackBits",
    32946: "deflate",
    33003: "JPEG 2000",
    33005: "JPEG 2000",
    34712: "JPEG 2000",
    34887: "LERC",
    34925: "LZMA",
    50000: "ZSTD",
    50001: "WebP",
    50002: "JPEG XL",
    52546: "JPEG XL",
}
_NATIVE = {
    **{f"I;16{order}S": "I;16NS" for order in ("", "B")},
    **{f"I;32{order}": "I;32N" for order in ("", "B")},
    **{f"I;32{order}S": "I;32NS" for order in ("", "B")},
    **{f"F;32{order}F": "F;32NF" for order in ("", "B")},
}
"""How libtiff gives values that it has decompressed: in the order of this machine, whatever the file's is."""


def read_whole(image: Image.Image, content: bytes) -> Image.Image:
    """Return an opened TIFF that is read with all its bits and strips, and in the right order of bytes.

    Pillow takes each value of 16 bits in a plane for two of 8, leaves black what strips are missing of, swaps the bytes
    of decompressed values that are in order, and takes a sign for 128. Raises `UnreadableImage` where that can't be
    mended.
    """
    found = image.tag_v2  # type: ignore[attr-defined]
    planes = found.get(_PLANES) == 2
    raw = [tile for tile in image.tile if tile.codec_name == "raw"]  # type: ignore[attr-defined]
    area = sum((right - left) * (bottom - top) for _, (left, top, right, bottom), *_ in raw)
    if raw and area < image.width * image.height * (len(image.getbands()) if planes else 1):
        raise UnreadableImage("image file is truncated: strips are missing")
    bits = max(found.get(_BITS, (8,)))
    if bits <= 8 and _SIGNED in found.get(_SIGN, ()):
        raise UnreadableImage(f"a TIFF in a layout that can't be read ({layout(content)})", WANTED_LAYOUTS)
    in_planes = planes and bits == 16
    order = "L" if found.prefix == b"II" else "B"
    image.tile = [_in_order(tile, order, in_planes) for tile in image.tile]  # type: ignore[attr-defined]
    return image


def _in_order(tile: Image._Tile, order: str, in_planes: bool) -> Image._Tile:  # type: ignore[name-defined]
    """Return a tile with the raw mode that fits its bytes."""
    name, *more = (tile.args,) if isinstance(tile.args, str) else tile.args
    if tile.codec_name == "libtiff":
        name = _NATIVE.get(name, name)
    elif in_planes and tile.codec_name == "raw":
        name = {"L": "I;16", "B": "I;16B"}[order] if name == "I" else f"{name};16{order}"
    return tile._replace(args=name if isinstance(tile.args, str) else (name, *more))


def tags(content: bytes) -> dict[int, tuple[int, int]]:
    """Return tag -> (place of its value, count) of the first directory of a TIFF or BigTIFF; empty for other files."""
    order = _ORDER.get(content[:2])
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


def layout(content: bytes) -> str:
    """Return how a TIFF's pixels are laid out: bands, bits, what they mean, how they are compressed."""
    order, entries = _ORDER[content[:2]], tags(content)

    def numbers(tag: int, usual: int) -> tuple[int, ...]:
        place, count = entries.get(tag, (-1, 0))
        if not 1 <= count <= 64:
            return (usual,)
        try:
            if count > 2:
                (place,) = struct.unpack_from(f"{order}L", content, place)
            return struct.unpack_from(f"{order}{count}H", content, place)
        except struct.error:
            return (usual,)

    kind, meaning = numbers(_SIGN, 1)[0], numbers(_MEANING, 1)[0]
    bits, bands = sorted(set(numbers(_BITS, 1))), numbers(_BANDS, 1)[0]
    compression = numbers(_COMPRESSION, 1)[0]
    return (
        f"{bands} band{'s' * (bands != 1)} of {' and '.join(map(str, bits))} bit{'s' * (bits != [1])}, "
        f"{_KINDS.get(kind, 'unknown values')}, {_MEANINGS.get(meaning, 'unknown colours')}"
        f"{', in planes' if numbers(_PLANES, 1)[0] == 2 else ''}"
        f"{'' if compression == 1 else ', compressed by ' + _COMPRESSIONS.get(compression, f'scheme {compression}')}"
    )


def compressed_planes(image: Image.Image) -> bool:
    """Return whether the bands of an opened picture are planes of a TIFF that libtiff decompresses."""
    tiles = image.tile  # type: ignore[attr-defined]
    return (
        image.format == "TIFF" and bool(tiles) and tiles[0].codec_name == "libtiff" and image.tag_v2.get(_PLANES) == 2  # type: ignore[attr-defined]
    )


def planes_of(content: bytes, count: int) -> Iterator[bytes]:
    """Yield the first planes of a TIFF, each as one of a gray band; raises `UnreadableImage` for BigTIFF."""
    order, entries = _ORDER[content[:2]], tags(content)
    if content[2:4] not in (b"*\0", b"\0*"):
        raise UnreadableImage(f"a BigTIFF of colours in compressed planes ({layout(content)})", WANTED_LAYOUTS)
    try:
        (bands,) = struct.unpack_from(f"{order}H", content, entries[_BANDS][0])
        for plane in range(count):
            yield _one_plane(content, order, entries, max(bands, 1), plane)
    except (struct.error, KeyError) as error:
        raise UnreadableImage("a TIFF whose directory of planes is damaged") from error


def _one_plane(content: bytes, order: str, entries: dict[int, tuple[int, int]], bands: int, plane: int) -> bytes:
    changed = bytearray(content)
    for tag, value in ((_BITS, 16), (_MEANING, 1), (_BANDS, 1), (_PLANES, 1), (_SIGN, 1)):
        if tag in entries:
            struct.pack_into(f"{order}HHLHH", changed, entries[tag][0] - 8, tag, 3, 1, value, 0)
    if _EXTRA in entries:  # of more bands than there are now: a tag of nobody's
        struct.pack_into(f"{order}H", changed, entries[_EXTRA][0] - 8, _PRIVATE)
    for tag in (STRIP_OFFSETS, TILE_OFFSETS, _STRIP_BYTES, _TILE_BYTES):
        if tag in entries:
            _keep(changed, order, entries[tag], bands, plane)
    return bytes(changed)


def _keep(changed: bytearray, order: str, entry: tuple[int, int], bands: int, plane: int) -> None:
    """Make an entry of the directory name the strips of one plane only."""
    place, every = entry
    (kind,) = struct.unpack_from(f"{order}H", changed, place - 6)
    size, each = {3: 2, 4: 4}[kind], every // bands
    start = place if every * size <= 4 else struct.unpack_from(f"{order}L", changed, place)[0]
    segment = changed[start + plane * each * size : start + (plane + 1) * each * size]
    struct.pack_into(f"{order}L", changed, place - 4, each)
    if each * size <= 4:
        changed[place : place + 4] = segment.ljust(4, b"\0")
    else:
        struct.pack_into(f"{order}L", changed, place, start + plane * each * size)
