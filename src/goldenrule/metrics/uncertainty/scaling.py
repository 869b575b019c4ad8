"""Probabilities made honest: a temperature for a single label, a line per class for many labels.

Fitted on images that the network has not learned from, such as out-of-fold predictions; what is measured on the same
images afterwards flatters (`calibrated_by_fold` does not).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from goldenrule.core.errors import OptionError
from goldenrule.core.extras import Late
from goldenrule.metrics.prediction_checks import require_same_classes
from goldenrule.metrics.predictions import Predictions
from goldenrule.metrics.probabilities import sigmoid
from goldenrule.metrics.uncertainty.temperature import HIGHEST, cautious_temperature

Floats = NDArray[np.float64]

_TINY = 1e-15  # a probability that is smaller counts as this one, as in the log loss


@dataclass(frozen=True, slots=True, kw_only=True)
class Temperature:
    """A single label: logits divided by `value`, found on n images. Above 1 it makes less sure, below 1 surer."""

    kind: ClassVar[str] = "temperature"
    value: float
    n: int

    def __post_init__(self) -> None:
        if not 0 < self.value < np.inf:
            raise OptionError(f"temperature = {self.value}: wanted a number above 0; 1 changes nothing")

    def apply(self, predictions: Predictions) -> Predictions:
        """Return the calibrated predictions: the order of an image's classes stays.

        Several views become one: their probabilities are averaged first, then made more or less sure, which
        suits averages better (Rahaman and Thiery 2021, arXiv:2007.08792). Raises `OptionError` for many labels.
        """
        _require_task(predictions, "single")
        return _with_logits(predictions, self.apply_to_logits(pooled_logits(predictions)))

    def apply_to_logits(self, logits: ArrayLike) -> Floats:
        """Return the logits (..., classes) divided by the temperature.

        >>> Temperature(value=2.0, n=100).apply_to_logits([[3.0, 1.0]]).tolist()
        [[1.5, 0.5]]
        """
        return np.asarray(logits, np.float64) / self.value


@dataclass(frozen=True, slots=True, kw_only=True)
class PlattScaling:
    """Many labels: probability = sigmoid(slope · logit + intercept), a line per class, found on n images.

    `positives` says how many of them have each label: a line that was found on three says little.
    """

    kind: ClassVar[str] = "platt"
    classes: tuple[str, ...]
    slopes: tuple[float, ...]
    intercepts: tuple[float, ...]
    positives: tuple[int, ...]
    n: int

    def __post_init__(self) -> None:
        sizes = {len(each) for each in (self.classes, self.slopes, self.intercepts, self.positives)}
        if len(sizes) != 1 or not all(0 < slope < np.inf for slope in self.slopes):
            raise OptionError(
                f"{len(self.classes)} classes, slopes {self.slopes}, {len(self.intercepts)} intercepts, "
                f"{len(self.positives)} counts: wanted one of each per class, and slopes above 0"
            )

    def apply(self, predictions: Predictions) -> Predictions:
        """Return the calibrated predictions: within a class the order of images stays; classes are matched by name.

        Several views become one, as with `Temperature`. Raises `OptionError` for a single label or other classes.
        """
        _require_task(predictions, "multi")
        require_same_classes(wanted=self.classes, got=predictions.classes)
        aligned = predictions.aligned_to(self.classes)
        return _with_logits(aligned, self.apply_to_logits(pooled_logits(aligned))).aligned_to(predictions.classes)

    def apply_to_logits(self, logits: ArrayLike) -> Floats:
        """Return the calibrated logits (..., classes), in the order of `classes`.

        >>> line = PlattScaling(classes=("cat",), slopes=(.5,), intercepts=(-1.0,), positives=(9,), n=20)
        >>> line.apply_to_logits([[4.0]]).tolist()
        [[1.0]]
        """
        return np.asarray(np.asarray(logits, np.float64) * self.slopes + self.intercepts)


Calibration = Temperature | PlattScaling


def fit_temperature(predictions: Predictions) -> Temperature:
    """Return the temperature, from 1/20 to 20, at which the log loss of the scored images is lowest.

    Targets are smoothed, as if 1 / (n + 2) of each image belonged to the likeliest other class, so that n images that
    are all right are no proof that the next one is; it vanishes with many images. Without scored images: 1.
    Raises `OptionError` for many labels.

    Source: Guo et al. (2017), On calibration of modern neural networks, arXiv:1706.04599, section 4.2; the
    smoothing: Platt (1999), Probabilistic outputs for support vector machines, section 2.2.

    >>> too_sure = Predictions.from_logits([[9, 0]] * 40, ["cat", "dog"], truth=[0, 0, 0, 1] * 10)
    >>> round(fit_temperature(too_sure).value, 1)
    8.7
    """
    _require_task(predictions, "single")
    scored = predictions.scored
    if len(scored) == 0:
        return Temperature(value=1.0, n=0)
    value = cautious_temperature(pooled_logits(scored), scored.truth.astype(np.int64))
    return Temperature(value=value, n=len(scored))


def fit_platt(predictions: Predictions) -> PlattScaling:
    """Return the line of each class at which the cross-entropy of its smoothed targets is lowest; many labels.

    Targets are (positives + 1) / (positives + 2) and 1 / (negatives + 2) in place of 1 and 0. Slopes are between 1/20
    and 20, so the order of images stays; where all images of a class are alike there is no slope to learn: it is 1.
    Raises `OptionError` for a single label.

    Source: Platt (1999), Probabilistic outputs for support vector machines, section 2.2.
    """
    _require_task(predictions, "multi")
    scored = predictions.scored
    logits, truth = pooled_logits(scored), scored.truth == 1
    lines = [_line(logits[:, k], truth[:, k]) for k in range(len(scored.classes))]
    return PlattScaling(
        classes=scored.classes,
        slopes=tuple(slope for slope, _ in lines),
        intercepts=tuple(intercept for _, intercept in lines),
        positives=tuple(map(int, truth.sum(axis=0))),
        n=len(scored),
    )


def fit_calibration(predictions: Predictions) -> Calibration:
    """Return `fit_temperature` for a single label, `fit_platt` for many."""
    return fit_temperature(predictions) if predictions.task == "single" else fit_platt(predictions)


def calibrated_by_fold(predictions: Predictions) -> Predictions:
    """Return out-of-fold predictions, those of each fold calibrated by what was fitted on the others.

    So no image has helped to calibrate itself, and what is measured on them is what calibration is worth.
    Raises `OptionError` unless there are two folds or more.
    """
    folds = predictions.fold
    numbers = np.array([], np.int64) if folds is None else np.unique(folds)
    if folds is None or len(numbers) < 2:
        raise OptionError(f"calibration by fold wants predictions of two folds or more, got {len(numbers)}")
    parts = [
        fit_calibration(predictions.select(folds != number)).apply(predictions.select(folds == number))
        for number in numbers
    ]
    return Predictions.concatenate(parts).select(np.argsort(np.argsort(folds, kind="stable"), kind="stable"))


def pooled_logits(predictions: Predictions) -> Floats:
    """Return one logit per image and class (n, C): of the one view, or of the probabilities averaged over views.

    Where an image is not ok: nan.
    """
    if predictions.views == 1:
        return predictions.logits[:, 0].astype(np.float64)
    probabilities = np.clip(predictions.probabilities, _TINY, 1)
    if predictions.task == "single":
        return np.log(probabilities)
    return np.log(probabilities) - np.log(np.clip(1 - predictions.probabilities, _TINY, 1))


def _line(logits: Floats, true: NDArray[np.bool_]) -> tuple[float, float]:
    """Return slope and intercept of one class from its logits (n,) and whether each image has the label (n,)."""
    minimize = Late("scipy.optimize").minimize

    positives, negatives = int(true.sum()), int((~true).sum())
    if positives + negatives == 0:
        return 1.0, 0.0
    targets = np.where(true, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    centre, spread = logits.mean(), logits.std() or 1.0
    standard = (logits - centre) / spread

    def loss(line: Floats) -> tuple[float, Floats]:
        scores = line[0] * standard + line[1]
        excess = sigmoid(scores) - targets
        return float(np.mean(np.logaddexp(0, scores) - targets * scores)), np.array(
            [np.mean(excess * standard), np.mean(excess)]
        )

    slopes = (spread / HIGHEST, spread * HIGHEST) if positives and negatives and standard.any() else (spread, spread)
    options = {"ftol": 1e-14, "gtol": 1e-9, "maxiter": 500}
    bounds = [slopes, (None, None)]
    found = minimize(loss, (spread, centre), jac=True, method="L-BFGS-B", bounds=bounds, options=options).x
    slope = float(f"{found[0] / spread:.6g}")
    return slope, float(f"{found[1] - slope * centre:.6g}")


def _with_logits(predictions: Predictions, logits: Floats) -> Predictions:
    return replace(predictions, logits=logits[:, np.newaxis].astype(np.float32))


def _require_task(predictions: Predictions, task: str) -> None:
    """Refuse the other kind of labels."""
    if predictions.task != task:
        wanted, found = ("a single label", "many labels") if task == "single" else ("many labels", "a single label")
        other = "fit_platt" if task == "single" else "fit_temperature"
        raise OptionError(f"this calibration is for {wanted} per image, these predictions have {found}: use {other}")
