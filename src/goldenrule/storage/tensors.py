"""Arrays in a safetensors file that carries its checksum: what is damaged is told, never taken for whole."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from goldenrule.core.errors import FormatError
from goldenrule.storage.files import DIGEST_BYTES

Tensors = dict[str, npt.NDArray[Any]]
CHECKSUM = "checksum"


@dataclass(frozen=True, slots=True)
class Array:
    """What an array must be: its sides and its kind of number.

    A side is a number, or a name: whatever has that name is as long. `finite` allows no NaN and no infinity, `missing`
    NaN alone.
    """

    sides: tuple[int | str, ...]
    kind: Literal["float", "whole"] = "float"
    finite: bool = True
    missing: bool = False


def check_arrays(tensors: Mapping[str, npt.NDArray[Any]], wanted: Mapping[str, Array], *, what: str) -> None:
    """Raise `FormatError` unless all of these arrays are there and are what they must be.

    >>> pair = {"weight": np.zeros((2, 3)), "bias": np.zeros(5)}
    >>> sides = {"weight": Array(("classes", "features")), "bias": Array(("classes",))}
    >>> check_arrays(pair, sides, what="this head")
    Traceback (most recent call last):
    ...
    goldenrule.core.errors.FormatError: In this head, bias is (5,) float64; wanted (classes=2,) float.
    """
    known: dict[str, int] = {}
    for name, array in wanted.items():
        if name not in tensors:
            raise FormatError(f"In {what}, {name} is missing.")
        found = tensors[name]
        same_rank = found.ndim == len(array.sides)
        if same_rank:
            for side, length in zip(array.sides, found.shape, strict=True):
                if isinstance(side, str):
                    known.setdefault(side, length)
        sides = tuple(known.get(side, -1) if isinstance(side, str) else side for side in array.sides)
        if not same_rank or sides != found.shape or found.dtype.kind not in ("f" if array.kind == "float" else "iub"):
            spelled = ", ".join(f"{s}={known[s]}" if s in known else str(s) for s in array.sides)
            comma = "," * (len(array.sides) == 1)
            raise FormatError(
                f"In {what}, {name} is {found.shape} {found.dtype}; wanted ({spelled}{comma}) {array.kind}."
            )
        if (
            array.finite
            and array.kind == "float"
            and not (np.isfinite(found) | (array.missing & np.isnan(found))).all()
        ):
            raise FormatError(f"In {what}, {name} holds values that are NaN or infinite.")


def check_like(tensors: Mapping[str, npt.NDArray[Any]], like: Mapping[str, Array], *, what: str) -> None:
    """Raise `FormatError` unless these arrays, and no others, are there and are what they must be."""
    if extra := sorted(tensors.keys() - like.keys()):
        raise FormatError(f"In {what}, {extra[0]} is not of it.")
    check_arrays(tensors, like, what=what)


def array_of(value: npt.NDArray[Any]) -> Array:
    """Return what an array like this one must be."""
    return Array(value.shape, kind="float" if value.dtype.kind == "f" else "whole")


def arrays_in(path: Path) -> dict[str, Array]:
    """Return what the arrays of a safetensors file are; no value is read."""
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - no dict
        return {
            name: Array(tuple(entry.get_shape()), kind="float" if "F" in entry.get_dtype() else "whole")
            for name, entry in slices.items()
        }


def tensors_content(tensors: Mapping[str, npt.NDArray[Any]], **texts: str) -> bytes:
    """Return the content of a safetensors file with these arrays and texts, and their checksum among the texts."""
    from safetensors.numpy import save

    whole = {name: np.asarray(value, order="C") for name, value in tensors.items()}
    return save(whole, metadata={**texts, CHECKSUM: _checksum(whole, texts)})


def read_tensors(path: Path) -> tuple[Tensors, dict[str, str]]:
    """Return the arrays and texts of a file; one flipped bit, or no checksum, is a `FormatError`."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            texts = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no dict
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise FormatError(f"{path} is damaged ({error}): copy it again, whole.") from error
    checksum = texts.pop(CHECKSUM, None)
    if checksum != _checksum(tensors, texts):
        raise FormatError(f"{path} is damaged (its checksum is wrong): copy it again, whole.")
    return tensors, texts


def _checksum(tensors: Mapping[str, npt.NDArray[Any]], texts: Mapping[str, str]) -> str:
    """Return the blake2b of all names, types, shapes, values and texts."""
    sums = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for name, text in sorted(texts.items()):
        sums.update(repr((name, text)).encode())
    for name, value in sorted(tensors.items()):
        sums.update(repr((name, value.dtype.str, value.shape)).encode())
        sums.update(np.ascontiguousarray(value).data.cast("B") if value.size else b"")
    return sums.hexdigest()
