"""Predictions as a CSV file: path, status, prediction, probability, then one column p:NAME per class.

Files of a run, whose images are labelled, have the column `truth` behind `probability`; those of new images `set`,
`unlike` and `distance`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

import numpy as np

from goldenrule.evaluation.conformal import ConformalSets
from goldenrule.evaluation.estimate import Basis
from goldenrule.evaluation.novelty import Familiar
from goldenrule.evaluation.predictions import Predictions
from goldenrule.foundation.errors import FormatError

UNSURE = "unsure"
UNLIKE = "yes"
BETWEEN = " | "
"""What stands between the classes of a set."""
SMALLEST = 1e-30
"""A probability of 0 is read as this one."""


def rows_of(
    predictions: Predictions,
    *,
    min_confidence: float = 0.0,
    sets: ConformalSets | None = None,
    familiar: Familiar | None = None,
) -> Iterator[dict[str, str]]:
    """Give a row per image, with text for every column; single label.

    An image whose highest probability is below `min_confidence` has the status "unsure" and no prediction;
    one that can't be read has neither prediction nor probabilities. With `sets` the column `set` holds the classes
    that can't be ruled out, the likeliest first; with `familiar` the column `unlike` has "yes" where an image is unlike
    anything seen in training, and `distance` says how far from it.
    """
    inside = sets.sets(predictions) if sets else None
    unlike = familiar.unlike(predictions) if familiar else None
    probabilities, predicted = predictions.probabilities, predictions.predicted
    labelled = bool((predictions.truth >= 0).any())
    for row, (name, status) in enumerate(zip(predictions.ids, predictions.status, strict=True)):
        number = int(predicted[row])
        ok = number >= 0
        highest = float(probabilities[row, number]) if ok else np.nan
        sure = ok and highest >= min_confidence
        columns = {
            "path": name,
            "status": UNSURE if ok and not sure else str(status),
            "prediction": predictions.classes[number] if sure else "",
            "probability": f"{highest:.9g}" if ok else "",
        }
        if inside is not None:
            order = np.argsort(-probabilities[row], kind="stable")
            columns["set"] = BETWEEN.join(predictions.classes[label] for label in order if inside[row, label])
        if unlike is not None and predictions.distance is not None:
            columns["unlike"] = UNLIKE if unlike[row] else ""
            columns["distance"] = f"{predictions.distance[row]:.6g}" if ok else ""
        if labelled:
            truth = int(predictions.truth[row])
            columns["truth"] = predictions.classes[truth] if truth >= 0 else ""
        for label, value in zip(predictions.classes, probabilities[row], strict=True):
            columns[f"p:{label}"] = f"{value:.9g}" if ok else ""
        yield columns


def to_csv(
    predictions: Predictions,
    *,
    min_confidence: float = 0.0,
    sets: ConformalSets | None = None,
    familiar: Familiar | None = None,
) -> str:
    """Give the file's text.

    >>> one = Predictions.from_logits([[0.0, 0.0]], ["cat", "dog"], ids=["a.jpg"])
    >>> print(to_csv(one, min_confidence=.9), end="")
    path,status,prediction,probability,p:cat,p:dog
    a.jpg,unsure,,0.5,0.5,0.5
    """
    names = ["path", "status", "prediction", "probability", *(["set"] if sets else [])]
    names += ["unlike", "distance"] if familiar else []
    names += ["truth"] if bool((predictions.truth >= 0).any()) else []
    names += [f"p:{label}" for label in predictions.classes]
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows_of(predictions, min_confidence=min_confidence, sets=sets, familiar=familiar))
    return text.getvalue()


def from_csv(text: str, *, basis: Basis = "clean") -> Predictions:
    """Give the predictions that `to_csv` wrote, their logits the logarithms of the probabilities.

    Raises `FormatError` for another file.

    >>> one = Predictions.from_logits([[0.0, 0.0]], ["cat", "dog"], ids=["a.jpg"], truth=[1])
    >>> from_csv(to_csv(one))
    Predictions(1 image, 2 classes, 1 view, single label, 1 scored)
    """
    rows = list(csv.DictReader(io.StringIO(text)))
    classes = [name.removeprefix("p:") for name in (rows[0] if rows else ()) if name.startswith("p:")]
    try:
        shown = [[float(row[f"p:{label}"] or "nan") for label in classes] for row in rows]
        truth = [classes.index(row["truth"]) if row.get("truth") else -1 for row in rows]
        ids, status = [row["path"] for row in rows], ["ok" if row["probability"] else row["status"] for row in rows]
    except (KeyError, ValueError) as error:
        raise FormatError(f"these are no predictions of goldenrule: {error}.") from error
    if not classes:
        raise FormatError("these are no predictions of goldenrule: no rows, or no columns p:CLASS.")
    logits = np.log(np.maximum(shown, SMALLEST))
    return Predictions.from_logits(logits, classes, truth=truth, ids=ids, status=np.array(status), basis=basis)
