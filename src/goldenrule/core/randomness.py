"""Random draws that depend on what they are for, never on what was drawn before.

A generator is keyed by (seed, purpose, anything else: epoch, view, image digest), so that a draw is the
same in any order, on any thread, and after any interruption (law 6).
"""

from __future__ import annotations

import hashlib

import numpy as np


def key(seed: int, purpose: str, *parts: int | str | bytes) -> bytes:
    """Return 32 bytes that stand for (seed, purpose, parts), all different where any of them differs."""
    state = hashlib.blake2b(digest_size=32)
    for part in (seed, purpose, *parts):
        data = part if isinstance(part, bytes) else str(part).encode()
        state.update(type(part).__name__.encode() + len(data).to_bytes(8, "little") + data)
    return state.digest()


def generator(seed: int, purpose: str, *parts: int | str | bytes) -> np.random.Generator:
    """Return a numpy generator keyed by (seed, purpose, parts).

    >>> generator(1, "view", 2).integers(10, size=3).tolist() == generator(1, "view", 2).integers(10, size=3).tolist()
    True
    """
    return np.random.Generator(np.random.Philox(key=int.from_bytes(key(seed, purpose, *parts)[:16], "little")))
