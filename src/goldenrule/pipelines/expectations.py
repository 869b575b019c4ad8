"""What a fit tries next: by the gain that measured runs on other images let expect (law 6: a pure function).

The runs are those of benchmarks/anytime.py. Each gives, for an attempt on a set of photos, the share of the log loss
that it took away on test images that no choice had seen. A new set is expected to gain the mean share of the sets that
were as far from ImageNet as it is; the interval is where a new set's share lies with 95 % probability, were the sets
drawn at random from those that people have: mean +- t s sqrt(1 + 1/n).
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import get_args

import msgspec
import numpy as np

from goldenrule.core.progress import time_text
from goldenrule.core.schema import as_type
from goldenrule.metrics.selection_rules import DomainShift
from goldenrule.training.plan import LiveStep

LEAST_EXPECTED = 0.01
"""An attempt of which a lower gain in log loss (nats) is expected is left out."""
FEWEST_SETS = 3
"""Measured sets below which nothing is expected of a gain: the attempt is made."""
ATTEMPTS = {LiveStep.SIDE_BY_SIDE: "several backbones side by side", LiveStep.NETWORK: "training the network"}
"""What is decided on, in the order in which it is tried."""


class MeasuredShare(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The share of the log loss that an attempt took away on a set, the mean over its seeds."""

    attempt: str
    set: str
    shift: DomainShift
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What an attempt is expected to lower the log loss by, in nats: of `sets` sets at the same domain shift.

    `share`, `low` and `high` are shares of the loss so far, `loss`: None before it is known. `tried`: whether the
    attempt is made.
    """

    attempt: str
    share: float | None
    low: float | None
    high: float | None
    sets: int
    seconds: float
    loss: float | None = None
    tried: bool = True

    @property
    def gain(self) -> float | None:
        """The expected gain in nats."""
        return None if self.share is None or self.loss is None else self.share * self.loss

    @property
    def sentence(self) -> str:
        """What was decided on, and why: what it is expected to gain, and how long it takes."""
        name = ATTEMPTS[LiveStep(self.attempt)]
        if self.loss is None or self.share is None:
            return f"{name}, about {time_text(self.seconds)}: {self.expected}"
        return (
            f"{name}, about {time_text(self.seconds)}: log loss is expected to fall by {self.expected} from "
            f"{self.loss:.3f} ({self.sets} measured sets), and {LEAST_EXPECTED:g} is wanted"
        )

    @property
    def expected(self) -> str:
        """The gain in words: in log loss where that is known so far, else as a share of it."""
        if self.share is None or self.low is None or self.high is None:
            return f"not known ({self.sets} measured sets are as far from ImageNet)"
        if self.loss is None:
            return f"{100 * self.share:.0f} % [{100 * self.low:.0f}, {100 * self.high:.0f}] of the log loss"
        return f"{self.share * self.loss:.3f} [{self.low * self.loss:.3f}, {self.high * self.loss:.3f}]"


@functools.cache
def measured_shares() -> tuple[MeasuredShare, ...]:
    """Return what benchmarks/anytime.py has measured."""
    path = resources.files("goldenrule.pipelines") / "measured_gains.json"
    value = json.loads(path.read_text("utf-8"))
    return as_type(value["shares"], tuple[MeasuredShare, ...], what="measured_gains.json")


def expectation(
    attempt: LiveStep,
    *,
    shift: DomainShift | None,
    loss: float | None,
    seconds: float,
    measured: Sequence[MeasuredShare] | None = None,
) -> Expectation:
    """Return what an attempt is expected to gain on images at this domain shift, whose log loss so far is `loss`.

    A `shift` of None is not known yet: the sets of all shifts count.

    >>> rows = [MeasuredShare(attempt="whole network", set=name, shift="low", share=0.0) for name in "abc"]
    >>> expectation(LiveStep.NETWORK, shift="low", loss=0.02, seconds=60, measured=rows).tried
    False
    >>> expectation(LiveStep.NETWORK, shift="high", loss=2.0, seconds=60, measured=rows).tried
    True
    """
    rows = measured_shares() if measured is None else measured
    shifts = get_args(DomainShift) if shift is None else (shift,)
    shares = np.array([row.share for row in rows if row.attempt == attempt and row.shift in shifts])
    known = len(shares) >= FEWEST_SETS
    mean = float(shares.mean()) if known else None
    reach = _t(len(shares) - 1) * float(shares.std(ddof=1)) * math.sqrt(1 + 1 / len(shares)) if known else 0.0
    return Expectation(
        attempt=attempt,
        share=mean,
        low=None if mean is None else mean - reach,
        high=None if mean is None else min(mean + reach, 1.0),
        sets=len(shares),
        seconds=seconds,
        loss=loss,
        tried=mean is None or loss is None or mean * loss >= LEAST_EXPECTED,
    )


def _t(degrees: int) -> float:
    """Return the 97.5 % quantile of Student's t."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, 0.975))
