"""What can be told of every file at one reading: its digests, its kind, and what its picture looks like."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image

from goldenrule.core.errors import UnreadableImage
from goldenrule.core.findings import Finding
from goldenrule.core.progress import Progress, Silent
from goldenrule.core.reason import Reason
from goldenrule.data.duplicates.close_vectors import Floats
from goldenrule.data.duplicates.likeness import description
from goldenrule.data.duplicates.registration import OVERLAY_PX
from goldenrule.data.in_order import in_order
from goldenrule.data.pictures.decode import shown, upright, used_range
from goldenrule.data.pictures.deep_pixels import BAND_ROWS, Used
from goldenrule.data.pictures.header import Header, header
from goldenrule.data.pictures.unread import unreadable
from goldenrule.data.table import ImageTable
from goldenrule.storage.files import digest


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FileScan:
    """One file: its bytes, its header, its description; `problem` says why it is no picture."""

    size: int = 0  # bytes
    digest: bytes | None = None  # blake2b; None where the file could not be opened
    sha256: str | None = None  # where it was asked for
    header: Header | None = None  # None where even that can't be read
    likeness: Floats | None = None  # None for flat pictures and for what is none
    used: Used | None = None  # the values that a picture of more than 8 bits uses
    problem: Reason | None = None


def glance(content: bytes) -> FileScan:
    """Return the digest and the header of a file: no picture is decoded, so damage further on is not seen.

    But for those of more than 8 bits: which of their values they use tells what is black and what is white.
    """
    known = FileScan(size=len(content), digest=digest(content))
    try:
        known = replace(known, header=header(content))
    except UnreadableImage as error:
        return replace(known, problem=error.reason)
    if known.header is not None and known.header.is_deep:
        with contextlib.suppress(UnreadableImage):  # whoever decodes it says why
            known = replace(known, used=used_range(content))
    return known


def look(content: bytes) -> FileScan:
    """Return what can be told of a file by its bytes; the picture is decoded to its end."""
    known = glance(content)
    if known.header is None:
        return known
    try:
        with known.header.room:
            return replace(known, likeness=description(gray_of(content, known.header, used=known.used)))
    except UnreadableImage as error:
        return replace(known, problem=error.reason)


def look_to_copy(content: bytes) -> FileScan:
    """Return a look with the sha256 by which a copy of the file is proved."""
    return replace(look(content), sha256=hashlib.sha256(content).hexdigest())


def looked(
    table: ImageTable,
    *,
    by: Callable[[bytes], FileScan] = look,
    threads: int = 4,
    progress: Progress | None = None,
) -> list[FileScan]:
    """Look at every file of a table, in its order; one that can't be opened has its reason as `problem`."""

    def of(uri: str) -> FileScan:
        try:
            return by(table.read(uri))
        except OSError as error:
            return FileScan(problem=Reason(error.strerror or str(error)))

    uris, found = table.uris, []
    same: dict[Header, Header] = {}  # photos of one camera have one header between them
    with (
        (progress or Silent()).task("read" if by is glance else "look", len(uris), "files") as task,
        contextlib.closing(in_order(of, uris, threads=threads)) as scans,
    ):
        for scan in scans:
            found.append(replace(scan, header=same.setdefault(scan.header, scan.header)) if scan.header else scan)
            task.advance()
    return found


def closed_files(table: ImageTable, looks: Sequence[FileScan]) -> dict[str, Reason]:
    """Return why files could not even be opened, by their uris."""
    pairs = zip(table.uris, looks, strict=True)
    return {uri: scan.problem for uri, scan in pairs if scan.digest is None and scan.problem}


def unreadable_files(table: ImageTable, looks: Sequence[FileScan]) -> Iterator[Finding]:
    """Return the finding for files that are no pictures, where there are such."""
    if reasons := {uri: scan.problem for uri, scan in zip(table.uris, looks, strict=True) if scan.problem}:
        yield unreadable(reasons)


def gray_of(content: bytes, header: Header | None, *, used: Used | None = None) -> npt.NDArray[np.uint8]:
    """Return the gray picture (height, width) of a file's bytes, large enough to be described and compared.

    One of more than 8 bits is stretched to the range it uses: it is to be told from others, not to be learned from.
    """
    if header and header.is_plain_jpeg:
        try:  # to the end of the file, but only as many pixels as are needed
            gray = simplejpeg.decode_jpeg(content, "GRAY", min_height=2 * OVERLAY_PX, min_width=2 * OVERLAY_PX)
            return upright(np.asarray(gray)[:, :, 0], header.orientation)
        except ValueError:
            pass  # Pillow decides
    with shown(content, used=used) as found:
        gray = np.empty(found.pixels.shape[:2], np.uint8)
        for top in range(0, len(gray), BAND_ROWS):
            gray[top : top + BAND_ROWS] = Image.fromarray(found.pixels[top : top + BAND_ROWS]).convert("L")
        return gray
