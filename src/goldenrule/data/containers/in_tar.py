"""Tar files: where each file in them begins, found in one pass over the headers; packed ones are refused."""

from __future__ import annotations

import tarfile
from typing import BinaryIO

import numpy as np

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

BLOCK = 512
_KINDS = {
    tarfile.SYMTYPE: "it is a link",
    tarfile.LNKTYPE: "it is a link to what is not in the archive before it",
    tarfile.CHRTYPE: "it is a device",
    tarfile.BLKTYPE: "it is a device",
    tarfile.FIFOTYPE: "it is a named pipe",
}


class TarMembers(PlacedMembers):
    """The files in a tar file by name: offset and size of each."""

    def read(self, file: BinaryIO, name: str, *, most_bytes: int) -> bytes:
        """Return the bytes of a file; no other process or thread that reads the archive is in the way."""
        offset, size = self.numbers(name)
        if size > most_bytes:
            raise too_large(name)
        file.seek(offset)
        content = file.read(size)
        if len(content) < size:
            raise unusable(name, "the archive ends within it")
        return content


def scanned_tar(file: BinaryIO) -> tuple[Contents, TarMembers]:
    """Return what a tar file holds. Raises `tarfile.TarError` where it is none at all.

    Of a name that stands there twice the last counts, as where it is unpacked. A hard link is the file that it leads
    to.
    """
    contents, rows, numbers = Contents(), dict[str, int](), list[tuple[int, int]]()
    archive = tarfile.open(fileobj=file, mode="r:")  # noqa: SIM115 - whoever opened the file closes it
    reached = -1
    try:
        while (member := archive.next()) is not None:
            if archive.offset <= reached:  # a size below zero: it would lead round in a circle
                raise tarfile.ReadError(f"the file at byte {reached:,} has no size")
            reached = archive.offset
            archive.members.clear()  # type: ignore[attr-defined]  # it would keep a kilobyte for every file
            name = plain_name(member.name)
            if why := why_refused(member.name) or ("" if name or member.isdir() else "it has no name"):
                contents.refused[member.name] = why
            elif member.isdir():
                contents.folders |= {name} - {""}
            elif member.islnk() and (target := plain_name(member.linkname)) in rows:
                rows[name] = rows[target]
            elif not member.isfile() or member.issparse():
                contents.refused[name] = _KINDS.get(member.type, "it is no regular file")
            else:
                contents.twice += [name] if name in rows else []
                rows[name] = len(numbers)
                numbers.append((member.offset_data, member.size))
        file.seek(archive.offset)
        if file.read(BLOCK).strip(b"\0"):  # tarfile takes a broken header for the end
            contents.damaged = f"no header at byte {archive.offset:,}"
    except (tarfile.TarError, EOFError) as error:
        contents.damaged = str(error)
    settled(contents, rows)
    every = np.array(numbers, np.int64).reshape(-1, 2)
    return contents, TarMembers(contents, Places(contents.files, every[[rows[name] for name in contents.files]]))
