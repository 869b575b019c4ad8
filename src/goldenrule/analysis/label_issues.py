"""Which labels are probably wrong: confident learning from probabilities of heads that have not seen the image.

A label is doubted where heads that learned from other images give it little probability. The ranking is by that
probability, the self-confidence (Kuan and Mueller 2022, "Model-agnostic label quality scoring to detect real-world
label errors"): with labels wrong at random it puts first what is most probably wrong. How many are wrong, and from
where the list is cut, is confident learning (Northcutt, Jiang, Chuang 2021, "Confident learning: estimating
uncertainty in dataset labels", Journal of Artificial Intelligence Research 70): each class has a threshold, the mean
probability of its own images; images above the threshold of another class are counted, class against class. Where
classes are hard to tell apart that counts mistakes of the heads too: so no more labels are suspected than are as
improbable as labels that are wrong at random would be (`most_wrong`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from goldenrule.analysis.planted_errors import most_wrong
from goldenrule.core.cells import csv_text, to_cell
from goldenrule.core.errors import OptionError
from goldenrule.core.schema import as_json
from goldenrule.metrics import Predictions
from goldenrule.metrics.basic import WITHOUT

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class SuspectedLabel:
    """An image, the label it was given, a likelier one, and the probabilities of both.

    `rank` counts from 1; `suspected` says that confident learning counts this label as wrong.
    """

    rank: int
    id: str
    given: str
    likely: str
    probability_given: float
    probability_likely: float
    suspected: bool


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class LabelIssues:
    """All labelled, readable images, the most doubtful label first; as arrays, so that memory stays small.

    - `names`: the class names; for many labels each also as "without NAME".
    - `ids`, `given`, `likely` (n,) index into `names`; `probability_given`, `probability_likely`, `suspected` (n,).
    - `counts` (k, k): the joint counts that confident learning estimates, how many images that were given a label
      truly have another; off the diagonal they are wrong. For many labels the pairs of all labels.
    """

    names: tuple[str, ...]
    ids: tuple[str, ...]
    given: Numbers
    likely: Numbers
    probability_given: Floats
    probability_likely: Floats
    suspected: Flags
    counts: Floats

    @property
    def number_suspected(self) -> int:
        """How many labels are suspected to be wrong: those to look at."""
        return int(self.suspected.sum())

    @property
    def number_contradicted(self) -> int:
        """How many labels are contradicted: heads that have not seen the image find another class likelier."""
        return int((self.probability_likely > self.probability_given).sum())

    @property
    def estimated(self) -> float:
        """How many labels are wrong by confident learning's estimate.

        Where the classes are hard to tell apart, mistakes of the heads are counted with them: it is then far too high.
        """
        return float(self.counts.sum() - np.trace(self.counts))

    @cached_property
    def pairs(self) -> tuple[tuple[str, str, int], ...]:
        """Which labels are mixed up: (given, likely, how many are doubted), the most frequent first."""
        cells: dict[tuple[int, int], int] = {}
        for given, likely in zip(self.given[self.suspected], self.likely[self.suspected], strict=True):
            cells[int(given), int(likely)] = cells.get((int(given), int(likely)), 0) + 1
        order = sorted(cells, key=lambda cell: (-cells[cell], cell))
        return tuple((self.names[given], self.names[likely], cells[given, likely]) for given, likely in order)

    def first(self, count: int) -> tuple[SuspectedLabel, ...]:
        """Return up to `count` images whose labels are most doubtful."""
        return tuple(self._suspect(row) for row in range(min(max(count, 0), len(self))))

    @property
    def listed(self) -> int:
        """How many rows of the ranking hold all that are doubted."""
        return int(np.flatnonzero(self.suspected).max(initial=-1)) + 1

    def to_csv(self) -> str:
        """Return rows path, given, likely, probability_given, probability_likely, doubted for all images, ranked."""
        rows = [["path", "given", "likely", "probability_given", "probability_likely", "doubted"]]
        for row in range(len(self)):
            suspect = self._suspect(row)
            numbers = (f"{suspect.probability_given:.6g}", f"{suspect.probability_likely:.6g}")
            rows.append(
                [
                    *map(to_cell, (suspect.id, suspect.given, suspect.likely)),
                    *numbers,
                    "yes" if suspect.suspected else "no",
                ]
            )
        return csv_text(rows)

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[SuspectedLabel]:
        return (self._suspect(row) for row in range(len(self)))

    def __repr__(self) -> str:
        return f"LabelIssues({len(self):,} labels, {self.number_suspected:,} suspected)"

    def _suspect(self, row: int) -> SuspectedLabel:
        return SuspectedLabel(
            rank=row + 1,
            id=self.ids[row],
            given=self.names[self.given[row]],
            likely=self.names[self.likely[row]],
            probability_given=float(self.probability_given[row]),
            probability_likely=float(self.probability_likely[row]),
            suspected=bool(self.suspected[row]),
        )


def find_label_issues(predictions: Predictions) -> LabelIssues:
    """Rank labels by how probably they are wrong, from predictions of images that the network did not learn from.

    Out-of-fold predictions of a linear head (`gr.fit_head(...).out_of_fold`) take a second for thousands of images.
    For many labels each label is present or absent, by itself; an image is ranked by its most doubtful one.
    Raises `OptionError` where no image is labelled and readable.

    >>> four = Predictions.from_logits([[9, 0], [8, 0], [9, 0], [0, 9]], ["cat", "dog"], truth=[0, 0, 1, 1])
    >>> find_label_issues(four).first(1)[0].id
    '2'
    """
    scored = predictions.scored
    if not len(scored):
        raise OptionError("No image is both labelled and readable: label errors are looked for among labels.")
    if scored.task == "single":
        return _ranked(scored.classes, scored.ids, _one_label(scored.probabilities, scored.truth.astype(np.int64)))
    return _ranked(_names_of_many(scored.classes), scored.ids, _many_labels(scored))


def label_errors_json(errors: LabelIssues, most: int | None = None) -> dict[str, Any]:
    """Return the numbers and up to `most` rows as JSON; without `most` all that are doubted."""
    return {
        "images": len(errors),
        "contradicted": errors.number_contradicted,
        "doubted": errors.number_suspected,
        "estimated": errors.estimated,
        "pairs": [{"given": given, "likely": likely, "doubted": count} for given, likely, count in errors.pairs],
        "rows": as_json(errors.first(errors.listed if most is None else most)),
    }


@as_json.register(LabelIssues)
def _(value: LabelIssues) -> dict[str, Any]:
    return label_errors_json(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """What is found of n labels, in the order of the images."""

    given: Numbers
    likely: Numbers
    probability_given: Floats
    probability_likely: Floats
    suspected: Flags
    counts: Floats


def joint_counts(probabilities: Floats, given: Numbers) -> Floats:
    """Return how many images with label i truly have j, (classes, classes): the confident joint, calibrated.

    An image counts for the likeliest class among those whose threshold it reaches, for none where it reaches none;
    rows are scaled to the number of images that were given the label. `probabilities` (n, classes), `given` (n,).
    """
    classes = probabilities.shape[1]
    numbers = np.bincount(given, minlength=classes).astype(np.float64)
    of_label = probabilities[np.arange(len(given)), given]
    thresholds = np.full(classes, np.inf)
    present = numbers > 0
    thresholds[present] = np.bincount(given, of_label, minlength=classes)[present] / numbers[present]
    confident = np.where(probabilities >= thresholds - 1e-12, probabilities, -1.0)
    counted = confident.max(axis=1) >= 0
    joint = np.zeros((classes, classes))
    np.add.at(joint, (given[counted], confident[counted].argmax(axis=1)), 1.0)
    empty = joint.sum(axis=1) == 0
    joint[empty, empty] = 1.0
    return np.asarray(joint / joint.sum(axis=1, keepdims=True) * numbers[:, np.newaxis])


def _one_label(probabilities: Floats, given: Numbers) -> _Judged:
    rows = np.arange(len(given))
    others = probabilities.copy()
    others[rows, given] = -1.0
    likely = others.argmax(axis=1).astype(np.int64)
    counts = joint_counts(probabilities, given)
    return _Judged(
        given=given,
        likely=likely,
        probability_given=probabilities[rows, given],
        probability_likely=probabilities[rows, likely],
        suspected=_pruned(probabilities, given, counts),
        counts=counts,
    )


def _pruned(probabilities: Floats, given: Numbers, counts: Floats) -> Flags:
    """Return which labels are wrong, "prune by class": of each class the counted number of least probable ones.

    Only where another class is likelier than the label that was given, and of these the least probable `most_wrong`.
    """
    of_label = probabilities[np.arange(len(given)), given]
    suspected = np.zeros(len(given), dtype=bool)
    wrong = np.rint(counts.sum(axis=1) - np.diag(counts)).astype(np.int64)
    for label in np.flatnonzero(wrong):
        members = np.flatnonzero(given == label)
        suspected[members[np.argsort(of_label[members], kind="stable")[: wrong[label]]]] = True
    suspected &= probabilities.max(axis=1) > of_label
    ranked = np.flatnonzero(suspected)[np.argsort(of_label[suspected], kind="stable")]
    suspected[ranked[most_wrong(probabilities, given) :]] = False
    return suspected


def _many_labels(scored: Predictions) -> _Judged:
    """Evaluate each label as present or absent, and keep the most doubtful of each image."""
    size, labels = scored.truth.shape
    counts = np.zeros((2 * labels, 2 * labels))
    suspected = np.zeros(size, dtype=bool)
    for label in range(labels):
        chance = scored.probabilities[:, label]
        evaluated = _one_label(np.column_stack([1 - chance, chance]), scored.truth[:, label].astype(np.int64))
        places = np.array([labels + label, label])
        counts[np.ix_(places, places)] = evaluated.counts
        suspected |= evaluated.suspected
    present = scored.truth == 1
    of_label = np.where(present, scored.probabilities, 1 - scored.probabilities)
    worst = of_label.argmin(axis=1)
    rows = np.arange(size)
    has = present[rows, worst]
    return _Judged(
        given=np.where(has, worst, labels + worst).astype(np.int64),
        likely=np.where(has, labels + worst, worst).astype(np.int64),
        probability_given=of_label[rows, worst],
        probability_likely=1 - of_label[rows, worst],
        suspected=suspected,
        counts=counts,
    )


def _names_of_many(classes: tuple[str, ...]) -> tuple[str, ...]:
    return (*classes, *(f"{WITHOUT} {name}" for name in classes))


def _ranked(names: tuple[str, ...], ids: tuple[str, ...], evaluated: _Judged) -> LabelIssues:
    order = np.argsort(evaluated.probability_given, kind="stable")
    return LabelIssues(
        names=names,
        ids=tuple(ids[row] for row in order),
        given=evaluated.given[order],
        likely=evaluated.likely[order],
        probability_given=evaluated.probability_given[order],
        probability_likely=evaluated.probability_likely[order],
        suspected=evaluated.suspected[order],
        counts=evaluated.counts,
    )
