"""Which of two networks is better, asked on the same images; and when that can't be told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from goldenrule.core.errors import OptionError
from goldenrule.core.extras import Late
from goldenrule.core.findings import plural
from goldenrule.metrics.basic import hits, image_losses
from goldenrule.metrics.estimate import Basis, Estimate, value_and_interval
from goldenrule.metrics.grouped.clusters import clustered_mean, group_values
from goldenrule.metrics.predictions import Predictions
from goldenrule.metrics.resampling import bca_interval, resampled_means
from goldenrule.metrics.uncertainty.power import images_for_mcnemar, images_for_mean, needed_text

Metric = Literal["log_loss", "accuracy"]
Better = Literal["a", "b", "neither"]

RESAMPLES = 10_000
_MOST_BY_CHANCE = 0.05
_LEAST_SHOWN = 0.001
FEW_TO_FLIP, FLIPS = 12, 9_999


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """B against A on the same images, by bootstrap.

    `gain` says how much better B is: above 0 where B has the lower log loss (nats) or the higher accuracy
    (percentage points). `probability_better` is the share of the resamples with a gain above 0, no gain
    counted half: one-sided, .5 between equals, and where fewer than six groups are all there is. A later stage
    replaces an earlier one where it is .9 or more.
    `images_needed` is how many images would show the gain, were it the true one, four times of five with an
    interval that leaves out 0; None where there is no gain.
    """

    metric: Metric
    gain: Estimate
    probability_better: float
    images_needed: int | None

    @property
    def better(self) -> Better:
        """The better one if the 95 % interval of the gain leaves out 0, else "neither"."""
        if not self.gain.bounded or self.gain.low <= 0 <= self.gain.high:
            return "neither"
        return "b" if self.gain.value > 0 else "a"

    def sentence(self, a: str = "A", b: str = "B") -> str:
        """Return the result in plain words; `a` and `b` are what to call the two."""
        gain, share = self.gain, self.probability_better
        if not gain.bounded:
            groups = "1 group of images is" if gain.groups == 1 else f"{gain.groups} groups of images are"
            return f"{a} and {b} can't be compared: {groups} too few ({gain.name} {gain})"
        if self.better == "a":
            gain = replace(gain, value=-gain.value, low=-gain.high, high=-gain.low)
            a, b, share = b, a, 1 - share
        evidence = f"{gain.name} {value_and_interval(gain)}, better in {100 * share:.3g} % of resamples"
        if self.better == "neither":
            evidence = f"{b}: {evidence}"
        if gain.basis == Basis.USED_FOR_SELECTION:
            evidence += ", used for selection"
        return f"{_verdict(self.better != 'neither', a, b, gain.n, self.images_needed)} ({evidence})"


@dataclass(frozen=True, slots=True, kw_only=True)
class McNemar:
    """B against A on the same images: how often only one of them is right, and how likely that is by chance.

    `p_value` is exact and two-sided; where images come in groups, by flipping the signs of the groups' differences.
    """

    both_right: int
    only_a_right: int
    only_b_right: int
    both_wrong: int
    p_value: float

    @property
    def n(self) -> int:
        """On how many images both were compared."""
        return self.both_right + self.only_a_right + self.only_b_right + self.both_wrong

    @property
    def images_needed(self) -> int | None:
        """How many images would show this difference four times of five; None where there is none."""
        return images_for_mcnemar(self.only_a_right, self.only_b_right, self.n)

    @property
    def better(self) -> Better:
        """The one more often right if p < .05, else "neither"."""
        if self.p_value >= _MOST_BY_CHANCE:
            return "neither"
        return "b" if self.only_b_right > self.only_a_right else "a"

    def sentence(self, a: str = "A", b: str = "B") -> str:
        """Return the result in plain words; `a` and `b` are what to call the two."""
        alone = f"{a} alone is right {plural(self.only_a_right, 'time')}, {b} alone {plural(self.only_b_right, 'time')}"
        chance = f"p = {self.p_value:.2g}" if self.p_value >= _LEAST_SHOWN else f"p < {_LEAST_SHOWN:g}"
        if self.better == "a":
            a, b = b, a
        return f"{_verdict(self.better != 'neither', a, b, self.n, self.images_needed)} ({alone}, {chance})"


def paired_bootstrap(
    a: Predictions, b: Predictions, *, metric: Metric = "log_loss", resamples: int = RESAMPLES, seed: int = 0
) -> Comparison:
    """Compare the losses (or hits) of two networks image by image; `a` and `b` may be in another order.

    The resamples are of images, so what both find hard takes nothing away; of groups, where either has such.
    Bootstrap after Efron and Tibshirani (1993), An introduction to the bootstrap; the interval is BCa.
    Raises `OptionError` unless both scored the same images (two or more) with the same truth.
    """
    a, b = _paired(a, b)
    if metric == "log_loss":
        gains = image_losses(a) - image_losses(b)
    elif metric == "accuracy":
        gains = hits(b).astype(np.float64) - hits(a)
    else:
        raise OptionError(f"metric = {metric!r}: wanted 'log_loss' or 'accuracy'")
    groups = b.group if a.group is None else a.group
    units = gains if groups is None else group_values(gains, groups)
    means = resampled_means(units, resamples=resamples, seed=seed)
    about: dict[str, Any] = {"method": f"paired BCa bootstrap 95 % ({resamples:,} resamples)"}
    if groups is None:
        about["low"], about["high"] = bca_interval(gains, means)
    else:
        about = clustered_mean(gains, groups, resamples=resamples, seed=seed).about
    gain = Estimate(
        name=f"gain in {metric.replace('_', ' ')}",
        value=float(gains.mean()),
        n=len(gains),
        kind="number" if metric == "log_loss" else "points",
        basis=_joint_basis(a, b),
        **about,
    )
    better = float(np.mean(means > 0) + np.mean(means == 0) / 2) if gain.bounded else 0.5
    return Comparison(
        metric=metric,
        gain=gain,
        probability_better=better,
        images_needed=images_for_mean(gain.value, float(gains.std(ddof=1))),
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust the p-values of several tests, so that the chance of any false alarm stays below the level.

    Source: Holm (1979), Scandinavian Journal of Statistics 6:65-70.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = highest
    return adjusted


def mcnemar(a: Predictions, b: Predictions) -> McNemar:
    """Test whether two networks are right equally often, from the images on which only one of them is.

    Raises `OptionError` unless both scored the same images with the same truth, and for many labels.
    Source: McNemar (1947), Psychometrika 12:153-157, with the exact binomial tail; of groups Obuchowski (1998),
    Statistics in Medicine 17:1495-1507, as a test by permutations.
    """
    bdtr = Late("scipy.special").bdtr

    a, b = _paired(a, b)
    a_right, b_right = hits(a), hits(b)
    only_a, only_b = int((a_right & ~b_right).sum()), int((b_right & ~a_right).sum())
    groups = b.group if a.group is None else a.group
    if groups is None:
        p_value = min(1.0, 2 * float(bdtr(min(only_a, only_b), only_a + only_b, 0.5)))
    else:
        p_value = sign_flips(np.bincount(groups, weights=b_right.astype(np.float64) - a_right).astype(np.float64))
    return McNemar(
        both_right=int((a_right & b_right).sum()),
        only_a_right=only_a,
        only_b_right=only_b,
        both_wrong=int((~a_right & ~b_right).sum()),
        p_value=p_value,
    )


def sign_flips(differences: NDArray[np.float64]) -> float:
    """Return the two-sided p-value of differences (G,) that are as likely below zero as above it.

    All flips of signs where there are few, else 9,999 of them drawn (Phipson and Smyth 2010).

    >>> sign_flips(np.array([1.0, 2, 1, 3, 1, 2])), sign_flips(np.array([1.0, -1]))
    (0.03125, 1.0)
    """
    found = np.asarray(differences[differences != 0], np.float64)
    apart = abs(found.sum()) - 1e-9
    if len(found) <= FEW_TO_FLIP:
        signs = 1 - 2 * (np.arange(2 ** len(found))[:, np.newaxis] >> np.arange(len(found)) & 1)
        return float((abs(signs @ found) >= apart).mean())
    generator, far = np.random.default_rng(0), 0
    for _ in range(FLIPS):
        far += abs(float(found @ generator.choice((-1.0, 1.0), len(found)))) >= apart
    return (1 + far) / (1 + FLIPS)


def _paired(a: Predictions, b: Predictions) -> tuple[Predictions, Predictions]:
    """Return the scored images of both in the order of their ids, with the classes of `a`."""
    if a.task != b.task:
        raise OptionError(f"can't compare: A has task {a.task!r}, B {b.task!r}; wanted the same")
    a, b = a.scored, b.scored.aligned_to(a.classes)
    _require_same_ids(a, b)
    a, b = a.select(_order_of_ids(a)), b.select(_order_of_ids(b))
    if (other := np.flatnonzero((a.truth != b.truth).reshape(len(a), -1).any(axis=1))).size:
        raise OptionError(
            f"can't compare: {len(other)} of {len(a)} images have another truth in B than in A, "
            f"the first is {a.ids[other[0]]!r}; score both against the same labels"
        )
    return a, b


def _require_same_ids(a: Predictions, b: Predictions) -> None:
    for side, predictions in (("A", a), ("B", b)):
        if twice := [name for name, count in Counter(predictions.ids).items() if count > 1]:
            raise OptionError(f"can't pair images by id: {side} has {twice[0]!r} more than once")
    only_a, only_b = sorted(set(a.ids) - set(b.ids)), sorted(set(b.ids) - set(a.ids))
    if only_a or only_b or len(a) < 2:
        first = "".join(f"; only in {side}: {names[0]!r}" for side, names in (("A", only_a), ("B", only_b)) if names)
        raise OptionError(
            f"can't compare: wanted the same 2 or more scored images in both, got {len(a):,} in A "
            f"and {len(b):,} in B{first}; select the images that both could read"
        )


def _order_of_ids(predictions: Predictions) -> list[int]:
    return sorted(range(len(predictions)), key=predictions.ids.__getitem__)


def _joint_basis(a: Predictions, b: Predictions) -> Basis:
    return Basis.USED_FOR_SELECTION if Basis.USED_FOR_SELECTION in (a.basis, b.basis) else Basis.HELD_OUT


def _verdict(b_is_better: bool, a: str, b: str, n: int, needed: int | None) -> str:
    if b_is_better:
        return f"{b} is better than {a} on {n:,} images"
    return f"{a} and {b} are tied on {n:,} images{needed_text(needed)}"
