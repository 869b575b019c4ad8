"""Which files are pictures: by the ending of their names, else by their first bytes."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import BinaryIO, Literal

from goldenrule.data.containers.inside import open_file, read_file
from goldenrule.data.pictures.formats import HEIC_BRANDS

IMAGE_EXTENSIONS = frozenset(
    (
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".pjpeg", ".pjp", ".mpo"),
        *(".png", ".apng", ".gif", ".bmp", ".dib", ".webp", ".avif", ".heic", ".heif", ".hif"),
        *(".tif", ".tiff", ".jp2", ".j2k", ".jpf", ".jpx", ".pbm", ".pgm", ".pnm", ".ppm", ".tga"),
    )
)
LARGEST_PICTURE_BYTES = 1 << 30
"""A picture of more bytes is refused before it is read: 120 million pixels of 16 bits take less."""

ByName = Literal["picture", "variant", "unknown", "other"]
"""What a name says: a picture; one with something behind its ending (`a.jpeg.1`, `a.jpg_large`); nothing; none."""

OTHERS = frozenset(
    (
        *(".txt", ".md", ".rst", ".rtf", ".log", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".yaml", ".yml", ".toml"),
        *(".ini", ".cfg", ".html", ".htm", ".css", ".js", ".pdf", ".ps", ".eps", ".ai", ".svg", ".doc", ".docx"),
        *(".xls", ".xlsx", ".ppt", ".pptx", ".odt", ".ods", ".py", ".ipynb", ".m", ".mat", ".sh", ".bat", ".exe"),
        *(".zip", ".gz", ".tar", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".npy", ".npz", ".pkl", ".pt", ".pth", ".h5"),
        *(".hdf5", ".parquet", ".arrow", ".feather", ".tfrecord", ".db", ".sqlite", ".lst", ".rec", ".safetensors"),
        *(".mp4", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".m4v", ".wav", ".mp3", ".lrv", ".thm", ".xmp"),
        *(".aae", ".lnk", ".url", ".nii", ".dcm", ".dicom", ".ima", ".svs", ".ndpi", ".psd", ".psb", ".xcf", ".ico"),
        *(".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".srf", ".sr2", ".orf", ".raf", ".rw2", ".pef"),
        *(".bak", ".old", ".orig", ".tmp", ".temp", ".part", ".partial", ".crdownload", ".download", ".swp"),
        *(".filepart", ".opdownload", ".aria2", ".dtapart", ".!ut", ".!qb", ".!bt", ".bc!", ".td", ".xltd", ".icloud"),
    )
)
"""Endings of what is no picture, or not one to learn from: raw data, a copy that an editor keeps, half a download."""
_ENDING = re.compile(rf"(?i)({'|'.join(re.escape(name) for name in sorted(IMAGE_EXTENSIONS, reverse=True))})(?![a-z])")
_BEHIND = re.compile(r"(?i)^(?:\.?\d+| ?\(\d+\)|[_:~-]?(?:large|small|medium|thumb|orig|name=\w+|\d\w*)|[?&!%].*)$")
"""What downloaders and programs put behind an ending: `.1` of wget, `_large` of Twitter, `?width=300`. Notes too."""
_COPY = re.compile(r"(?i)(?:~|_original|_backup|^#.*#|\.sb-[0-9a-f]+-\w+)$")
"""What editors, macOS and exiftool put around the name of the file that they keep beside the changed one."""
_STRONG = (
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n",
    b"GIF87a",
    b"GIF89a",
    b"\x00\x00\x00\x0cjP  \r\n\x87\n",
    b"\xff\x4f\xff\x51",
)
_WEAK = re.compile(rb"II\*\x00|MM\x00\*|BM.{4}\x00{4}|P[1-6]\s+[#\d]", re.DOTALL)
"""First bytes that other files have too: raw photos and slides are TIFF. They count where the name does not differ."""
_BRANDS = (b"avif", b"avis", *HEIC_BRANDS)
FIRST_BYTES = 16


def by_name(name: str) -> ByName:
    """Return what a file's name says of it.

    >>> by_name("a.JPG"), by_name("a.jpg_large"), by_name("a.jpeg.1"), by_name("a.2021-05"), by_name("a.jpg.json")
    ('picture', 'variant', 'variant', 'unknown', 'other')
    """
    ending = ending_of(name)
    if ending in IMAGE_EXTENSIONS:
        return "picture"
    if _COPY.search(name) or ending in OTHERS:
        return "other"
    *_, last = (None, *_ENDING.finditer(name))
    return "variant" if last and _BEHIND.match(name[last.end() :]) else "unknown"


def by_name_or_content(root: Path, uri: str) -> ByName:
    """Return what a file's name says of it, and where that is not enough its first bytes: "variant" is a picture."""
    told = by_name(uri.rpartition("/")[2])
    if told in ("variant", "unknown"):
        return "variant" if is_picture_by_content(root / uri, meant=told == "variant") else "unknown"
    return told


def ending_of(name: str) -> str:
    """Return the ending of a file's name in lower case, "" where it has none.

    >>> ending_of("a.JPG"), ending_of("README"), ending_of(".hidden")
    ('.jpg', '', '')
    """
    stem, dot, ending = name.rpartition(".")
    return f".{ending.lower()}" if dot and stem and ending else ""


def read_picture(path: str | os.PathLike[str]) -> bytes:
    """Return the bytes of a file that should be a picture: all that is decoded is read by this, or by `ImageTable`.

    A path may lead into an archive (`photos.zip/cats/1.jpg`). Raises `OSError` for a pipe or device, which may never
    end, and for a file that is too large for a picture.
    """
    return read_file(Path(path), most_bytes=LARGEST_PICTURE_BYTES)


def open_picture(path: Path) -> BinaryIO:
    """Return a file that should be a picture, open for reading bytes. Raises as `read_picture` does."""
    return open_file(path, most_bytes=LARGEST_PICTURE_BYTES)


def is_picture_by_content(path: Path, *, meant: bool = False) -> bool:
    """Return whether the first bytes of a file are a picture's; no more of it is read.

    One that is `meant` as a picture by its name is one too where it is empty or can't be read: its row says so.
    """
    try:
        with open_picture(path) as file:
            first = file.read(FIRST_BYTES)
    except OSError:
        return meant
    if meant and (not first or ".tga" in path.name.lower()):  # a TGA begins with anything
        return True
    if first.startswith(_STRONG) or (first[:4] == b"RIFF" and first[8:12] == b"WEBP"):
        return True
    if first[4:8] == b"ftyp":
        return first[8:12] in _BRANDS
    return _WEAK.match(first) is not None and (not ending_of(path.name) or bool(_ENDING.search(path.name)))
