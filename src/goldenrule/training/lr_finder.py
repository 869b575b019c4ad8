"""The learning-rate finder: what a curve of losses over rising rates says. Numbers in, value out.

Smith, "Cyclical learning rates for training neural networks", arXiv:1506.01186, section 3.3; the suggestions
after fast.ai's lesson 2 (steepest, minimum / 10) and fastai 2 (valley).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from goldenrule.core.errors import OptionError

LOWEST_RATE, HIGHEST_RATE = 1e-5, 10.0
STEPS_ON_ROWS, STEPS_LIVE = 100, 40
BLOW_UP = 4.0
"""The test stops where the smoothed loss is this many times the best, or is no number."""
NOISE_SHARE, NOISE_ERRORS = 0.05, 2.0
"""A loss has fallen, or risen, only by more than this share of the first losses and this many standard errors."""
CHANCE_SHARE = 0.1
"""What is left to fall is something only if it is more than this share of the loss of guessing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeTest:
    """A curve and what it suggests. Rates are those of the highest group, one per step."""

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    smoothed: tuple[float, ...]  # centred: what it shows at a rate belongs to that rate
    minimum: float | None  # where the smoothed loss is lowest: shown, not recommended
    suggestions: Mapping[str, float]  # rule -> rate
    at_minimum: bool
    note: str
    ratio: tuple[float, ...] = field(default=(1.0,))  # of the groups to the highest

    @property
    def suggestion(self) -> float:
        """The rate to take: by the first rule that has one."""
        return next(iter(self.suggestions.values()))

    @property
    def rule(self) -> str:
        """The rule that `suggestion` is by."""
        return next(iter(self.suggestions))

    def __str__(self) -> str:
        shown = ", ".join(f"{name}: {rate:.1e} ({rate:.6g})" for name, rate in self.suggestions.items())
        minimum = f"; the minimum is at {self.minimum:.1e} (too high to train with)" if self.minimum else ""
        return f"{self.note} {shown}{minimum}".strip()


MOST_STEPS = 100_000
SMALLEST_RATE, LARGEST_RATE = 1e-12, 1e6


def rising_rates(steps: int, *, lowest: float = LOWEST_RATE, highest: float = HIGHEST_RATE) -> tuple[float, ...]:
    """Return `steps` rates from lowest to highest, each the same factor above the one before.

    >>> [round(rate, 6) for rate in rising_rates(4, lowest=1e-3, highest=1.0)]
    [0.001, 0.01, 0.1, 1.0]
    """
    if not SMALLEST_RATE <= lowest < highest <= LARGEST_RATE:
        raise OptionError(
            f"rates from {lowest:g} to {highest:g}: wanted {SMALLEST_RATE:g} <= lowest < highest <= {LARGEST_RATE:g}."
        )
    if not 2 <= steps <= MOST_STEPS:
        raise OptionError(f"steps={steps}: a range test needs at least 2, and at most {MOST_STEPS:,}.")
    return tuple(lowest * (highest / lowest) ** (step / (steps - 1)) for step in range(steps))


def smoothing(steps: int) -> float:
    """Return the factor of the moving average: .98 for 300 steps and more, less for fewer.

    >>> [round(smoothing(steps), 2) for steps in (10, 40, 100, 300)]
    [0.5, 0.85, 0.94, 0.98]
    """
    return min(0.98, max(0.5, 1 - 6 / steps))


def smoothed(losses: Sequence[float], beta: float) -> tuple[float, ...]:
    """Return the debiased exponential moving average (Kingma & Ba, "Adam", arXiv:1412.6980, section 3).

    >>> smoothed([2.0, 2.0, 2.0], 0.9)
    (2.0, 2.0, 2.0)
    """
    average, result = 0.0, []
    for step, loss in enumerate(losses, start=1):
        average = beta * average + (1 - beta) * loss
        result.append(round(average / (1 - beta**step), 12))
    return tuple(result)


