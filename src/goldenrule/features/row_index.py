"""`RowIndex`: where the row of each image lies, in 48 bytes an image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from goldenrule.storage.files import DIGEST_BYTES

FEWEST_RECENT = 1 << 14
"""So many new images are kept in a dictionary before they are sorted in."""


class RowIndex:
    """Digests of images with the chunk and the place of their rows; the first that is told of an image stays.

    Sorted arrays hold nearly all of them, a dictionary the newest: 48 bytes an image where a dictionary alone takes
    some 300. What is new is sorted in when it is an eighth of all, so that a million images are sorted a few times.
    """

    def __init__(self) -> None:
        self._digests = np.empty(0, f"S{DIGEST_BYTES}")  # sorted; whole digests, so that zeros at their end do no harm
        self._chunks, self._places = np.empty(0, np.int64), np.empty(0, np.int64)
        self._recent: dict[bytes, tuple[int, int]] = {}

    def __len__(self) -> int:
        return len(self._digests) + len(self._recent)

    def __contains__(self, digest: bytes) -> bool:
        return bool(self.has([digest])[0])

    def has(self, digests: Sequence[bytes]) -> npt.NDArray[np.bool_]:
        """Return which of these images have a row, (n,)."""
        there = self._among_sorted(digests)[1]
        if self._recent:
            there |= np.fromiter((digest in self._recent for digest in digests), bool, len(digests))
        return there

    def add(self, digests: Sequence[bytes], chunk: int) -> None:
        """Add the rows of a chunk, whose places are counted from 0; b"" holds the place of a row that is of no use."""
        known = self._among_sorted(digests)[1].tolist()
        for place, digest in enumerate(digests):
            if digest and not known[place]:
                self._recent.setdefault(digest, (chunk, place))
        if len(self._recent) >= max(FEWEST_RECENT, len(self._digests) // 8):
            self._sort_in()

    def find(self, digests: Sequence[bytes]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return chunks and places (n,) of these images; `KeyError` for one that is not there."""
        near, there = self._among_sorted(digests)
        chunks, places = np.zeros(len(digests), np.int64), np.zeros(len(digests), np.int64)
        chunks[there], places[there] = self._chunks[near[there]], self._places[near[there]]
        for number in np.flatnonzero(~there).tolist():
            chunks[number], places[number] = self._recent[digests[number]]
        return chunks, places

    def _among_sorted(self, digests: Sequence[bytes]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """Return where these images would be among the sorted ones, and which of them are there, (n,)."""
        asked = np.array(digests, self._digests.dtype)
        if not len(self._digests):
            return np.zeros(len(asked), np.int64), np.zeros(len(asked), bool)
        near = np.minimum(np.searchsorted(self._digests, asked), len(self._digests) - 1)
        return near, self._digests[near] == asked

    def _sort_in(self) -> None:
        new = np.array(list(self._recent), self._digests.dtype)
        where = np.array(list(self._recent.values()), np.int64).reshape(-1, 2)
        order = np.argsort(new)
        at = np.searchsorted(self._digests, new[order])
        self._digests = np.insert(self._digests, at, new[order])
        self._chunks = np.insert(self._chunks, at, where[order, 0])
        self._places = np.insert(self._places, at, where[order, 1])
        self._recent = {}
