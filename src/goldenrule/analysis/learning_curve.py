"""How accuracy grows with images per class, and how many more would be needed for a target."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from goldenrule.analysis.curve_laws import RESAMPLES, Floats, Forecasts, fitted, resampled_curves
from goldenrule.analysis.curve_points import Integers, Measured, measured_curve
from goldenrule.core.errors import OptionError
from goldenrule.core.progress import Progress
from goldenrule.core.randomness import generator
from goldenrule.core.schema import as_json
from goldenrule.features.linear import Features
from goldenrule.metrics import Estimate, value_and_interval
from goldenrule.metrics.uncertainty.power import in_two_digits

if TYPE_CHECKING:
    pass

CurveMetric = Literal["accuracy", "log_loss"]
Outlook = Literal["reached", "needed", "doubtful", "out of reach"]
FARTHEST = 8
"""Nothing is said of more than so many times the largest size that was measured."""
INTERVAL = (0.025, 0.975)
MEASURED_BY = "Bayesian bootstrap 95 % over images and draws"
FORECAST_BY = f"{MEASURED_BY}, and three laws"


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """What heads fitted on so many images make of images that they have not seen."""

    images: int
    images_per_class: float
    estimate: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Needed:
    """Images per class for a target: the median forecast and its 95 % interval, inf beyond `farthest`.

    `outlook`: "reached" with the images there are, "needed" where a number can be told, "doubtful" where it is more
    than `farthest` in half of the forecasts or more, "out of reach" where nearly all say so.
    """

    target: float
    images_per_class: float
    low: float
    high: float
    farthest: float
    outlook: Outlook


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LearningCurve:
    """Points that were measured and what three laws make of them; images per class are total / classes."""

    metric: CurveMetric
    classes: int
    images: int  # labelled images that there are
    points: tuple[CurvePoint, ...]
    forecasts: Forecasts
    draws: int

    @property
    def images_per_class(self) -> float:
        """How many labelled images there are, per class on average."""
        return self.images / self.classes

    @property
    def farthest(self) -> float:
        """Images per class beyond which nothing is said: 8 times the largest size measured."""
        return FARTHEST * self.points[-1].images_per_class

    def forecast(self, images_per_class: float, *, evaluated_by: int | None = None) -> Estimate:
        """Return what is to be expected after so many images per class.

        The interval holds what would be found on any number of new images; with `evaluated_by` what would be found on
        so many, which adds their own luck. Raises `OptionError` below the smallest size or beyond `farthest`.
        """
        least = self.points[0].images_per_class
        if not least <= images_per_class <= self.farthest * (1 + 1e-9):
            raise OptionError(
                f"{images_per_class:g} images per class: a curve from {least:.3g} to "
                f"{self.points[-1].images_per_class:.3g} says nothing of less than {least:.3g} or more than "
                f"{self.farthest:.4g}."
            )
        errors = self.forecasts.at(images_per_class * self.classes)
        middle = float(np.median(errors))
        if evaluated_by is not None:
            errors = self._evaluated(errors, evaluated_by)
        return self._estimate(f"{self._name} forecast", middle, errors, FORECAST_BY)

    def needed(self, target: float) -> Needed:
        """Return the images per class at which a target is forecast to be reached.

        A target of accuracy is a share below 1, one of log loss is in nats. Raises `OptionError` for another.
        """
        check_asked(self.metric, target)
        error = 1 - target if self.metric == "accuracy" else target
        images = np.maximum(self.forecasts.images_for(error) / self.classes, self.points[0].images_per_class)
        images[images > self.farthest] = np.inf
        low, middle, high = np.quantile(images, (INTERVAL[0], 0.5, INTERVAL[1]), method="nearest")
        low, middle, high = self._as_measured(target, float(low), float(middle), float(high))
        outlook: Outlook = "needed"
        if not math.isfinite(low):
            outlook = "out of reach"
        elif not math.isfinite(middle):
            outlook = "doubtful"
        elif middle <= self.images_per_class:
            outlook = "reached"
        return Needed(
            target=target,
            images_per_class=float(middle),
            low=float(low),
            high=float(high),
            farthest=self.farthest,
            outlook=outlook,
        )

    def _as_measured(self, target: float, low: float, middle: float, high: float) -> tuple[float, float, float]:
        """Return a forecast that contradicts nothing that was measured.

        Where the largest size measured misses the target it takes more images than that, where it does not it takes no
        more; the ends of the interval follow where its own interval says so too.
        """
        most, estimate = self.points[-1].images_per_class, self.points[-1].estimate
        better = 1 if self.metric == "accuracy" else -1
        if better * estimate.value < better * target:
            clearly = (estimate.high if better > 0 else estimate.low) * better < better * target
            beyond = float(np.nextafter(most, np.inf))
            return (max(low, beyond) if clearly else low), max(middle, beyond), max(high, beyond)
        clearly = (estimate.low if better > 0 else estimate.high) * better >= better * target
        return min(low, most), min(middle, most), (min(high, most) if clearly else high)

    def sentence(self, target: float) -> str:
        """Answer in plain words how many more images are needed for a target."""
        needed, there = self.needed(target), f"there are {self.images_per_class:,.0f}"
        goal = f"{100 * target:.6g} % accuracy" if self.metric == "accuracy" else f"a log loss of {target:g}"
        if needed.outlook in ("reached", "needed"):
            takes = "takes" if needed.outlook == "reached" else "would take"
            more = _round(max(needed.images_per_class - self.images_per_class, 1))
            several = f"{more} more" if needed.outlook == "needed" else ""
            return f"{goal} {takes} {self._told(needed)}{several and f', {several}'}; {there}"
        then = f"{self._expected(self.farthest)} is forecast with {FARTHEST} times the most that was measured"
        if needed.outlook == "doubtful":
            least = _round(needed.low)
            if needed.low <= self.points[-1].images_per_class:  # what is there may do: it can't be told
                now = f"{self._name} {value_and_interval(self.points[-1].estimate)} was measured"
                most = _round(self.points[-1].images_per_class)
                return (
                    f"how many images {goal} takes is not clear: {now} with {most} images per class, and {then}; "
                    f"{there}"
                )
            return f"{goal} would take {least} images per class or more, how many at most is not clear: {then}; {there}"
        levels = ", the curve levels out" if self._levels_out else ""
        return f"{goal} may not be reachable with more images like these: {then}{levels}; {there}"

    def multiples(self) -> tuple[float, ...]:
        """Return the images per class there are, twice as many and so on, as far as something can be said."""
        every = [self.images_per_class * 2**step for step in range(4)]
        return tuple(number for number in every if self.points[0].images_per_class <= number <= self.farthest)

    def _expected(self, images_per_class: float) -> str:
        found = value_and_interval(self.forecast(images_per_class))
        return found if self.metric == "accuracy" else f"a log loss of {found}"

    def _told(self, needed: Needed) -> str:
        """Return how many images per class, with the interval; less than the smallest size can't be told."""
        least = self.points[0].images_per_class
        about = "at most" if needed.images_per_class <= least else "about"
        high = _round(needed.high) if math.isfinite(needed.high) else f"more than {_round(self.farthest)}"
        interval = f"up to {high}" if needed.low <= least else f"{_round(needed.low)} to {high}"
        return f"{about} {_round(needed.images_per_class)} images per class (95 %: {interval})"

    @property
    def _levels_out(self) -> bool:
        """Whether eight times the images are not forecast to take away a third of what is wrong."""
        now, then = (np.median(self.forecasts.at(factor * self.points[-1].images)) for factor in (1, FARTHEST))
        return bool(then > 2 / 3 * now)

    @property
    def _name(self) -> str:
        return self.metric.replace("_", " ")

    def _evaluated(self, errors: Floats, count: int) -> Floats:
        """Return what would be found on `count` images where these are the true values (resamples,)."""
        if self.metric != "accuracy":
            raise OptionError("judged_by: only of an accuracy is the luck of the images known.")
        draws = generator(0, "learning curve judged")
        return np.asarray(draws.binomial(count, np.clip(errors, 0, 1)) / count, np.float64)

    def _estimate(self, name: str, error: float, errors: Floats, method: str) -> Estimate:
        low, high = np.quantile(errors, INTERVAL)
        n = self.points[-1].estimate.n
        return _estimate(name, self.metric, error, float(low), float(high), n, method)

    def __str__(self) -> str:
        first, last = self.points[0], self.points[-1]
        return (
            f"{self._name} {value_and_interval(first.estimate)} with {first.images_per_class:.3g} images per class, "
            f"{value_and_interval(last.estimate)} with {last.images_per_class:.3g}"
        )


