"""Zip files: where each file in them begins, by the list at their end; unpacked one at a time, and never to disk."""

from __future__ import annotations

import bz2
import stat
import struct
import zipfile
import zlib
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from goldenrule.data.containers.members import (
    Contents,
    PlacedMembers,
    Places,
    plain_name,
    settled,
    too_large,
    unusable,
    why_refused,
)

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)
_LOCAL = struct.Struct("<26xHH")
_LOCAL_MARK, _ENCRYPTED, _MOST = b"PK\x03\x04", 1, 1 << 62


class ZipMembers(PlacedMembers):
    """The files in a zip file by name: offset, packed size, size, checksum and method of each."""

    def read(self, file: BinaryIO, name: str, *, most_bytes: int) -> bytes:
        """Return the bytes of a file; never more of them are unpacked than the archive says there are."""
        offset, packed, size, checksum, method = self.numbers(name)
        if max(size, packed) > most_bytes:
            raise too_large(name)
        file.seek(offset)
        head = file.read(_LOCAL.size)
        if len(head) < _LOCAL.size or not head.startswith(_LOCAL_MARK):
            raise unusable(name, "the archive is damaged where it begins")
        file.seek(sum(_LOCAL.unpack(head)), 1)
        content = _unpacked(file.read(packed), size, method, name)
        if len(content) != size or zlib.crc32(content) != checksum:
            raise unusable(name, "it is damaged: its checksum is another one")
        return content


def _unpacked(packed: bytes, size: int, method: int, name: str) -> bytes:
    try:
        if method == zipfile.ZIP_DEFLATED:
            return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, size + 1)
        if method == zipfile.ZIP_BZIP2:
            return bz2.BZ2Decompressor().decompress(packed, size + 1)
    except (zlib.error, OSError, EOFError, ValueError) as error:
        raise unusable(name, f"it can't be unpacked: {error}") from error
    return packed


def scanned_zip(file: BinaryIO) -> tuple[Contents, ZipMembers]:
    """Return what a zip file holds. Raises `zipfile.BadZipFile` where it is none, or its end is missing.

    Files that lie over each other, as in zip bombs, are refused.
    """
    contents, rows = Contents(), dict[str, int]()
    numbers: list[tuple[int, int, int, int, int]] = []
    for member in zipfile.ZipFile(file).infolist():
        written = member.filename.replace("\\", "/")  # Windows' programs write names so
        name = plain_name(written)
        if why := why_refused(written) or ("" if name or member.is_dir() else "it has no name"):
            contents.refused[member.filename] = why
        elif member.is_dir() or written.endswith("/"):
            contents.folders |= {name} - {""}
        elif why := _why_not(member):
            contents.refused[name] = why
        else:
            contents.twice += [name] if name in rows else []
            rows[name] = len(numbers)
            packed, method = member.compress_size, member.compress_type
            numbers.append((member.header_offset, min(packed, _MOST), min(member.file_size, _MOST), member.CRC, method))
    every = np.array(numbers, np.int64).reshape(-1, 5)
    for row in _overlapping(every):
        if name := next((name for name, at in rows.items() if at == row), ""):
            contents.refused[name] = "it lies over another file in the archive"
            del rows[name]
    settled(contents, rows)
    return contents, ZipMembers(contents, Places(contents.files, every[[rows[name] for name in contents.files]]))


def _why_not(member: zipfile.ZipInfo) -> str:
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        return "it is a link" if kind == stat.S_IFLNK else "it is no regular file"
    if member.flag_bits & _ENCRYPTED:
        return "it is locked by a password"
    if not 0 <= member.header_offset < _MOST:
        return "it begins outside of the archive"
    known = member.compress_type in _METHODS
    return "" if known else f"it is packed by method {member.compress_type} of zip; wanted 8, deflate"


def _overlapping(numbers: npt.NDArray[np.int64]) -> list[int]:
    """Return the rows of files that begin before the one in front of them ends."""
    order = np.argsort(numbers[:, 0], kind="stable")
    starts, sizes = numbers[order, 0], numbers[order, 1]
    reached = np.maximum.accumulate(starts + _LOCAL.size + sizes) if len(order) else starts
    return [int(row) for row in order[1:][starts[1:] < reached[:-1]]]
