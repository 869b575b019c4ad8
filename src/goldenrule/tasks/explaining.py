"""`explain`: what the classifier of a run says of new images, its nearest training images, and where it looked."""

from __future__ import annotations

import datetime
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np

from goldenrule.analysis.explanation import Explained, Explanation
from goldenrule.analysis.gradcam import HeatMap, HeatMaps, window
from goldenrule.analysis.nearest_images import nearest, with_copies
from goldenrule.core.errors import (
    BackboneError,
    FormatError,
    MissingExtra,
    OptionError,
    UnreadableImage,
    system_errors,
)
from goldenrule.core.progress import Progress, Silent
from goldenrule.core.schema import as_json
from goldenrule.data.augmentation.augment import PLAIN
from goldenrule.data.pictures.file_digests import digested
from goldenrule.data.pictures.header import header
from goldenrule.data.pictures.preprocess import Preprocessing
from goldenrule.data.sources.folders import image_files
from goldenrule.data.sources.picture_files import read_picture
from goldenrule.data.table import ImageTable, image_table
from goldenrule.engines import EngineKind
from goldenrule.features.extractor import FeatureExtractor, Features
from goldenrule.features.scoring import predictions_from
from goldenrule.metrics import Predictions
from goldenrule.models.graphs.compiled import serving_kind
from goldenrule.runs.finished import check_run_first
from goldenrule.storage.files import json_digest, read_json, write_atomic, write_json
from goldenrule.storage.outputs import check_place, holds_others
from goldenrule.tasks.reopened import Reopened, reopened

SCHEMA_VERSION = 2
PAGE, NUMBERS = "explained.html", "explained.json"
MOST_OTHERS = 3


@system_errors()
def explain(
    run: str | os.PathLike[str],
    images: str | os.PathLike[str] | Iterable[str | Path],
    *,
    k: int = 5,
    of: str | None = None,
    out: str | os.PathLike[str] | None = None,
    heat: bool = True,
    exclude: Sequence[str] = (),
    threads: int | None = None,
    progress: Progress | None = None,
) -> Explained:
    """Explain what the classifier of a finished run says of images: files, a folder, or several of them.

    Each has its prediction, the `k` nearest training images as that network sees them, and with `heat` the heat map of
    the predicted class, or of the class `of`. Writes a page and its numbers to `out` where that is given. Where the
    run's images are gone its training images are named only; where captum is not installed there are no heat maps: the
    notes say so. `exclude` are patterns of what is left out of folders. An image that can't be read has its status and
    nothing else.
    """
    progress = progress or Silent()
    if k < 1:
        raise OptionError(f"-k {k}: wanted how many nearest images to show, at least 1.")
    check_run_first("explain", run, images)
    several = [images] if isinstance(images, str | os.PathLike) else list(images)
    files = image_files(several, exclude=exclude)
    again = reopened(Path(run), threads=threads, progress=progress, gone=True)
    if of is not None and of not in again.classifier.classes:
        HeatMaps(again.classifier).of([], [of])  # says what classes there are
    folder = Path(out).expanduser() if out is not None else None
    if folder is not None:
        check_free(folder, asked(again.folder, files, of))
    found = explained(again, files, k=k, of=of, heat=heat, progress=progress)
    if folder is not None:
        write_explained(found, folder, asked(again.folder, files, of))
    return found


def explained(
    again: Reopened,
    files: Sequence[tuple[str, Path]],
    *,
    k: int,
    of: str | None,
    heat: bool,
    progress: Progress,
) -> Explained:
    """Return the explanations of (name, path) pairs; nothing is written but rows of the cache."""
    seconds: list[tuple[str, float]] = []
    train = again.table.split("train").only_labelled()
    extractor = _extractor(again)
    with _timed(seconds, "nearest images"):
        known = extractor.features(train)
        asked_table, closed = digested(_as_table(files), progress=progress)
        seen = extractor.features(asked_table)
        near = nearest(asked_table, seen, train, known, k=k)
        neighbours = with_copies(near, asked_table, train, threads=again.threads, progress=progress)
    with _timed(seconds, "predictions"):
        predictions = _predictions(again, files, asked_table, seen, extractor.kind)
    ok, predicted = predictions.ok, predictions.probabilities
    ood_detector = again.classifier.ood_detector
    ood = ood_detector.is_ood(predictions) if ood_detector else np.zeros(len(files), np.bool_)
    best = [
        again.classifier.classes[int(row.argmax())] if fine else "" for row, fine in zip(predicted, ok, strict=True)
    ]
    readable = [place for place in range(len(files)) if ok[place]]
    with _timed(seconds, "heat maps"):
        heats, notes = _heats(again, files, readable, [of or name for name in best], wanted=heat, progress=progress)
    if not again.table.is_there:
        notes += (f"The training images are no longer in {again.table.root}: they are named, and not shown.",)
    if len(train) and not any(neighbours_of.nearest for neighbours_of in neighbours) and readable:
        notes += ("No features of a training image are cached, and the images are gone: none is near.",)
    reasons = closed | seen.failures
    return Explained(
        run=again.folder,
        train=train.where(known.has(train.digests)),
        explanations=tuple(
            Explanation(
                id=name,
                path=path,
                status=str(predictions.status[place]),
                why="" if ok[place] else str(reasons.get(str(path.resolve()), "can't be read")),
                prediction=best[place],
                probability=float(predicted[place].max()) if ok[place] else float("nan"),
                neighbours=neighbours[place],
                heat=heats.get(place),
                ood=bool(ood[place]),
                others=next_classes(predictions, place) if ok[place] else (),
                cut_away=_cut_away(path, again.classifier.preprocessing) if ok[place] else 0.0,
            )
            for place, (name, path) in enumerate(files)
        ),
        notes=notes,
        seconds=tuple(seconds),
    )


