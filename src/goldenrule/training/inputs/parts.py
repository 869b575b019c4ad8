"""`Part`: the share of every batch that one of several processes has."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class Part(NamedTuple):
    """Process number `rank` of `world` that share each batch: consecutive images, as many as the others or one less."""

    rank: int = 0
    world: int = 1

    def size(self, batch_size: int) -> int:
        """Return how many images of a full batch this process has."""
        return len(self._of(np.arange(batch_size)))

    def rows(self, rows: npt.NDArray[np.int64], batch_size: int) -> tuple[npt.NDArray[np.int64], bool]:
        """Return this process's images (m,) of the batches that `rows` (n,) are cut into, one batch after another.

        Where the last batch has fewer images than there are processes, one that gets none takes the first of it, so
        that all of them make the step; the second value says so: that image counts nothing.

        >>> Part(1, 2).rows(np.arange(7), 4)
        (array([2, 3, 6]), False)
        >>> Part(1, 2).rows(np.arange(5), 4)
        (array([2, 3, 4]), True)
        """
        if self.world == 1:
            return rows, False
        batches = [rows[first : first + batch_size] for first in range(0, len(rows), batch_size)]
        parts = [self._of(batch) for batch in batches]
        idle = bool(parts) and not len(parts[-1])
        if idle:
            parts[-1] = batches[-1][:1]
        return np.concatenate([rows[:0], *parts]), idle

    def _of(self, batch: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        return np.array_split(batch, self.world)[self.rank]


WHOLE = Part()
