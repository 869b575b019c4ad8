"""Images that are arrays in memory: written as PNG files once, so that all else works as with any folder."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from goldenrule.core.cells import csv_text
from goldenrule.core.errors import InputError, OptionError
from goldenrule.data.sources.label_files import KNOWN_FILES
from goldenrule.data.sources.label_tables import from_csv
from goldenrule.data.sources.picture_files import read_picture
from goldenrule.data.table import ImageTable, Split
from goldenrule.storage.files import make_folder, write_atomic
from goldenrule.storage.regular_files import LARGEST_TABLE_BYTES, read_regular


def from_arrays(
    images: Sequence[Any],
    labels: Sequence[str | int | Sequence[str | int]],
    *,
    folder: str | os.PathLike[str],
    groups: Sequence[str] | None = None,
) -> ImageTable:
    """Return the table of images that are arrays: (height, width, 3) uint8, or (height, width) uint8 or uint16.

    They are written below `folder` as PNG, lossless, beside a labels.csv: the report, a later fit and
    `goldenrule fit FOLDER` read them there. A label is a name or a whole number, or a list of several. `groups` names
    what stays together.

    Raises `InputError` for arrays of another kind, `OptionError` for a folder that holds other images.
    """
    if len(images) != len(labels) or (groups is not None and len(groups) != len(images)):
        raise InputError(f"{len(images):,} images and {len(labels):,} labels: wanted one label (and group) per image.")
    several = any(isinstance(label, list | tuple | set | frozenset | np.ndarray) for label in labels)
    groups_of = groups if groups is not None else [""] * len(images)
    files = [
        LabelledFile(partial(_png, image, number), ".png", _names(label, number), group=group)
        for number, (image, label, group) in enumerate(zip(images, labels, groups_of, strict=True))
    ]
    return from_files(files, folder=folder, several=several)


@dataclass(frozen=True, slots=True)
class LabelledFile:
    """What reads the bytes of a picture's file, its ending, its labels, and what is known of it beside."""

    read: Callable[[], bytes]
    ending: str
    labels: Sequence[str]
    group: str = ""
    split: Split | None = None


def from_files(files: Sequence[LabelledFile], *, folder: str | os.PathLike[str], several: bool) -> ImageTable:
    """Write pictures below a folder, beside a labels.csv that any later command reads, and return their table.

    Pictures that lie there already stay. Raises `OptionError` for a folder that holds others.
    """
    root = Path(folder).expanduser()
    paths = [f"images/{number:06d}{file.ending}" for number, file in enumerate(files)]
    classes = sorted({name for file in files for name in file.labels})
    splits = any(file.split for file in files)
    rows = [["path", "group", *(["split"] if splits else []), *(classes if several else ["label"])]]
    for name, file in zip(paths, files, strict=True):
        cells = [str(int(one in file.labels)) for one in classes] if several else file.labels[:1] or [""]
        rows.append([name, file.group, *([file.split or ""] if splits else []), *cells])
    text = csv_text(rows)
    _check_free(root, paths, text)
    make_folder(root / "images")
    for name, file in zip(paths, files, strict=True):
        content, path = file.read(), root / name
        if not path.exists():
            write_atomic(path, content)
        elif read_picture(path) != content:
            raise _other(root)
    write_atomic(root / KNOWN_FILES[0], text)
    return from_csv(
        root / KNOWN_FILES[0],
        id="path",
        group="group",
        split="split" if splits else None,
        label=None if several else "label",
        separator="",
        group_by="none",
    )


def _names(label: Any, number: int) -> list[str]:
    """Return the names of a label: a whole number is called as it is written."""
    if isinstance(label, np.ndarray):
        label = np.atleast_1d(label).tolist()
    each = list(label) if isinstance(label, list | tuple | set | frozenset) else [label]
    for item in each:
        if isinstance(item, bool | np.bool_) or not isinstance(item, str | int | np.integer):
            raise InputError(
                f"The label of image {number} is {label!r} ({type(item).__name__}): wanted a name, a number, or a "
                "list of such."
            )
    return sorted(map(str, each)) if isinstance(label, set | frozenset) else list(map(str, each))


def _png(image: Any, number: int) -> bytes:
    pixels = np.asarray(image)
    colour = pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] in (3, 4)
    gray = pixels.dtype in (np.uint8, np.uint16) and pixels.ndim == 2
    if not (colour or gray) or 0 in pixels.shape:
        raise InputError(
            f"Image {number} is an array {pixels.shape} of {pixels.dtype}: wanted (height, width, 3) of uint8, or "
            "(height, width) of uint8 or uint16. Values from 0 to 1 want * 255 and a cast."
        )
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def _check_free(root: Path, paths: Sequence[str], labels: str) -> None:
    """See that the folder is new, or may hold these very images."""
    table = root / KNOWN_FILES[0]
    there = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    ours = {KNOWN_FILES[0], *paths}
    if not there <= ours or (
        table.exists() and read_regular(table, most_bytes=LARGEST_TABLE_BYTES).decode("utf-8", "replace") != labels
    ):
        raise _other(root)


def _other(root: Path) -> OptionError:
    return OptionError(
        f"folder={str(root)!r} holds other files or images. Nothing of them was changed: give a new one."
    )
