"""How many images are enough: the rule of thumb, and beside it what a learning curve has measured."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from goldenrule.analysis.curve_laws import RESAMPLES
from goldenrule.analysis.learning_curve import FORECAST_BY, INTERVAL, CurveMetric, CurvePoint, LearningCurve
from goldenrule.core.findings import Finding
from goldenrule.core.messages import Message
from goldenrule.core.schema import as_json
from goldenrule.data.table import ImageTable
from goldenrule.metrics import Estimate, value_and_interval
from goldenrule.metrics.uncertainty.power import in_two_digits

Help = Literal["clearly", "hardly", "unknown"]
TIMES = (2, 5)
"""Forecasts are given for so many times the images that there are."""
WORTH: dict[CurveMetric, float] = {"accuracy": 0.005, "log_loss": 0.01}
"""A gain of half a percentage point, or of .01 nats, is taken to be worth twice the images; less is not."""
NEAR = 0.01
"""Images per class are told from which on accuracy is within a percentage point of what it is with all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What is handed on about one way of training: between so many images per class. It is not based on a measurement.

    >>> [f"{rule.way}: {rule.wants}" for rule in RULES]
    ['transfer learning: up to 1,000', 'fine-tuning: 1,000-5,000', 'training from scratch: from 5,000']
    """

    way: str
    least: int
    most: int | None

    @property
    def wants(self) -> str:
        """The images per class in words."""
        if self.most is None:
            return f"from {self.least:,}"
        return f"{self.least:,}-{self.most:,}" if self.least else f"up to {self.most:,}"

    def says(self, images_per_class: float) -> str:
        """Return what the rule makes of so many images per class.

        >>> RULES[1].says(168), RULES[1].says(1200), RULES[0].says(1200)
        ('832 short', 'suits', '200 more than that')
        """
        if images_per_class < self.least:
            return f"{math.ceil(self.least - images_per_class):,} short"
        if self.most is None or images_per_class <= self.most:
            return "suits"
        return f"{math.ceil(images_per_class - self.most):,} more than that"


TRANSFER_MOST = 1000
RULES = (
    Rule(way="transfer learning", least=0, most=TRANSFER_MOST),
    Rule(way="fine-tuning", least=TRANSFER_MOST, most=5000),
    Rule(way="training from scratch", least=5000, most=None),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassSizes:
    """How many images the classes have: the smallest one, the one in the middle, the largest."""

    classes: int
    smallest: int
    median: float
    largest: int

    @classmethod
    def of(cls, counts: Iterable[int]) -> ClassSizes:
        """Return the sizes of classes, of which there is at least one.

        >>> print(ClassSizes.of([80, 168, 1200]))
        168 images in the middle class (of 3; the smallest has 80, the largest 1,200)
        """
        numbers = list(counts)
        return cls(classes=len(numbers), smallest=min(numbers), median=float(np.median(numbers)), largest=max(numbers))

    @property
    def rule(self) -> Rule:
        """The rule of thumb that suits the class in the middle."""
        return next(rule for rule in RULES if rule.most is None or self.median <= rule.most)

    @property
    def message(self) -> Message:
        """The sizes as a text."""
        median = f"{self.median:,.1f}".removesuffix(".0")
        if self.smallest == self.largest:
            return Message("class-sizes.even", {"median": median, "classes": self.classes})
        sizes = {"smallest": self.smallest, "largest": self.largest}
        return Message("class-sizes.uneven", {"median": median, "classes": self.classes, **sizes})

    def __str__(self) -> str:
        return str(self.message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ahead:
    """What is forecast for more images: the metric, and what it gains over the images that there are."""

    times: float
    images_per_class: float
    forecast: Estimate
    gain: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Near:
    """Images per class from which on accuracy is within a point of what all images give, and the 95 % interval.

    `least` is the smallest size that was measured: below it nothing is told.
    """

    images_per_class: float
    low: float
    high: float
    least: float

    def __str__(self) -> str:
        value, low, high = (f"{in_two_digits(one):,}" for one in (self.images_per_class, self.low, self.high))
        about = "at most" if self.images_per_class <= self.least else "about"
        return f"{about} {value} per class (95 %: {f'up to {high}' if self.low <= self.least else f'{low} to {high}'})"


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSize:
    """Whether the images are enough: measured facts, and the rule of thumb beside them."""

    metric: CurveMetric
    sizes: ClassSizes
    now: CurvePoint  # the largest size that was measured
    ahead: tuple[Ahead, ...]
    near: Near | None  # of accuracy only
    more_images: Help

    @property
    def disagree(self) -> bool:
        """Whether the rule of thumb says otherwise than what was measured."""
        wants_more = self.sizes.rule is RULES[0]
        return self.more_images == ("hardly" if wants_more else "clearly")

    @property
    def sentences(self) -> tuple[str, str]:
        """What was measured, and what the rule of thumb says to that."""
        return self._measured(), self._by_the_rule()

    def _measured(self) -> str:
        twice = next((one for one in self.ahead if one.times == TIMES[0]), None)
        if twice is None:
            return "Of twice as many images nothing can be forecast."
        says = {
            "clearly": "More images like these would clearly help",
            "hardly": "More images like these would hardly help",
            "unknown": "Whether more images like these would help is not clear",
        }[self.more_images]
        point = "By the fitted curve, accuracy is within a point of what all of them give with"
        near = f" {point} {self.near}." if self.near else ""
        return f"{says}: twice as many are forecast to {gained(twice.gain)}.{near}"

    def _by_the_rule(self) -> str:
        rule, there = self.sizes.rule, f"{self.sizes.median:,.0f}"
        if rule is RULES[0]:
            verb = {"clearly": "agrees", "hardly": "disagrees", "unknown": "would go on"}[self.more_images]
            said = f"up to {TRANSFER_MOST:,} per class for transfer learning (the middle class has {there})"
        else:
            verb = {"clearly": "disagrees", "hardly": "agrees", "unknown": "would not"}[self.more_images]
            said = f"{there} in the middle class are more than transfer learning wants, and suit {rule.way}"
        return f"The rule of thumb {verb}: {said}. It has seen none of these images: go by what was measured."


def data_size(curve: LearningCurve, sizes: ClassSizes) -> DataSize:
    """Evaluate by a learning curve whether the images are enough, with the rule of thumb beside it.

    More images help clearly where the whole 95 % interval of what twice as many are forecast to gain is above what
    is `WORTH` it, hardly where all of it is below.
    """
    there, reach = curve.images_per_class, curve.farthest
    further = {float(times): times * there for times in TIMES}
    if there < TRANSFER_MOST:
        further[TRANSFER_MOST / there] = float(TRANSFER_MOST)
    ahead = tuple(
        Ahead(times=times, images_per_class=value, forecast=curve.forecast(value), gain=gain_of(curve, value))
        for times, value in sorted(further.items())
        if value <= reach
    )
    return DataSize(
        metric=curve.metric,
        sizes=sizes,
        now=curve.points[-1],
        ahead=ahead,
        near=_near(curve) if curve.metric == "accuracy" else None,
        more_images=_more_images(curve),
    )


def gain_of(curve: LearningCurve, images_per_class: float) -> Estimate:
    """Return how much better it is forecast to be than with the images there are: points of accuracy, or nats.

    Both are forecast by the same law of each resample, so that what they share does not widen the interval.
    Raises `OptionError` beyond what the curve says something of.
    """
    curve.forecast(images_per_class)
    gains = curve.forecasts.at(curve.images) - curve.forecasts.at(images_per_class * curve.classes)
    low, middle, high = np.quantile(gains, (INTERVAL[0], 0.5, INTERVAL[1])).tolist()
    return Estimate(
        name=f"{curve.metric.replace('_', ' ')} gained",
        value=middle,
        low=low,
        high=high,
        n=curve.points[-1].estimate.n,
        method=f"{FORECAST_BY} ({RESAMPLES:,} resamples)",
        kind="points" if curve.metric == "accuracy" else "number",
    )


def gained(gain: Estimate) -> str:
    """Return in words what more images are forecast to gain.

    >>> gained(Estimate(name="gain", value=0.012, low=0.004, high=.03, n=200, method="", kind="points"))
    'gain 1.2 points [0.4, 3.0]'
    """
    return f"{'gain' if gain.kind == 'points' else 'lower it by'} {value_and_interval(gain)}"


def how_much(table: ImageTable) -> Iterator[Finding]:
    """Return a note on what the rule of thumb says of images, and where the measured answer is to be had."""
    counts = table.counts()
    per_class = [count for name, count in counts.get("train", counts.get("all", {})).items() if name and count]
    if per_class:
        sizes = ClassSizes.of(per_class)
        _, tuning, _ = RULES
        yield Finding(
            severity="note",
            code="how-much",
            variant="measurable" if table.task == "single" else "",
            fields={
                "sizes": sizes.message,
                "way": sizes.rule.way,
                "least": tuning.least,
                "most": tuning.most or 0,
            },
        )


def _more_images(curve: LearningCurve) -> Help:
    twice = 2 * curve.images_per_class
    if twice > curve.farthest:
        return "unknown"
    gain, worth = gain_of(curve, twice), WORTH[curve.metric]
    if gain.low >= worth:
        return "clearly"
    return "hardly" if gain.high < worth else "unknown"


def _near(curve: LearningCurve) -> Near:
    """Compute it resample by resample, so that how good it is with all images does not widen the interval."""
    errors = curve.forecasts.at(curve.images) + NEAR
    least = curve.points[0].images_per_class
    images = np.maximum(curve.forecasts.images_for(errors) / curve.classes, least)
    low, middle, high = np.quantile(images, (INTERVAL[0], 0.5, INTERVAL[1])).tolist()
    return Near(images_per_class=middle, low=low, high=high, least=least)


@as_json.register(DataSize)
def _(value: DataSize) -> Any:
    rules = [as_json(rule) | {"says": rule.says(value.sizes.median)} for rule in RULES]
    return as_json(
        {
            "images_per_class": value.sizes,
            "rules_of_thumb": rules,
            "rule_of_thumb": value.sizes.rule.way,
            "now": {"images_per_class": value.now.images_per_class, **as_json(value.now.estimate)},
            "ahead": value.ahead,
            "within_a_point": value.near,
            "more_images_help": value.more_images,
            "rule_and_measurement_disagree": value.disagree,
            "says": " ".join(value.sentences),
        }
    )