def learning_curve(
    features: Features,
    targets: Integers,
    units: Sequence[bytes],
    *,
    classes: int,
    metric: CurveMetric = "accuracy",
    images: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> LearningCurve:
    """Measure a learning curve on features (n, features), targets (n,) and units (n,), and fit its laws.

    `images` are how many there are where only n of them are looked at. See `measured_curve` for how it is measured.
    Raises `TooFewImages` where less than four sizes are possible.
    """
    check_asked(metric)
    measured = measured_curve(features, targets, units, classes=classes, seed=seed, progress=progress)
    return curve_of(measured, metric=metric, images=len(targets) if images is None else images, seed=seed)


def check_asked(metric: CurveMetric, target: float | None = None) -> None:
    """Raise `OptionError` for a metric that has no curve, or a target that is none of it."""
    if metric not in ("accuracy", "log_loss"):
        raise OptionError(f"--target-metric {metric}: wanted accuracy or log_loss.")
    if target is not None and not 0 < target < (1 if metric == "accuracy" else math.inf):
        wanted = "a share between 0 and 1, such as 0.99" if metric == "accuracy" else "nats above 0"
        raise OptionError(f"--target {target:g}: wanted {wanted}.")


def curve_of(measured: Measured, *, metric: CurveMetric, images: int, seed: int = 0) -> LearningCurve:
    """Return the learning curve of losses that were measured."""
    losses = measured.wrong if metric == "accuracy" else measured.log_losses
    curves = resampled_curves(losses, measured.units, shares=metric == "accuracy", seed=seed)
    found = losses.mean(axis=(1, 2), dtype=np.float64)
    points = []
    for size, value, draws in zip(measured.sizes.tolist(), found.tolist(), curves.T, strict=True):
        low, high = np.quantile(draws, INTERVAL).tolist()
        estimate = _estimate(metric.replace("_", " "), metric, value, low, high, losses.shape[2], MEASURED_BY)
        points.append(CurvePoint(images=size, images_per_class=size / measured.classes, estimate=estimate))
    return LearningCurve(
        metric=metric,
        classes=measured.classes,
        images=images,
        points=tuple(points),
        forecasts=fitted(measured.sizes, curves, seed=seed),
        draws=losses.shape[1],
    )


def _round(images: float) -> str:
    return f"{in_two_digits(images):,}"


def _estimate(name: str, metric: CurveMetric, error: float, low: float, high: float, n: int, method: str) -> Estimate:
    """Return an error, or share of mistakes, as the metric that people read."""
    method = f"{method} ({RESAMPLES:,} resamples)"
    if metric == "accuracy":
        value, low, high = (min(max(1 - share, 0.0), 1.0) for share in (error, high, low))
        return Estimate(name=name, value=value, low=low, high=high, n=n, method=method, kind="share")
    return Estimate(name=name, value=error, low=low, high=high, n=n, method=method)


@as_json.register(LearningCurve)
def _(value: LearningCurve) -> Any:
    """Return points, and forecasts at the images there are, twice, four times as many and so on."""
    return as_json(
        {
            "metric": value.metric,
            "classes": value.classes,
            "images": value.images,
            "images_per_class": value.images_per_class,
            "draws": value.draws,
            "points": [
                {"images": one.images, "images_per_class": one.images_per_class, **as_json(one.estimate)}
                for one in value.points
            ],
            "forecasts": [
                {"images_per_class": number, **as_json(value.forecast(number))} for number in value.multiples()
            ],
            "farthest": value.farthest,
        }
    )
