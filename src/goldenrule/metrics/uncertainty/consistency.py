"""Numbers of one run that can't all be true: rules on `Predictions` of the same classifier, each with its level.

A rule fires where what was found would be seen in fewer than one of two thousand sound runs, so that all rules together
fire in less than one of a hundred (benchmarks/consistency.py simulates them). What fires is an error: the numbers are
told after it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from goldenrule.core.extras import Late
from goldenrule.core.findings import Finding
from goldenrule.metrics.basic import hits, image_losses, log_loss
from goldenrule.metrics.estimate import Basis, Estimate, value_and_interval
from goldenrule.metrics.grouped.clusters import FEWEST_GROUPS, clustered_error, welch_p_value
from goldenrule.metrics.headline import quality
from goldenrule.metrics.predictions import Predictions
from goldenrule.metrics.uncertainty.conformal import PredictionSets, images_needed, set_coverage
from goldenrule.metrics.uncertainty.ood import OODDetector
from goldenrule.metrics.uncertainty.promise import (
    clustered_p_value,
    log_choices,
    permutation_p_value,
    stratified_p_value,
)

LEVEL = 0.0005
"""A rule fires below it: there are about ten, and a sound run is to set off none of them 99 times of 100."""
FEWEST_OF_CLASS = 10
"""A class of fewer images may well never be predicted."""
SURE, MANY = 0.02, 200
"""A penalty at the low end says nothing where the out-of-fold log loss is as good as none, or of fewer images."""
ENOUGH_GROUPS, GROUPS_PER_CLASS = 20, 5
"""Of fewer groups folds can be wrong more often than by chance: what is left without a group lies on its other side."""


def inconsistencies(
    splits: Mapping[str, Predictions],
    *,
    sets: PredictionSets | None = None,
    ood_detector: OODDetector | None = None,
    held_out: Mapping[str, bool] | None = None,
    beta: float = 1,
) -> Iterator[Finding]:
    """Return an error for each number that contradicts another, or what was promised.

    `splits` ("out-of-fold", "valid", "test") are scored predictions of the same classifier, with other images in each.
    What `sets` and `ood_detector` promise is compared with the splits that are `held_out` (all, where it is left out):
    those that had no say in it.
    """
    splits = {name: predictions.scored for name, predictions in splits.items() if len(predictions.scored)}
    for name, predictions in splits.items():
        yield from _worse_than_guessing(name, predictions)
        yield from _of_one_group(name, predictions)
        yield from _never_predicted(name, predictions)
    for one, other in combinations(sorted(splits), 2):
        yield from _far_apart(one, splits[one], other, splits[other], beta)
    unseen = {name: predictions for name, predictions in splits.items() if held_out is None or held_out.get(name)}
    if sets is not None:
        yield from _sets_that_say_nothing(sets, unseen or splits)
        for name, predictions in unseen.items():
            yield from _coverage_missed(name, predictions, sets)
    if ood_detector is not None:
        for name, predictions in unseen.items():
            yield from _too_many_flagged(name, predictions, ood_detector)


def at_the_end_of_its_range(
    setting: str, value: float, low: float, high: float, evaluated_on: Predictions
) -> Iterator[Finding]:
    """Return an error where a choice is the first or last of what was tried, and that is no honest answer.

    The lowest is one where all is told apart, so that the log loss has no room to fall; the highest is one where
    nothing can be learned, so that the answers are no better than guessing.
    """
    predictions = evaluated_on.scored
    at_low = math.isclose(value, low, rel_tol=1e-6)
    at_high = math.isclose(value, high, rel_tol=1e-6)
    if (at_low and len(predictions) >= MANY and log_loss(predictions).value > SURE) or (
        at_high and _better_than_guessing(predictions)
    ):
        yield Finding(
            severity="error",
            code="end-of-range",
            variant="low" if at_low else "high",
            fields={"setting": setting, "value": value},
            leads=True,
        )


def _better_than_guessing(predictions: Predictions) -> bool:
    if predictions.task != "single":
        return log_loss(predictions).value < math.log(2)
    guess = float(np.bincount(predictions.truth, minlength=len(predictions.classes)).max()) / len(predictions)
    error, count = clustered_error(hits(predictions).astype(np.float64), predictions.group)
    return count >= FEWEST_GROUPS and float(hits(predictions).mean()) - 3 * error > guess


def _of_one_group(name: str, predictions: Predictions) -> Iterator[Finding]:
    """Return a warning where all images of a split are of one group: as a sample that is one, whatever they are."""
    if predictions.group is not None and len(predictions) > 1 and len(np.unique(predictions.group)) == 1:
        yield Finding(severity="warning", code="one-group", fields={"split": name, "images": len(predictions)})


def _worse_than_guessing(name: str, predictions: Predictions) -> Iterator[Finding]:
    losses = image_losses(predictions)
    guess = math.log(len(predictions.classes)) if predictions.task == "single" else math.log(2)
    found = []
    if predictions.task == "single":
        share = float(np.bincount(predictions.truth, minlength=len(predictions.classes)).max()) / len(predictions)
        if share < 1 and _right_at_least(share, predictions) <= LEVEL / 2:
            found.append(f"accuracy {quality(predictions)}, {100 * share:.3g} % by naming the most frequent class")
    if _at_least(-guess, -losses, predictions) <= LEVEL / 2:
        found.append(f"log loss {log_loss(predictions)}, {guess:.3g} by giving all classes the same probability")
    if found:
        yield Finding(
            severity="error",
            code="worse-than-guessing",
            fields={"split": name},
            evidence=tuple(found),
            leads=True,
        )


def _never_predicted(name: str, predictions: Predictions) -> Iterator[Finding]:
    """Return an error for classes that are never predicted, and hardly expected, though there are many of them.

    Where a weak classifier never calls a rare class it still gives it about its share of the probability: so many
    images as that adds up to are Poisson distributed, and these are far more.
    """
    special = Late("scipy.special")

    if predictions.task != "single":
        return
    counts = np.bincount(predictions.truth, minlength=len(predictions.classes))
    called = np.bincount(predictions.predicted, minlength=len(predictions.classes))
    independent = min(1.0, _independent(quality(predictions)) / len(predictions))
    expected = predictions.probabilities.sum(axis=0)
    seen = np.floor(counts * independent)
    surprise = np.where(seen < 1, 1.0, special.pdtrc(np.maximum(seen - 1, 0), expected * independent))
    level = LEVEL / len(predictions.classes)
    never = np.flatnonzero((counts >= FEWEST_OF_CLASS) & (called == 0) & (surprise <= level))
    if len(never):
        yield Finding(
            severity="error",
            code="never-predicted",
            fields={"split": name, "n": len(never)},
            evidence=tuple(
                f"{predictions.classes[label]}: {counts[label]:,} images, {expected[label]:.1f} by their probabilities"
                for label in never.tolist()
            ),
            leads=True,
        )


def _far_apart(one: str, a: Predictions, other: str, b: Predictions, beta: float) -> Iterator[Finding]:
    """Two splits on which the same classifier is right more or less often than images of one kind allow."""
    if a.task == "single":
        common = np.intersect1d(a.truth, b.truth)
        a, b = (predictions.select(np.isin(predictions.truth, common)) for predictions in (a, b))
    if not len(a) or not len(b):
        return
    if a.group is not None or b.group is not None:
        single = a.task == "single"
        p_value = (
            clustered_p_value(a, b) if single else welch_p_value(image_losses(a), a.group, image_losses(b), b.group)
        )
    elif a.task == "single":
        p_value = stratified_p_value(hits(a), a.truth, hits(b), b.truth)
    else:
        p_value = permutation_p_value(image_losses(a), image_losses(b))
    if p_value > LEVEL:
        return
    better, worse = (one, other) if quality(a, beta=beta).value > quality(b, beta=beta).value else (other, one)
    numbers = {one: quality(a, beta=beta), other: quality(b, beta=beta)}
    yield Finding(
        severity="error",
        code="far-apart",
        variant="folds" if worse == "out-of-fold" else "",
        fields={"better": better, "worse": worse},
        evidence=(*(f"{name} {number}" for name, number in numbers.items()), f"p {_p(p_value)}"),
        leads=True,
    )


def _sets_that_say_nothing(sets: PredictionSets, splits: Mapping[str, Predictions]) -> Iterator[Finding]:
    """Return an error where sets hold every class though the answers are nearly as often right as was asked of sets."""
    if sets.n < (needed := images_needed(sets.coverage)):
        about = {"percent": 100 * sets.coverage, "needed": needed, "images": sets.n}
        yield Finding(severity="note", code="sets-need-images", fields=about)
        return
    for name, predictions in splits.items():
        if len(predictions.classes) == 1 or not sets.sets(predictions).all():
            continue
        certain = quality(predictions).low >= 1 - 2 * (1 - sets.coverage)
        yield Finding(
            severity="error" if certain else "note",
            code="sets-hold-everything",
            variant="certain" if certain else "",
            fields={"split": name, "classes": len(predictions.classes), "percent": 100 * sets.coverage},
            leads=certain,
        )


def _coverage_missed(name: str, predictions: Predictions, sets: PredictionSets) -> Iterator[Finding]:
    """Return an error where sets hold the true class too rarely, a note where that may be chance.

    Of n images to calibrate on and m new ones the hits are beta-binomial: Vovk 2012, "Conditional validity of inductive
    conformal predictors", arXiv:1209.2673.
    """
    if sets.n < images_needed(sets.coverage):
        return
    inside = sets.sets(predictions)
    right = inside[np.arange(len(predictions)), predictions.truth]
    found = set_coverage(predictions, inside)
    rank = math.ceil((sets.n + 1) * sets.coverage - 1e-9)
    p_value = _at_most(int(right.sum()), _independent(found), right.mean(), rank, sets.n + 1 - rank)
    yield from _promise_missed("coverage", name, 100 * sets.coverage, found, p_value, low=sets.coverage)


def _too_many_flagged(name: str, predictions: Predictions, ood_detector: OODDetector) -> Iterator[Finding]:
    if predictions.distance is None:
        return
    flagged = ood_detector.is_ood(predictions)[predictions.ok]
    found = ood_detector.flagged(predictions, basis=Basis.HELD_OUT)
    above = int((ood_detector.held_out > ood_detector.threshold).sum()) + 1  # of n + 1 places so many are flagged
    n = len(ood_detector.held_out)
    p_value = _at_most(int((~flagged).sum()), _independent(found), (~flagged).mean(), n + 1 - above, above)
    yield from _promise_missed("flagged", name, 100 * above / (n + 1), found, p_value, high=above / (n + 1))


def _promise_missed(
    code: str,
    split: str,
    percent: float,
    found: Estimate,
    p_value: float,
    *,
    low: float | None = None,
    high: float | None = None,
) -> Iterator[Finding]:
    outside = found.bounded and ((low is not None and found.high < low) or (high is not None and found.low > high))
    if p_value > LEVEL and not outside:
        return
    certain = p_value <= LEVEL
    yield Finding(
        severity="error" if certain else "note",
        code=f"{code}-{'missed' if certain else 'doubtful'}",
        fields={
            "percent": percent,
            "split": split,
            "found": value_and_interval(found),
            "images": found.n,
            **({} if certain else {"runs": 1 / p_value}),
        },
        evidence=(f"p {_p(p_value)}",),
        leads=certain,
    )


def _at_most(hits_: int, n: float, share: float, first: float, second: float) -> float:
    """Return how likely so few hits of n are, whose chance is beta distributed (first, second): beta-binomial.

    Where n is not the number of images but the effective one, the hits are the same share of it.

    `scipy.stats` says the same, and takes most of a second to be imported.

    >>> round(_at_most(3, 10, 0.3, 2.0, 1.0), 6)
    0.151515
    """
    betaln = Late("scipy.special").betaln

    if second <= 0:
        return 1.0
    count = math.floor(n)
    covered = np.arange(min(hits_, math.floor(share * count + 1e-9)) + 1)
    likely = betaln(covered + first, count - covered + second) - betaln(first, second)
    chances = np.exp(log_choices(count, covered) + likely)
    return min(1.0, float(chances.sum()))


def _independent(found: Estimate) -> float:
    return float(found.n if found.effective_n is None else found.effective_n)


def _at_least(limit: float, values: NDArray[np.float64], predictions: Predictions) -> float:
    """Return the one-sided p-value of a mean being `limit` or more: by Student's t over images or groups."""
    stdtr = Late("scipy.special").stdtr

    error, count = clustered_error(values, predictions.group)
    mean = float(values.mean())
    if mean >= limit or count < max(ENOUGH_GROUPS, GROUPS_PER_CLASS * len(predictions.classes)):
        return 1.0
    return float(stdtr(count - 1, (mean - limit) / max(error, 1e-12)))


def _right_at_least(share: float, predictions: Predictions) -> float:
    """Return the one-sided p-value of being right for a `share` of images or more: exact, or over groups."""
    bdtr = Late("scipy.special").bdtr

    right = hits(predictions)
    if predictions.group is not None:
        return _at_least(share, right.astype(np.float64), predictions)
    return float(bdtr(int(right.sum()), len(right), share))


def _p(p_value: float) -> str:
    return "< 0.0001" if p_value < 1e-4 else f"= {p_value:.2g}"
