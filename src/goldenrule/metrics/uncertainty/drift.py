"""Whether new images are farther from those of the training than held-out ones were: a test that needs no labels.

Of every pair of a new image and a held-out one it is asked which is farther. Without drift that is the new one in half
of the pairs. The share is the area under the ROC curve of the distances; its interval is DeLong's, and ranks alone are
counted, so that a million images take no more memory than one.

Source: DeLong, DeLong and Clarke-Pearson (1988), "Comparing the areas under two or more correlated receiver operating
characteristic curves", Biometrics 44.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from goldenrule.metrics.estimate import Basis, Estimate

SURE, CLEAR = 3.09, 0.6
"""A drift is told where the share of pairs is above one half by so many standard errors (p = .001), and at least so
large: of many images the smallest difference is certain."""
FEWEST = 5
"""Of fewer new images than this nothing is told: each of them has its flag, and one is no drift."""
Z95 = 1.959963984540054


@dataclass(slots=True, eq=False)
class DriftTest:
    """The ranks of new images among the distances (n,) of held-out ones, counted as they come."""

    held_out: npt.NDArray[np.float32]
    below: npt.NDArray[np.int64] = field(init=False)
    ties: npt.NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.held_out = np.sort(np.asarray(self.held_out, np.float32))
        self.below = np.zeros(len(self.held_out) + 1, np.int64)  # new images with so many held-out ones nearer
        self.ties = np.zeros(len(self.held_out) + 1, np.int64)  # the same, equal ones counted as nearer

    def add(self, distances: npt.ArrayLike) -> None:
        """Count images by their distances (n,); nan, of an image that could not be read, counts nothing."""
        known = np.asarray(distances, np.float32)
        known = known[~np.isnan(known)]
        np.add.at(self.below, np.searchsorted(self.held_out, known, side="left"), 1)
        np.add.at(self.ties, np.searchsorted(self.held_out, known, side="right"), 1)

    @property
    def n(self) -> int:
        """How many new images were counted."""
        return int(self.below.sum())

    def share(self) -> Estimate:
        """Return in how many pairs the new image is the farther one (ties: one half), with its 95 % interval.

        >>> test = DriftTest(np.arange(100) / 100)
        >>> test.add(np.arange(100) / 100 + 0.25)
        >>> print(test.share())
        71.9 % [65.0, 78.8] n=100
        """
        held, new = len(self.held_out), self.n
        name, method = "farther than a held-out image", "DeLong 95 %"
        if not held or not new:
            return Estimate.undefined(name, method, kind="share")
        ranks = np.arange(held + 1)
        mean = float((self.below @ ranks + self.ties @ ranks) / 2 / new / held)
        squares = float((self.below @ ranks**2 + self.ties @ ranks**2) / 2 / new / held**2)
        of_new = max(squares - mean**2, 0.0) / max(new - 1, 1)
        farther = (new - np.cumsum(self.below)[:held] + new - np.cumsum(self.ties)[:held]) / 2 / new  # of each held-out
        of_held = float(np.var(farther, ddof=1)) / held if held > 1 else 0.25
        error = math.sqrt(of_new + of_held) or 0.5 / math.sqrt(min(new, held))
        low, high = max(mean - Z95 * error, 0.0), min(mean + Z95 * error, 1.0)
        return Estimate(
            name=name, value=mean, low=low, high=high, n=new, method=method, kind="share", basis=Basis.HELD_OUT
        )

    @property
    def found(self) -> bool:
        """Whether new images are farther, beyond doubt and by a difference that matters."""
        share = self.share()
        if not share.defined or share.n < FEWEST:
            return False
        error = max(share.value - share.low, 1e-9) / Z95
        return share.value >= CLEAR and (share.value - 0.5) / error > SURE
