"""Arrays in a safetensors file that carries its checksum: what is damaged is told, never taken for whole."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from goldenrule.foundation.errors import FormatError
from goldenrule.foundation.files import DIGEST_BYTES

Tensors = dict[str, npt.NDArray[Any]]
CHECKSUM = "checksum"


def tensors_content(tensors: Mapping[str, npt.NDArray[Any]], **texts: str) -> bytes:
    """Give the content of a safetensors file with these arrays and texts, and their checksum among the texts."""
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
    """Give the blake2b of all names, types, shapes, values and texts."""
    sums = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for name, text in sorted(texts.items()):
        sums.update(repr((name, text)).encode())
    for name, value in sorted(tensors.items()):
        sums.update(repr((name, value.dtype.str, value.shape)).encode())
        sums.update(np.ascontiguousarray(value).data.cast("B") if value.size else b"")
    return sums.hexdigest()
