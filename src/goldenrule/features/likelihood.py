"""What a linear head makes small: the cross-entropy of one label, or the sum of the binary ones of several labels.

`targets` are class numbers (n,) for one label, 0 or 1 per class (n, classes) for many.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import expit

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Targets = npt.NDArray[np.int64] | npt.NDArray[np.int8]

ABSENT_LOGIT = -20.0
"""The bias of a class without training images: so far below the others, or multi-label: as it is."""


def learned_classes(targets: Targets) -> npt.NDArray[np.int64]:
    """Return the numbers of the classes about which these rows say anything: there is such an image, and another."""
    if targets.ndim == 1:
        return np.unique(targets).astype(np.int64)
    return np.flatnonzero(targets.min(axis=0) < targets.max(axis=0))


def unlearned_biases(targets: Targets, classes: int, *, lowest: float = 0.0) -> Floats:
    """Return the biases (classes,) that say: these rows show no such image, or multi-label: nothing else.

    `lowest` is the lowest bias of the classes that are learned.
    """
    if targets.ndim == 1:
        return np.full(classes, lowest + ABSENT_LOGIT, np.float32)
    return np.where(targets.min(axis=0) == 1, -ABSENT_LOGIT, ABSENT_LOGIT).astype(np.float32)


def residual(logits: Floats, targets: Targets) -> tuple[Floats, Floats]:
    """Return probability - truth (n, problems, classes), in place, and the loss in nats (n, problems)."""
    if targets.ndim == 2:
        return _sigmoid_residual(logits, targets)
    logits -= logits.max(axis=2, keepdims=True)
    rows = np.arange(len(logits))
    of_truth = logits[rows, :, targets].copy()
    np.exp(logits, out=logits)
    total = logits.sum(axis=2, keepdims=True)
    logits /= total
    logits[rows, :, targets] -= 1
    return logits, np.log(total[:, :, 0]) - of_truth


def probabilities(logits: Floats, targets: Targets) -> Floats:
    """Return the probabilities (n, problems, classes) that these logits stand for."""
    if targets.ndim == 2:
        return np.asarray(expit(logits))
    likely = np.exp(logits - logits.max(axis=2, keepdims=True))
    return np.asarray(likely / likely.sum(axis=2, keepdims=True))


def losses(logits: Floats, targets: Targets) -> Doubles:
    """Return the loss of each row (n,) by logits (n, classes), in nats; multi-label: the mean over the classes."""
    scores = logits.astype(np.float64)
    if targets.ndim == 2:
        return np.asarray((np.logaddexp(0, scores) - targets * scores).mean(axis=1))
    scores -= scores.max(axis=1, keepdims=True)
    return np.asarray(np.log(np.exp(scores).sum(axis=1)) - scores[np.arange(len(scores)), targets])


def _sigmoid_residual(logits: Floats, marks: Targets) -> tuple[Floats, Floats]:
    true = marks[:, np.newaxis, :]
    loss = np.logaddexp(np.float32(0), logits) - true * logits
    expit(logits, out=logits)
    logits -= true
    return logits, loss.sum(axis=2)
