"""Bytes: how many, for people; and how this process keeps memory: set where a network is trained, never on import."""

from __future__ import annotations

import contextlib
import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
KEPT_BYTES = 1 << 30


def keep_freed_memory() -> bool:
    """Tell glibc to keep up to 1 GB of freed memory for the next tensor; False where there is no glibc.

    By default it gives every large block back to the kernel and faults it in again, page by page, at every
    step of a training: steps of 32 pictures of 224 px took twice as long.
    """
    if not sys.platform.startswith("linux"):
        return False
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        return bool(libc.mallopt(M_MMAP_MAX, 0)) and bool(libc.mallopt(M_TRIM_THRESHOLD, KEPT_BYTES))
    return False


def readable_bytes(count: float) -> str:
    """Return a number of bytes for people.

    >>> readable_bytes(13_631_488)
    '13.6 MB'
    """
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
