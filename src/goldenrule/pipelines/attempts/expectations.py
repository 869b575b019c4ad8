"""What a fit tries next: by the gain that measured runs on other images let expect (law 6: a pure function).

The runs are those of benchmarks/anytime.py. Each gives, for an attempt on a set of photos, the share of the log loss
that it took away on test images that no choice had seen. A new set is expected to gain the mean share of the sets that
were as far from ImageNet as it is, and of an imaginary one that gained `IMAGINED`: that a few sets gained nothing does
not say that none will. The interval is where a new set's share lies with 95 % probability, were the sets drawn at
random from those that people have: mean +- t s sqrt(1 + 1/n).
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Sequence
from importlib import resources
from typing import get_args

import msgspec
import numpy as np

from goldenrule.core.schema import as_type
from goldenrule.metrics.selection_rules import DomainShift
from goldenrule.training.plan import LEAST_EXPECTED, Expectation, LiveStep

IMAGINED = 0.3
"""The share that the imaginary set gained; from 0.2 to 0.6 the decisions on the measured sets are the same."""
FEWEST_SETS = 2
"""Measured sets below which nothing is expected of a gain: the attempt is made."""


class MeasuredShare(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The share of the log loss that an attempt took away on a set, the mean over its seeds."""

    attempt: str
    set: str
    shift: DomainShift
    share: float


@functools.cache
def measured_shares() -> tuple[MeasuredShare, ...]:
    """Return what benchmarks/anytime.py has measured."""
    path = resources.files("goldenrule.pipelines.attempts") / "measured_gains.json"
    value = json.loads(path.read_text("utf-8"))
    return as_type(value["shares"], tuple[MeasuredShare, ...], what="measured_gains.json")


def expectation(
    attempt: LiveStep,
    *,
    shift: DomainShift | None,
    loss: float | None,
    seconds: float,
    measured: Sequence[MeasuredShare],
) -> Expectation:
    """Return what an attempt is expected to gain on images at this domain shift, whose log loss so far is `loss`.

    A `shift` of None is not known yet: the sets of all shifts count.

    >>> rows = [MeasuredShare(attempt="whole network", set=name, shift="low", share=0.0) for name in "abc"]
    >>> expectation(LiveStep.NETWORK, shift="low", loss=0.02, seconds=60, measured=rows).tried
    False
    >>> expectation(LiveStep.NETWORK, shift="high", loss=2.0, seconds=60, measured=rows).tried
    True
    >>> expectation(LiveStep.NETWORK, shift="low", loss=0.02, seconds=60, measured=rows).expected
    '0.0015 [-0.009, 0.01]'
    """
    shifts = get_args(DomainShift) if shift is None else (shift,)
    shares = np.array([IMAGINED, *(row.share for row in measured if row.attempt == attempt and row.shift in shifts)])
    known = len(shares) > FEWEST_SETS
    mean = float(shares.mean()) if known else None
    reach = _t(len(shares) - 1) * float(shares.std(ddof=1)) * math.sqrt(1 + 1 / len(shares)) if known else 0.0
    return Expectation(
        attempt=attempt,
        share=mean,
        low=None if mean is None else mean - reach,
        high=None if mean is None else min(mean + reach, 1.0),
        sets=len(shares) - 1,
        seconds=seconds,
        loss=loss,
        tried=mean is None or loss is None or mean * loss >= LEAST_EXPECTED,
    )


def _t(degrees: int) -> float:
    """Return the 97.5 % quantile of Student's t."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, 0.975))
