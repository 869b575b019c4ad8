"""Whether probabilities are what they say: 90 % of the images that are "cat, 90 %" should be cats.

What mends probabilities is in `scaling`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from goldenrule.core.errors import OptionError
from goldenrule.metrics.basic import mean_estimate
from goldenrule.metrics.estimate import Estimate
from goldenrule.metrics.grouped.jackknife import over_groups
from goldenrule.metrics.intervals import wilson
from goldenrule.metrics.predictions import Predictions
from goldenrule.metrics.resampling import resampled_means

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

MOST_BINS = 10
IMAGES_PER_BIN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ReliabilityBin:
    """Images of about the same confidence: what was claimed on average, and for how many of them it was true."""

    confidence: float
    accuracy: Estimate

    @property
    def n(self) -> int:
        """How many images are in the bin."""
        return self.accuracy.n


def reliability(
    predictions: Predictions, *, of: str | None = None, bins: int | None = None
) -> tuple[ReliabilityBin, ...]:
    """Return the bins of a reliability diagram, by rising confidence: accuracies with Wilson intervals.

    The claim that is looked at is "the most probable class is true", or with `of` "this image is a ...",
    for one class by name; many labels need `of`. `bins` are of equal mass (about as many images in each):
    10, or fewer where there would be less than 20 images in one. Images of the same confidence are in the
    same bin, so there can be fewer bins than wanted. Without scored images there are none.

    Raises `OptionError` for many labels without `of`, an unknown class, and unless bins >= 1.

    >>> half = Predictions.from_logits([[1, 0]] * 4, ["cat", "dog"], truth=[0, 0, 0, 1])
    >>> [(round(one.confidence, 3), str(one.accuracy)) for one in reliability(half)]
    [(0.731, '75 % [30, 95] n=4')]
    """
    confidences, true = claims(predictions, of)
    name = "accuracy" if of is None else f"share of {of}"
    return tuple(
        ReliabilityBin(
            confidence=float(confidences[rows].mean()),
            accuracy=Estimate.of_share(name, int(true[rows].sum()), len(rows), basis=predictions.basis),
        )
        for rows in _equal_mass(confidences, bins)
    )


@over_groups
def calibration_error(
    predictions: Predictions, *, of: str | None = None, bins: int | None = None, resamples: int = 2000, seed: int = 0
) -> Estimate:
    """Return how far confidence and accuracy lie apart, in percentage points; takes and raises what `reliability` does.

    The root of the mean over images of (accuracy - confidence)² of their bin, debiased: noise alone makes
    every bin look wrong, so each squared gap is lowered by its variance, which makes the mean square unbiased
    for the same bins (and can make it negative: then it is 0). The familiar sum of absolute gaps, ECE, is at
    most this large in truth, but has no unbiased estimate: of 1,000 images that are perfectly calibrated it
    says 2 to 3 points. The variance is that of accuracy minus confidence within the bin, not accuracy
    (1 - accuracy): the confidences of a bin differ, and are averaged over the same images.

    The interval is a bootstrap within the bins, shifted to the unbiased mean square. A bootstrap knows nothing of
    mistakes that were not seen, so the interval is at least as high as what the Wilson interval of the accuracy of
    all images allows, and begins at 0 unless a bin or all images together contradict their claim (Wilson
    intervals, Bonferroni).

    Source: Kumar, Liang and Ma (2019), Verified uncertainty calibration, arXiv:1909.10155, section 5, for the
    debiased estimate; the interval is ours, and its coverage is tested by simulation.

    >>> sure = Predictions.from_logits([[3, 0]] * 200, ["cat", "dog"], truth=[0, 1] * 100)
    >>> print(calibration_error(sure))
    45.1 points [37.9, 52.1] n=200
    """
    confidences, true = claims(predictions, of)
    name = "calibration error" if of is None else f"calibration error of {of}"
    parts, n = _equal_mass(confidences, bins), len(true)
    method = f"debiased, {len(parts)} bins of equal mass, bootstrap 95 % ({resamples:,} resamples)"
    if n == 0:
        return Estimate.undefined(name, "debiased", kind="points", basis=predictions.basis)
    gaps, sizes = true - confidences, np.array([len(rows) for rows in parts])
    shares = sizes / n
    noise = float(shares @ [_variance(gaps[rows], confidences[rows]) for rows in parts])
    square = float(shares @ [gaps[rows].mean() ** 2 for rows in parts]) - noise
    drawn = np.stack([resampled_means(gaps[rows], resamples=resamples, seed=seed + k) for k, rows in enumerate(parts)])
    low, high = np.sqrt(np.maximum(np.quantile(shares @ drawn**2 - 2 * noise, [0.025, 0.975]), 0))
    least_high = np.abs(np.array(wilson(int(true.sum()), n)) - confidences.mean()).max()
    return Estimate(
        name=name,
        value=max(square, 0) ** 0.5,
        low=low if _contradicted(confidences, true, parts) else 0.0,
        high=max(high, least_high),
        n=n,
        method=method,
        kind="points",
        basis=predictions.basis,
    )


def brier_score(predictions: Predictions, *, resamples: int = 2000, seed: int = 0) -> Estimate:
    """Return the mean squared error of the probabilities, with its BCa bootstrap interval; lower is better.

    Single label: the sum over classes of (probability - truth)², 0 to 2, as Brier defined it; for two classes
    that is twice what `sklearn.metrics.brier_score_loss` gives by default. Many labels: the mean over classes,
    0 to 1. One image alone has the whole range for its interval.

    Source: Brier (1950), Monthly Weather Review 78:1-3.

    >>> round(brier_score(Predictions.from_logits([[0, 0], [0, 0]], ["cat", "dog"], truth=[0, 1])).value, 3)
    0.5
    """
    scored = predictions.scored
    single = predictions.task == "single"
    truth = np.eye(len(scored.classes))[scored.truth] if single else scored.truth
    squares = np.square(scored.probabilities - truth)
    return mean_estimate(
        "Brier score",
        squares.sum(axis=1) if single else squares.mean(axis=1),
        scored.group,
        most=2.0 if single else 1.0,
        basis=predictions.basis,
        resamples=resamples,
        seed=seed,
    )


def claims(predictions: Predictions, of: str | None = None) -> tuple[Floats, Bools]:
    """Return what is claimed of each scored image with which probability, and whether it is true: (n,) and (n,).

    The most probable class, or with `of` that class. Raises `OptionError` for many labels without `of`, and
    for an unknown class.
    """
    scored = predictions.scored
    if of is None and predictions.task == "multi":
        raise OptionError(
            "these predictions have many labels per image, so none is the most probable: "
            f"name a class, such as of={predictions.classes[0]!r}"
        )
    if of is None:
        return scored.probabilities.max(axis=1, initial=0), np.asarray(scored.predicted == scored.truth)
    if of not in scored.classes:
        raise OptionError(
            f"of = {of!r}: wanted one of the {len(scored.classes)} classes, such as {scored.classes[0]!r}"
        )
    number = scored.classes.index(of)
    true = scored.truth == number if predictions.task == "single" else scored.truth[:, number] == 1
    return scored.probabilities[:, number], np.asarray(true)


def _equal_mass(confidences: Floats, bins: int | None) -> list[NDArray[np.int64]]:
    """Return the row numbers of each bin that is not empty; equals stay together, whatever the order of rows."""
    count = min(MOST_BINS, max(1, len(confidences) // IMAGES_PER_BIN)) if bins is None else bins
    if count < 1:
        raise OptionError(f"bins = {bins}: wanted 1 or more, such as {MOST_BINS}")
    if len(confidences) == 0:
        return []
    inner = np.percentile(confidences, 100 * np.linspace(0, 1, count + 1))[1:-1]
    numbers = np.searchsorted(inner, confidences)
    return [np.flatnonzero(numbers == number) for number in np.unique(numbers)]


def _variance(gaps: Floats, confidences: Floats) -> float:
    """Return the variance of the mean gap of a bin; one image alone is taken to spread as it claims."""
    if len(gaps) == 1:
        return float(confidences[0] * (1 - confidences[0]))
    return float(gaps.var(ddof=1)) / len(gaps)


def _contradicted(confidences: Floats, true: Bools, parts: list[NDArray[np.int64]]) -> bool:
    """Whether a bin, or all images together, can't be as claimed: tests at 5 % for all of them together."""
    groups = [*parts, np.arange(len(true))]
    right, n = np.array([(true[rows].sum(), len(rows)) for rows in groups]).T
    claimed = np.array([confidences[rows].mean() for rows in groups])
    low, high = wilson(right, n, confidence=1 - 0.05 / len(groups))
    return bool(((claimed < low) | (claimed > high)).any())
