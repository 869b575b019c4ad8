"""What a classifier says of images whose features are kept: no picture is read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from goldenrule.features.extractor import Features
from goldenrule.metrics import Predictions
from goldenrule.models.classifier import Classifier

MOST_ROWS, MOST_VALUES = 4096, 1 << 25
"""Of one block: rows are read, scored and let go (law 12)."""


def predictions_from(
    classifier: Classifier,
    kept: Features,
    digests: Sequence[bytes | None],
    *,
    ids: Sequence[str],
    truth: npt.NDArray[Any] | None = None,
) -> Predictions:
    """Return the classifier's predictions for the plain views of these images; "unreadable" where none is kept.

    The features must be those of the classifier's own backbone.
    """
    names = [name if name is not None and name in kept.caches[0] else None for name in digests]
    known = np.array([row for row, name in enumerate(names) if name is not None], dtype=np.int64)
    logits = np.full((len(names), len(classifier.classes)), np.nan, np.float32)
    distance = np.full(len(names), np.nan, np.float32)
    step = min(MOST_ROWS, MOST_VALUES // kept.caches[0].features + 1)
    for start in range(0, len(known), step):
        block = known[start : start + step]
        rows = kept.rows([name for row in block if (name := names[row]) is not None])
        logits[block] = classifier.logits(rows)
        if classifier.ood_detector:
            distance[block] = classifier.distances(rows)
    return classifier.predictions(
        logits,
        ids=ids,
        truth=truth,
        status=np.where(np.isnan(logits[:, 0]), "unreadable", "ok"),
        distance=distance if classifier.ood_detector else None,
    )
