"""L-BFGS for several independent convex problems that share their matrix products.

Nocedal & Wright, "Numerical Optimization", 2006, algorithm 7.4, each problem with its own curvature pairs and
its own step by backtracking (Armijo). A library's optimiser would take one step length for all problems, or one
pass over the rows for each.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]

MEMORY = 10
MOST_ITERATIONS = 200
SUFFICIENT = 1e-4
SMALLEST_STEP = 1e-6


def minimize(
    function: Callable[[Floats, Numbers], tuple[Doubles, Floats]],
    start: Floats,
    curvature: Floats,
    *,
    tolerance: float,
) -> tuple[Floats, int]:
    """Return the minimisers (problems, ...) and the number of iterations.

    `function` gives values (k,) and gradients (k, ...) of k points, and is told which problems they are of: those that
    are done, or whose step was good, are not asked again. `curvature`, broadcast over each problem, is a diagonal
    estimate of the Hessian. A problem is done when the decrease that its preconditioned gradient promises,
    g' g / (2 curvature), is below `tolerance` times its value, or when no step lowers it.
    """
    point = start.copy()
    value, gradient = function(point, np.arange(len(point)))
    pairs: deque[tuple[Floats, Floats, Doubles]] = deque(maxlen=MEMORY)
    active = np.ones(len(point), bool)
    iterations = 0
    while iterations < MOST_ITERATIONS:
        active &= _dot(gradient, gradient / curvature) / 2 > tolerance * np.abs(value)
        if not active.any():
            break
        direction = _direction(gradient, pairs, curvature)
        slope = _dot(direction, gradient)
        active &= slope < 0
        step = np.ones(len(point))
        trial, new_value, new_gradient = point.copy(), value.copy(), gradient.copy()
        asked = np.flatnonzero(active)
        while len(asked):
            trial[asked] = point[asked] + _spread(step[asked], point) * direction[asked]
            new_value[asked], new_gradient[asked] = function(trial[asked], asked)
            promised = SUFFICIENT * step[asked] * slope[asked] + 1e-7 * np.abs(value[asked])
            asked = asked[~(new_value[asked] <= value[asked] + promised)]
            step[asked] *= 0.4
            stuck = asked[step[asked] < SMALLEST_STEP]
            trial[stuck], new_value[stuck], new_gradient[stuck] = point[stuck], value[stuck], gradient[stuck]
            active[stuck] = False
            asked = asked[step[asked] >= SMALLEST_STEP]
        moved, changed = trial - point, new_gradient - gradient
        product = _dot(moved, changed)
        pairs.append((moved, changed, np.where(product > 1e-12, product, 0.0)))
        point, value, gradient = trial, new_value, new_gradient
        iterations += 1
    return point, iterations


def _direction(gradient: Floats, pairs: deque[tuple[Floats, Floats, Doubles]], curvature: Floats) -> Floats:
    """Two-loop recursion; a pair without positive curvature is passed over for its problem."""
    result = -gradient
    alphas = []
    for moved, changed, product in reversed(pairs):
        alpha = np.divide(_dot(moved, result), product, out=np.zeros_like(product), where=product > 0)
        result -= _spread(alpha, result) * changed
        alphas.append(alpha)
    if pairs:
        moved, changed, product = pairs[-1]
        size = _dot(changed, changed / curvature)
        gamma = np.divide(product, size, out=np.ones_like(size), where=(product > 0) & (size > 0))
        result *= _spread(gamma, result)
    result = result / curvature
    for (moved, changed, product), alpha in zip(pairs, reversed(alphas), strict=True):
        beta = np.divide(_dot(changed, result), product, out=np.zeros_like(product), where=product > 0)
        result += _spread(alpha - beta, result) * moved
    return result


def _dot(one: Floats, other: Floats) -> Doubles:
    problems = len(one)
    products = np.einsum("pi,pi->p", one.reshape(problems, -1), other.reshape(problems, -1))
    return np.asarray(products, np.float64)


def _spread(values: Doubles, like: Floats) -> Floats:
    return values.astype(np.float32).reshape(-1, *([1] * (like.ndim - 1)))
