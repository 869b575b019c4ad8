"""Predictions as a CSV file: path, status, prediction, probability, then one column p:NAME per class.

Multi-label: `prediction` holds those that are called, the likeliest first, and `probability` that of the first.
Files of a run, whose images are labelled, have the column `truth` behind `probability`, and out-of-fold ones `fold`;
those of new images `set`, `ood`, `distance` and `reason`, why an image can't be read. Names are cells of
`goldenrule.core.cells`: none of them is a formula to a spreadsheet, and several in one cell can be told apart
(`classes_in`).
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np

from goldenrule.core.cells import between_labels, csv_text, from_cell, joined, separated, to_cell
from goldenrule.core.errors import FormatError
from goldenrule.metrics.estimate import Basis
from goldenrule.metrics.predictions import Predictions, Task
from goldenrule.metrics.uncertainty.conformal import PredictionSets
from goldenrule.metrics.uncertainty.ood import OODDetector

UNSURE = "unsure"
OUT = "out-of-distribution"
"""Statuses of images that can be read: no class is likely enough; it is unlike those of the training."""
OOD = "yes"
WhenOOD = Literal["keep", "flag", "abstain"]
"""What becomes of an out-of-distribution image: nothing, a status, or a status and no prediction."""
MOST_FOLDS = 1_000_000
SMALLEST = 1e-30
"""A probability of 0 is read as this one."""


def rows_of(
    predictions: Predictions,
    *,
    min_confidence: float = 0.0,
    sets: PredictionSets | None = None,
    ood_detector: OODDetector | None = None,
    when_ood: WhenOOD = "flag",
    reasons: bool = False,
    told: bool = False,
) -> Iterator[dict[str, str]]:
    """Return a row per image, with text for every column.

    An image whose highest probability is below `min_confidence` has the status "unsure" and no prediction;
    one that can't be read has neither prediction nor probabilities. With `sets` the column `set` holds the classes
    that can't be ruled out, the likeliest first; with `ood_detector` the column `ood` has "yes" where an image is
    out-of-distribution, and `distance` says how far from it. Its status says so too, unless `when_ood` is "keep"; with
    "abstain" it has no prediction. With `reasons` the column `reason` says why an image can't be read. With `told`
    sets and flags are those that the predictions have.
    """
    inside = predictions.inside if told else sets.sets(predictions) if sets else None
    probabilities = predictions.probabilities
    between = between_labels(predictions.classes) if predictions.task == "multi" else ""
    labelled, readable = bool(predictions.labelled.any()), predictions.ok
    ood = predictions.ood if told else ood_detector.is_ood(predictions) if ood_detector else None
    for row, (name, status) in enumerate(zip(predictions.ids, predictions.status, strict=True)):
        ok = bool(readable[row])
        highest = float(probabilities[row].max()) if ok else np.nan
        sure = ok and highest >= min_confidence
        state = UNSURE if ok and not sure else str(status)
        if sure and ood is not None and ood[row] and when_ood != "keep":
            state, sure = OUT, when_ood == "flag"
        columns = {
            "path": to_cell(name),
            "status": state,
            "prediction": to_cell(_several(predictions.called_names(row), between)) if sure else "",
            "probability": f"{highest:.9g}" if ok else "",
        }
        if inside is not None:
            order = np.argsort(-probabilities[row], kind="stable")
            columns["set"] = to_cell(joined(predictions.classes[label] for label in order if inside[row, label]))
        if ood is not None and predictions.distance is not None:
            columns["ood"] = OOD if ood[row] else ""
            columns["distance"] = f"{predictions.distance[row]:.6g}" if ok else ""
        if reasons:
            columns["reason"] = "" if predictions.reason is None else to_cell(str(predictions.reason[row]))
        if labelled:
            columns["truth"] = to_cell(_several(predictions.true_names(row), between))
        if predictions.fold is not None:
            columns["fold"] = str(predictions.fold[row])
        for label, value in zip(predictions.classes, probabilities[row], strict=True):
            columns[f"p:{label}"] = f"{value:.9g}" if ok else ""
        yield columns


def to_csv(
    predictions: Predictions,
    *,
    min_confidence: float = 0.0,
    sets: PredictionSets | None = None,
    ood_detector: OODDetector | None = None,
    when_ood: WhenOOD = "flag",
    header: bool = True,
    told: bool = False,
) -> str:
    """Return the file's text; without `header` its rows alone. With `told` what the predictions have is told.

    >>> one = Predictions.from_logits([[0.0, 0.0]], ["cat", "dog"], ids=["a.jpg"])
    >>> print(to_csv(one, min_confidence=.9), end="")
    path,status,prediction,probability,p:cat,p:dog
    a.jpg,unsure,,0.5,0.5,0.5
    """
    names = [
        "path",
        "status",
        "prediction",
        "probability",
        *(["set"] if sets or (told and predictions.inside is not None) else []),
    ]
    names += ["ood", "distance"] if ood_detector or (told and predictions.ood is not None) else []
    names += ["reason"] if predictions.reason is not None else []
    names += ["truth"] if bool(predictions.labelled.any()) else []
    names += ["fold"] if predictions.fold is not None else []
    names += [f"p:{label}" for label in predictions.classes]
    how: dict[str, Any] = {"min_confidence": min_confidence, "when_ood": when_ood}
    how |= {"sets": sets, "ood_detector": ood_detector, "reasons": predictions.reason is not None, "told": told}
    rows = [[row.get(name, "") for name in names] for row in rows_of(predictions, **how)]
    return csv_text([names, *rows] if header else rows)


def classes_in(cell: str) -> list[str]:
    r"""Return the classes of a cell of the column `set`, the likeliest first.

    >>> classes_in("cat | dog"), classes_in(r"a \| b | c")
    (['cat', 'dog'], ['a | b', 'c'])
    """
    return separated(from_cell(cell))


def _several(names: Sequence[str], between: str) -> str:
    """Return the names of a cell; of one label it is the name as it stands."""
    return joined(names, between) if between else "".join(names)


def from_csv(text: str, *, task: Task = "single", basis: Basis = Basis.HELD_OUT) -> Predictions:
    """Return the predictions that `to_csv` wrote: logits with the same probabilities, no thresholds.

    Raises `FormatError` for another file.

    >>> one = Predictions.from_logits([[0.0, 0.0]], ["cat", "dog"], ids=["a.jpg"], truth=[1])
    >>> from_csv(to_csv(one))
    Predictions(1 image, 2 classes, 1 view, single label, 1 scored)
    """
    try:
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
    except csv.Error as error:
        raise FormatError(f"these are no predictions of goldenrule: {error}.") from error
    if any(None in row or None in row.values() for row in rows):
        raise FormatError("these are no predictions of goldenrule: a row has more or fewer cells than the header.")
    classes = [name.removeprefix("p:") for name in (rows[0] if rows else ()) if name.startswith("p:")]
    try:
        shown = [[float(row[f"p:{label}"] or "nan") for label in classes] for row in rows]
        truth = [_truth(row.get("truth") or "", classes, task) for row in rows]
        fold = [int(row["fold"]) for row in rows] if rows and "fold" in rows[0] else None
        ids, status = (
            [from_cell(row["path"]) for row in rows],
            ["ok" if row["probability"] else row["status"] for row in rows],
        )
    except KeyError as error:
        raise FormatError(f"these are no predictions of goldenrule: there is no column {error}.") from error
    except ValueError as error:
        raise FormatError(f"these are no predictions of goldenrule: a cell holds what it can't ({error}).") from error
    if not classes:
        raise FormatError("these are no predictions of goldenrule: no rows, or no columns p:CLASS.")
    if not all(0 <= one <= 1 or math.isnan(one) for values in shown for one in values):
        raise FormatError("these are no predictions of goldenrule: a probability is not between 0 and 1.")
    if fold is not None and not all(-1 <= number <= MOST_FOLDS for number in fold):
        raise FormatError(f"these are no predictions of goldenrule: a fold is not between -1 and {MOST_FOLDS:,}.")
    logits = np.log(np.maximum(shown, SMALLEST))
    if task == "multi":
        logits -= np.log(np.maximum(1 - np.array(shown), SMALLEST))
    return Predictions.from_logits(
        logits, classes, truth=truth, ids=ids, status=np.array(status), fold=fold, task=task, basis=basis
    )


def _truth(cell: str, classes: Sequence[str], task: Task) -> int | list[int]:
    """Return the class number of a cell, or multi-label: a mark for each; -1 where it is empty."""
    if task == "single":
        return classes.index(from_cell(cell)) if cell else -1
    named = [classes.index(name) for name in separated(from_cell(cell), between_labels(classes))]
    return [int(label in named) if cell else -1 for label in range(len(classes))]
