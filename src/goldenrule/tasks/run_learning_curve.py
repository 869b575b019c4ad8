"""The learning curve of a finished run's images: its points, its answer, its picture."""

from __future__ import annotations

import io
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from goldenrule.analysis.curve_points import nested_order
from goldenrule.analysis.data_size import ClassSizes, DataSize, data_size
from goldenrule.analysis.learning_curve import CurveMetric, LearningCurve, check_asked, learning_curve
from goldenrule.core.errors import OptionError, TooFewImages, system_errors
from goldenrule.core.progress import Progress
from goldenrule.core.schema import as_json
from goldenrule.data.units import duplicate_units
from goldenrule.metrics import Estimate
from goldenrule.metrics.selection_rules import Trained, outcome_text
from goldenrule.pipelines.probe import readable
from goldenrule.report.figures.plot import plot
from goldenrule.runs.verified_files import run_result
from goldenrule.storage.files import write_atomic, write_json
from goldenrule.storage.lock import check_no_links
from goldenrule.tasks.reopened import reopened

SCHEMA_VERSION = 2
FOLDER, NUMBERS, PICTURE = "learning-curve", "learning_curve.json", "learning_curve.svg"
WAYS: Mapping[str, str] = {
    Trained.LATE_LAYERS: "fine-tuning",
    Trained.NETWORK: "fine-tuning",
    Trained.FINE_TUNED: "fine-tuning",
    Trained.FROM_SCRATCH: "training from scratch",
}
"""The ways of training that candidates of a run were trained by, beside transfer learning."""
MOST_IMAGES = 20_000
"""Of more images so many are looked at: a stratified draw, so that memory and time stay bounded (law 12)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What the run itself has trained one way, beyond solving a head: its accuracy on validation, and what came of it.

    `outcome` is such as "linear head is kept"; "" where it was compared with nothing.
    """

    way: str
    name: str
    accuracy: Estimate
    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveOfRun:
    """The learning curve of a run's training images, what it says of a target, and where it was written."""

    curve: LearningCurve
    target: float | None
    advice: DataSize
    tried: tuple[Tried, ...]
    numbers: Path
    picture: Path
    seconds: float

    @property
    def sentence(self) -> str:
        """How many more images are needed, "" without a target."""
        return "" if self.target is None else self.curve.sentence(self.target)

    def __repr__(self) -> str:
        return f"CurveOfRun({self.picture}: {' '.join((self.sentence, *self.advice.sentences)).strip()})"


@system_errors()
def learning_curve_of(
    run: str | Path,
    *,
    target: float | None = None,
    metric: CurveMetric = "accuracy",
    threads: int | None = None,
    progress: Progress | None = None,
) -> CurveOfRun:
    """Measure how the linear head of a finished run grows with its training images; the run's own split stays closed.

    Writes `RUN/learning-curve/learning_curve.json` and `.svg`. Features come from the cache, or are computed.
    Raises `SourceError` where there is no finished run, `TooFewImages` where four sizes are not possible,
    `OptionError` for another metric or target.
    """
    began = time.monotonic()
    check_asked(metric, target)
    check_no_links(Path(run))
    opened = reopened(run, threads=threads, progress=progress)
    features = opened.features()
    if opened.table.task == "multi":
        raise OptionError("A learning curve is drawn where an image has one label; these have several.")
    train = readable(opened.table, "train", features).only_labelled()
    if len(train) == 0:
        raise TooFewImages(f"{run} has no labelled training images that can be read.")
    units, targets = duplicate_units(train), train.targets
    rows = np.sort(nested_order(targets, units, 0, seed=opened.options.seed)[:MOST_IMAGES])
    digests = train.digests
    curve = learning_curve(
        features.rows([digests[row] or b"" for row in rows.tolist()]),
        targets[rows],
        [units[row] for row in rows.tolist()],
        classes=len(train.classes),
        metric=metric,
        images=len(train),
        seed=opened.options.seed,
        progress=progress,
    )
    counts = np.bincount(targets)
    advice = data_size(curve, ClassSizes.of(counts[counts > 0].tolist()))
    return _written(curve, advice, tried_by(opened.folder), opened.folder / FOLDER, target, began)


def tried_by(run: Path) -> tuple[Tried, ...]:
    """Return what a finished run has trained deeper than its head, of images with one label each."""
    found = []
    for candidate in run_result(run).candidates:
        accuracy = candidate.valid.estimate() if candidate.valid else None
        if candidate.name in WAYS and accuracy is not None:
            verdict = candidate.verdict
            outcome = verdict and outcome_text(
                (verdict.against, candidate.name), better=verdict.better, asked_for=verdict.asked_for
            )
            found.append(Tried(way=WAYS[candidate.name], name=candidate.name, accuracy=accuracy, outcome=outcome or ""))
    return tuple(found)


def _written(
    curve: LearningCurve,
    advice: DataSize,
    tried: tuple[Tried, ...],
    folder: Path,
    target: float | None,
    began: float,
) -> CurveOfRun:
    value: dict[str, Any] = {"schema_version": SCHEMA_VERSION, **as_json(curve)}
    value["enough"] = {**as_json(advice), "tried_in_this_run": as_json(tried)}
    if target is not None:
        value |= {"needed": as_json(curve.needed(target)), "says": curve.sentence(target)}
    write_json(folder / NUMBERS, value)
    picture = io.BytesIO()
    plot(curve, target=target).savefig(picture, format="svg", metadata={"Date": None})
    write_atomic(folder / PICTURE, picture.getvalue())
    return CurveOfRun(
        curve=curve,
        target=target,
        advice=advice,
        tried=tried,
        numbers=folder / NUMBERS,
        picture=folder / PICTURE,
        seconds=time.monotonic() - began,
    )
