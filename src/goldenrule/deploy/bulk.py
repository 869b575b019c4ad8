"""Files to a CSV of predictions, in pieces, so that memory does not grow with their number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from goldenrule.core.cells import between_labels, from_cell, separated
from goldenrule.core.errors import OptionError
from goldenrule.core.findings import Finding
from goldenrule.core.progress import Progress
from goldenrule.data.sources.folders import files_to_predict
from goldenrule.deploy.class_folders import ClassFolders
from goldenrule.metrics import Estimate
from goldenrule.metrics.predictions_csv import OOD, OUT, UNSURE, WhenOOD, rows_of, to_csv
from goldenrule.models.classifier import Classifier
from goldenrule.models.graphs.compiled import check_threads
from goldenrule.storage.outputs import Kind, check_output, csv_like, write_output

PIECE = 20_000
SHOWN = 40
PREDICTIONS = Kind(
    name="a CSV file", example="predictions.csv", ours=csv_like("path", "status", "prediction", "probability")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicted:
    """What a prediction of files gave: rows for people, counts, and what went wrong.

    `ood` are images that are out-of-distribution; `flagged` is their share, undefined where it
    knows of none. `findings` are on what was left out of folders.
    """

    shown: tuple[dict[str, str], ...]
    counts: dict[str, int]
    statuses: dict[str, int]
    unreadable: tuple[str, ...]
    ood: tuple[str, ...]
    flagged: Estimate
    images: int
    findings: tuple[Finding, ...] = ()
    folders: ClassFolders | None = None


def predict_files(
    classifier: Classifier,
    images: Sequence[str | Path],
    *,
    out: Path | None = None,
    min_confidence: float = 0.0,
    when_ood: WhenOOD = "flag",
    sort_into: Path | None = None,
    exclude: Sequence[str] = (),
    threads: int | None = None,
    progress: Progress | None = None,
) -> Predicted:
    """Predict files and folders; write the CSV to `out` (whole or not at all) and give a summary.

    `when_ood` says what becomes of images that are out-of-distribution: "keep" (as any other), "flag" (the status says
    so) or "abstain" (no prediction). With `sort_into` each image is copied into a folder of its class there; nothing is
    overwritten, and what is there already is not copied again. `exclude` are patterns of what is left out of the
    folders.
    """
    if not 0 <= min_confidence <= 1:
        raise OptionError(f"--min-confidence {min_confidence}: wanted a probability from 0 to 1.")
    if when_ood not in get_args(WhenOOD):
        raise OptionError(f"--ood {when_ood}: wanted one of {', '.join(get_args(WhenOOD))}.")
    check_threads(threads)
    if out is not None:
        check_output(out, PREDICTIONS)
    found = files_to_predict(images, exclude=exclude)
    files = found.files
    folders = ClassFolders.of(sort_into, classifier.classes, images) if sort_into else None
    how: dict[str, Any] = {
        "min_confidence": min_confidence,
        "sets": classifier.sets,
        "ood_detector": classifier.ood_detector,
        "when_ood": when_ood,
    }
    several, between = classifier.task == "multi", between_labels(classifier.classes)
    shown: list[dict[str, str]] = []
    unread: list[str] = []
    ood: list[str] = []
    counts: Counter[str] = Counter()
    statuses: Counter[str] = Counter()
    texts = []
    for start in range(0, len(files), PIECE):
        piece = classifier.predict_files(files[start : start + PIECE], threads=threads, progress=progress)
        for (_, path), row in zip(files[start : start + PIECE], rows_of(piece, **how), strict=True):
            statuses[row["status"]] += 1
            told = from_cell(row["prediction"])
            labels = [label for label in (separated(told, between) if several else [told]) if label]
            counts.update(labels)
            if folders:
                folders.put(path, row["status"], labels)
            if row["status"] not in ("ok", UNSURE, OUT):
                unread.append(from_cell(row["path"]))
            if row.get("ood") == OOD:
                ood.append(from_cell(row["path"]))
            if len(shown) < SHOWN:
                shown.append(row)
        if out is not None:
            texts.append(to_csv(piece, **how, header=start == 0))
    if out is not None:
        write_output(out, "".join(texts))
    if folders:
        folders.clear_leftovers()
    return Predicted(
        shown=tuple(shown),
        counts=dict(counts),
        statuses=dict(statuses),
        unreadable=tuple(unread),
        ood=tuple(ood),
        flagged=Estimate.of_share("ood", len(ood), len(files) - len(unread) if classifier.ood_detector else 0),
        images=len(files),
        findings=found.findings,
        folders=folders,
    )
