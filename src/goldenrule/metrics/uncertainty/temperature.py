"""Over-confidence and how it is taken back: logits divided by a temperature, the order of classes untouched.

Guo et al., "On calibration of modern neural networks", arXiv:1706.04599, section 4.2.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from goldenrule.core.extras import Late

HIGHEST = 20.0


def best_temperature(logits: NDArray[np.float64], targets: NDArray[np.int64]) -> tuple[float, float]:
    """Return the temperature, from 1 to `HIGHEST`, at which the mean log loss (nats) is lowest, and that loss.

    Never below 1: a few validation images that are all right would ask for certainty. `logits` (n, classes),
    `targets` (n,), n at least 1.

    >>> best_temperature(np.array([[9.0, 0.0], [9.0, 0.0], [9.0, 0.0]]), np.array([0, 0, 1]))
    (12.984, 0.636514)
    """
    of_truth = logits[np.arange(len(logits)), targets]
    temperature = _lowest(logits, of_truth)
    return temperature, float(f"{_loss(logits, of_truth, temperature):.6g}")


def cautious_temperature(
    logits: NDArray[np.float64], targets: NDArray[np.int64], *, least: float = 1 / HIGHEST
) -> float:
    """Return the temperature, from `least` to `HIGHEST`, for which n right images are no proof that the next one is.

    As if 1 / (n + 2) of each image belonged to the likeliest other class. With two classes that is the smoothing of
    Platt, "Probabilistic outputs for support vector machines", 1999, section 2.2; with more, mistakes are mostly the
    likeliest other class, and a share for all of them would ask for far too much doubt where logits are far apart.
    Below 1 it makes more sure. Shapes as for `best_temperature`.

    >>> few, many = (cautious_temperature(np.array([[9.0, 0, -9]] * n), np.zeros(n, int)) for n in (8, 80_000))
    >>> round(few, 1), round(many, 1)
    (3.8, 0.8)
    """
    if logits.shape[1] == 1:
        return 1.0
    elsewhere, rows = 1 / (len(logits) + 2), np.arange(len(logits))
    rest = logits.copy()
    rest[rows, targets] = -np.inf
    return _lowest(logits, (1 - elsewhere) * logits[rows, targets] + elsewhere * rest.max(axis=1), least)


def as_pairs(logits: NDArray[np.float64], marks: NDArray[np.int8]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return many labels (n, classes), logits and marks, as images of two classes each: (n * classes, 2) and truth.

    >>> [part.tolist() for part in as_pairs(np.array([[2.0, -1.0]]), np.array([[1, 0]], np.int8))]
    [[[0.0, 2.0], [0.0, -1.0]], [1, 0]]
    """
    flat = logits.reshape(-1)
    return np.stack([np.zeros_like(flat), flat], axis=1), marks.reshape(-1).astype(np.int64)


def _lowest(logits: NDArray[np.float64], wanted: NDArray[np.float64], smallest: float = 1.0) -> float:
    """Return the temperature, from `smallest` to `HIGHEST`, with the lowest loss; 1 unless another is better."""
    minimize_scalar = Late("scipy.optimize").minimize_scalar

    def loss(logarithm: float) -> float:
        return _loss(logits, wanted, math.exp(logarithm))

    bounds = math.log(smallest), math.log(HIGHEST)
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-4})
    return float(f"{math.exp(found.x):.5g}") if found.fun < loss(0.0) else 1.0


def _loss(logits: NDArray[np.float64], wanted: NDArray[np.float64], temperature: float) -> float:
    """Return the mean log loss where `wanted` (n,) is the logit of the true class, or the mean of wanted classes."""
    logsumexp = Late("scipy.special").logsumexp

    return float(np.mean(logsumexp(logits / temperature, axis=1) - wanted / temperature))
