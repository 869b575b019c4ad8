"""Sets of classes that hold the true one as often as was asked for, whatever the network: split conformal prediction.

Vovk, Gammerman and Shafer (2005), "Algorithmic learning in a random world"; Angelopoulos and Bates (2021), "A gentle
introduction to conformal prediction", arXiv:2107.07511.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from goldenrule.core.errors import OptionError
from goldenrule.core.randomness import key
from goldenrule.core.schema import OrInfinite
from goldenrule.metrics.basic import mean_estimate
from goldenrule.metrics.estimate import Basis, Estimate
from goldenrule.metrics.prediction_checks import require_single_label
from goldenrule.metrics.predictions import Predictions

Method = Literal["lac", "aps", "raps"]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

PENALTY, UNPENALISED = 0.01, 5  # of RAPS, as its authors take them for ImageNet


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionSets:
    """A rule that gives sets of classes; such sets hold the true class of a share `coverage` of images or more.

    That holds on average over calibration and new images alike, for any network, if the n images it was calibrated on
    are like the new ones and the network has not learned from them. With out-of-fold predictions, whose networks are
    not the one that predicts, it is no theorem: it may be a percent or so less. For single classes it may be less.

    - "lac", least ambiguous: every class whose probability is at least 1 - threshold. The smallest sets
      on average where probabilities are right; those of hard images may hold the true class too rarely. Sadinle, Lei
      and Wasserman (2019), JASA 114:223-234.
    - "aps", adaptive: the most probable classes until they add up to the threshold; larger, but right about as often
      for hard images as for easy ones. Romano, Sesia and Candès (2020), arXiv:2006.02544.
    - "raps", regularised: adaptive, where each class after the first five costs .01 more, which keeps sets of many
      classes small. Angelopoulos et al. (2021), arXiv:2009.14193.

    `randomised` adaptive sets are smaller: the last class is in by a draw from (seed, id of the image). The most
    probable class is always in, so no set is empty and the coverage may be higher than asked for.
    """

    threshold: OrInfinite
    method: Method
    coverage: float
    n: int
    randomised: bool = False
    seed: int = 0
    penalty: float = 0.0
    unpenalised: int = 0
    basis: Basis = Basis.HELD_OUT

    def __post_init__(self) -> None:
        if self.method not in get_args(Method):
            raise OptionError(f"method = {self.method!r}: wanted one of {get_args(Method)}")
        if self.randomised and self.method == "lac":
            raise OptionError("randomised = True: the method 'lac' has no randomised kind; wanted 'aps' or 'raps'")
        if math.isnan(self.threshold):
            raise OptionError("threshold = nan: wanted a number, or inf where there are too few images")
        images_needed(self.coverage)

    @classmethod
    def fit(
        cls,
        predictions: Predictions,
        *,
        coverage: float = 0.95,
        method: Method = "lac",
        randomised: bool = False,
        seed: int = 0,
    ) -> PredictionSets:
        """Return the rule calibrated on the scored images of `predictions`.

        The threshold is the ceil((n + 1) coverage)-th smallest score of a true class. Where n is too small for that
        every class is in every set, and `sentence` says how many images are needed.
        Raises `OptionError` for many labels, an unknown method, and unless 0 < coverage < 1.

        >>> said = Predictions.from_logits([[2, 0, 0], [1, 0, 2], [0, 1, 0]], ["cat", "cow", "dog"], truth=[0, 0, 1])
        >>> PredictionSets.fit(said, coverage=.75).sets(said).tolist()
        [[True, False, False], [True, False, True], [False, True, False]]
        """
        require_single_label(predictions.task, "a conformal set")
        scored = predictions.scored
        rule = cls(
            threshold=math.inf,
            method=method,
            coverage=float(coverage),
            n=len(scored),
            randomised=randomised,
            seed=seed,
            penalty=PENALTY if method == "raps" else 0.0,
            unpenalised=UNPENALISED if method == "raps" else 0,
            basis=predictions.basis,
        )
        if len(scored) < images_needed(coverage):
            return rule
        of_truth = rule._scores(scored, "calibrate")[np.arange(len(scored)), scored.truth]
        rank = math.ceil((len(scored) + 1) * _exactly(coverage))
        return replace(rule, threshold=float(np.partition(of_truth, rank - 1)[rank - 1]))

    def sets(self, predictions: Predictions) -> Bools:
        """Return for each image which classes are in its set, (n, C); none where the image is not ok.

        Raises `OptionError` for many labels.
        """
        require_single_label(predictions.task, "a conformal set")
        rows = np.flatnonzero(predictions.ok)
        inside = np.zeros((len(predictions), len(predictions.classes)), np.bool_)
        readable = predictions if len(rows) == len(predictions) else predictions.select(rows)
        inside[rows] = self._scores(readable, "predict") <= self.threshold
        inside[rows, readable.predicted] = True
        return inside

    @property
    def sentence(self) -> str:
        """What coverage the sets target, or why they hold every class.

        >>> PredictionSets(threshold=math.inf, method="lac", coverage=.95, n=12).sentence
        '95 % coverage needs 19 calibration images, and there are 12: every prediction set holds all classes.'
        """
        share = f"{100 * self.coverage:.10g} %"
        if self.n < (needed := images_needed(self.coverage)):
            return (
                f"{share} coverage needs {needed:,} calibration images, and there are {self.n:,}: "
                "every prediction set holds all classes."
            )
        also = " also used for selection" if self.basis == Basis.USED_FOR_SELECTION else ""
        return f"Prediction sets target {share} coverage (calibrated on {self.n:,} images{also})."

    def _scores(self, readable: Predictions, purpose: str) -> Floats:
        """Return how unlike each class is, (n, C): the lower, the sooner it is in the set."""
        if self.method == "lac":
            return np.asarray(1 - readable.probabilities)
        upto = np.ones(len(readable))
        if self.randomised:
            upto = np.array([_draw(self.seed, purpose, name) for name in readable.ids], np.float64)
        order = np.argsort(-readable.probabilities, axis=1, kind="stable")
        falling = np.take_along_axis(readable.probabilities, order, axis=1)
        ranked = falling.cumsum(axis=1) - (1 - upto[:, np.newaxis]) * falling
        ranked += self.penalty * np.maximum(np.arange(1, falling.shape[1] + 1) - self.unpenalised, 0)
        scores = np.empty_like(ranked)
        np.put_along_axis(scores, order, ranked, axis=1)
        return scores


def images_needed(coverage: float) -> int:
    """Return how many images a coverage needs to be calibrated. Raises `OptionError` unless 0 < coverage < 1.

    >>> images_needed(.95), images_needed(.99)
    (19, 99)
    """
    if not 0 < coverage < 1:
        raise OptionError(f"coverage = {coverage}: wanted a share between 0 and 1, such as 0.95")
    return math.ceil(_exactly(coverage) / (1 - _exactly(coverage)))


def set_coverage(predictions: Predictions, sets: Bools) -> Estimate:
    """Return the share of scored images whose set (a row of `sets`, (n, C)) holds the true class.

    Raises `OptionError` for many labels or sets of another shape.
    """
    rows = _rows(predictions, sets, predictions.ok & predictions.labelled)
    inside = sets[rows, predictions.truth[rows]]
    return Estimate.of_right("coverage", inside, predictions.groups_of(rows), basis=predictions.basis)


def mean_set_size(predictions: Predictions, sets: Bools, *, resamples: int = 2000, seed: int = 0) -> Estimate:
    """Return how many classes are in the set of a readable image on average, with its BCa bootstrap interval.

    Raises what `set_coverage` does.
    """
    rows = _rows(predictions, sets, predictions.ok)
    return mean_estimate(
        "set size",
        sets[rows].sum(axis=1).astype(np.float64),
        predictions.groups_of(rows),
        most=float(len(predictions.classes)),
        basis=predictions.basis,
        resamples=resamples,
        seed=seed,
    )


def singletons(predictions: Predictions, sets: Bools) -> Estimate:
    """Return the share of readable images whose set is one class. Raises what `set_coverage` does."""
    rows = _rows(predictions, sets, predictions.ok)
    single = sets[rows].sum(axis=1) == 1
    return Estimate.of_right("sets of one class", single, predictions.groups_of(rows), basis=predictions.basis)


def _rows(predictions: Predictions, sets: Bools, counted: Bools) -> NDArray[np.int64]:
    """Return the row numbers that count, once the sets were found to fit the predictions."""
    require_single_label(predictions.task, "a conformal set")
    wanted = len(predictions), len(predictions.classes)
    if sets.shape != wanted or sets.dtype != np.bool_:
        raise OptionError(f"sets: wanted booleans of shape {wanted}, got {sets.dtype} of {sets.shape}")
    return np.flatnonzero(counted)


def _exactly(coverage: float) -> Fraction:
    """Return the share that was written: .95 is 19/20, though no float is."""
    return Fraction(str(float(coverage)))


def _draw(seed: int, purpose: str, name: str) -> float:
    """Return a number from 0 to 1, the same for the same image whatever else is predicted."""
    return int.from_bytes(key(seed, f"conformal sets: {purpose}", name)[:8], "little") / 2**64
