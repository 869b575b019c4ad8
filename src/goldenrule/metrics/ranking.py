"""How well probabilities rank the images of a class above the others: ROC-AUC and average precision."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from goldenrule.core.errors import OptionError
from goldenrule.metrics.estimate import Estimate
from goldenrule.metrics.grouped.jackknife import over_groups
from goldenrule.metrics.predictions import Predictions
from goldenrule.metrics.rank_statistics import auc_and_influences, average_precision_and_influences
from goldenrule.metrics.score_intervals import effective_interval

RankAverage = Literal["macro", "weighted"]
Floats = NDArray[np.float64]
Marks = NDArray[np.bool_]


@over_groups
def roc_auc(predictions: Predictions, *, average: RankAverage = "macro") -> Estimate:
    """Return the area under the ROC curve of each class against the rest, averaged over the classes.

    It is how often an image of a class has a higher probability for it than an image of another, equal ones counting
    half: .5 by chance. Macro: every class counts the same. Weighted: by its number of images. A class of which there
    is no image, or to which all belong, is left out; `method` says how many are in. With two classes of a single
    label both have the same area.

    The interval is Wilson's at the effective sample size, from DeLong's variance over images; an area of 1 is as sure
    as a share of 1 of so many images as the rarer side has. It is meant for some images of each class: a class that is
    left out is not in it.

    Source: DeLong et al. (1988), Biometrics 44:837-845; see `effective_interval`. DeLong's own interval, symmetric and
    without width at 1, holds the truth less often where a class is rare (docs/results/interval_coverage.md).

    >>> both = Predictions.from_logits([[2, 0], [0, 1], [3, 0], [0, 2]], ["cat", "dog"], truth=[0, 0, 0, 1])
    >>> print(roc_auc(both))
    100 % [21, 100] n=4
    """
    return _averaged(predictions, _AUC, average)


@over_groups
def average_precision(predictions: Predictions, *, average: RankAverage = "macro") -> Estimate:
    """Return the average precision of each class against the rest, averaged over the classes as in `roc_auc`.

    The mean over the images of a class of the precision where everything at least as probable is called: the share of
    the class by chance. With two classes of a single label this is the mean of both; that of one of them, as in
    competitions with a positive class, is in `ranking_per_class`.

    The interval is Wilson's at the effective sample size, from the linearised variance over images; 1 is as sure as a
    share of 1 of the images of the class. Of fewer than about ten images of a class average precision is too high on
    average, and the interval holds the truth less often: in 85 to 92 % of cases (docs/results/interval_coverage.md).

    Source: Boyd, Eng and Page (2013), Area under the precision-recall curve, ECML PKDD, who take the number of
    positive images for the size of the sample; see `effective_interval`.
    """
    return _averaged(predictions, _PRECISION, average)


@dataclass(frozen=True, slots=True, kw_only=True)
class RankingScore:
    """How well its probability ranks one class against the rest; `support` is its number of images."""

    name: str
    support: int
    roc_auc: Estimate
    average_precision: Estimate


def ranking_per_class(predictions: Predictions) -> tuple[RankingScore, ...]:
    """Return ROC-AUC and average precision of each class, in their order; undefined without two kinds of images.

    >>> both = Predictions.from_logits([[2, 0], [0, 1], [3, 0], [0, 2]], ["cat", "dog"], truth=[0, 0, 0, 1])
    >>> print(*[one.average_precision for one in ranking_per_class(both)])
    100 % [44, 100] n=4 100 % [21, 100] n=4
    """
    truth = _truth(predictions.scored)
    columns = range(len(predictions.classes))
    scores = {each: [_of_class(predictions, truth, each, k) for k in columns] for each in (_AUC, _PRECISION)}
    return tuple(
        RankingScore(
            name=predictions.classes[k],
            support=int(truth[:, k].sum()),
            roc_auc=scores[_AUC][k],
            average_precision=scores[_PRECISION][k],
        )
        for k in columns
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Statistic:
    """A statistic of scores and marks, and of how many images it is a share where it is 1."""

    name: str
    of: Callable[[Floats, Marks], tuple[float, Floats]]
    images: Callable[[float, float], float]
    imagined: float


_AUC = _Statistic(name="ROC-AUC", of=auc_and_influences, images=min, imagined=0.25)
_PRECISION = _Statistic(
    name="average precision", of=average_precision_and_influences, images=lambda positive, _: positive, imagined=1.0
)
_METHOD = "Wilson 95 % at the effective sample size"


def _of_class(predictions: Predictions, truth: Marks, statistic: _Statistic, column: int) -> Estimate:
    name = f"{statistic.name} of {predictions.classes[column]}"
    positive = truth[:, column]
    if positive.all() or not positive.any():
        return Estimate.undefined(name, _METHOD, kind="share", basis=predictions.basis)
    value, influences = statistic.of(predictions.scored.probabilities[:, column], positive)
    images = statistic.images(float(positive.sum()), float((~positive).sum()))
    return _estimate(predictions, statistic, name, _METHOD, value, influences, images)


def _averaged(predictions: Predictions, statistic: _Statistic, average: RankAverage) -> Estimate:
    if average not in get_args(RankAverage):
        raise OptionError(f"average = {average!r}: wanted one of {get_args(RankAverage)}")
    scored = predictions.scored
    truth, name = _truth(scored), f"{average} {statistic.name}"
    support = truth.sum(axis=0)
    kept = np.flatnonzero((support > 0) & (support < len(scored)))
    method = f"{_METHOD} over {len(kept)} of {len(support)} classes"
    if len(kept) == 0:
        return Estimate.undefined(name, method, kind="share", basis=predictions.basis)
    weights = (support if average == "weighted" else np.ones(len(support)))[kept]
    parts = weights / weights.sum()
    values, influences = np.empty(len(kept)), np.zeros(len(scored))
    for number, column in enumerate(kept):
        values[number], influence = statistic.of(scored.probabilities[:, column], truth[:, column])
        influences += parts[number] * influence
    value = float(parts @ values)
    if average == "weighted":  # other images would have had other numbers of each class
        influences += truth[:, kept] @ (values - value) / weights.sum()
    images = _images_of_average(statistic, support[kept], parts, len(scored), scored.task == "single")
    return _estimate(predictions, statistic, name, method, value, influences, images)


def _images_of_average(statistic: _Statistic, support: NDArray[np.int64], parts: Floats, n: int, single: bool) -> float:
    """Return of how many images the average is a share where it is 1: at most n.

    Those of independent classes; with a single label a mistake lowers the true class and the one that it is taken for,
    which of two classes are the same mistake counted twice.
    """
    each = [statistic.images(float(positive), float(n - positive)) for positive in support]
    independent = 1 / float((parts**2 / each).sum())
    return min(float(n), independent * (1 - 1 / len(support) if single else 1))


def _estimate(
    predictions: Predictions,
    statistic: _Statistic,
    name: str,
    method: str,
    value: float,
    influences: Floats,
    images: float,
) -> Estimate:
    value = min(value, 1.0)  # rounding errors of 1e-16
    low, high = effective_interval(value, float(influences @ influences), images, imagined=statistic.imagined)
    return Estimate(
        name=name,
        value=value,
        low=low,
        high=high,
        n=len(influences),
        method=method,
        kind="share",
        basis=predictions.basis,
    )


def _truth(scored: Predictions) -> Marks:
    """Return which image is of which class, (n scored, C)."""
    if scored.task == "multi":
        return np.asarray(scored.truth == 1)
    return np.asarray(scored.truth[:, np.newaxis] == np.arange(len(scored.classes)))
