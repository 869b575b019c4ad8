"""`Estimate`: a number that was measured on images, with its interval, and the one way to print it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from goldenrule.core.errors import OptionError
from goldenrule.core.schema import IF_OTHERWISE, OrNan, as_json
from goldenrule.metrics.grouped.clusters import clustered_share
from goldenrule.metrics.intervals import wilson

Kind = Literal["share", "points", "number"]


class Basis(StrEnum):
    """Whether the images that a number was measured on had a say in what was measured."""

    HELD_OUT = "held out"
    USED_FOR_SELECTION = "used for selection"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Estimate:
    """A value, the interval around it, the number of images behind it and how the interval was made.

    `kind` says how it reads: a "share" of images (0 to 1, printed in percent), a difference of two shares
    in percentage "points", or a plain "number" such as a log loss in nats. `basis` is "used for selection" when the
    same images helped to choose what is being measured (then the value is optimistic), else "held out".
    Where images come in `groups` these are the sample, and `effective_n` says how many independent images would tell as
    much; of fewer than six groups there is no interval (`low` and `high` are nan).
    With n = 0 there is nothing to measure: `defined` is False, `value` is nan, and it prints as "n/a (n=0)".

    >>> loss = Estimate(name="log loss", value=0.018, low=0.0107, high=0.0261, n=200, method="bootstrap 95 %")
    >>> print(loss)
    0.018 [0.011, 0.026] n=200
    >>> as_json(loss)["value"]
    0.018
    """

    name: str
    value: OrNan
    low: OrNan
    high: OrNan
    n: int
    method: str
    kind: Kind = "number"
    basis: Basis = Basis.HELD_OUT
    groups: int | None = field(default=None, metadata=IF_OTHERWISE)
    effective_n: float | None = field(default=None, metadata=IF_OTHERWISE)

    def __post_init__(self) -> None:
        """Make numpy's numbers plain; raise `OptionError` for what no measurement gives."""
        object.__setattr__(self, "n", int(self.n))
        for name in ("value", "low", "high"):
            object.__setattr__(self, name, float(getattr(self, name)))
        if self.kind not in get_args(Kind) or self.basis not in tuple(Basis):
            raise OptionError(
                f"{self.name}: kind {self.kind!r} and basis {str(self.basis)!r}; wanted one of {get_args(Kind)} "
                f"and one of {tuple(map(str, Basis))}"
            )
        object.__setattr__(self, "basis", Basis(self.basis))
        if self.n < 0:
            raise OptionError(f"{self.name}: n = {self.n}; wanted 0 or more images")
        bounded = -math.inf < self.low <= self.high < math.inf or (
            self.groups is not None and math.isnan(self.low) and math.isnan(self.high)
        )
        if self.n > 0 and not (math.isfinite(self.value) and bounded):
            raise OptionError(
                f"{self.name}: {self.value} [{self.low}, {self.high}] of {self.n} images; wanted finite "
                "numbers with low <= high (only n = 0 may be undefined)"
            )

    @classmethod
    def of_share(cls, name: str, successes: int, n: int, *, basis: Basis = Basis.HELD_OUT) -> Estimate:
        """Return the share of n images for which something holds, with its Wilson interval.

        >>> print(Estimate.of_share("accuracy", 199, 200))
        99.5 % [97.2, 99.9] n=200
        """
        method = "Wilson 95 %"
        if n == 0:
            return cls.undefined(name, method, kind="share", basis=basis)
        low, high = wilson(successes, n)
        value = successes / n
        return cls(name=name, value=value, low=low, high=high, n=n, method=method, kind="share", basis=basis)

    @classmethod
    def of_right(
        cls,
        name: str,
        right: NDArray[np.bool_],
        groups: NDArray[np.int64] | None = None,
        *,
        basis: Basis = Basis.HELD_OUT,
    ) -> Estimate:
        """Return the share of images for which something is right (n,); of `groups` (n,) where these are the sample.

        >>> print(Estimate.of_right("accuracy", np.arange(100) > 4, np.arange(100) // 5))
        95.0 % [74.3, 99.2] n=100 (effective n=19)
        """
        if groups is None or len(right) == 0:
            return cls.of_share(name, int(right.sum()), len(right), basis=basis)
        found = clustered_share(right, groups)
        return cls(name=name, value=float(right.mean()), n=len(right), kind="share", basis=basis, **found.about)

    @classmethod
    def undefined(cls, name: str, method: str, *, kind: Kind = "number", basis: Basis = Basis.HELD_OUT) -> Estimate:
        """Return what is known from no image at all.

        >>> print(Estimate.undefined("recall of cat", "Wilson 95 %", kind="share"))
        n/a (n=0)
        """
        nan = math.nan
        return cls(name=name, value=nan, low=nan, high=nan, n=0, method=method, kind=kind, basis=basis)

    @property
    def independent(self) -> int:
        """How many independent images would tell as much: n, or the effective n rounded down."""
        return self.n if self.effective_n is None else math.floor(self.effective_n + 1e-9)

    @property
    def bounded(self) -> bool:
        """Whether there is an interval: not of an undefined value, nor of fewer than six groups."""
        return self.defined and not math.isnan(self.low)

    @property
    def defined(self) -> bool:
        """Whether there was at least one image to measure on."""
        return self.n > 0

    def __eq__(self, other: object) -> bool:
        """Equal in every field; two undefined estimates of the same thing are equal too, unlike nan."""
        return isinstance(other, Estimate) and as_json(self) == as_json(other)

    def __hash__(self) -> int:
        return hash(tuple(as_json(self).values()))

    def __str__(self) -> str:
        return render(self)


