"""Does a graph compute here what PyTorch computes? Compared per precision, before the graph is used."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from goldenrule.data.pictures.preprocess import Preprocessing
from goldenrule.engines import Precision
from goldenrule.engines import openvino as ov

LOWEST_COSINE: dict[Precision, float] = {"fp32": 0.9999, "bf16": 0.98}
"""Mean cosine between an engine's features and PyTorch's fp32 ones below which the engine is not used."""
DRAWN_PICTURES = 2
DRAWN_SHAPE = 300, 400
Floats = npt.NDArray[np.float32]


def compared(graph: Path, pixels: Floats, wanted: Floats, precisions: Iterable[Precision], *, threads: int) -> Any:
    """Return how well a graph agrees with PyTorch's features `wanted` of a full batch of pixels, per precision.

    `cosine` is the mean cosine. `alone` says whether each picture has the same bits alone as in a full batch: only then
    is one picture run alone (law 3).
    """
    cosine: dict[str, float] = {}
    alone: dict[str, bool] = {}
    for precision in precisions:
        engine = ov.OpenVinoEngine(graph, precision, threads=threads)
        features = _features(engine, pixels)
        cosine[engine.kind.precision] = round(mean_cosine(features, wanted), 6)
        single = ov.OpenVinoEngine(graph, precision, threads=threads, batch_size=1)
        alone[engine.kind.precision] = bool(np.array_equal(_features(single, pixels), features))
    return {"cosine": cosine, "alone": alone}


def mean_cosine(one: Any, other: Any) -> float:
    """Return the mean cosine of the rows of two arrays (n, features); 0 where one holds NaN."""
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    mean = float(np.mean(np.sum(one * other, axis=1) / np.maximum(lengths, 1e-12)))
    return mean if np.isfinite(mean) else 0.0  # a backbone that gives NaN: whoever sees its features says so


def drawn_batch(preprocessing: Preprocessing) -> Floats:
    """Return drawn pictures as network input (`DRAWN_PICTURES`, 3, size, size): the same on every machine."""
    return np.stack([preprocessing.pixels(_drawn(number)) for number in range(DRAWN_PICTURES)])


def full_batch(rows: Floats) -> Floats:
    """Return the rows repeated to a full batch."""
    return np.resize(rows, (ov.BATCH_SIZE, *rows.shape[1:]))


def _drawn(number: int) -> npt.NDArray[np.uint8]:
    """Return a picture (height, width, 3) of waves, a disc and stripes."""
    rows, columns = np.mgrid[: DRAWN_SHAPE[0], : DRAWN_SHAPE[1]] / DRAWN_SHAPE[0]
    waves = [np.sin((3 + number + band) * columns + (5 - band) * rows) for band in range(3)]
    disc = (rows - 0.5) ** 2 + (columns - 0.6 - number / 8) ** 2 < 0.06
    stripes = (np.floor(24 * (rows + (number + 1) * columns)) % 2) * (columns > 0.9)
    picture = 128 + 60 * np.stack(waves, axis=-1) + np.stack([90 * disc, -70 * disc, 50 * stripes], axis=-1)
    return np.asarray(np.clip(np.rint(picture), 0, 255), np.uint8)


def _features(engine: ov.OpenVinoEngine, pixels: Floats) -> Floats:
    batches = (pixels[start : start + engine.batch_size] for start in range(0, len(pixels), engine.batch_size))
    return np.concatenate([features for _, features in engine.run((None, batch) for batch in batches)])
