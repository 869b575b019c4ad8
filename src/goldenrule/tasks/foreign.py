"""`evaluate`: how good a classifier is on labelled images from elsewhere, and whether that is what was promised."""

from __future__ import annotations

import datetime
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goldenrule.core.errors import FormatError, OptionError, SourceError, UnreadableImage, system_errors
from goldenrule.core.findings import Finding
from goldenrule.core.messages import Message
from goldenrule.core.progress import Progress, Silent
from goldenrule.core.reason import Reason
from goldenrule.core.schema import as_json
from goldenrule.data.classes import Renaming, with_class_map, with_classes
from goldenrule.data.pictures.decode import decode
from goldenrule.data.pictures.file_digests import with_digests
from goldenrule.data.pictures.unread import unreadable
from goldenrule.data.sources.label_tables import from_source
from goldenrule.data.sources.left_out import unusable_classes
from goldenrule.data.sources.split_folders import split_called
from goldenrule.data.table import ImageTable
from goldenrule.metrics import (
    Estimate,
    Predictions,
    log_loss,
    mean_set_size,
    per_class,
    quality,
    set_coverage,
    value_and_interval,
)
from goldenrule.metrics.estimate import Basis
from goldenrule.metrics.predictions_csv import to_csv
from goldenrule.metrics.uncertainty.promise import Promise, promise_kept
from goldenrule.models.classifier import Classifier
from goldenrule.runs.verified_files import IMAGES, RESULT, kept_predictions, run_images, run_result
from goldenrule.storage.files import json_digest, read_json, write_atomic, write_json
from goldenrule.storage.lock import check_no_links
from goldenrule.storage.outputs import check_place, shown_path

SCHEMA_VERSION = 2
PAGE, NUMBERS, ROWS = "evaluation.html", "evaluation.json", "predictions.csv"
FOLDER = "evaluations"


@dataclass(frozen=True, kw_only=True, eq=False)
class Evaluation:
    """What a classifier makes of labelled images: `predictions` with their truth, and the numbers that follow.

    `promise` compares them with the images that its run was evaluated on, None where there is no such run. `beta` is
    what F-beta stands for where an image has several labels. `folder` is where page, numbers and predictions were
    written, None where nothing was.
    """

    name: str
    table: ImageTable
    predictions: Predictions
    classifier: Classifier
    promise: Promise | None
    findings: tuple[Finding, ...]
    seconds: float
    beta: float = 1
    folder: Path | None = None

    @cached_property
    def quality(self) -> Estimate:
        """The accuracy; of several labels an image F-beta averaged over images."""
        return quality(self.predictions, beta=self.beta)

    @cached_property
    def log_loss(self) -> Estimate:
        """The log loss in nats."""
        return log_loss(self.predictions)

    @cached_property
    def sets(self) -> tuple[Estimate, Estimate] | None:
        """How often the prediction sets hold the true class, and how many classes they have; None without sets."""
        if self.classifier.sets is None:
            return None
        sets = self.classifier.sets.sets(self.predictions)
        return set_coverage(self.predictions, sets), mean_set_size(self.predictions, sets)

    @cached_property
    def ood(self) -> Estimate | None:
        """The share of images that are out-of-distribution; None where that can't be told."""
        ood_detector = self.classifier.ood_detector
        return ood_detector.flagged(self.predictions, basis=Basis.HELD_OUT) if ood_detector else None

    @property
    def sentences(self) -> tuple[str, ...]:
        """What was found, in words, the most important first."""
        said = [f"{self.promise.sentence[0].upper()}{self.promise.sentence[1:]}."] if self.promise else []
        if self.sets:
            coverage, size = self.sets
            rule = self.classifier.sets
            assert rule is not None
            said.append(
                f"Prediction sets target {100 * rule.coverage:g} % coverage: here {value_and_interval(coverage)}, "
                f"{value_and_interval(size)} classes a set."
            )
        if self.ood and self.classifier.ood_detector:
            said.append(
                f"Out-of-distribution: {value_and_interval(self.ood)} of the images; "
                f"{100 * self.classifier.ood_detector.rate:.2g} % or less are expected of images of the same kind."
            )
        return tuple(said)

    def __repr__(self) -> str:
        return f"Evaluation({self.name}: {self.quality.name} {self.quality}, log loss {self.log_loss})"


