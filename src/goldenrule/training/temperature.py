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
    own = logits[np.arange(len(logits)), targets]

    def loss(logarithm: float) -> float:
        scaled = logits / math.exp(logarithm)
        return float(np.mean(logsumexp(scaled, axis=1) - own / math.exp(logarithm)))

    found = minimize_scalar(loss, bounds=(0.0, math.log(HIGHEST)), method="bounded", options={"xatol": 1e-4})
    logarithm = float(found.x) if found.fun < loss(0.0) else 0.0
    temperature = float(f"{math.exp(logarithm):.5g}")
    return temperature, float(f"{loss(math.log(temperature)):.6g}")
