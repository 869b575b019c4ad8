"""Whether new images keep what was promised of a classifier: two accuracies of different images, compared.

The classes of the new images may be mixed otherwise, so right and wrong answers are compared class by class: given how
many answers are right in all, those among the new images of a class are hypergeometric, and their sum over the classes
is what the test looks at. It is the exact conditional test of Cochran, Mantel and Haenszel for stratified 2 x 2 tables
(Mehta, Patel and Gray 1985, "Computing an exact confidence interval for the common odds ratio in several 2 x 2
contingency tables", JASA 80). Of several labels an image, the mean log losses are compared by random permutations.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from goldenrule.core.errors import OptionError
from goldenrule.core.extras import Late
from goldenrule.core.randomness import generator
from goldenrule.core.schema import OrNan, as_json, fields_as_json
from goldenrule.metrics.basic import hits, image_losses, log_loss
from goldenrule.metrics.estimate import Estimate, value_and_interval
from goldenrule.metrics.grouped.clusters import FEWEST_GROUPS, welch_p_value
from goldenrule.metrics.headline import quality
from goldenrule.metrics.predictions import Predictions

Outcome = Literal["kept", "broken", "exceeded", "unclear"]
LEVEL = 0.05
PERMUTATIONS = 9_999
NEGLIGIBLE = 1e-15


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """What was promised of a classifier and what new images found, on the classes that both have.

    `p_value` is two-sided: how often images of the same kind would differ as much; nan where one side has too few
    groups to tell. `split` names the promised images.
    """

    split: str
    promised: Estimate
    found: Estimate
    p_value: OrNan
    worse: bool
    classes: int
    of_classes: int
    test: str

    @property
    def outcome(self) -> Outcome:
        """Whether the promise was kept, as far as these images can tell."""
        if np.isnan(self.p_value):
            return "unclear"
        if self.p_value >= LEVEL:
            return "kept"
        return "broken" if self.worse else "exceeded"

    @property
    def sentence(self) -> str:
        """The comparison in words."""
        said = (
            f"promised {value_and_interval(self.promised)} ({self.split}, n={self.promised.n:,}), "
            f"found {value_and_interval(self.found)} (n={self.found.n:,})"
        )
        some = f" on the {self.classes} of {self.of_classes} classes that both have" if self._some else ""
        if self.outcome == "unclear":
            return (
                f"{said}{some}: whether they differ can't be told, as one side has fewer than {FEWEST_GROUPS} groups. "
                "Believe the new images, if there are enough of them"
            )
        p = f"{self.test}, p {'< 0.001' if self.p_value < 0.001 else f'= {self.p_value:.2g}'}"
        seems_worse = self.found.value < self.promised.value
        mixed = "" if seems_worse == self.worse else "compared class by class, as the class mix differs, "
        why = {
            "kept": "no difference beyond chance",
            "broken": f"{mixed}these images differ from those it was evaluated on",
            "exceeded": f"{mixed}these images are easier than those it was evaluated on",
        }[self.outcome]
        return f"{said}{some}: {why} ({p})"

    @property
    def _some(self) -> bool:
        return self.classes < self.of_classes


@as_json.register(Promise)
def _(value: Promise) -> dict[str, Any]:
    known = {name: field for name, field in fields_as_json(value).items() if name != "worse"}
    return known | {"outcome": value.outcome, "sentence": value.sentence}


def promise_kept(promised: Predictions, found: Predictions, *, split: str, beta: float = 1) -> Promise:
    """Return how new images compare with those that a classifier was evaluated on; both are predictions of it.

    Only classes that occur in both are compared; of several labels an image, all images. Raises `OptionError` where
    the class maps differ, or nothing can be compared.
    """
    found = found.aligned_to(promised.classes).scored
    promised = promised.scored
    count = len(promised.classes)
    if promised.task == "single":
        common = sorted({*promised.truth.tolist()} & {*found.truth.tolist()})
        promised, found = (predictions.select(np.isin(predictions.truth, common)) for predictions in (promised, found))
        classes = len(common)
    else:
        classes = count
    if not len(promised) or not len(found):
        raise OptionError("Nothing can be compared: the two have no class in common.")
    before, now = quality(promised, beta=beta), quality(found, beta=beta)
    if promised.task == "single":
        right = [hits(predictions).astype(bool) for predictions in (promised, found)]
        grouped = promised.group is not None or found.group is not None
        p_value = (
            clustered_p_value(promised, found, untold=math.nan)
            if grouped
            else stratified_p_value(right[0], promised.truth, right[1], found.truth)
        )
        worse = bool(right[1].sum() < _expected(right[0], promised.truth, right[1], found.truth))
        test = "t-test over groups, class by class" if grouped else "exact test, class by class"
    else:
        p_value = permutation_p_value(image_losses(promised), image_losses(found))
        worse = log_loss(found).value > log_loss(promised).value
        test = "permutation test of the log loss"
    return Promise(
        split=split,
        promised=before,
        found=now,
        p_value=p_value,
        worse=worse,
        classes=classes,
        of_classes=count,
        test=test,
    )


def stratified_p_value(
    right: NDArray[np.bool_], of: NDArray[Any], other_right: NDArray[np.bool_], other_of: NDArray[Any]
) -> float:
    """Return the two-sided p-value of two shares being equal in each stratum: twice the smaller tail, 1 at most.

    `right` (n,) says of each image whether the answer was right, `of` (n,) which stratum it is in.

    >>> one, other = np.array([True] * 5), np.array([False] * 5)
    >>> round(stratified_p_value(one, np.zeros(5), other, np.zeros(5)), 4)  # Fisher's exact test says the same
    0.0079
    """
    shares: list[NDArray[np.float64]] = []
    seen, least = 0, 0
    for stratum in np.union1d(of, other_of):
        promised, others = right[of == stratum], other_right[other_of == stratum]
        total, hit, drawn = len(promised) + len(others), int(promised.sum() + others.sum()), len(others)
        low, high = max(0, drawn + hit - total), min(hit, drawn)
        count = np.arange(low, high + 1)  # hypergeometric: how many of the drawn are hits
        ways = log_choices(hit, count) + log_choices(total - hit, drawn - count) - log_choices(total, drawn)
        chances = np.exp(ways)
        likely = np.flatnonzero(chances > NEGLIGIBLE)
        shares.append(chances[likely[0] : likely[-1] + 1])
        least += low + int(likely[0])
        seen += int(others.sum())
    whole = _summed(shares)
    place = seen - least
    below = float(whole[: place + 1].sum()) if place >= 0 else 0.0
    above = float(whole[max(place, 0) :].sum()) if place < len(whole) else 0.0
    return min(1.0, 2 * min(below, above))


def log_choices(n: ArrayLike, k: ArrayLike) -> NDArray[np.float64]:
    """Return the logarithm of how many ways there are to choose k of n.

    With it the chances of `scipy.stats` need no import of `scipy.stats`, which takes most of a second.

    >>> np.exp(log_choices(5, [0, 1, 2])).round(6).tolist()
    [1.0, 5.0, 10.0]
    """
    betaln = Late("scipy.special").betaln

    whole, some = np.asarray(n, np.float64), np.asarray(k, np.float64)
    return np.asarray(-np.log(whole + 1) - betaln(whole - some + 1, some + 1))


def clustered_p_value(one: Predictions, other: Predictions, *, untold: float = 1.0) -> float:
    """Return the two-sided p-value of two accuracies being equal in each class, where images come in groups.

    Welch's t-test over groups of what is left of right and wrong after the share of each class, in both together, was
    taken away. `untold` where either has fewer than six groups. Both are scored predictions of a single label.
    """
    right = [hits(predictions).astype(np.float64) for predictions in (one, other)]
    every, truth = np.concatenate(right), np.concatenate([one.truth, other.truth])
    shares = np.bincount(truth, weights=every) / np.maximum(np.bincount(truth), 1)
    left = [values - shares[predictions.truth] for values, predictions in zip(right, (one, other), strict=True)]
    return welch_p_value(left[0], one.group, left[1], other.group, untold=untold)


def _expected(
    right: NDArray[np.bool_], of: NDArray[Any], other_right: NDArray[np.bool_], other_of: NDArray[Any]
) -> float:
    """Return how many of the other answers would be right if the share were equal in each stratum."""
    every, strata = np.concatenate([right, other_right]), np.concatenate([of, other_of])
    return float(sum((other_of == stratum).sum() * every[strata == stratum].mean() for stratum in np.unique(other_of)))


def permutation_p_value(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return the two-sided p-value of two means being equal: (1 + permutations as far apart) / (1 + permutations).

    Source: Phipson and Smyth 2010, "Permutation p-values should never be zero".

    >>> permutation_p_value(np.zeros(9), np.ones(9)), permutation_p_value(np.ones(9), np.ones(9))
    (0.0001, 1.0)
    """
    every = np.concatenate([one, other])
    apart = float(abs(one.mean() - other.mean()))
    draws = generator(0, "permutation test")
    total, size = float(every.sum()), len(one)
    far = 0
    for _ in range(PERMUTATIONS):
        drawn = float(every[draws.permutation(len(every))[:size]].sum())
        far += abs(drawn / size - (total - drawn) / len(other)) >= apart - 1e-12
    return (1 + far) / (1 + PERMUTATIONS)


def _summed(shares: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the distribution of a sum of independent counts."""
    whole = np.ones(1)
    for share in shares:
        whole = np.convolve(whole, share)
    return np.asarray(whole / whole.sum())
