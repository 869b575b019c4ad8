"""A contest's submission: the rows and columns of its sample, filled with what a classifier says of the test images."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from goldenrule.deploy.batch import PIECE
from goldenrule.evaluation import (
    Estimate,
    Familiar,
    Predictions,
    Task,
    accuracy,
    log_loss,
    quality,
    with_own_thresholds,
)
from goldenrule.evaluation.caution import best_floor, floored, kept_off
from goldenrule.evaluation.predictions_csv import between_labels
from goldenrule.foundation.errors import OptionError, SourceError
from goldenrule.foundation.files import atomic_path, write_json
from goldenrule.foundation.findings import plural
from goldenrule.foundation.progress import Progress
from goldenrule.images.label_files import read_columns
from goldenrule.images.sources import image_files
from goldenrule.models.classifier import Classifier
from goldenrule.training.run_files import kept_predictions, run_choice

Kind = Literal["probability", "probabilities", "class", "labels"]
NAMED = 5
UNTOLD_FLOOR = 0.01
"""How low a probability may be where a classifier's folder has no predictions to learn it from."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What a sample asks for: its `id` column, then one probability, one per class, the name of a class, or of several.

    `columns` are the columns after the first, `labels` the class number that each stands for (none for a name).
    """

    kind: Kind
    id_column: str
    ids: tuple[str, ...]
    columns: tuple[str, ...]
    labels: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What was written: its layout, the floor under the probabilities, and what went wrong.

    `expected` are the scores of images that the classifier was chosen or judged by, at the same floor. `unlike` is the
    share of images that are unlike anything seen in training, and `familiar` what is known of familiar ones.
    """

    path: Path
    layout: Layout
    classes: tuple[str, ...]
    floor: float
    images: int
    unreadable: tuple[str, ...]
    left_out: tuple[str, ...]
    expected: tuple[Estimate, ...]
    unlike: Estimate
    familiar: Familiar | None

    @property
    def many_unlike(self) -> bool:
        """Whether clearly more than twice as many images are unlike anything seen as of familiar ones would be."""
        return self.familiar is not None and self.unlike.defined and self.unlike.low > 2 * self.familiar.rate

    def to_json(self) -> dict[str, Any]:
        """Give the value as a JSON object."""
        layout = self.layout
        return {
            "schema_version": 1,
            "file": self.path.name,
            "layout": layout.kind,
            "columns": [layout.id_column, *layout.columns],
            "probability_of": self.classes[layout.labels[0]] if layout.kind == "probability" else None,
            "floor": self.floor,
            "rows": len(layout.ids),
            "unreadable": list(self.unreadable),
            "images_left_out": len(self.left_out),
            "expected": [estimate.to_json() for estimate in self.expected],
            "unlike": self.unlike.to_json(),
        }