def next_classes(predictions: Predictions, row: int, most: int = MOST_OTHERS) -> tuple[tuple[str, float], ...]:
    """Return the classes behind the most probable one with their probabilities."""
    chances = predictions.probabilities[row]
    order = np.argsort(-chances, kind="stable")[1 : most + 1]
    return tuple((predictions.classes[label], float(chances[label])) for label in order)


def _cut_away(path: Path, preprocessing: Preprocessing) -> float:
    """Return the share of a picture's area that the network does not see, 0 where it can't be told."""
    try:
        found = header(read_picture(path))
    except (OSError, UnreadableImage):
        return 0.0
    height, width = (found.width, found.height) if found.orientation > 4 else (found.height, found.width)
    left, top, right, bottom = (min(max(share, 0.0), 1.0) for share in window(preprocessing, height, width))
    return 1 - (right - left) * (bottom - top)


def asked(run: Path, files: Sequence[tuple[str, Path]], of: str | None) -> dict[str, object]:
    """Return what tells one question from another: the run, the images and the class."""
    listed = json_digest([str(run.resolve()), *(str(path.resolve()) for _, path in files)])[:32]
    return {"run": run.resolve().name, "images": len(files), "digest": listed, "class": of}


def check_free(folder: Path, question: dict[str, object]) -> None:
    """Raise `OptionError` where a folder holds something else than an answer to this very question."""
    if folder.is_file():
        raise OptionError(f"-o {folder} is a file; wanted a folder for {PAGE} and {NUMBERS}.")
    check_place(folder / PAGE, instead="Give another folder with -o.")
    if holds_others(folder, (PAGE, NUMBERS)):
        raise OptionError(f"-o {folder} holds something else. Nothing was changed: give a new folder.")
    if (folder / NUMBERS).exists() or (folder / PAGE).exists():
        try:
            before = read_json(folder / NUMBERS).get("asked")
        except FormatError:
            before = None
        if before != question:
            raise OptionError(f"-o {folder} holds the explanation of other images. Nothing was changed: give another.")


def free_folder(base: Path, question: dict[str, object]) -> Path:
    """Return the folder for an answer: NAME where it is free or answers this question, else NAME-2, NAME-3 ..."""
    number, folder = 1, base
    while True:
        try:
            check_free(folder, question)
        except OptionError:
            number += 1
            folder = base.with_name(f"{base.name}-{number}")
        else:
            return folder


def write_explained(found: Explained, folder: Path, question: dict[str, object]) -> None:
    """Write the page and the numbers."""
    from goldenrule.report.pages.explained_page import render_explained

    created = datetime.datetime.now().astimezone()
    write_atomic(folder / PAGE, render_explained(found, f"{created:%Y-%m-%d %H:%M %Z}"))
    write_json(
        folder / NUMBERS,
        {
            "schema_version": SCHEMA_VERSION,
            "asked": question,
            "created": created.isoformat(timespec="seconds"),
            "notes": list(found.notes),
            "seconds": {name: round(took, 3) for name, took in found.seconds},
            "images": as_json(found.explanations),
        },
    )


def _extractor(again: Reopened) -> FeatureExtractor:
    """Return the extractor of the classifier's own backbone: the run's where it has not been trained."""
    same = again.backbone.spec == again.classifier.backbone.spec
    return again.extractor if same else again.extractor_of(again.classifier.backbone)


def _as_table(files: Sequence[tuple[str, Path]]) -> ImageTable:
    """Return new files as unlabelled images; an absolute name stands for itself below any root."""
    paths = [str(path.resolve()) for _, path in files]
    nothing: list[None] = [None] * len(files)
    return image_table(Path("/"), (), uris=paths, splits=nothing, labels=[[]] * len(files))


def _predictions(
    again: Reopened, files: Sequence[tuple[str, Path]], table: ImageTable, seen: Features, kind: EngineKind
) -> Predictions:
    """Return what `predict` gives: from the cache's rows where they are what it looks at."""
    classifier = again.classifier
    if classifier.views != (PLAIN,) or serving_kind(classifier.backbone, classifier.engine) != kind:
        return classifier.predict_files(list(files), threads=again.threads, progress=again.progress)
    return predictions_from(classifier, seen, table.digests, ids=[name for name, _ in files])


def _heats(
    again: Reopened,
    files: Sequence[tuple[str, Path]],
    readable: Sequence[int],
    classes: Sequence[str],
    *,
    wanted: bool,
    progress: Progress,
) -> tuple[dict[int, HeatMap], tuple[str, ...]]:
    """Return the heat map of each readable image by its place, and why there are none."""
    if not wanted or not readable:
        return {}, ()
    readers = [partial(read_picture, files[place][1]) for place in readable]
    try:
        found = HeatMaps(again.classifier).of(readers, [classes[place] for place in readable], progress=progress)
    except (MissingExtra, BackboneError) as error:
        return {}, (str(error),)
    except (OSError, UnreadableImage) as error:  # files can change meanwhile
        return {}, (f"There are no heat maps: an image has changed since it was predicted ({error}).",)
    return dict(zip(readable, found, strict=True)), ()


@contextmanager
def _timed(seconds: list[tuple[str, float]], name: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    seconds.append((name, time.perf_counter() - began))