@system_errors()
def evaluate(
    run: str | os.PathLike[str],
    source: str | os.PathLike[str] | ImageTable,
    *,
    classifier: Classifier | None = None,
    rename: Renaming | None = None,
    skip_unknown: bool = False,
    out: str | os.PathLike[str] | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Evaluate a classifier on labelled images from elsewhere: a folder, a table, `from_csv(...)`.

    `run` is the folder of a run, or of a classifier alone; `classifier` that of the run, where it was loaded before
    (one with a head or backbone of your own). Classes are matched by name: `rename`
    gives new names for those of the images (None leaves a class out), `skip_unknown` leaves out the classes that the
    classifier does not know. Images with the very bytes of a training image of the run are left out, and counted.
    With `out` a page, the numbers and the predictions are written there.

    Raises `SourceError` where there is no such run or no labelled image, `OptionError` where a class is unknown,
    naming it, or nothing is left to evaluate.
    """
    began, progress = time.perf_counter(), progress or Silent()
    run, classifier = Path(run), classifier or Classifier.load(Path(run))
    table = source if isinstance(source, ImageTable) else from_source(source, group_by="none")
    asked = _source(table, skip_unknown)
    if out is not None:
        _check_out(Path(out), table, run, asked)
        check_no_links(run)
    if rename:
        table = with_classes(table, rename)
    table = with_class_map(table, classifier.classes, task=classifier.task, skip_unknown=skip_unknown)
    table = with_digests(table.only_labelled(), progress=progress)
    if not len(table):
        raise OptionError(f"{table.root} has no image of a class that the classifier knows: nothing can be evaluated.")
    asked_for = table
    _check_some_new(table, run)
    predictions = classifier.predict_table(table, threads=threads, progress=progress)
    table, new, promised = _apart(table, run, classifier, predictions.ok)
    predictions = predictions.select(new)
    if not len(predictions.scored):
        if learned := len(asked_for) - len(table):
            raise SourceError(
                f"Nothing is left to evaluate: {learned:,} of the {len(asked_for):,} images of {table.root} are "
                "training images of the run, and the others can't be read."
            )
        raise SourceError(f"None of the {len(table):,} images of {table.root} can be read.")
    closed = {
        uri: _why_closed(table, uri, classifier)
        for uri, read, opened in zip(table.uris, predictions.ok, table.digests, strict=True)
        if not read and opened is not None
    }
    table = table.with_findings(*([unreadable(closed)] if closed else []), *_lost(asked_for, predictions))
    beta = float(classifier.thresholds.beta) if classifier.thresholds else 1.0
    promise = _promise(promised, predictions, beta)
    if promised is not None and promise is None:
        table = table.with_findings(Finding(severity="note", code="no-promise", fields={"split": promised[0]}))
    found = Evaluation(
        name=name_of(table),
        table=table,
        predictions=predictions,
        classifier=classifier,
        promise=promise,
        findings=_told(table),
        beta=beta,
        seconds=time.perf_counter() - began,
    )
    return _written(found, Path(out), run, asked) if out is not None else found


def _why_closed(table: ImageTable, uri: str, classifier: Classifier) -> Reason:
    try:
        decode(table.read(uri), levels=classifier.preprocessing.levels)
    except OSError as error:
        return Reason(error.strerror or str(error))
    except UnreadableImage as error:
        return error.reason
    return Reason("can't be read as a picture")


def _lost(table: ImageTable, predictions: Predictions) -> Iterator[Finding]:
    """Return a finding on classes of the images that were asked for of which none is evaluated."""
    read = {uri for uri, ok in zip(predictions.ids, predictions.ok, strict=True) if ok}
    evaluated = set(predictions.ids)
    learned = not evaluated.issuperset(table.uris)
    why = "none can be read, or the classifier has learned from them" if learned else "none can be read"
    return unusable_classes(table, [uri in read for uri in table.uris], why)


def name_of(table: ImageTable) -> str:
    """Return what to call images: their folder's name, with that of the one above where it only names a split."""
    root = table.place
    return f"{root.parent.name}-{root.name}" if split_called(root.name) else table.name


def default_out(run: Path, table: ImageTable, *, skip_unknown: bool = False) -> Path:
    """Return where an evaluation is written: RUN/evaluations/NAME, with a number where NAME is another one."""
    name = name_of(table)
    number, folder = 1, run / FOLDER / name
    while folder.exists() and _source_of(folder) != _source(table, skip_unknown):
        number += 1
        folder = run / FOLDER / f"{name}-{number}"
    return folder


def _source(table: ImageTable, skip_unknown: bool) -> str:
    """Return what tells one evaluation from another: its images, what their classes are called, what is left out."""
    return json_digest([str(table.place), table.uris, table.classes, skip_unknown])[:32]


def _source_of(folder: Path) -> str | None:
    try:
        return str(read_json(folder / NUMBERS).get("source"))
    except (FormatError, OSError):
        return None


def _check_out(folder: Path, table: ImageTable, run: Path, asked: str) -> None:
    """Raise `OptionError` unless a folder is free, or holds the evaluation that is asked for."""
    if folder.is_file():
        raise OptionError(f"--out {folder} is a file; wanted a folder for {PAGE}, {NUMBERS} and {ROWS}.")
    check_place(folder / PAGE, instead="Give another folder with --out.")
    if folder.resolve() in {table.place, run.resolve()}:
        raise OptionError(f"--out {folder} holds the images, or the run. Give a folder of its own.")
    if folder.is_dir() and any(folder.iterdir()) and _source_of(folder) != asked:
        raise OptionError(f"--out {folder} holds something else. Nothing was changed: give a new folder.")


def _learned(run: Path) -> dict[bytes, str]:
    """Return the digests of the training images of a run, and their names."""
    if not (run / IMAGES).is_file():
        return {}
    images = run_images(run)
    return {
        digest: uri
        for digest, split, uri in zip(images.digests, images.splits, images.uris, strict=True)
        if digest and split == "train"
    }


def _check_some_new(table: ImageTable, run: Path) -> None:
    """Raise `OptionError` where a run has learned from every image."""
    learned = _learned(run)
    if learned.keys() >= set(table.digests):
        raise OptionError(
            f"All {len(table):,} images of {table.root} are training images of {run}: they were learned by heart, and "
            "say nothing of others. Give images that it has not seen."
        )


def _apart(
    table: ImageTable, run: Path, classifier: Classifier, read: NDArray[np.bool_]
) -> tuple[ImageTable, NDArray[np.bool_], tuple[str, Predictions] | None]:
    """Leave out what the run has learned from, and give what it promised of other images than these.

    `read` (n,) says which images can be read: from others nobody has learned. Returns the images that are left, which
    rows they were (n,), and the promise.
    """
    if not (run / IMAGES).is_file():
        return table, np.ones(len(table), dtype=bool), None
    images, learned = run_images(run), _learned(run)
    splits = {
        digest: split
        for digest, split in zip(images.digests, images.splits, strict=True)
        if digest and split != "train"
    }
    known = np.array([digest in learned for digest in table.digests], dtype=bool) & read
    left = table.where(~known)
    if known.any():
        left = left.with_findings(
            Finding(
                severity="warning",
                code="learned-from",
                fields={"n": int(known.sum())},
                evidence=tuple(
                    uri if uri == learned[digest] else f"{uri} = {learned[digest]}"
                    for uri, digest, one in zip(table.uris, table.digests, known, strict=True)
                    if one and digest
                ),
            )
        )
    seen = Counter(splits[digest] for digest, one in zip(table.digests, read, strict=True) if one and digest in splits)
    if seen:
        counts = tuple(
            Message("seen.split", {"n": count, "split": str(split)}) for split, count in sorted(seen.items(), key=str)
        )
        left = left.with_findings(
            Finding(
                severity="note",
                code="seen-before",
                fields={"n": seen.total(), "counts": counts},
            )
        )
    return left, ~known, _promised(run, images, {digest for digest in left.digests if digest}, classifier)


def _promised(
    run: Path, table: ImageTable, without: set[bytes], classifier: Classifier
) -> tuple[str, Predictions] | None:
    """Return the split that the run's headline rests on, and its predictions but for some images."""
    if not (run / RESULT).is_file():
        return None
    headline = run_result(run).headline
    split = headline.split
    said = kept_predictions(run, split, task=classifier.task, basis=headline.basis)
    if said is None:
        return None
    if classifier.thresholds:
        said = classifier.thresholds.apply(said)
    digests = dict(zip(table.uris, table.digests, strict=True))
    said = said.select([digests.get(name) not in without for name in said.ids])
    return (split, said) if len(said.scored) else None


def _promise(promised: tuple[str, Predictions] | None, found: Predictions, beta: float) -> Promise | None:
    if promised is None:
        return None
    split, said = promised
    try:
        return promise_kept(said, found, split=split, beta=beta)
    except OptionError:  # no class in common
        return None


@as_json.register(Evaluation)
def _(value: Evaluation) -> Any:
    single = value.predictions.task == "single"
    return as_json(
        {
            "schema_version": SCHEMA_VERSION,
            "images": len(value.predictions),
            "status": value.predictions.status_counts,
            "task": value.predictions.task,
            "classes": value.predictions.classes,
            value.quality.name.replace(" ", "_"): value.quality,
            "log_loss": value.log_loss,
            "per_class": [
                {"class": score.name, "images": score.support, "recall": score.recall}
                | {"precision": score.precision, "f1": score.f1}
                for score in per_class(value.predictions)
                if score.support or not single
            ],
            "confusion": _confusion(value.predictions) if single else None,
            "promise": value.promise,
            "sets": {one.name.replace(" ", "_"): one for one in value.sets} if value.sets else None,
            "ood": value.ood,
            "sentences": value.sentences,
            "findings": value.findings,
            "seconds": round(value.seconds, 3),
        }
    )


def _told(table: ImageTable) -> tuple[Finding, ...]:
    """Return the findings but those on splits, which an evaluation does not have."""
    return tuple(finding for finding in table.findings if finding.code not in ("class-missing", "folders-ignored"))


def _confusion(predictions: Predictions) -> dict[str, dict[str, int]]:
    scored = predictions.scored
    counts = Counter(zip(scored.truth.tolist(), scored.predicted.tolist(), strict=True))
    table: dict[str, dict[str, int]] = {}
    for (truth, called), count in sorted(counts.items()):
        table.setdefault(scored.classes[truth], {})[scored.classes[called]] = count
    return table


def _written(found: Evaluation, folder: Path, run: Path, source: str) -> Evaluation:
    from goldenrule.report.pages.evaluation_page import render_evaluation

    created = datetime.datetime.now().astimezone()
    write_atomic(folder / ROWS, to_csv(found.predictions))
    about: Mapping[str, Any] = {
        "created": created.isoformat(timespec="seconds"),
        "run": shown_path(run),
        "folder": shown_path(found.table.root),
        "source": source,
    }
    write_json(folder / NUMBERS, {**as_json(found), **about})

    def image(uri: str) -> bytes | None:
        try:
            return found.table.read(uri)
        except OSError:
            return None

    page = render_evaluation(
        title=found.name,
        created=f"{created:%Y-%m-%d %H:%M %Z}",
        predictions=found.predictions,
        quality=found.quality,
        scores=(found.quality, found.log_loss),
        sentences=found.sentences,
        broken=found.promise is not None and found.promise.outcome == "broken",
        findings=found.findings,
        image=image,
    )
    write_atomic(folder / PAGE, page)
    return replace(found, folder=folder)
