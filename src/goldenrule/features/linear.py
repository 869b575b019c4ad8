"""Linear heads by convex optimisation: logistic regression with an L2 penalty chosen out-of-fold.

Multinomial for one label an image; for many labels a binary one per class, which share the penalty. Minimised is
mean cross-entropy + l2 / 2 * |W|^2 over weights W of centred features, scaled so that their mean
square is 1; the intercept is free. All folds are fitted at once (one matrix product serves them all), along
a path of l2 with warm starts. The variables are weights along the principal axes of the features, where the
Hessian is nearly diagonal (variance times mean p (1 - p), as in Boehning, "Multinomial logistic regression
algorithm", 1992, whose bound has 1/2 for it); preconditioned by that diagonal they are minimised by L-BFGS.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from goldenrule.core.progress import Progress, Silent, Task
from goldenrule.features.lbfgs import minimize
from goldenrule.features.likelihood import (
    Targets,
    learned_classes,
    losses,
    probabilities,
    residual,
    unlearned_biases,
)
from goldenrule.models.heads import LayeredHead, linear_head

Floats = npt.NDArray[np.float32]
Features = npt.NDArray[np.floating]

DECADES = (1e2, 1e1, 1e0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5)
FIRST = 1e-1
"""Decades are walked down from the first while the out-of-fold loss falls, up if the first was the best; then half
decades beside the best. Below the last a penalty is none: where that seems best, what is evaluated leaks into train.
"""
WORTH_GOING_ON = 0.02
"""The share by which a decade must lower the loss for the next one to be tried."""
FOLD_TOLERANCE, FINAL_TOLERANCE, FIXED_TOLERANCE = 3e-3, 1e-4, 1e-6
"""Promised relative decrease of the objective at which the folds, the head itself, and `fit_linear_at` are fitted."""
BLOCK_BYTES = 64 << 20
AXES_ROWS = 4096


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rows:
    """Training rows that are read in blocks, so that memory need not hold them all (law 12).

    `read(start, stop)` gives features (stop - start, features); `targets` (n,) are class indices below
    `classes`, or 0 and 1 for each of several labels (n, classes); `weights` (n,) say how much each counts, `folds` (n,)
    which fold leaves it out, -1 none: such a row always trains, and is not evaluated.
    """

    read: Callable[[int, int], Features]
    targets: Targets
    weights: Floats
    folds: npt.NDArray[np.int64]
    features: int
    classes: int
    scored: int  # the first rows are the plain views, whose out-of-fold loss chooses the penalty
    budget_bytes: int = 4 << 30

    def __len__(self) -> int:
        return len(self.targets)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LinearFit:
    """A head with the penalty that was chosen, and what was seen on the way."""

    head: LayeredHead
    l2: float
    path: tuple[tuple[float, float], ...]  # (l2, out-of-fold log loss)
    fold_logits: Floats  # (n, classes): each row by the head of the folds it is not in; of no fold: meaningless
    iterations: int


def fit_linear(
    rows: Rows, *, near: float | None = None, average: bool = False, progress: Progress | None = None
) -> LinearFit:
    """Choose l2 by the out-of-fold log loss of the plain views, then solve on all rows.

    `near` is a penalty that is probably not far from the best: the search then begins about a decade above it.
    With `average` no head is fitted on all rows: those of the folds are averaged. Weights and bias of the average
    are the means of theirs, and its logits the means of their logits, since logits are linear in the weights.
    """
    first = FIRST if near is None else min(10 * near, FIRST)
    down = [l2 for l2 in DECADES if l2 <= first * 1.01]
    up = [l2 for l2 in reversed(DECADES) if l2 > first * 1.01]
    with (progress or Silent()).task("fit linear head", len(down) + 3, "penalties") as task:
        return _fit_linear(rows, down, up, average, task)


def _fit_linear(rows: Rows, down: Sequence[float], up: Sequence[float], average: bool, task: Task) -> LinearFit:
    problem = _Problem(rows)
    masks = np.stack([rows.folds != fold for fold in range(int(rows.folds.max()) + 1)])
    tried: dict[float, tuple[float, Floats, Floats]] = {}
    iterations = 0

    def follow(path: Sequence[float], start: Floats | None) -> None:
        """Walk along a path with warm starts while it pays."""
        nonlocal iterations
        latest, lowest = start, np.inf
        for l2 in path:
            latest, steps = problem.minimum(masks, l2, latest, tolerance=FOLD_TOLERANCE)
            iterations += steps
            task.advance()
            logits = problem.fold_logits(latest)
            tried[l2] = _log_loss(logits, rows), logits, latest
            if tried[l2][0] > lowest * (1 - WORTH_GOING_ON):
                break
            lowest = tried[l2][0]

    follow(down, None)
    if _best(tried) == down[0]:
        follow(up, tried[down[0]][2])
    for half_decade in (10**0.5, 10**-0.5):
        while (l2 := _best(tried) * half_decade) <= DECADES[0] and l2 >= DECADES[-1] and not _has(tried, l2):
            follow((l2,), tried[_best(tried)][2])
    l2 = _best(tried)
    _, fold_logits, of_folds = tried[l2]
    if average:  # the folds are fitted as well as a head is, and evaluated as what they are then
        members, steps = problem.minimum(masks, l2, of_folds, tolerance=FINAL_TOLERANCE)
        fold_logits, final = problem.fold_logits(members), members.mean(axis=0, keepdims=True)
    else:
        start = of_folds.mean(axis=0, keepdims=True)
        final, steps = problem.minimum(np.ones((1, len(rows)), bool), l2, start, tolerance=FINAL_TOLERANCE)
    return LinearFit(
        head=problem.head(final),
        l2=l2,
        path=tuple(sorted((tried_l2, loss) for tried_l2, (loss, *_) in tried.items())),
        fold_logits=fold_logits,
        iterations=iterations + steps,
    )


def _best(tried: Mapping[float, tuple[float, Floats, Floats]]) -> float:
    """Return the l2 with the lowest loss; of equals the largest."""
    return min(tried, key=lambda l2: (tried[l2][0], -l2))


def _has(tried: Mapping[float, tuple[float, Floats, Floats]], l2: float) -> bool:
    return any(abs(other / l2 - 1) < 0.01 for other in tried)


def fit_linear_at(rows: Rows, l2: float, *, tolerance: float = FIXED_TOLERANCE) -> LayeredHead:
    """Return the head for a given l2 on all rows."""
    problem = _Problem(rows)
    return problem.head(_minimum_at(problem, np.ones((1, len(rows)), bool), l2, tolerance=tolerance))


def fold_logits(rows: Rows, l2: float) -> Floats:
    """Return the logits (n, classes) of each row by the head of the folds it is not in, for a given l2."""
    problem = _Problem(rows)
    masks = np.stack([rows.folds != fold for fold in range(int(rows.folds.max()) + 1)])
    return problem.fold_logits(_minimum_at(problem, masks, l2, tolerance=FOLD_TOLERANCE))


def _minimum_at(problem: _Problem, masks: npt.NDArray[np.bool_], l2: float, *, tolerance: float) -> Floats:
    """Return the minimisers for a given l2, by way of the decades above it.

    Started from zero, a small penalty would count as solved far from its minimum: there the probabilities are all
    alike, and the curvature that tells how much is left to gain is many times what it is near the minimum.
    """
    latest: Floats | None = None
    for larger in DECADES:
        if 1.01 * l2 < larger <= FIRST:
            latest, _ = problem.minimum(masks, larger, latest, tolerance=FOLD_TOLERANCE)
    return problem.minimum(masks, l2, latest, tolerance=tolerance)[0]


class PreparedRows:
    """Rows that heads are fitted on again and again, for other targets: read and turned into their axes once.

    Each fit begins where the first one has ended, so that it depends on its own targets alone, and takes a few steps.
    Features are centred and scaled as those of all rows, so that a penalty means the same for every fit.
    """

    def __init__(self, rows: Rows) -> None:
        self._problem = _Problem(rows)
        self._starts: dict[tuple[int, ...], Floats] = {}

    def head(self, targets: Targets, stays: npt.NDArray[np.bool_], l2: float) -> LayeredHead:
        """Return the head for these targets (n,) of the rows that stay (n,)."""
        problem = self._problem.with_targets(targets, stays)
        return problem.head(self._minimum(problem, stays[np.newaxis], l2, FINAL_TOLERANCE))

    def fold_logits(self, targets: Targets, stays: npt.NDArray[np.bool_], l2: float) -> Floats:
        """Return the logits (n, classes) of each row by the head of the folds it is not in."""
        problem = self._problem.with_targets(targets, stays)
        folds = problem.rows.folds
        masks = np.stack([stays & (folds != fold) for fold in range(int(folds.max()) + 1)])
        return problem.fold_logits(self._minimum(problem, masks, l2, FOLD_TOLERANCE))

    def _minimum(self, problem: _Problem, masks: npt.NDArray[np.bool_], l2: float, tolerance: float) -> Floats:
        like = (len(masks), *problem.present.tolist())
        found, _ = problem.minimum(masks, l2, self._starts.get(like), tolerance=tolerance)
        self._starts.setdefault(like, found)
        return found


class _Problem:
    """Losses and gradients of several folds at once, in preconditioned variables.

    A variable z (problems, axes + 1, classes) stands for the weights A z[:axes] on centred, scaled features
    and the intercepts z[axes]; A (features, axes) are the principal axes, orthonormal. Rows that fit the
    budget are kept in memory, turned into their axes.
    """

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self.present = learned_classes(rows.targets)
        many = rows.targets.ndim == 2
        self.columns = rows.targets[:, self.present] if many else np.searchsorted(self.present, rows.targets)
        width = 4 * rows.features
        self._block = max(256, BLOCK_BYTES // width)
        self._resident = (
            [self._load(*span) for span in self._spans()] if len(rows) * width <= rows.budget_bytes else None
        )
        self.mean, self.scale = self._moments()
        self.axes, self.variances = self._principal_axes()
        if self._resident is not None:
            self._resident = [block @ self.axes for block in self._resident]

    def with_targets(self, targets: Targets, stays: npt.NDArray[np.bool_]) -> _Problem:
        """Return the same rows for other targets of one label each (n,); only the classes of those that stay count."""
        found = copy.copy(self)
        found.present = learned_classes(targets[stays])
        known = np.where(stays, targets, found.present[0])
        found.rows = replace(self.rows, targets=known)
        found.columns = np.searchsorted(found.present, known)
        return found

    def minimum(
        self, masks: npt.NDArray[np.bool_], l2: float, start: Floats | None, *, tolerance: float
    ) -> tuple[Floats, int]:
        """Return the minimisers (problems, axes + 1, classes) for row masks (problems, n), and the iterations."""
        weights = masks * self.rows.weights
        weights /= weights.sum(axis=1, keepdims=True)
        shape = (len(masks), len(self.variances) + 1, len(self.present))
        first = np.zeros(shape, np.float32) if start is None else start
        spread = self._spread(first)
        curvature = np.append(spread * self.variances + l2, spread).astype(np.float32)[:, None]

        def value_and_gradient(z: Floats, which: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.float64], Floats]:
            return self._objective(z, weights[which], l2)

        return minimize(value_and_gradient, first, curvature, tolerance=tolerance)

    def _objective(self, z: Floats, weights: Floats, l2: float) -> tuple[npt.NDArray[np.float64], Floats]:
        problems, _, classes = z.shape
        flat = self._effective(z)
        intercept = z[:, -1]
        total = np.zeros(problems)
        gradient = np.zeros((len(flat), problems * classes), np.float32)
        intercepts = np.zeros((problems, classes), np.float32)
        for (start, stop), block in self._blocks():
            logits = (block @ flat).reshape(stop - start, problems, classes) + intercept
            slopes, loss = residual(logits, self.columns[start:stop])
            some = weights[:, start:stop].T
            total += (loss * some).sum(axis=0)
            slopes *= some[:, :, None]
            gradient += block.T @ slopes.reshape(stop - start, -1)
            intercepts += slopes.sum(axis=0)
        turned = gradient if self._resident is not None else self.axes.T @ gradient
        slope = np.empty_like(z)
        slope[:, :-1] = turned.reshape(-1, problems, classes).transpose(1, 0, 2) + np.float32(l2) * z[:, :-1]
        slope[:, -1] = intercepts
        total += 0.5 * l2 * np.square(z[:, :-1], dtype=np.float64).sum(axis=(1, 2))
        return total, slope

    def _spread(self, z: Floats) -> float:
        """Return the mean of p (1 - p) over rows, problems and classes: the curvature along an axis of variance 1."""
        flat, intercept = self._effective(z), z[:, -1]
        total = 0.0
        for (start, stop), block in self._blocks():
            logits = (block @ flat).reshape(stop - start, *intercept.shape) + intercept
            probability = probabilities(logits, self.columns)
            total += float((probability * (1 - probability)).sum(dtype=np.float64))
        return max(total / len(self.rows) / intercept.size, 1e-4)

    def fold_logits(self, z: Floats) -> Floats:
        """Return the logits (n, all classes) of each row by the problem of its fold."""
        unlearned = unlearned_biases(self.rows.targets, self.rows.classes)
        result = np.tile(unlearned, (len(self.rows), 1))
        flat, intercept = self._effective(z), z[:, -1]
        for (start, stop), block in self._blocks():
            logits = (block @ flat).reshape(stop - start, *intercept.shape) + intercept
            folds = self.rows.folds[start:stop]
            result[start:stop, self.present] = logits[np.arange(stop - start), folds]
        return result

    def head(self, z: Floats) -> LayeredHead:
        """Return the head on raw features that z[0] stands for."""
        scaled = (self.axes @ z[0, :-1]).T.astype(np.float64) * self.scale
        weight = np.zeros((self.rows.classes, self.rows.features), np.float32)
        weight[self.present] = scaled
        bias = unlearned_biases(self.rows.targets, self.rows.classes, lowest=float(z[0, -1].min()))
        bias[self.present] = z[0, -1] - scaled @ self.mean.astype(np.float64)
        return linear_head(weight, bias)

    def _effective(self, z: Floats) -> Floats:
        """Return the weights (axes or features, problems * classes) that the blocks are multiplied with."""
        problems, axes, classes = z.shape
        turned = z[:, :-1].transpose(1, 0, 2).reshape(axes - 1, problems * classes)
        return np.ascontiguousarray(turned if self._resident is not None else self.axes @ turned, np.float32)

    def _spans(self) -> Iterator[tuple[int, int]]:
        for start in range(0, len(self.rows), self._block):
            yield start, min(start + self._block, len(self.rows))

    def _load(self, start: int, stop: int) -> Floats:
        return np.array(self.rows.read(start, stop), np.float32)  # a copy: it is centred in place

    def _blocks(self) -> Iterator[tuple[tuple[int, int], Floats]]:
        """Return the centred, scaled rows block by block, turned into their axes if they are in memory."""
        if self._resident is not None:
            yield from zip(self._spans(), self._resident, strict=True)
            return
        for span in self._spans():
            yield span, (self._load(*span) - self.mean) * self.scale

    def _moments(self) -> tuple[Floats, np.float32]:
        """Return the mean (features,) and the factor that makes the mean square 1, and apply both if resident."""
        total = np.zeros(self.rows.features)
        squares = 0.0
        spans = list(self._spans())
        for number, span in enumerate(spans):
            block = self._resident[number] if self._resident is not None else self._load(*span)
            total += block.sum(axis=0, dtype=np.float64)
            squares += float(np.square(block, dtype=np.float32).sum(dtype=np.float64))
        mean = total / len(self.rows)
        variance = squares / len(self.rows) / self.rows.features - float(np.mean(np.square(mean)))
        scale = np.float32(1 / np.sqrt(max(variance, 1e-12)))
        mean32 = mean.astype(np.float32)
        for block in self._resident or ():
            block -= mean32
            block *= scale
        return mean32, scale

    def _principal_axes(self) -> tuple[Floats, npt.NDArray[np.float64]]:
        """Return orthonormal axes (features, axes) that span the rows, and the variance along each.

        With more rows than `AXES_ROWS` the axes are those of a sample; they only precondition, so the
        minimum is the same. With fewer rows than features the axes outside their span are left out.
        """
        sample = self._sample()
        if len(sample) < self.rows.features:
            values, vectors = np.linalg.eigh(sample @ sample.T)
            keep = values > max(values[-1], 1e-12) * 1e-6
            axes = sample.T @ (vectors[:, keep] / np.sqrt(values[keep]))
            return np.ascontiguousarray(axes, np.float32), values[keep].astype(np.float64) / len(sample)
        values, vectors = np.linalg.eigh(sample.T @ sample)
        return np.ascontiguousarray(vectors, np.float32), np.maximum(values, 0).astype(np.float64) / len(sample)

    def _sample(self) -> Floats:
        step = max(1, len(self.rows) // max(AXES_ROWS, 2 * self.rows.features))
        parts = [block[(-start) % step :: step] for (start, _), block in self._blocks()]
        return np.concatenate(parts)


def _log_loss(logits: Floats, rows: Rows) -> float:
    """Return the weighted mean cross-entropy of the plain views, each by the head of the folds it is not in."""
    plain = np.flatnonzero(rows.folds[: rows.scored] >= 0)
    return float(np.average(losses(logits[plain], rows.targets[plain]), weights=rows.weights[plain]))
