"""Numbers of bytes for people."""

from __future__ import annotations


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
