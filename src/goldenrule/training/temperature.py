"""Over-confidence and how it is taken back: logits divided by a temperature, the order of classes untouched.

Guo et al., "On calibration of modern neural networks", arXiv:1706.04599, section 4.2.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

HIGHEST = 20.0


def best_temperature(logits: npt.NDArray[np.float64], targets: npt.NDArray[np.int64]) -> tuple[float, float]:
    """Give the temperature, from 1 to `HIGHEST`, at which the mean log loss (nats) is lowest, and that loss.

    Never below 1: a few validation images that are all right would ask for certainty. `logits` (n, classes),
    `targets` (n,), n at least 1.

    >>> best_temperature(np.array([[9.0, 0.0], [9.0, 0.0], [9.0, 0.0]]), np.array([0, 0, 1]))
    (12.984, 0.636514)
    """
    temperature = _lowest(logits, targets, 0.0)
    return temperature, float(f"{_loss(logits, targets, 0.0, temperature):.6g}")


def smoothed_temperature(logits: npt.NDArray[np.float64], targets: npt.NDArray[np.int64]) -> float:
    """Give the temperature, 1 or more, for which n right images are no proof that the next one is right.

    As if 1 / (n + 2) of each image belonged to the other classes: Platt, "Probabilistic outputs for support vector
    machines", 1999, section 2.2. Shapes as for `best_temperature`.

    >>> few, many = (smoothed_temperature(np.array([[9.0, 0.0]] * n), np.zeros(n, int)) for n in (8, 8000))
    >>> round(few, 1), round(many, 1)
    (4.1, 1.0)
    """
    return _lowest(logits, targets, 1 / (len(logits) + 2))


def _lowest(logits: npt.NDArray[np.float64], targets: npt.NDArray[np.int64], elsewhere: float) -> float:
    """Give the temperature, from 1 to `HIGHEST`, with the lowest loss."""

    def loss(logarithm: float) -> float:
        return _loss(logits, targets, elsewhere, math.exp(logarithm))

    found = minimize_scalar(loss, bounds=(0.0, math.log(HIGHEST)), method="bounded", options={"xatol": 1e-4})
    return float(f"{math.exp(found.x):.5g}") if found.fun < loss(0.0) else 1.0


def _loss(
    logits: npt.NDArray[np.float64], targets: npt.NDArray[np.int64], elsewhere: float, temperature: float
) -> float:
    """Give the mean log loss where a share of every image lies `elsewhere`, spread over the other classes."""
    own = logits[np.arange(len(logits)), targets]
    others = (logits.sum(axis=1) - own) / max(1, logits.shape[1] - 1)
    wanted = (1 - elsewhere) * own + elsewhere * others
    return float(np.mean(logsumexp(logits / temperature, axis=1) - wanted / temperature))
