"""Pictures as a program has them: paths, bytes, open files, arrays and PIL's images, each as what reads its bytes."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from goldenrule.core.errors import InputError, UnreadableImage
from goldenrule.data.sources.folders import image_files
from goldenrule.data.sources.picture_files import read_picture

Reader = Callable[[], bytes]
WANTED = (
    "Wanted a path, bytes, an open file, a PIL image, an array of uint8 (height, width, 3) or (height, width), "
    "or a list of such"
)
PLAIN_MODES = ("L", "RGB")  # written as they lie in memory: a PNG takes longer than the network
COLOURED = {"icc_profile", "transparency", "gamma", "chromaticity"}  # what a PNG keeps beside the pixels
PNG_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")
TIFF_MODES = ("I", "F", "CMYK", "LAB")  # deep or with a profile: the decoder judges them, Pillow would clip them


def readers_of(images: Any, *, exclude: Sequence[str] = ()) -> list[tuple[str, Reader]]:
    """Return (name, what reads the bytes of the file) for each picture, in order.

    Paths of files and folders have the names that `image_files` gives them, all others "image 0", "image 1" ... by
    their place. An array of four dimensions is a list of pictures. Of several paths one that leads to nothing is a
    picture that can't be read. Raises `InputError` for anything else, and what `image_files` does for paths.

    >>> [name for name, _ in readers_of([np.zeros((4, 4), np.uint8), b"..."])]
    ['image 0', 'image 1']
    """
    several = several_of(images)
    if are_paths(several):
        gone = [one for one in several if not _is_there(one)]
        if gone and len(gone) < len(several):  # of several some: each has its row all the same
            return [reader for one in several for reader in _of_path(one, exclude)]
        return [(name, partial(read_picture, path)) for name, path in image_files(several, exclude=exclude)]
    return [reader for number, one in enumerate(several) for reader in _readers(one, number, exclude)]


def several_of(images: Any) -> list[Any]:
    """Return the pictures, or paths, of what may be one or several. Raises `InputError` for a data frame."""
    if hasattr(images, "columns") and getattr(images, "ndim", 2) == 2 and not isinstance(images, np.ndarray):
        names = ", ".join(map(str, list(images.columns)[:6])) if not callable(images.columns) else ""
        raise InputError(
            f"This is a data frame{f' with the columns {names}' if names else ''}: give the column that holds the "
            "paths, such as frame['path']."
        )
    return [images] if _is_one(images) else list(images)


def are_paths(pictures: Sequence[Any]) -> bool:
    """Return whether all of these are paths."""
    return all(_is_path(one) for one in pictures)


def _is_there(path: str | os.PathLike[str]) -> bool:
    whole = Path(path).expanduser()
    return whole.exists() or whole.is_symlink()


def _of_path(path: str | os.PathLike[str], exclude: Sequence[str]) -> list[tuple[str, Reader]]:
    if not _is_there(path):
        return [(str(path), partial(read_picture, path))]
    return [(name, partial(read_picture, file)) for name, file in image_files([path], exclude=exclude)]


def _readers(one: Any, number: int, exclude: Sequence[str]) -> Iterator[tuple[str, Reader]]:
    if _is_path(one):
        yield from ((name, partial(read_picture, path)) for name, path in image_files([one], exclude=exclude))
        return
    name = f"image {number}"
    if isinstance(one, bytes | bytearray | memoryview):
        yield name, partial(bytes, one)
    elif isinstance(one, Image.Image):
        yield name, partial(_as_file, one)
    elif isinstance(one, np.ndarray):
        yield name, partial(_array_as_file, _checked(one, name))
    elif callable(getattr(one, "read", None)):
        content = None if isinstance(one, io.TextIOBase) else one.read()
        if not isinstance(content, bytes):
            raise InputError(f"{name} is a file that was opened as text: wanted bytes, as open(path, 'rb') gives them.")
        yield name, partial(bytes, content)
    else:
        raise InputError(f"{name} is of type {type(one).__name__}. {WANTED}.")


def _is_path(one: Any) -> bool:
    return isinstance(one, str | os.PathLike)


def _is_one(images: Any) -> bool:
    """Return whether this is a picture (or a path), not several."""
    if isinstance(images, np.ndarray):
        return images.ndim != 4 and images.dtype != object
    plain = isinstance(images, str | os.PathLike | bytes | bytearray | memoryview | Image.Image)
    return plain or hasattr(images, "read") or not isinstance(images, Iterable)


def _checked(array: np.ndarray[Any, Any], name: str) -> np.ndarray[Any, Any]:
    """Return an array of uint8, (height, width) or (height, width, 3), or raise."""
    shape = array.shape[:2] if array.ndim == 3 and array.shape[2] == 1 else array.shape
    if array.dtype != np.uint8 or not (len(shape) == 2 or (len(shape) == 3 and shape[2] == 3)) or 0 in shape:
        raise InputError(
            f"{name} is an array of {array.dtype} {array.shape}: wanted uint8 (height, width, 3), or (height, width) "
            "for grey. Numbers from 0 to 1 are multiplied by 255 first; channels come last."
        )
    return array.reshape(shape)


def _array_as_file(array: np.ndarray[Any, Any]) -> bytes:
    return _as_file(Image.fromarray(np.ascontiguousarray(array)))


def _as_file(image: Image.Image) -> bytes:
    """Return the picture as a file, upright: in a lossless container, so that all go the way that files go.

    Pillow decodes a file that it has opened only now. Raises `UnreadableImage` where it is damaged.
    """
    content = io.BytesIO()
    try:
        upright = ImageOps.exif_transpose(image)
        if upright.mode in PLAIN_MODES and not COLOURED & upright.info.keys():
            upright.save(content, "PPM")
        elif upright.mode in TIFF_MODES:
            upright.save(content, "TIFF")
        else:
            (upright if upright.mode in PNG_MODES else upright.convert("RGB")).save(content, "PNG", compress_level=1)
    except Exception as error:  # Pillow raises OSError, SyntaxError, ValueError and more for damaged files
        raise UnreadableImage(f"Pillow can't decode it: {error}") from error
    return content.getvalue()
