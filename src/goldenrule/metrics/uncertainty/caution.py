"""How sure a submission may be: a floor under every probability, for competitions that are scored by log loss."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from goldenrule.metrics.predictions import Predictions

LOWEST = 1e-6

Floats = NDArray[np.float64]


def floored(probabilities: Floats, floor: float) -> Floats:
    """Return probabilities (n, C) of which none is below `floor`, 1 / C at most, each row again with the sum 1.

    >>> floored(np.array([[1.0, 0.0], [.7, .3]]), .1)
    array([[0.9, 0.1],
           [0.7, 0.3]])
    """
    lifted = np.zeros(probabilities.shape, np.bool_)
    while True:
        room = 1 - floor * lifted.sum(axis=1, keepdims=True)
        lowered = np.where(lifted, 0.0, probabilities)
        sums = lowered.sum(axis=1, keepdims=True)
        found = np.where(lifted, floor, lowered * room / np.where(sums > 0, sums, 1))
        below = (found < floor) & ~lifted
        if not below.any():
            return np.asarray(found)
        lifted |= below


def kept_off(probabilities: Floats, floor: float) -> Floats:
    """Return the multi-label probabilities (n, C) at least `floor`, and as far below 1.

    >>> kept_off(np.array([[1.0, 0.0, .7]]), .1)
    array([[0.9, 0.1, 0.7]])
    """
    return np.clip(probabilities, floor, 1 - floor)


def best_floor(seen: Predictions) -> float:
    """Return the floor with the lowest log loss on these images and one more wrong one, as sure as the most confident.

    The log loss of one such image has no bound; n images without one show that they are rarer than about one in n
    (Laplace's rule of succession). So the floor falls as 1 / n where all images are right, and is higher where
    sure mistakes were seen. Multi-label: that is one label more that is wrong.

    >>> right = Predictions.from_logits([[20.0, 0.0]] * 99, ["cat", "dog"], truth=[0] * 99)
    >>> round(best_floor(right), 3)
    0.01
    """
    scored = seen.scored
    if scored.task == "multi":
        return _best_of_many(scored)
    probabilities, truth = scored.probabilities, scored.truth
    rows = np.arange(len(scored))
    tried = np.geomspace(LOWEST, 0.4 / len(scored.classes), 200)
    least = probabilities.min(initial=1.0)
    losses = [-np.log(floored(probabilities, floor)[rows, truth]).sum() - np.log(max(floor, least)) for floor in tried]
    return float(f"{tried[int(np.argmin(losses))]:.2g}")


def _best_of_many(scored: Predictions) -> float:
    """Return the best multi-label floor, each label of each image being one that is right or wrong."""
    wrong = np.where(scored.truth == 1, 1 - scored.probabilities, scored.probabilities).reshape(-1)
    most_confident = max(1 - float(np.minimum(wrong, 1 - wrong).min(initial=0.5)), 0.5)

    def loss(floor: float) -> float:
        return float(-np.log(1 - kept_off(wrong, floor)).sum() - np.log(max(floor, 1 - most_confident)))

    return float(f"{min(np.geomspace(LOWEST, 0.2, 200), key=loss):.2g}")
