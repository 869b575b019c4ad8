"""Losses on images that a head has not seen, fitted on more and more of the others: a learning curve's raw numbers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from goldenrule.core.errors import TooFewImages
from goldenrule.core.progress import Progress, Silent
from goldenrule.core.randomness import key
from goldenrule.data.splits.folds import stratified_folds
from goldenrule.features.linear import FIRST, Features, Rows, fit_linear, fit_linear_at
from goldenrule.metrics import Predictions, image_losses
from goldenrule.models.heads import LayeredHead

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

FOLDS, DRAWS = 5, 4
STEP = 2**0.5
"""Each size is so many times the one below it."""
MOST_SIZES, LEAST_SIZES = 12, 4
LEAST_PER_CLASS, LEAST_UNITS_PER_CLASS, LEAST_IMAGES = 2.0, 2.0, 6
"""The smallest size has as many images per class, as many units (groups of images) per class, and images."""
CHEAP = 1_000
"""Up to so many images times classes every head has a penalty of its own; above it the draws of a fold share one."""
SOLVED_TO = 1e-3
"""Promised relative decrease of the objective: closer moves no accuracy."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Measured:
    """Losses of n images, each by heads that have not seen it nor what belongs to it.

    `sizes` (sizes,) are the images that were learned from, rising; `wrong` and `log_losses` (sizes, draws, n) say of
    each image whether it was taken for another class, and its log loss. `units` (n,) number what stays together.
    """

    sizes: Integers
    wrong: Floats
    log_losses: Floats
    units: Integers
    classes: int


def curve_sizes(most: int, *, classes: int, images_per_unit: float = 1.0) -> list[int]:
    """Return the sizes of a curve: from `most` down, each about 1 / sqrt(2) of the one above, at most 12.

    >>> curve_sizes(640, classes=2)
    [14, 20, 28, 40, 57, 80, 113, 160, 226, 320, 453, 640]
    """
    least = max(LEAST_PER_CLASS, LEAST_UNITS_PER_CLASS * images_per_unit if images_per_unit > 1 else 0.0) * classes
    sizes = [round(most / STEP**step) for step in range(MOST_SIZES)]
    return sorted(size for size in sizes if size >= max(least, LEAST_IMAGES))


def measured_curve(
    features: Features,
    targets: Integers,
    units: Sequence[bytes],
    *,
    classes: int,
    seed: int = 0,
    draws: int = DRAWS,
    progress: Progress | None = None,
) -> Measured:
    """Fit heads on more and more of the images and score each on a fold that it has not seen.

    `features` (n, features), `targets` (n,) class indices, `units` (n,) names of what stays together. Every image is
    scored at every size, by `draws` heads: the images of a fold by heads of the other folds. A draw is an order of
    these, stratified, from which each size takes the first, so that a smaller set is part of a larger one. The only
    unit of a class is never scored, since nothing else could teach its class.
    Raises `TooFewImages` where less than four sizes are possible.
    """
    fold = stratified_folds(targets, units, folds=FOLDS, seed=seed)
    most = len(targets) - int(np.bincount(fold[fold >= 0], minlength=FOLDS).max())
    sizes = curve_sizes(most, classes=classes, images_per_unit=len(targets) / len(set(units)))
    if len(sizes) < LEAST_SIZES:
        raise TooFewImages(
            f"{len(targets):,} images of {classes:,} classes ({len(set(units)):,} that do not belong together) are too "
            f"few for a learning curve: wanted {LEAST_SIZES} sizes that each teach something, found {len(sizes)}. "
            "Add images."
        )
    wrong = np.empty((len(sizes), draws, len(targets)), np.float32)
    log_losses = np.empty_like(wrong)
    heads = _Heads(features, targets, units, classes, seed)
    with (progress or Silent()).task("learning curve", FOLDS * (draws * (len(sizes) - 1) + 1), "heads") as task:
        for held in range(FOLDS):
            tested, others = np.flatnonzero(fold == held), np.flatnonzero(fold != held)
            row_units = [units[row] for row in others.tolist()]
            orders = [others[nested_order(targets[others], row_units, draw, seed=seed)] for draw in range(draws)]
            for number, size in enumerate(sizes):
                shared: float | None = None
                for draw, order in enumerate(orders[:1] if size == most else orders):
                    head, penalty = heads.linear(order[:size], shared)
                    shared = penalty if size * classes > CHEAP else None
                    scored = heads.scored(head, tested)
                    same = slice(draw, None if size == most else draw + 1)  # all draws take all that there is
                    wrong[number][same, tested] = scored.predicted != scored.truth
                    log_losses[number][same, tested] = image_losses(scored)
                    task.advance()
    numbers = {name: number for number, name in enumerate(dict.fromkeys(units))}
    evaluated = fold >= 0
    return Measured(
        sizes=np.array(sizes),
        wrong=wrong[:, :, evaluated],
        log_losses=log_losses[:, :, evaluated],
        units=np.array([numbers[name] for name in units])[evaluated],
        classes=classes,
    )