def render(estimate: Estimate) -> str:
    """Return an estimate in one line: value, 95 % interval, n, and a mark where its images were used for selection.

    It prints the digits that the images can carry: enough for the interval to be ten units wide. That is at
    least one decimal of a percent (none below 100 images, where one image is more than a percent), and three
    decimals of a plain number. A share never rounds to 0 % or 100 % unless it is.

    >>> render(Estimate.of_share("accuracy", 9, 9))
    '100 % [70, 100] n=9'
    >>> render(Estimate.of_share("accuracy", 193, 200, basis=Basis.USED_FOR_SELECTION))
    '96.5 % [93.0, 98.3] n=200 (used for selection)'
    >>> render(Estimate.of_share("accuracy", 9_990, 10_000))
    '99.90 % [99.82, 99.95] n=10,000'
    """
    number, marks = f"n={estimate.n:,}", marks_of(estimate)
    mark = f" ({', '.join(marks)})" if marks else ""
    return f"{value_and_interval(estimate)} {number}{mark}" if estimate.defined else f"n/a ({number}){mark}"


def marks_of(estimate: Estimate) -> tuple[str, ...]:
    """Return what `render` says in brackets behind n."""
    effective = () if estimate.effective_n is None else (f"effective n={estimate.independent:,}",)
    return (*effective, str(estimate.basis)) if estimate.basis is Basis.USED_FOR_SELECTION else effective


def value_and_interval(estimate: Estimate) -> str:
    """Return what `render` does for a sentence or table that says elsewhere how many images there are.

    >>> value_and_interval(Estimate.of_share("accuracy", 193, 200))
    '96.5 % [93.0, 98.3]'
    """
    return " ".join(text for text in value_beside_interval(estimate) if text)


def value_beside_interval(estimate: Estimate) -> tuple[str, str]:
    """Return the value with its unit, and the interval in brackets, "" where nothing was measured.

    >>> value_beside_interval(Estimate.of_share("accuracy", 193, 200))
    ('96.5 %', '[93.0, 98.3]')
    """
    if not estimate.defined:
        return "n/a", ""
    value, low, high = printed(estimate)
    if not estimate.bounded:
        groups = estimate.groups or 0
        return value, f"[no interval: {groups:,} group{' is' if groups == 1 else 's are'} too few]"
    return value, f"[{low}, {high}]"


def printed(estimate: Estimate) -> tuple[str, str, str]:
    """Return the value with its unit, low and high of a defined estimate, with the digits that `render` prints.

    >>> printed(Estimate.of_share("accuracy", 9, 9))
    ('100 %', '70', '100')
    """
    value, low, high = _rounded(estimate)
    return value + {"share": " %", "points": " points", "number": ""}[estimate.kind], low, high


def _rounded(estimate: Estimate) -> tuple[str, str, str]:
    """Value, low and high as text, all with the same number of decimals."""
    scale = 1 if estimate.kind == "number" else 100
    ends = (estimate.low, estimate.high) if estimate.bounded else (estimate.value, estimate.value)
    value, low, high = (scale * number for number in (estimate.value, *ends))
    decimals, most = (3, 6) if estimate.kind == "number" else (int(estimate.n >= 100), 4)
    while decimals < most and (0 < (high - low) * 10**decimals < 10 or _looks_perfect(value, decimals, estimate.kind)):
        decimals += 1
    return _with_decimals(value, decimals), _with_decimals(low, decimals), _with_decimals(high, decimals)


def _looks_perfect(percent: float, decimals: int, kind: Kind) -> bool:
    """Whether a share would print as 0 % or 100 % without being so."""
    return kind == "share" and percent not in (0, 100) and round(percent, decimals) in (0, 100)


def _with_decimals(number: float, decimals: int) -> str:
    return f"{round(number, decimals) + 0.0:,.{decimals}f}"  # + 0.0 turns -0.0 into 0.0
