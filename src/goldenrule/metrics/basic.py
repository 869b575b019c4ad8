"""Metrics over images: `Predictions` in, `Estimate` out; only readable labelled images count."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from goldenrule.core.errors import OptionError
from goldenrule.metrics.estimate import Basis, Estimate
from goldenrule.metrics.grouped.clusters import FEWEST_GROUPS, clustered_mean
from goldenrule.metrics.intervals import bootstrap
from goldenrule.metrics.prediction_checks import require_single_label
from goldenrule.metrics.predictions import Predictions

SMALLEST_PROBABILITY = 1e-15
"""Log loss counts a smaller probability as this one: no image costs more than 34.54 nats."""

WITHOUT = "without"
_MOST_LOSS = float(-np.log(SMALLEST_PROBABILITY))


def accuracy(predictions: Predictions) -> Estimate:
    """Return the share of images whose most probable class is the true one.

    Raises `OptionError` for many labels.

    >>> print(accuracy(Predictions.from_logits([[2, 0], [0, 1], [3, 0]], ["cat", "dog"], truth=[0, 0, 0])))
    67 % [21, 94] n=3
    """
    return Estimate.of_right("accuracy", hits(predictions), predictions.scored.group, basis=predictions.basis)


def top_k_accuracy(predictions: Predictions, k: int = 5) -> Estimate:
    """Return the share of images whose true class is among the k most probable, the first of equals first.

    Raises `OptionError` for many labels, and unless k is 1 to the number of classes.
    """
    require_single_label(predictions.task, "top-k accuracy")
    if not 1 <= k <= len(predictions.classes):
        raise OptionError(f"k = {k}: wanted 1 to {len(predictions.classes)}, the number of classes")
    scored = predictions.scored
    probabilities, truth = scored.probabilities, scored.truth[:, np.newaxis]
    of_truth = np.take_along_axis(probabilities, truth, axis=1)
    equals_before = (probabilities == of_truth) & (np.arange(len(scored.classes)) < truth)
    hit = ((probabilities > of_truth) | equals_before).sum(axis=1) < k
    return Estimate.of_right(f"top-{k} accuracy", hit, scored.group, basis=predictions.basis)


def log_loss(predictions: Predictions, *, resamples: int = 2000, seed: int = 0) -> Estimate:
    """Return the mean of `image_losses` in nats, with its BCa bootstrap interval.

    One image alone has no spread: its interval is all that a loss can be, 0 to 34.54. Losses that never
    were seen are not in a bootstrap: where every image is right, the interval is about such images only.
    """
    return mean_estimate(
        "log loss",
        image_losses(predictions),
        predictions.scored.group,
        most=_MOST_LOSS,
        basis=predictions.basis,
        resamples=resamples,
        seed=seed,
    )


def mean_estimate(
    name: str,
    values: NDArray[np.float64],
    groups: NDArray[np.int64] | None = None,
    *,
    least: float = 0.0,
    most: float,
    basis: Basis,
    resamples: int = 2000,
    seed: int = 0,
) -> Estimate:
    """Return the mean of one value per image (n,), each from `least` to `most`, with its BCa bootstrap interval.

    `groups` (n,) are the sample where there are such (`clustered_mean`). One image alone has no
    spread: its interval is all that a value can be.
    """
    if len(values) == 0:
        return Estimate.undefined(name, "mean", basis=basis)
    if groups is not None:
        found = clustered_mean(values, groups, resamples=resamples, seed=seed)
        ends = {"low": max(found.low, least), "high": min(found.high, most)} if found.groups >= FEWEST_GROUPS else {}
        return Estimate(name=name, value=float(values.mean()), n=len(values), basis=basis, **(found.about | ends))
    if len(values) == 1:
        method, (low, high) = "the range of a value", (least, most)
    else:
        method = f"BCa bootstrap 95 % ({resamples:,} resamples)"
        low, high = bootstrap(values, resamples=resamples, seed=seed)
    return Estimate(
        name=name, value=float(values.mean()), low=low, high=high, n=len(values), method=method, basis=basis
    )


def hits(predictions: Predictions) -> NDArray[np.bool_]:
    """Give, for each scored image, whether the most probable class is the true one."""
    require_single_label(predictions.task, "accuracy")
    scored = predictions.scored
    return np.asarray(scored.predicted == scored.truth)


def image_losses(predictions: Predictions) -> NDArray[np.float64]:
    """Return the loss of each scored image in nats, (n scored,), from the probabilities averaged over views.

    Single label: -ln p(true class). Many labels: the mean over classes of the binary cross-entropy.
    A probability below 1e-15 counts as 1e-15.
    """
    scored = predictions.scored
    probabilities = scored.probabilities
    if predictions.task == "single":
        return _minus_log(probabilities[np.arange(len(scored)), scored.truth])
    true = scored.truth == 1
    return np.asarray(np.where(true, _minus_log(probabilities), _minus_log(1 - probabilities)).mean(axis=1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """An image that was taken for another class, and the probability given to that class.

    Multi-label: a label it has or has not (`WITHOUT`), taken for the contrary.
    """

    id: str
    truth: str
    predicted: str
    probability: float


def most_confident_mistakes(predictions: Predictions, k: int = 12) -> tuple[Mistake, ...]:
    """Return up to k mistakes, the most probable first: often wrong labels, or images of two things.

    Multi-label: the most confident mistake of each image.
    """
    scored = predictions.scored
    if scored.task == "multi":
        return _label_mistakes(scored, k)
    wrong = np.flatnonzero(~hits(scored))
    predicted, confidence = scored.predicted, scored.probabilities.max(axis=1, initial=0)
    order = wrong[np.argsort(-confidence[wrong], kind="stable")][: max(k, 0)]
    return tuple(
        Mistake(
            id=scored.ids[row],
            truth=scored.classes[scored.truth[row]],
            predicted=scored.classes[predicted[row]],
            probability=float(confidence[row]),
        )
        for row in order
    )


def _label_mistakes(scored: Predictions, k: int) -> tuple[Mistake, ...]:
    called, true = scored.called, scored.truth == 1
    sureness = np.where(called, scored.probabilities, 1 - scored.probabilities)
    wrong = np.where(called != true, sureness, -1.0)
    order = np.argsort(-wrong.max(axis=1, initial=-1), kind="stable")[: max(k, 0)]
    labels = wrong.argmax(axis=1) if len(scored) else np.zeros(0, np.int64)
    found = []
    for row in order[wrong[order].max(axis=1, initial=-1) >= 0] if len(scored) else ():
        name = scored.classes[labels[row]]
        names = (f"{WITHOUT} {name}", name)
        there = bool(true[row, labels[row]])
        found.append(
            Mistake(
                id=scored.ids[row],
                truth=names[there],
                predicted=names[not there],
                probability=float(wrong[row, labels[row]]),
            )
        )
    return tuple(found)


def _minus_log(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(-np.log(np.clip(probabilities, SMALLEST_PROBABILITY, 1)) + 0.0)  # no -0.0
