"""How many labels are wrong: labels are made wrong on purpose, and what they look like tells how many others do.

Of the planted errors a known share has a probability below some threshold. If the true errors are like them, labels
given at random, the same share of those lies there; so the images below the threshold, divided by that share, are at
least the wrong ones. Right labels of pictures that are hard to tell lie below it too: the estimate is rather too high,
and the less so the lower the threshold is.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from goldenrule.core.randomness import generator
from goldenrule.metrics import Estimate, wilson

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]

SHARE, FEWEST, MOST_SHARE = 0.05, 20, 0.1
"""So many labels are planted: a share, though not fewer than FEWEST, and at most MOST_SHARE."""
QUARTER, MOST_BELOW = 0.25, 0.75
"""The threshold has a quarter of the planted errors below it, but at least FEWEST of them, up to three quarters."""
METHOD = "planted errors 95 %"


def planted(given: Numbers, classes: int, *, seed: int = 0) -> tuple[Numbers, Numbers]:
    """Return the labels (n,) with some made wrong, each into any other class alike, and the rows of those.

    >>> labels, rows = planted(np.zeros(400, dtype=np.int64), 3)
    >>> len(rows), sorted(set(labels[rows].tolist())), int((labels > 0).sum())
    (20, [1, 2], 20)
    """
    size = len(given)
    number = min(max(round(SHARE * size), FEWEST), int(MOST_SHARE * size)) if classes > 1 else 0
    draws = generator(seed, "planted labels")
    rows = np.sort(draws.choice(size, number, replace=False))
    labels = given.copy()
    labels[rows] = (labels[rows] + draws.integers(1, max(classes, 2), number)) % classes
    return labels, rows


def share_wrong(of_planted: Floats, of_others: Floats) -> Estimate:
    """Estimate the share of wrong labels from the probabilities of planted (m,) and of all other labels (n,).

    Errors between classes that are easily confused are mostly not in it. The interval joins those of both shares
    (Wilson), and so is wider than 95 % asks; its upper end is an upper bound where errors are random. Undefined
    without planted errors.
    """
    name, number, size = "labels like random errors", len(of_planted), len(of_others)
    if not number or not size:
        return Estimate.undefined(name, METHOD, kind="share")
    below = min(max(round(QUARTER * number), FEWEST), max(round(MOST_BELOW * number), 1))
    threshold = np.sort(of_planted)[below - 1]
    seen = int((of_others <= threshold).sum())
    (least, most), (low, high) = wilson(below, number), wilson(seen, size)
    value = seen / size / (below / (number + 1))
    ends = [min(end, 1.0) for end in (low / most, value, high / least)]
    return Estimate(name=name, value=ends[1], low=ends[0], high=ends[2], n=size, method=METHOD, kind="share")


def most_wrong(probabilities: Floats, given: Numbers) -> int:
    """Return how many labels (n,) may be wrong at most, from out-of-fold probabilities (n, classes).

    What a wrong label looks like is read off the other classes of each image: their probabilities are those that it
    would have, were one of them its label. Nothing is fitted for it; else as in `share_wrong`, whose upper end it is.

    >>> sure = np.full((400, 2), [0.99, 0.01])
    >>> most_wrong(sure, np.zeros(400, dtype=np.int64)), most_wrong(sure, (np.arange(400) < 20).astype(np.int64))
    (4, 32)
    """
    size, classes = probabilities.shape
    if classes < 2 or not size:
        return 0
    rows = np.arange(size)
    is_other = np.ones(probabilities.shape, dtype=bool)
    is_other[rows, given] = False
    others = probabilities[is_other]
    threshold = np.quantile(others, QUARTER, method="higher")
    seen = int((probabilities[rows, given] <= threshold).sum())
    share = float(wilson(seen, size)[1]) / float((others <= threshold).mean())
    return min(math.ceil(share * int(size)), int(size))