def nested_order(targets: Integers, units: Sequence[bytes], draw: int, *, seed: int) -> Integers:
    """Return an order (n,) of images whose every beginning is stratified and has whole units, but for the last.

    A unit stands at the share of its class that has come before it and with half of itself; the units of a class
    are ordered by the hash of (seed, draw, unit).

    >>> targets, units = np.array([0, 0, 0, 0, 1, 1]), [b"a", b"b", b"c", b"d", b"e", b"f"]
    >>> targets[nested_order(targets, units, 0, seed=0)].tolist() in ([0, 1, 0, 0, 1, 0], [0, 1, 0, 0, 0, 1])
    True
    """
    members: dict[bytes, list[int]] = defaultdict(list)
    for row, unit in enumerate(units):
        members[unit].append(row)
    drawn = {unit: key(seed, "learning curve", draw, unit) for unit in members}
    totals, before = np.bincount(targets), np.zeros(int(targets.max()) + 1)
    place: dict[bytes, float] = {}
    for unit in sorted(members, key=drawn.__getitem__):
        label, count = targets[members[unit][0]], len(members[unit])
        place[unit] = float((before[label] + count / 2) / totals[label])
        before[label] += count
    ordered = sorted(members, key=lambda unit: (place[unit], drawn[unit]))
    return np.array([row for unit in ordered for row in members[unit]], np.int64)


class _Heads:
    """Heads on some of the images, and what they say of others."""

    def __init__(self, features: Features, targets: Integers, units: Sequence[bytes], classes: int, seed: int) -> None:
        self.features, self.targets, self.units = features, targets, units
        self.classes, self.seed = classes, seed

    def linear(self, rows: Integers, penalty: float | None) -> tuple[LayeredHead, float]:
        """Return the head on these rows and its penalty: the given one, or one chosen out-of-fold."""
        rows = np.sort(rows)
        if penalty is not None:
            return fit_linear_at(self._rows(rows), penalty, tolerance=SOLVED_TO), penalty
        drawn = self._rows(rows)
        if (drawn.folds < 0).all():  # no penalty can be chosen where each class is one unit
            return fit_linear_at(drawn, FIRST, tolerance=SOLVED_TO), FIRST
        found = fit_linear(drawn)
        return found.head, found.l2

    def scored(self, head: LayeredHead, rows: Integers) -> Predictions:
        """Return what a head says of these images."""
        names = [str(number) for number in range(self.classes)]
        return Predictions.from_logits(head.logits(self.features[rows]), names, truth=self.targets[rows])

    def _rows(self, rows: Integers) -> Rows:
        features, targets = self.features[rows], self.targets[rows]
        folds = min(FOLDS, max(2, int(np.bincount(targets).max())))
        return Rows(
            read=lambda start, stop: features[start:stop],
            targets=targets,
            weights=np.ones(len(rows), np.float32),
            folds=stratified_folds(targets, [self.units[row] for row in rows.tolist()], folds=folds, seed=self.seed),
            features=features.shape[1],
            classes=self.classes,
            scored=len(rows),
        )