def submit(
    run: Path,
    images: Path,
    sample: Path,
    *,
    out: Path,
    positive: str | None = None,
    floor: float | None = None,
    classifier: Classifier | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Submission:
    """Write the submission of a run (or a classifier's folder) on a folder of test images, and a JSON file beside it.

    `classifier` is the run's, where it had to be loaded with functions of its owner's.
    Ids are file names, with extension or without, or paths below `images`. Every id of the sample has a row, in the
    sample's order; an image that can't be read gets the shares of the classes among the training images. Raises
    `SourceError` where the sample and the images do not fit, `OptionError` for an `out` that holds something else.
    """
    classifier = classifier or Classifier.load(run)
    highest = 1 / len(classifier.classes) if classifier.task == "single" else 0.5
    if floor is not None and not 0 <= floor <= highest:
        raise OptionError(f"--floor {floor}: wanted the lowest probability to submit, from 0 to {highest:.3g}.")
    layout = layout_of(sample, classifier.classes, positive=positive, task=classifier.task)
    files, left_out = files_of(layout.ids, image_files([images]), images=images)
    seen = judged(run, classifier)
    own = floor if floor is not None else best_floor(seen) if seen else UNTOLD_FLOOR
    prior = shares(classifier)
    unreadable: list[str] = []
    unlike = 0
    if out.is_dir():
        raise OptionError(f"-o {out} is a folder; wanted the name of a CSV file, such as {out / 'submission.csv'}.")
    with atomic_path(out) as temporary, temporary.open("w", encoding="utf-8", newline="") as text:
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([layout.id_column, *layout.columns])
        for start in range(0, len(files), PIECE):
            piece = classifier.predict_files(files[start : start + PIECE], threads=threads, progress=progress)
            unreadable += [name for name, ok in zip(piece.ids, piece.ok, strict=True) if not ok]
            writer.writerows(_rows(layout, piece, prior, own, layout.ids[start : start + PIECE]))
            unlike += int(classifier.familiar.unlike(piece).sum()) if classifier.familiar else 0
        text.flush()
        _not_over_something_else(temporary, out)
    done = Submission(
        path=out,
        layout=layout,
        classes=classifier.classes,
        floor=own,
        images=len(files),
        unreadable=tuple(unreadable),
        left_out=left_out,
        expected=expected(seen, own, beta=classifier.thresholds.beta if classifier.thresholds else 1) if seen else (),
        unlike=Estimate.of_share("unlike", unlike, len(files) - len(unreadable) if classifier.familiar else 0),
        familiar=classifier.familiar,
    )
    write_json(out.with_suffix(".json"), done.to_json())
    return done


def layout_of(sample: Path, classes: Sequence[str], *, positive: str | None = None, task: Task = "single") -> Layout:
    """Read what a sample submission asks for. Raises `SourceError`, with both sides, where its columns do not fit."""
    table = read_columns(sample)
    id_column, *columns = table
    ids = tuple(table[id_column])
    if twice := [name for name, count in Counter(ids).items() if count > 1]:
        raise SourceError(f"{sample} has the id {twice[0]!r} more than once ({plural(len(twice), 'such id')}).")
    if len(columns) > 1:
        labels = _labels_of(sample, columns, classes)
        return Layout(kind="probabilities", id_column=id_column, ids=ids, columns=tuple(columns), labels=labels)
    if task == "multi":
        return Layout(kind="labels", id_column=id_column, ids=ids, columns=tuple(columns), labels=())
    if not all(map(_is_number, table[columns[0]])) or _names_a_class(table[columns[0]], classes):
        return Layout(kind="class", id_column=id_column, ids=ids, columns=tuple(columns), labels=())
    label = _positive(sample, columns[0], classes, positive)
    return Layout(kind="probability", id_column=id_column, ids=ids, columns=tuple(columns), labels=(label,))


def files_of(
    ids: Sequence[str], found: Sequence[tuple[str, Path]], *, images: Path
) -> tuple[list[tuple[str, Path]], tuple[str, ...]]:
    """Give the file of every id, in their order, and the names of images that no id stands for.

    An id is a path below the folder, a file's name, or that without its extension. Raises `SourceError` where an id
    has no image, or several.
    """
    by_name: dict[str, list[int]] = {}
    for number, (name, _) in enumerate(found):
        path = PurePosixPath(name)
        for known in {name, path.name, path.stem, str(path.with_suffix(""))}:
            by_name.setdefault(known, []).append(number)
    if missing := [own for own in ids if own not in by_name]:
        raise SourceError(
            f"{plural(len(missing), 'id')} of the sample {'has' if len(missing) == 1 else 'have'} no image in {images} "
            f"({_some(missing)}); its {plural(len(found), 'image')} begin with {_some([name for name, _ in found])}. "
            "Give the folder of this contest's test images."
        )
    if several := [own for own in ids if len(by_name[own]) > 1]:
        names = [found[number][0] for number in by_name[several[0]]]
        raise SourceError(f"The id {several[0]!r} of the sample stands for several images in {images}: {_some(names)}.")
    taken = [by_name[own][0] for own in ids]
    left_out = sorted(set(range(len(found))) - set(taken))
    return [found[number] for number in taken], tuple(found[number][0] for number in left_out)


def judged(run: Path, classifier: Classifier) -> Predictions | None:
    """Give the predictions by which a run's classifier was judged: out-of-fold for a solved head, else validation.

    Of many labels with thresholds: those of each fold chosen on the others.
    """
    choice = run_choice(run)
    chosen = choice.chosen if choice else ""
    solved = chosen.startswith("solved head") and not chosen.endswith("averaged")
    for name in ("out-of-fold", "valid") if solved else ("valid", "out-of-fold"):
        seen = kept_predictions(run, name, task=classifier.task, basis="chosen on")
        if seen is not None and len(seen.scored) > 1:
            return with_own_thresholds(seen, beta=classifier.thresholds.beta if classifier.thresholds else 1)
    return None


def expected(seen: Predictions, floor: float, *, beta: float = 1) -> tuple[Estimate, ...]:
    """Give log loss and accuracy with probabilities of at least `floor`; of many labels F-beta and the log loss."""
    scored = seen.scored
    if scored.task == "multi":
        kept = kept_off(scored.probabilities, floor)
        told = replace(scored, logits=(np.log(kept) - np.log1p(-kept))[:, np.newaxis].astype(np.float32))
        return quality(scored, beta=beta), log_loss(told)
    logits = np.log(np.maximum(floored(scored.probabilities, floor), np.finfo(np.float64).tiny))
    told = Predictions.from_logits(logits, scored.classes, truth=scored.truth, ids=scored.ids, basis=scored.basis)
    return log_loss(told), accuracy(told)


def shares(classifier: Classifier) -> Floats:
    """Give the share of each class among the training images (C,); equal ones where a classifier does not say.

    Of many labels the shares of the images that have each.
    """
    counts: Mapping[str, Any] = classifier.provenance.get("counts", {}).get("train", {})
    own = np.array([float(counts.get(label, 0)) for label in classifier.classes])
    if classifier.task == "multi":
        return np.asarray(own / max(float(classifier.provenance.get("train_images", 0)), own.max(), 1.0))
    return own / own.sum() if own.sum() else np.full(len(own), 1 / len(own))


def _rows(layout: Layout, piece: Predictions, prior: Floats, floor: float, ids: Sequence[str]) -> Iterator[list[str]]:
    told = np.where(piece.ok[:, None], piece.probabilities, prior)
    probabilities = floored(told, floor) if piece.task == "single" else kept_off(told, floor)
    limits = np.full(told.shape, 0.5) if piece.thresholds is None else piece.thresholds
    for place, (own, row) in enumerate(zip(ids, probabilities, strict=True)):
        if layout.kind == "class":
            yield [own, piece.classes[int(np.argmax(row))]]
        elif layout.kind == "labels":
            yield [own, _several(told[place], limits[place], piece.classes)]
        else:
            yield [own, *(f"{row[label]:.9g}" for label in layout.labels)]


def _several(told: Floats, limits: Floats, classes: Sequence[str]) -> str:
    """Give the labels that reach their thresholds, the likeliest first; where none does, the one that comes closest."""
    called = [label for label in np.argsort(-told, kind="stable") if told[label] >= limits[label]]
    names = [classes[label] for label in called or [int(np.argmax(told - limits))]]
    return between_labels(classes).join(names)


def _labels_of(sample: Path, columns: Sequence[str], classes: Sequence[str]) -> tuple[int, ...]:
    number = {label: place for place, label in enumerate(classes)}
    strange, missing = (
        [name for name in columns if name not in number],
        [name for name in classes if name not in columns],
    )
    if strange or missing:
        raise SourceError(
            f"{sample} has {plural(len(columns), 'column')} of probabilities, the classifier "
            f"{plural(len(classes), 'class', 'classes')}. Only in the sample: {_some(strange)}; "
            f"only in the classifier: {_some(missing)}. Fit with the contest's names (--rename OLD=NEW)."
        )
    return tuple(number[name] for name in columns)


def _positive(sample: Path, column: str, classes: Sequence[str], wanted: str | None) -> int:
    """Give the class whose probability a single column of numbers asks for."""
    if len(classes) != 2:
        raise SourceError(
            f"{sample} has one column of numbers, {column!r}: the probability of one of two classes; this classifier "
            f"has {len(classes)}: {_some(classes)}."
        )
    if wanted is not None:
        if wanted not in classes:
            raise OptionError(f"--positive {wanted}: wanted one of {', '.join(classes)}.")
        return list(classes).index(wanted)
    return list(classes).index(column) if column in classes else 1


def _names_a_class(cells: Sequence[str], classes: Sequence[str]) -> bool:
    return set(cells) <= set(classes)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (", ..." if len(names) > NAMED else "") or "none"


def _not_over_something_else(new: Path, path: Path) -> None:
    if path.exists() and path.read_bytes() != new.read_bytes():
        raise OptionError(f"-o {path} exists already, and holds something else: give another name.")
