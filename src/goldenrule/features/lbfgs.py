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

MEMORY = 10
MOST_ITERATIONS = 200
SUFFICIENT = 1e-4
SMALLEST_STEP = 1e-6


def minimize(
    function: Callable[[Floats], tuple[Doubles, Floats]],
    start: Floats,
    curvature: Floats,
    *,
    tolerance: float,
) -> tuple[Floats, int]:
    """Return the minimisers (problems, ...) and the number of iterations.

    `function` gives values (problems,) and gradients of the same shape as `start`; `curvature`, broadcast
    over each problem, is a diagonal estimate of the Hessian. A problem is done when the decrease that its
    preconditioned gradient promises, g' g / (2 curvature), is below `tolerance` times its value, or when no
    step lowers it.
    """
    point = start.copy()
    value, gradient = function(point)
    pairs: deque[tuple[Floats, Floats, Doubles]] = deque(maxlen=MEMORY)
    active = np.ones(len(point), bool)
    iterations = 0
    while iterations < MOST_ITERATIONS:
        active &= _dot(gradient, gradient / curvature) / 2 > tolerance * np.abs(value)
        if not active.any():
            break
        direction = _direction(gradient, pairs, curvature)
        slope = _dot(direction, gradient)
        direction[~active] = 0
        step = np.ones(len(point))
        moving = active & (slope < 0)
        while True:
            trial = point + _spread(step * moving, point) * direction
            new_value, new_gradient = function(trial)
            failed = moving & ~(new_value <= value + SUFFICIENT * step * slope + 1e-7 * np.abs(value))
            if not failed.any():
                break
            step[failed] *= 0.4
            stuck = failed & (step < SMALLEST_STEP)
            moving &= ~stuck
            active &= ~stuck
        moved, changed = trial - point, new_gradient - gradient
        product = _dot(moved, changed)
        pairs.append((moved, changed, np.where(product > 1e-12, product, 0.0)))
        point, value, gradient = trial, new_value, new_gradient
        active &= moving
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
