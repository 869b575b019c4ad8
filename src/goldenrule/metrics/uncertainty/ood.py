"""Out-of-distribution images: their distance to the training images, with a threshold at a chosen false-alarm rate.

The distance is that of Sun, Ming, Zhu and Li (2022), "Out-of-distribution detection with deep nearest neighbors",
arXiv:2204.06507; how it compares with others is in docs/results/unlike.md.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from goldenrule.core.errors import FormatError, OptionError
from goldenrule.core.randomness import key
from goldenrule.core.schema import as_json
from goldenrule.metrics.estimate import Basis, Estimate
from goldenrule.metrics.predictions import Predictions
from goldenrule.storage.tensors import Array, check_arrays

NEIGHBOUR = 5
MOST_IMAGES = 2_000
FALSE_ALARMS = 0.02

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Halves = NDArray[np.float16]
Singles = NDArray[np.float32]

_BLOCK = 1024


@dataclass(frozen=True, kw_only=True, eq=False)
class OODDetector:
    """Images that a classifier is at home with, and how far from them others of their kind are.

    - `references` (m, features) float16: features of images that it was trained on.
    - `held_out` (n,) float32: distances of images like those of the training, each to references without itself; in
      falling order.
    - `neighbour`: the distance is that to so manieth nearest reference: 1 - cosine, 0 to 2.
    - `false_positive_rate`: the share of images like the held-out ones that may be flagged. Of n held-out images the
      smallest
      share that can be promised is 1 / (n + 1); where less is asked for, `rate` is that.
    - `basis`: "used for selection" where the held-out images are those of validation, which the network may be chosen
      on.

    An image is flagged where it is farther than all but a few of the held-out ones, so many that the promise is kept
    on average over held-out and new images alike, if the new ones are like them and each stands for itself: Laxhammar
    and Falkman (2010), "Conformal prediction for distribution-independent anomaly detection in streaming vessel data".
    Being left out of the references and being new differ by one reference, which makes new images a little nearer.
    """

    references: Halves
    held_out: Singles
    neighbour: int = NEIGHBOUR
    false_positive_rate: float = FALSE_ALARMS
    basis: Basis = Basis.HELD_OUT

    def __post_init__(self) -> None:
        """Make the arrays read-only; raise `OptionError` for what does not fit."""
        check_false_alarms(self.false_positive_rate)
        references, held_out = np.asarray(self.references, np.float16), np.asarray(self.held_out, np.float32)
        if references.ndim != 2 or not 1 <= self.neighbour <= len(references):
            raise OptionError(
                f"references of shape {references.shape}: wanted {self.neighbour} rows of features or more"
            )
        if held_out.ndim != 1 or not len(held_out) or not np.isfinite(held_out).all():
            raise OptionError(f"held_out of shape {held_out.shape}: wanted finite distances (n,), one or more")
        for name, array in (("references", references), ("held_out", np.sort(held_out)[::-1])):
            view = array.view()
            view.flags.writeable = False
            object.__setattr__(self, name, view)

    @classmethod
    def fit(
        cls,
        references: Halves,
        units: Sequence[Hashable],
        *,
        others: Halves | None = None,
        other_units: Sequence[Hashable] | None = None,
        false_positive_rate: float = FALSE_ALARMS,
        basis: Basis = Basis.HELD_OUT,
    ) -> OODDetector:
        """Return the rule from features (m, features) of training images, and the unit that each belongs to.

        The held-out distances are those of `others` (n, features), by default of the references themselves; each is
        measured to the references of other units only, so that copies and images of a group do not vouch for each
        other. Where some image has fewer than five such references, a nearer neighbour is taken for all; one that has
        none is left out. A network that was trained on the references needs `others` that it was not trained on: it
        knows the former too well. Raises `OptionError` where no image has a reference of another unit.
        """
        rows, row_units = (references, units) if others is None else (others, other_units)
        if row_units is None or len(row_units) != len(rows) or len(units) != len(references):
            raise OptionError("units: wanted one for each row of features")
        held_out, neighbour = distances_to_others(references, units, rows, row_units)
        if np.isnan(held_out).all():
            raise OptionError("units: all are of one unit, and no image has another to be compared with")
        held_out = held_out[~np.isnan(held_out)]
        return cls(
            references=references,
            held_out=held_out,
            neighbour=neighbour,
            false_positive_rate=false_positive_rate,
            basis=basis,
        )

    def distances(self, features: NDArray[Any]) -> Singles:
        """Return the distances (n,) of features (n, features); that of a row does not depend on the others."""
        found = np.empty(len(features), np.float32)
        for start in range(0, len(features), _BLOCK):
            block = directions(features[start : start + _BLOCK].astype(np.float16))
            found[start : start + _BLOCK] = _distances(block, self._directions, self.neighbour)
        return found

    def p_values(self, distances: ArrayLike) -> Floats:
        """Return for each distance (n,) the share of held-out images, itself among them, that are as far or farther.

        If the image is like them, it is at most p with probability p: (1 + number as far) / (n + 1). A distance of nan
        gives nan. Source: Vovk, Gammerman and Shafer (2005), "Algorithmic learning in a random world".
        """
        measured = np.asarray(distances, np.float32)
        as_far = np.searchsorted(-self.held_out, -measured, side="right")
        return np.where(np.isnan(measured), np.nan, (1 + as_far) / (self.n + 1))

    def is_ood(self, predictions: Predictions) -> Bools:
        """Return which images are flagged (n,); none that could not be read.

        Raises `OptionError` where the predictions have no distances: a classifier with these references makes them.
        """
        if predictions.distance is None:
            raise OptionError("these predictions have no distances: wanted those of a classifier that knows them")
        return np.asarray(predictions.distance > np.float32(self.threshold))  # nan is not

    def flagged(self, predictions: Predictions, *, basis: Basis | None = None) -> Estimate:
        """Return the share of readable images that are flagged, with its Wilson interval."""
        name = "out-of-distribution"
        rests_on = predictions.basis if basis is None else basis
        ood = self.is_ood(predictions)[predictions.ok]
        return Estimate.of_right(name, ood, predictions.groups_of(predictions.ok), basis=rests_on)

    @property
    def n(self) -> int:
        """How many held-out images the threshold rests on."""
        return len(self.held_out)

    @property
    def rate(self) -> float:
        """The share of images like the held-out ones that is flagged on average, at most."""
        return self._allowed / (self.n + 1)

    @property
    def threshold(self) -> float:
        """The distance beyond which an image is flagged."""
        return float(self.held_out[self._allowed - 1])

    @property
    def sentence(self) -> str:
        """What a flag means, and how often it is wrong.

        >>> half = np.eye(9, dtype=np.float16)
        >>> print(OODDetector.fit(half, range(9), false_positive_rate=.01).sentence)  # doctest: +NORMALIZE_WHITESPACE
        An image is flagged as OOD if it is farther from the training images than all 9 held-out ones; expected false
        positives: 10 % at most (1 % needs 99 held-out images).
        """
        asked, needed = _percent(self.false_positive_rate), images_needed(self.false_positive_rate)
        enough = self.n >= needed
        most = f"{_percent(1 - self.false_positive_rate)} of {self.n:,}" if enough else f"all {self.n:,}"
        held_out = "validation" if self.basis == Basis.USED_FOR_SELECTION else "held-out"
        more = "" if enough else f" ({asked} needs {needed:,} {held_out} images)"
        return (
            f"An image is flagged as OOD if it is farther from the training images than {most} {held_out} ones; "
            f"expected false positives: {_percent(self.rate)} at most{more}."
        )

    @property
    def tensors(self) -> dict[str, NDArray[Any]]:
        """The arrays, for a file."""
        return {"references": self.references, "held_out": self.held_out}

    @classmethod
    def from_parts(cls, value: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> OODDetector:
        """Return what `as_json` and `tensors` gave. Raises `FormatError` for anything else."""
        try:
            wanted = {"references": Array(("references", "features")), "held_out": Array(("n",))}
            check_arrays(tensors, wanted, what="ood_detector.safetensors")
            found = cls(
                references=tensors["references"],
                held_out=tensors["held_out"],
                neighbour=int(value["neighbour"]),
                false_positive_rate=float(value["false_positive_rate"]),
                basis=value["basis"],
            )
            if wrong := [name for name, field in as_json(found).items() if value.get(name, field) != field]:
                raise ValueError(f"{wrong[0]} is not that of the arrays")
            return found
        except (KeyError, TypeError, ValueError, OptionError) as error:
            raise FormatError(f"This OOD detector can't be read ({error}).") from error

    @property
    def _allowed(self) -> int:
        """How many of n + 1 images alike may be flagged."""
        return max(1, math.floor(_exactly(self.false_positive_rate) * (self.n + 1)))

    @cached_property
    def _directions(self) -> Floats:
        return directions(self.references)


@as_json.register(OODDetector)
def _(value: OODDetector) -> Any:
    """Return all but the arrays, and what follows from them."""
    names = ("false_positive_rate", "neighbour", "basis", "references", "n", "rate", "threshold")
    return as_json({name: getattr(value, name) for name in names} | {"references": len(value.references)})


def distances_to_others(
    references: Halves, units: Sequence[Hashable], rows: Halves, row_units: Sequence[Hashable]
) -> tuple[Singles, int]:
    """Return the distance (n,) of each row to the references of other units, and to the so manieth nearest it is.

    Where some row has fewer than five such references, a nearer neighbour is taken for all; nan where it has none.
    """
    numbers = {unit: number for number, unit in enumerate(dict.fromkeys([*units, *row_units]))}
    of_reference = np.array([numbers[unit] for unit in units], np.int64)
    of_row = np.array([numbers[unit] for unit in row_units], np.int64)
    available = len(of_reference) - np.bincount(of_reference, minlength=len(numbers))[of_row]
    usable = np.flatnonzero(available > 0)
    neighbour = int(available[usable].min(initial=NEIGHBOUR))
    found = np.full(len(rows), np.nan, np.float32)
    towards = directions(references)
    for start in range(0, len(usable), _BLOCK):
        block = usable[start : start + _BLOCK]
        same = of_row[block, np.newaxis] == of_reference
        found[block] = _distances(directions(rows[block]), towards, neighbour, without=same)
    return found, neighbour


def check_false_alarms(share: float) -> None:
    """Raise `OptionError` unless 0 < share < 1."""
    if not 0 < share < 1:
        raise OptionError(f"false alarms = {share}: wanted a share between 0 and 1, such as 0.02")


def images_needed(false_positive_rate: float) -> int:
    """Return of how many held-out images one may be flagged at this rate.

    >>> images_needed(.02), images_needed(.01)
    (49, 99)
    """
    return math.ceil(1 / _exactly(false_positive_rate)) - 1


def drawn(names: Sequence[bytes], labels: ArrayLike | None = None, *, most: int = MOST_IMAGES) -> NDArray[np.int64]:
    """Return the rows of at most so many images, drawn by a hash of their names; all, in order, where there are fewer.

    With `labels` the classes are drawn from in turns, so that a rare one is not left out. What is drawn does not depend
    on the order of the images; rows are given in order.
    """
    if len(names) <= most:
        return np.arange(len(names))
    ranks = np.argsort(np.argsort([key(0, "familiar images", name) for name in names], kind="stable"))
    if labels is not None:
        numbers = np.asarray(labels)
        turns = np.empty(len(names), np.int64)
        for label in np.unique(numbers):
            rows = np.flatnonzero(numbers == label)
            turns[rows[np.argsort(ranks[rows])]] = np.arange(len(rows))
        ranks = turns * len(names) + ranks
    return np.sort(np.argsort(ranks)[:most])


def directions(features: NDArray[Any]) -> Floats:
    """Return features (n, features) as float64 vectors of length 1; those of nothing but zeros stay zeros."""
    finite = np.nan_to_num(features.astype(np.float64), posinf=float(np.finfo(np.float16).max))
    return np.asarray(finite / np.maximum(np.linalg.norm(finite, axis=1, keepdims=True), 1e-12))


def _distances(one: Floats, towards: Floats, neighbour: int, *, without: Bools | None = None) -> Singles:
    """Return 1 - cosine to the so manieth most alike of `towards`, leaving out pairs of `without`.

    The cosine is rounded to float32: which rows come together then makes no difference.
    """
    cosines = one @ towards.T
    if without is not None:
        cosines[without] = -np.inf
    place = cosines.shape[1] - neighbour
    return np.asarray(1 - np.partition(cosines, place, axis=1)[:, place].astype(np.float32), np.float32)


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.1 else f"{100 * share:.4g} %"


def _exactly(share: float) -> Fraction:
    """Return the share that was written: .02 is 1/50, though no float is."""
    return Fraction(str(float(share)))
