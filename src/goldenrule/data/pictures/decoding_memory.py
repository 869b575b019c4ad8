"""How much memory pictures are decoded in: one budget for all threads together, counted before a pixel is read."""

from __future__ import annotations

import functools
import os
from contextlib import AbstractContextManager

from goldenrule.core.budget import Budget
from goldenrule.core.errors import OptionError

MEMORY_VARIABLE = "GOLDENRULE_DECODING_MB"
"""The environment variable that sets how much memory all threads together decode in."""
SHARE, LEAST = 0.25, 256 << 20
"""Without it: a share of the memory that is available when the first picture is decoded, but so many bytes at least."""
PIXEL_BYTES, DEEP_PIXEL_BYTES = 8, 20
"""What a pixel takes from the decoder to whoever looks at it: in most formats, and of more than 8 bits."""
PROGRESSIVE_BYTES = 6
"""What it takes more in a progressive JPEG, at whatever size that is decoded."""
HEAVY = {"WEBP": 16, "AVIF": 12, "HEIF": 12}
"""Formats whose decoders keep more of it."""


def decoding_memory() -> int:
    """Return how many bytes all threads together may decode in."""
    given = os.environ.get(MEMORY_VARIABLE, "")
    if not given:
        return _usual_memory()
    if not given.isdecimal() or int(given) < 1:
        raise OptionError(f"{MEMORY_VARIABLE}={given}: wanted the megabytes that pictures may be decoded in.")
    return int(given) << 20


_DECODERS = Budget(decoding_memory)


def room(
    pixels: int, *, kind: str, deep: bool = False, progressive: bool = False, divisor: int = 1
) -> AbstractContextManager[None]:
    """Reserve the memory that a picture of so many pixels is decoded in; where there is too little left, wait for it.

    `kind` is Pillow's name of the format. A picture that takes more than all is decoded alone.
    """
    each = DEEP_PIXEL_BYTES if deep else HEAVY.get(kind, PIXEL_BYTES)
    return _DECODERS.taken(pixels * each // divisor**2 + pixels * PROGRESSIVE_BYTES * progressive)


@functools.cache
def _usual_memory() -> int:
    import psutil

    return max(LEAST, int(SHARE * psutil.virtual_memory().available))
