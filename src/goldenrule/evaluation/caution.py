"""How sure a submission may be: a floor under every probability, for contests that are scored by log loss."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from goldenrule.evaluation.checks import require_single_label
from goldenrule.evaluation.predictions import Predictions

LOWEST = 1e-6

Floats = NDArray[np.float64]


def floored(probabilities: Floats, floor: float) -> Floats:
    """Give probabilities (n, C) of which none is below `floor`, 1 / C at most, each row again with the sum 1.

    >>> floored(np.array([[1.0, 0.0], [.7, .3]]), .1)
    array([[0.9, 0.1],
           [0.7, 0.3]])
    """
    raised = np.maximum(probabilities, floor)
    kept = raised > floor
    room = 1 - floor * (~kept).sum(axis=1, keepdims=True)
    own = np.where(kept, raised, 0.0)
    sums = own.sum(axis=1, keepdims=True)
    return np.where(kept, np.maximum(own * room / np.where(sums > 0, sums, 1), floor), floor)


def best_floor(seen: Predictions) -> float:
    """Give the floor with the lowest log loss on these images and one more that is wrong, and sure of itself.

    The log loss of one such image has no bound; n images without one show that they are rarer than about one in n
    (Laplace's rule of succession). So the floor falls as 1 / n where all images are right, and is higher where
    sure mistakes were seen. Raises `OptionError` for many labels.

    >>> right = Predictions.from_logits([[20.0, 0.0]] * 99, ["cat", "dog"], truth=[0] * 99)
    >>> round(best_floor(right), 3)
    0.01
    """
    require_single_label(seen, "the floor of a submission")
    scored = seen.scored
    probabilities, truth = scored.probabilities, scored.truth
    rows = np.arange(len(scored))
    tried = np.geomspace(LOWEST, 0.4 / len(scored.classes), 200)
    losses = [-np.log(floored(probabilities, floor)[rows, truth]).sum() - np.log(floor) for floor in tried]
    return float(f"{tried[int(np.argmin(losses))]:.2g}")
