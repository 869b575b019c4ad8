"""The linear head on square roots of features: logistic regression and discriminant analysis, added up.

On the square roots a few large features weigh less (Perronnin et al., 2010). Linear discriminant analysis, with the
covariance within the classes shrunk towards a multiple of the identity (Friedman, "Regularized discriminant analysis",
1989), needs few images, as it has no weights to search for; logistic regression needs no normal distributions. Both
are linear in the same features, so their sum is a linear head again. How much of each, and with it how sure the sum
is, are the two numbers with the lowest out-of-fold log loss ("stacking": Wolpert, "Stacked generalization", 1992).
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from goldenrule.core.blas import one_blas_thread
from goldenrule.core.progress import Progress
from goldenrule.features.likelihood import ABSENT_LOGIT, learned_classes, unlearned_biases
from goldenrule.features.linear import BLOCK_BYTES, Rows, fit_linear
from goldenrule.models.heads import LayeredHead
from goldenrule.models.layers import ROOT, ArrayOperations

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

SHRINKAGES = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.8, 0.9, 0.95)
"""Shares of the identity in the covariance, of which the best is taken."""
MOST_AXES = 2048
"""Features, or rows where these are fewer, above which discriminant analysis is left out: it takes their cube."""
MOST_CHOOSING = 20_000
"""So many rows, evenly spread, choose shrinkage and shares: logits of all shrinkages are kept of no more (law 12)."""
MOST_STEPS, SMALL_STEP = 50, 1e-9


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RootFit:
    """A head with what was selected on the way.

    `fold_logits` (n, classes) are those of the scored rows, each by the head of the folds it is not in. `shares` are
    those of the logistic regression and of the discriminant analysis, `shrinkage` that of the latter, None without it.
    """

    head: LayeredHead
    l2: float
    path: tuple[tuple[float, float], ...]
    iterations: int
    fold_logits: Floats
    shares: tuple[float, float]
    shrinkage: float | None


def fit_root(rows: Rows, *, near: float | None = None, progress: Progress | None = None) -> RootFit:
    """Return the head of these rows. Several labels an image have the logistic regression alone."""
    rooted = replace(rows, read=lambda start, stop: _rooted(rows.read(start, stop)))
    logistic = fit_linear(rooted, near=near, progress=progress)
    weight, bias = (logistic.head.tensors[name].astype(np.float64) for name in ("weight", "bias"))
    fold_logits, shares, shrinkage = logistic.fold_logits[: rows.scored], (1.0, 0.0), None
    if rows.targets.ndim == 1 and min(len(rows), rows.features) <= MOST_AXES:
        with one_blas_thread():  # several threads get in each other's way in so small matrices
            discriminants = _Discriminants(rooted)
            fold_logits, shares, best = _stacked(rows, fold_logits, discriminants)
            of_weight, of_bias = discriminants.head(best)
        shrinkage = SHRINKAGES[best]
        weight, bias = shares[0] * weight + shares[1] * of_weight, shares[0] * bias + shares[1] * of_bias
        absent = np.setdiff1d(np.arange(rows.classes), learned_classes(rows.targets))
        weight[absent] = 0.0
        learned = np.delete(bias, absent)
        bias[absent] = unlearned_biases(rows.targets, rows.classes, lowest=float(learned.min()))[absent]
    return RootFit(
        head=LayeredHead("root", {"weight": weight.astype(np.float32), "bias": bias.astype(np.float32)}),
        l2=logistic.l2,
        path=logistic.path,
        iterations=logistic.iterations,
        fold_logits=fold_logits,
        shares=shares,
        shrinkage=shrinkage,
    )


def _rooted(values: npt.NDArray[np.floating]) -> Floats:
    return np.asarray(ROOT.run(values.astype(np.float32), {}, ArrayOperations()), np.float32)


class _Discriminants:
    """Means and covariances of the classes, of all rows and without each fold; in blocks, so that memory is bounded.

    Fewer rows than features span fewer axes: everything is then computed along these, which changes nothing.
    """

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._folds = int(rows.folds.max()) + 1
        self._axes = self._spanned() if len(rows) < rows.features else None
        width = rows.features if self._axes is None else self._axes.shape[1]
        self._counts = np.zeros((self._folds + 1, rows.classes))  # the last fold is of what always trains
        self._sums = np.zeros((self._folds + 1, rows.classes, width))
        self._squares = np.zeros((self._folds + 1, width, width))
        self._middle = self._mean()
        for (start, stop), values in self._blocks():
            weights, folds = rows.weights[start:stop].astype(np.float64), rows.folds[start:stop]
            for fold in np.unique(folds):
                mine = folds == fold
                of_class = np.zeros((int(mine.sum()), rows.classes))
                of_class[np.arange(len(of_class)), rows.targets[start:stop][mine]] = weights[mine]
                self._counts[fold] += of_class.sum(axis=0)
                self._sums[fold] += of_class.T @ values[mine]
                self._squares[fold] += (values[mine] * weights[mine, np.newaxis]).T @ values[mine]

    @functools.cached_property
    def _without_each(self) -> list[_Solved]:
        return [self._solved(fold) for fold in range(self._folds)]

    def fold_logits(self, shrinkages: Sequence[float] = SHRINKAGES, *, every: int = 1) -> Doubles:
        """Return the logits (shrinkages, rows, classes) by the folds that a row is not in; of no fold: zero.

        The rows are every so manieth of the scored ones.
        """
        found = np.zeros((len(shrinkages), -(-self._rows.scored // every), self._rows.classes))
        for (start, stop), values in self._blocks(self._rows.scored):
            folds, asked = self._rows.folds[start:stop], np.arange(start, stop) % every == 0
            for fold, solved in enumerate(self._without_each):
                mine = np.flatnonzero((folds == fold) & asked)
                turned = values[mine] @ solved.axes
                for number, shrinkage in enumerate(shrinkages):
                    means = solved.means / solved.spread(shrinkage)
                    logits = turned @ means.T + solved.biases(shrinkage)
                    lowest = logits[:, solved.present].min(axis=1, keepdims=True) - 1
                    found[number, (start + mine) // every] = np.where(solved.present, logits, lowest)
        return found

    def head(self, number: int) -> tuple[Doubles, Doubles]:
        """Return weights (classes, features) and biases (classes,) on all rows, with the so manieth shrinkage."""
        solved, shrinkage = self._solved(None), SHRINKAGES[number]
        weight = (solved.means / solved.spread(shrinkage)) @ solved.axes.T
        bias = solved.biases(shrinkage) - weight @ self._middle
        return (weight if self._axes is None else weight @ self._axes.T), bias

    def _solved(self, without: int | None) -> _Solved:
        counts, sums, squares = self._counts.sum(axis=0), self._sums.sum(axis=0), self._squares.sum(axis=0)
        if without is not None:
            counts, sums = counts - self._counts[without], sums - self._sums[without]
            squares = squares - self._squares[without]
        present = counts > 1e-9
        means = sums / np.where(present, counts, 1.0)[:, np.newaxis] * present[:, np.newaxis]
        within = (squares - (means * counts[:, np.newaxis]).T @ means) / counts.sum()
        variances, axes = np.linalg.eigh(within)
        priors = np.log(np.where(present, counts, 1.0) / counts.sum())
        return _Solved(
            axes=axes,
            variances=np.maximum(variances, 0),
            means=means @ axes,
            priors=priors,
            present=present,
            mean_variance=max(float(np.trace(within)) / self._rows.features, 1e-12),
        )

    def _spanned(self) -> Doubles:
        """Return an orthonormal basis (features, rank) of what the rows span."""
        every = np.concatenate([self._rows.read(*span) for span in self._spans(len(self._rows))]).astype(np.float64)
        squares, turned = np.linalg.eigh(every @ every.T)
        kept = squares > squares[-1] * 1e-10
        return np.asarray(every.T @ (turned[:, kept] / np.sqrt(squares[kept])))

    def _mean(self) -> Doubles:
        total = sum(self._turned(*span).sum(axis=0) for span in self._spans(len(self._rows)))
        return np.asarray(total / len(self._rows))

    def _blocks(self, most: int | None = None) -> Iterator[tuple[tuple[int, int], Doubles]]:
        for span in self._spans(len(self._rows) if most is None else most):
            yield span, self._turned(*span) - self._middle

    def _turned(self, start: int, stop: int) -> Doubles:
        values = self._rows.read(start, stop).astype(np.float64)
        return values if self._axes is None else np.asarray(values @ self._axes)

    def _spans(self, most: int) -> Iterator[tuple[int, int]]:
        block = max(256, BLOCK_BYTES // (8 * self._rows.features))
        for start in range(0, most, block):
            yield start, min(start + block, most)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Solved:
    """The covariance within classes along its `axes`, and the means (classes, axes) and log priors (classes,)."""

    axes: Doubles
    variances: Doubles
    means: Doubles
    priors: Doubles
    present: npt.NDArray[np.bool_]
    mean_variance: float

    def spread(self, shrinkage: float) -> Doubles:
        """Return the shrunk variances along the axes."""
        return (1 - shrinkage) * self.variances + shrinkage * self.mean_variance

    def biases(self, shrinkage: float) -> Doubles:
        """Return what a class adds whatever the image: its log prior less half the squared length of its mean."""
        return np.asarray(self.priors - 0.5 * (self.means**2 / self.spread(shrinkage)).sum(axis=1))


def _stacked(rows: Rows, logistic: Floats, discriminants: _Discriminants) -> tuple[Floats, tuple[float, float], int]:
    """Return the out-of-fold logits of the sum, the shares of both, and which shrinkage is best.

    The logits of a fold are summed with the shares that are best for the other folds, so that they stay honest.
    """
    every = -(-rows.scored // MOST_CHOOSING)
    some = slice(0, rows.scored, every)
    learned = learned_classes(rows.targets)
    choosing, weights = rows.folds[some], rows.weights[some]
    targets = np.searchsorted(learned, rows.targets[some])
    evaluated, of_each = choosing >= 0, discriminants.fold_logits(every=every)

    def shares(number: int, which: npt.NDArray[np.bool_]) -> tuple[Doubles, float]:
        both = np.stack([logistic[some][which].astype(np.float64), of_each[number][which]])[:, :, learned]
        return _best_shares(both, targets[which], weights[which].astype(np.float64))

    fits = [shares(number, evaluated) for number in range(len(of_each))]
    best = min(range(len(fits)), key=lambda number: fits[number][1])
    discriminant = of_each[best] if every == 1 else discriminants.fold_logits(SHRINKAGES[best : best + 1])[0]
    found, folds = logistic.copy(), rows.folds[: rows.scored]
    for fold in range(int(folds.max()) + 1):
        mine, others = folds == fold, evaluated & (choosing != fold)
        first, second = shares(best, others)[0] if others.any() else fits[best][0]
        found[mine] = first * logistic[mine] + second * discriminant[mine]
    absent = np.setdiff1d(np.arange(rows.classes), learned)
    found[:, absent] = found[:, learned].min(axis=1, keepdims=True) + ABSENT_LOGIT
    first, second = fits[best][0]
    return found, (float(first), float(second)), best


def _best_shares(both: Doubles, targets: Integers, weights: Doubles) -> tuple[Doubles, float]:
    """Return the shares (2,), none below zero, of two logits (2, n, classes) with the lowest log loss, and that loss.

    A convex problem of two variables: Newton's method, with the step halved until it lowers the loss. As in Platt,
    "Probabilistic outputs for support vector machines", 1999, one more image is imagined, of which nobody knows the
    class: where all are right, nothing else would keep the sum from being ever surer of itself.
    """
    size = np.maximum(both.std(axis=(1, 2)), 1e-12)
    scaled, weights = both / size[:, np.newaxis, np.newaxis], weights / weights.sum()
    unknown = 1 / (len(targets) + 1)
    of_truth = (1 - unknown) * scaled[:, np.arange(len(targets)), targets] + unknown * scaled.mean(axis=2)

    def at(shares: Doubles) -> tuple[float, Doubles]:
        logits = np.tensordot(shares, scaled, axes=1)
        highest = logits.max(axis=1)
        likely = np.exp(logits - highest[:, np.newaxis])
        total = likely.sum(axis=1, keepdims=True)
        return float(weights @ (np.log(total[:, 0]) - shares @ of_truth + highest)), likely / total

    shares = np.array([size[0], 0.0])  # the logistic regression as it is
    loss, likely = at(shares)
    for _ in range(MOST_STEPS):
        means = (likely * scaled).sum(axis=2)
        slope = (means - of_truth) @ weights
        second = np.einsum("n,inc,jnc,nc->ij", weights, scaled, scaled, likely, optimize=True)
        curvature = second - (means * weights) @ means.T + 1e-9 * np.eye(2)
        free = (shares > 0) | (slope < 0)
        step = np.zeros(2)
        step[free] = np.linalg.solve(curvature[np.ix_(free, free)], slope[free])
        length, better = 1.0, None
        while better is None and length > SMALL_STEP:
            tried = np.maximum(shares - length * step, 0.0)
            tried_loss, tried_likely = at(tried)
            better = (tried, tried_loss, tried_likely) if tried_loss < loss else None
            length /= 2
        if better is None:
            break
        gained = loss - better[1]
        shares, loss, likely = better
        if gained < SMALL_STEP:
            break
    return shares / size, loss
