"""The learning curve of a finished run's images: its points, its answer, its picture."""

from __future__ import annotations

import io
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from goldenrule.foundation.errors import OptionError, TooFewImages
from goldenrule.foundation.files import write_atomic, write_json
from goldenrule.foundation.progress import Progress
from goldenrule.images.split import duplicate_units
from goldenrule.insight.curve_points import nested_order
from goldenrule.insight.learning_curve import CurveMetric, LearningCurve, check_asked, learning_curve
from goldenrule.recipes.reopened import reopened

SCHEMA_VERSION = 1
NUMBERS, PICTURE = "learning_curve.json", "learning_curve.svg"
MOST_IMAGES = 20_000
"""Of more images so many are looked at: a stratified draw, so that memory and time stay bounded (law 12)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveOfRun:
    """The learning curve of a run's training images, what it says of a target, and where it was written."""

    curve: LearningCurve
    target: float | None
    numbers: Path
    picture: Path
    seconds: float

    @property
    def sentence(self) -> str:
        """How many more images are needed, "" without a target."""
        return "" if self.target is None else self.curve.sentence(self.target)


def learning_curve_of(
    run: str | Path,
    *,
    target: float | None = None,
    metric: CurveMetric = "accuracy",
    threads: int | None = None,
    progress: Progress | None = None,
) -> CurveOfRun:
    """Measure how the solved head of a finished run grows with its training images; the run's own part stays closed.

    Writes `RUN/insight/learning_curve.json` and `.svg`. Activations come from the bank, or are computed.
    Raises `SourceError` where there is no finished run, `TooFewImages` where four sizes are not possible,
    `OptionError` for another metric or target.
    """
    began = time.monotonic()
    check_asked(metric, target)
    opened = reopened(run, threads=threads, progress=progress)
    activations = opened.activations()
    train = opened.table.part("train")
    if train.task == "multi":
        raise OptionError("A learning curve is drawn where an image has one label; these have several.")
    bank, known = activations.banks[0], train.labelled
    readable = np.array([digest is not None and digest in bank for digest in train.digests], dtype=bool)
    train = train.where(known & readable)
    if len(train) == 0:
        raise TooFewImages(f"{run} has no labelled training images that can be read.")
    units, targets = duplicate_units(train), train.targets
    rows = np.sort(nested_order(targets, units, 0, seed=opened.options.seed)[:MOST_IMAGES])
    digests = train.digests
    curve = learning_curve(
        activations.rows([digests[row] or b"" for row in rows.tolist()]),
        targets[rows],
        [units[row] for row in rows.tolist()],
        classes=len(train.classes),
        metric=metric,
        images=len(train),
        seed=opened.options.seed,
        progress=progress,
    )
    return _written(curve, opened.folder / "insight", target, began)


def _written(curve: LearningCurve, folder: Path, target: float | None, began: float) -> CurveOfRun:
    value: dict[str, Any] = {"schema_version": SCHEMA_VERSION, **curve.to_json()}
    if target is not None:
        value |= {"needed": curve.needed(target).to_json(), "says": curve.sentence(target)}
    write_json(folder / NUMBERS, value)
    picture = io.BytesIO()
    curve.plot(target=target).savefig(picture, format="svg", metadata={"Date": None})
    write_atomic(folder / PICTURE, picture.getvalue())
    return CurveOfRun(
        curve=curve,
        target=target,
        numbers=folder / NUMBERS,
        picture=folder / PICTURE,
        seconds=time.monotonic() - began,
    )
