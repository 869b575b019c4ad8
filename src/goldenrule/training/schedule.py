"""Schedules: rate and momentum as pure functions of progress."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class OneCycle:
    """Warm up, then cosine down, momentum mirrored (Smith, "Super-convergence", arXiv:1708.07120).

    The factors are those of fastai's `fit_one_cycle`: from rate / 25 up within a quarter, down to rate / 1e5.

    >>> cycle = OneCycle(peak=1e-3)
    >>> cycle.rate(0.25), cycle.momentum(0.25)
    (0.001, 0.85)
    """

    peak: float
    warm_share: float = 0.25
    start_divisor: float = 25.0
    end_divisor: float = 1e5

    def rate(self, progress: float) -> float:
        """Give the rate at `progress` in 0..1."""
        if progress < self.warm_share:
            return _cosine(self.peak / self.start_divisor, self.peak, progress / self.warm_share)
        return _cosine(self.peak, self.peak / self.end_divisor, (progress - self.warm_share) / (1 - self.warm_share))

    def momentum(self, progress: float) -> float:
        """Give the momentum (AdamW's first beta) at `progress`: low where the rate is high."""
        if progress < self.warm_share:
            return _cosine(0.95, 0.85, progress / self.warm_share)
        return _cosine(0.85, 0.95, (progress - self.warm_share) / (1 - self.warm_share))


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * min(max(share, 0.0), 1.0))) / 2
