"""A competition's submission: the rows and columns of its sample, filled with a classifier's predictions."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goldenrule.core.cells import between_labels, csv_text
from goldenrule.core.errors import FormatError, OptionError
from goldenrule.core.findings import Finding
from goldenrule.core.progress import Progress
from goldenrule.core.schema import as_json
from goldenrule.data.sources.folders import files_to_predict
from goldenrule.data.sources.picture_files import read_picture
from goldenrule.deploy.sample_submission import Fill, Layout, files_of, layout_of
from goldenrule.metrics import (
    Estimate,
    OODDetector,
    Predictions,
    accuracy,
    log_loss,
    quality,
    with_class_thresholds,
)
from goldenrule.metrics.estimate import Basis
from goldenrule.metrics.uncertainty.caution import best_floor, floored, kept_off
from goldenrule.models.classifier import Classifier
from goldenrule.models.graphs.compiled import check_threads
from goldenrule.runs.verified_files import RESULT, kept_predictions, run_result, was_written
from goldenrule.storage.files import digest, json_text, read_json
from goldenrule.storage.outputs import Kind, check_output, json_like, write_output, written_into

UNTOLD_FLOOR = 0.01
"""How low a probability may be where a classifier's folder has no predictions to learn it from."""

SIDE = Kind(
    name="a JSON file", example="submission.json", ours=json_like("schema_version", "file", "layout", "expected")
)

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What was written: its layout, the floor under the probabilities, and what went wrong.

    `expected` are the scores of images that the classifier was chosen or evaluated on, at the same floor. `ood` is the
    share of images that are out-of-distribution, and `ood_detector` the detector.
    """

    path: Path
    layout: Layout
    classes: tuple[str, ...]
    floor: float
    images: int
    unreadable: tuple[str, ...]
    left_out: tuple[str, ...]
    expected: tuple[Estimate, ...]
    ood: Estimate
    ood_detector: OODDetector | None
    findings: tuple[Finding, ...] = ()  # on what was left out of the folder

    @property
    def many_ood(self) -> bool:
        """Whether clearly more than twice as many images are flagged as out-of-distribution as should be."""
        return self.ood_detector is not None and self.ood.defined and self.ood.low > 2 * self.ood_detector.rate


def submit(
    run: Path,
    images: Path,
    sample: Path,
    *,
    out: Path,
    positive: str | None = None,
    floor: float | None = None,
    fill: Fill = "auto",
    exclude: Sequence[str] = (),
    classifier: Classifier | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Submission:
    """Write the submission of a run (or a classifier's folder) on a folder of test images, and a JSON file beside it.

    `exclude` are patterns of what is left out of the folder.
    `classifier` is the run's, where it had to be loaded with functions of its owner's.
    Where one column of numbers could ask for a class or for a probability, `fill` says which. Nothing is written beside
    an `out` that is a pipe or a device.
    Ids are file names, with extension or without, or paths below `images`. Every id of the sample has a row, in the
    sample's order; an image that can't be read gets the shares of the classes among the training images. Raises
    `SourceError` where the sample and the images do not fit, `OptionError` for an `out` that holds something else, and
    for an option that has no effect on what the sample asks for.
    """
    check_threads(threads)
    _check_free(out)
    classifier = classifier or Classifier.load(run)
    highest = 1 / len(classifier.classes) if classifier.task == "single" else 0.5
    if floor is not None and not 0 <= floor <= highest:
        raise OptionError(f"--floor {floor}: wanted the lowest probability to submit, from 0 to {highest:.3g}.")
    layout = layout_of(sample, classifier.classes, positive=positive, task=classifier.task, fill=fill)
    if floor is not None and layout.kind in ("class", "labels"):
        raise OptionError(
            f"--floor {floor:g} has no effect: {sample} asks for {layout.asks_for}, and no probability is written."
            + (" Omit it, or give --fill probability." if layout.kind == "class" else " Omit it.")
        )
    found = files_to_predict([images], exclude=exclude)
    files, left_out = files_of(layout.ids, found.files, images=images)
    seen = evaluated(run, classifier)
    lowest = floor if floor is not None else best_floor(seen) if seen else UNTOLD_FLOOR
    filled = _filled(layout, classifier, files, lowest, threads=threads, progress=progress)
    readable = len(files) - len(filled.unreadable)
    beta = classifier.thresholds.beta if classifier.thresholds else 1
    done = Submission(
        path=out,
        layout=layout,
        classes=classifier.classes,
        floor=lowest,
        images=len(files),
        unreadable=tuple(filled.unreadable),
        left_out=left_out,
        expected=expected(seen, lowest, beta=beta) if seen else (),
        ood=Estimate.of_share("ood", filled.ood, readable if classifier.ood_detector else 0),
        ood_detector=classifier.ood_detector,
        findings=found.findings,
    )
    content = filled.text.getvalue().encode("utf-8", "surrogateescape")
    if written_into(out) is None:  # the digests first: killed between the two, the same command still knows its file
        known = {"digest": digest(content).hex(), "replaces": digest(out.read_bytes()).hex() if out.exists() else None}
        write_output(side_file(out), json_text(as_json(done) | known))
    write_output(out, content)
    return done


@as_json.register(Submission)
def _(value: Submission) -> Any:
    layout = value.layout
    return as_json(
        {
            "schema_version": 2,
            "file": value.path.name,
            "layout": layout.kind,
            "columns": [layout.id_column, *layout.columns],
            "probability_of": value.classes[layout.labels[0]] if layout.kind == "probability" else None,
            "floor": value.floor,
            "rows": len(layout.ids),
            "unreadable": value.unreadable,
            "images_left_out": len(value.left_out),
            "expected": value.expected,
            "ood": value.ood,
            "findings": value.findings,
        }
    )


def side_file(out: Path) -> Path:
    """Return the JSON file beside a submission that says how it was made."""
    return out.with_suffix(".json")


def evaluated(run: Path, classifier: Classifier) -> Predictions | None:
    """Return the predictions by which a run's classifier was evaluated: out-of-fold, or on validation.

    Multi-label with thresholds: those of each fold selected on the others.
    """
    first = run_result(run).evaluated_on if was_written(run, RESULT) else "valid"
    for name in ("out-of-fold", "valid") if first == "out-of-fold" else ("valid", "out-of-fold"):
        seen = kept_predictions(run, name, task=classifier.task, basis=Basis.USED_FOR_SELECTION)
        if seen is not None and len(seen.scored) > 1:
            return with_class_thresholds(seen, beta=classifier.thresholds.beta if classifier.thresholds else 1)
    return None


def expected(seen: Predictions, floor: float, *, beta: float = 1) -> tuple[Estimate, ...]:
    """Return log loss and accuracy with probabilities of at least `floor`; multi-label: F-beta and the log loss."""
    scored = seen.scored
    if scored.task == "multi":
        kept = kept_off(scored.probabilities, floor)
        told = replace(scored, logits=(np.log(kept) - np.log1p(-kept))[:, np.newaxis].astype(np.float32))
        return quality(scored, beta=beta), log_loss(told)
    logits = np.log(np.maximum(floored(scored.probabilities, floor), np.finfo(np.float64).tiny))
    told = Predictions.from_logits(logits, scored.classes, truth=scored.truth, ids=scored.ids, basis=scored.basis)
    return log_loss(told), accuracy(told)


def shares(classifier: Classifier) -> Floats:
    """Return the share of each class among the training images (C,); equal ones where a classifier does not say.

    Multi-label: the shares of the images that have each.
    """
    counts: Mapping[str, Any] = classifier.provenance.get("counts", {}).get("train", {})
    per_class = np.array([float(counts.get(label, 0)) for label in classifier.classes])
    if classifier.task == "multi":
        return np.asarray(per_class / max(float(classifier.provenance.get("train_images", 0)), per_class.max(), 1.0))
    return per_class / per_class.sum() if per_class.sum() else np.full(len(per_class), 1 / len(per_class))


@dataclass(slots=True)
class _Filled:
    """The rows of a submission as text, and what was seen on the way."""

    text: io.StringIO
    unreadable: list[str]
    ood: int = 0


def _filled(
    layout: Layout,
    classifier: Classifier,
    files: Sequence[tuple[str, Path]],
    floor: float,
    *,
    threads: int | None,
    progress: Progress | None,
) -> _Filled:
    filled = _Filled(io.StringIO(), [])
    filled.text.write(csv_text([[layout.id_column, *layout.columns]]))
    prior, start = shares(classifier), 0
    readers = ((name, partial(read_picture, path)) for name, path in files)
    for piece in classifier.stream(readers, total=len(files), threads=threads, progress=progress):
        filled.unreadable += [name for name, ok in zip(piece.ids, piece.ok, strict=True) if not ok]
        filled.text.write(csv_text(_rows(layout, piece, prior, floor, layout.ids[start : start + len(piece)])))
        start += len(piece)
        filled.ood += int(piece.ood.sum()) if piece.ood is not None else 0
    return filled


def _rows(layout: Layout, piece: Predictions, prior: Floats, floor: float, ids: Sequence[str]) -> Iterator[list[str]]:
    told = np.where(piece.ok[:, None], piece.probabilities, prior)
    probabilities = floored(told, floor) if piece.task == "single" else kept_off(told, floor)
    limits = np.full(told.shape, 0.5) if piece.thresholds is None else piece.thresholds
    for place, (uri, row) in enumerate(zip(ids, probabilities, strict=True)):
        if layout.kind == "class":
            yield [uri, piece.classes[int(np.argmax(row))]]
        elif layout.kind == "labels":
            yield [uri, _several(told[place], limits[place], piece.classes)]
        else:
            yield [uri, *(f"{row[label]:.9g}" for label in layout.labels)]


def _several(told: Floats, limits: Floats, classes: Sequence[str]) -> str:
    """Return the labels that reach their thresholds, the likeliest first; where none does, the closest one."""
    called = [label for label in np.argsort(-told, kind="stable") if told[label] >= limits[label]]
    names = [classes[label] for label in called or [int(np.argmax(told - limits))]]
    return between_labels(classes).join(names)


def _check_free(out: Path) -> None:
    """See before the work that neither the submission nor the file beside it takes the place of something else."""
    side = side_file(out)
    if written_into(out) is not None:
        return
    if side == out:
        raise OptionError(
            f"-o {out}: the submission is a CSV file, and {side.name} is the name of the file beside it that says how "
            f"it was made. Give another name, such as {out.with_suffix('.csv')}."
        )
    try:
        before = read_json(side)
    except FormatError:
        before = {}
    known = {str(before.get(name)) for name in ("digest", "replaces")}
    made = Kind(name="a CSV file", example="submission.csv", ours=lambda content: digest(content).hex() in known)
    check_output(out, made)
    check_output(side, SIDE, option=f"-o {out} writes {side.name} beside it, and")