def centred(losses: Sequence[float], beta: float) -> tuple[float, ...]:
    """Return the moving average taken forwards and backwards, so that the curve is not shifted to higher rates.

    >>> centred([3.0, 2.0, 1.0], 0.0)
    (3.0, 2.0, 1.0)
    """
    return smoothed(smoothed(losses, beta)[::-1], beta)[::-1]


def blown_up(losses: Sequence[float], beta: float) -> bool:
    """Return whether the test has seen enough: the last loss is no number or the average is far above its best."""
    if not losses:
        return False
    if not math.isfinite(losses[-1]):
        return True
    curve = smoothed(losses, beta)
    return curve[-1] > BLOW_UP * min(curve)


def read_curve(
    rates: Sequence[float], losses: Sequence[float], *, ratio: Sequence[float] = (1.0,), chance: float = 0.0
) -> RangeTest:
    """Read the suggestions from a curve; losses that are no numbers end it.

    Where the loss never falls clearly below its first values, the start is at a minimum already: then the only
    suggestion is the largest rate before the smoothed loss rises for good. `chance` is the loss of guessing, in
    nats: next to it a small fall is none, and reading the steepest slope from it would be reading noise.
    """
    count = next((step for step, loss in enumerate(losses) if not math.isfinite(loss)), len(losses))
    rates, losses = tuple(rates[:count]), tuple(losses[:count])
    curve = centred(losses, smoothing(max(count, 10) // 2))
    if count < 5:
        note = f"Only {count} steps before the loss blew up: too few to read anything from. Start lower."
        return _test(rates, losses, curve, None, {"a guess": 1e-3}, False, note, ratio)
    first = losses[: max(3, count // 4)]
    level = sum(first) / len(first)
    spread = math.sqrt(sum((loss - level) ** 2 for loss in first) / (len(first) - 1))
    noise = max(NOISE_SHARE * level, NOISE_ERRORS * spread / math.sqrt(len(first)))
    low = min(range(count), key=curve.__getitem__)
    if curve[low] > level - max(noise, CHANCE_SHARE * chance):
        flat = max((step for step in range(count) if curve[step] <= level + noise), default=0)
        note = "Already at a minimum: nothing left to fall. The largest rate that does not raise the loss is offered."
        return _test(rates, losses, curve, None, {"largest flat": rates[flat]}, True, note, ratio)
    suggestions = {
        "steepest": rates[_steepest(rates, curve, low)],
        "minimum / 10": rates[low] / 10,
        "valley": rates[_valley(curve)],
    }
    return _test(rates, losses, curve, rates[low], suggestions, False, "", ratio)


def _test(
    rates: tuple[float, ...],
    losses: tuple[float, ...],
    curve: tuple[float, ...],
    minimum: float | None,
    suggestions: Mapping[str, float],
    at_minimum: bool,
    note: str,
    ratio: Sequence[float],
) -> RangeTest:
    return RangeTest(
        rates=rates,
        losses=losses,
        smoothed=curve,
        minimum=minimum,
        suggestions=suggestions,
        at_minimum=at_minimum,
        note=note,
        ratio=tuple(ratio),
    )


def _steepest(rates: Sequence[float], curve: Sequence[float], low: int) -> int:
    """Return the step before the minimum where the loss falls fastest per decade of the rate."""
    slopes = {
        step: (curve[step + 1] - curve[step - 1]) / math.log(rates[step + 1] / rates[step - 1])
        for step in range(1, max(low, 2))
        if step + 1 < len(curve)
    }
    return min(slopes, key=slopes.__getitem__)


def _valley(curve: Sequence[float]) -> int:
    """Return the middle of the second third of the longest falling stretch (fastai's `valley`).

    The stretch is the longest decreasing subsequence that ends where the curve ends falling.
    """
    longest = [1] * len(curve)
    for step in range(1, len(curve)):
        for before in range(step):
            if curve[step] < curve[before] and longest[step] < longest[before] + 1:
                longest[step] = longest[before] + 1
    end = max(range(len(curve)), key=longest.__getitem__)
    start = end - longest[end]
    third = (end - start) / 3
    return min(max(start + int(third) + int(third / 2), 0), len(curve) - 1)
