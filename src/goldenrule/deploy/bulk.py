"""Pictures to rows of predictions, one after another: memory does not grow with them, and what is written stays."""

from __future__ import annotations

import hashlib
import os
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, get_args

import numpy as np

from goldenrule.core.cells import between_labels, from_cell, separated, to_cell
from goldenrule.core.errors import OptionError, SourceError
from goldenrule.core.findings import Finding
from goldenrule.core.progress import Progress, Silent
from goldenrule.core.schema import as_json
from goldenrule.data.sources.streams import Picture, Pictures, pictures_of
from goldenrule.deploy.class_folders import ClassFolders, learned_from
from goldenrule.deploy.row_files import row_parts
from goldenrule.deploy.row_formats import RowFormat, copied, format_of, header
from goldenrule.metrics import Estimate, Predictions, value_and_interval
from goldenrule.metrics.predictions_csv import OOD, OUT, UNSURE, WhenOOD, rows_of
from goldenrule.metrics.uncertainty.drift import DriftTest
from goldenrule.models.classifier import Classifier
from goldenrule.models.graphs.compiled import check_threads
from goldenrule.storage.files import atomic_path, digest, json_digest, storage_errors
from goldenrule.storage.outputs import check_output, kept_open, written_into
from goldenrule.storage.tensors import tensors_content

if TYPE_CHECKING:
    from goldenrule.tasks.cluster.ray_cluster import Cluster

PIECE = 2_048
SHOWN, MOST_NAMES = 40, 1_000
"""So many rows are shown to people, and so many names of images that are out-of-distribution, or unreadable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicted:
    """What a prediction of files gave: rows for people, counts, and what went wrong.

    `ood` are images that are out-of-distribution, `unreadable` those without a prediction, the first thousand of each;
    `flagged` is the share of the former, undefined where the classifier knows of none. `findings` are on what was left
    out, and on drift. `went_on` is how many rows were there from before.
    """

    shown: tuple[dict[str, str], ...]
    counts: dict[str, int]
    statuses: dict[str, int]
    unreadable: tuple[str, ...]
    ood: tuple[str, ...]
    ood_count: int
    flagged: Estimate
    farther: Estimate
    images: int
    findings: tuple[Finding, ...] = ()
    folders: ClassFolders | None = None
    went_on: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RowRules:
    """What rows say: see `rows_of`; with `top` above 1 they have the columns class_1, probability_1, class_2 ..."""

    min_confidence: float = 0.0
    when_ood: WhenOOD = "flag"
    top: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.min_confidence <= 1:
            raise OptionError(f"--min-confidence {self.min_confidence}: wanted a probability from 0 to 1.")
        if self.when_ood not in get_args(WhenOOD):
            raise OptionError(f"--ood {self.when_ood}: wanted one of {', '.join(get_args(WhenOOD))}.")


@dataclass(slots=True, eq=False)
class Tally:
    """What is counted of rows while they come; parts of it are kept with the rows that were written."""

    statuses: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    ood: int = 0
    ood_names: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    shown: list[dict[str, str]] = field(default_factory=list)
    below: list[int] = field(default_factory=list)
    ties: list[int] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Take what another one has counted."""
        self.statuses.update(other.statuses)
        self.counts.update(other.counts)
        self.ood += other.ood
        for name, most in (("ood_names", MOST_NAMES), ("unreadable", MOST_NAMES), ("shown", SHOWN)):
            mine: list[Any] = getattr(self, name)
            mine += getattr(other, name)[: most - len(mine)]
        self.below = _added(self.below, other.below)
        self.ties = _added(self.ties, other.ties)

    @classmethod
    def of_json(cls, value: Mapping[str, Any]) -> Tally:
        """Return what `as_json` gave."""
        return cls(**{**value, "statuses": Counter(value["statuses"]), "counts": Counter(value["counts"])})


class Rows(Protocol):
    """Where rows go."""

    def add(self, rows: Sequence[Mapping[str, str]], pictures: str, counts: Tally) -> None:
        """Write rows; `pictures` is the digest of all pictures up to the last of them."""


def predict_files(
    classifier: Classifier,
    images: Sequence[str | Path],
    *,
    out: Path | None = None,
    rules: RowRules | None = None,
    sort_into: Path | None = None,
    exclude: Sequence[str] = (),
    threads: int | None = None,
    cluster: Cluster | None = None,
    progress: Progress | None = None,
) -> Predicted:
    """Predict pictures and write a row for each to `out` (.csv, .jsonl or .parquet); return a summary.

    `images` are what `pictures_of` takes: folders, pictures, patterns, lists, tables, archives, "-". The same call goes
    on where a killed one stopped. With `sort_into` each picture is copied into a folder of its class there; nothing is
    overwritten, and what is there already is not copied again. `exclude` are patterns of what is left out of folders.
    Workers of a `cluster` give the same rows, and what was begun here may go on there.
    """
    rules, progress = rules or RowRules(), progress or Silent()
    check_threads(threads)
    made = format_of(out) if out is not None else None
    if out is not None and made is not None:
        check_output(out, made.kind)
    pictures = pictures_of(images, exclude=exclude)
    folders = None
    if sort_into is not None:
        folders = ClassFolders.of(sort_into, classifier.classes, images, learned=learned_from(classifier))
    work = _Work(classifier, pictures, rules, folders, threads, progress, cluster)
    if out is None or made is None:
        work.run(_Nowhere())
    elif (into := written_into(out)) is not None:
        with kept_open(into) as file:
            work.run(_Straight(file, made, work.columns))
    else:
        _resumed(work, Path(os.path.realpath(out)), made, list(exclude))  # a link stays, its file is written
    if folders:
        folders.clear_leftovers()
    return work.summary()


class _Work:
    """One pass over pictures."""

    def __init__(
        self,
        classifier: Classifier,
        pictures: Pictures,
        rules: RowRules,
        folders: ClassFolders | None,
        threads: int | None,
        progress: Progress,
        cluster: Cluster | None,
    ) -> None:
        self.classifier, self.pictures, self.rules, self.folders = classifier, pictures, rules, folders
        self.threads, self.progress, self.cluster = threads, progress, cluster
        self.columns = columns_of(classifier, rules)
        self.tally, self.went_on = Tally(), 0

    def run(self, rows: Rows, *, done: int = 0, known: str = "") -> None:
        """Predict all pictures but the first `done`, which have to be those whose digest is `known`.

        Raises `_OtherPictures` where they are not.
        """
        seen, ahead = hashlib.blake2b(digest_size=32), deque[Picture]()

        def left() -> Iterator[Picture]:
            count = 0
            for picture in self.pictures:
                if count == done and done and seen.hexdigest() != known:
                    raise _OtherPictures
                count += 1
                if count <= done:
                    seen.update(_identity(picture))
                    continue
                ahead.append(picture)
                yield picture
            if count < done or (count == done and done and seen.hexdigest() != known):
                raise _OtherPictures

        for block in self._predictions(left(), done):
            of_block = [ahead.popleft() for _ in block.ids]
            for picture in of_block:
                seen.update(_identity(picture))
            made, counted = self._rows(block)
            if self.folders:
                self._sort(of_block, made, self.folders)
            rows.add(made, seen.hexdigest(), counted)
            self.tally.add(counted)

    def _predictions(self, left: Iterator[Picture], done: int) -> Iterator[Predictions]:
        if self.cluster is not None:
            from goldenrule.tasks.cluster.picture_worker import predictions_on

            return predictions_on(self.cluster, self.classifier, left, rows=PIECE, progress=self.progress)
        total = None if self.pictures.total is None else max(self.pictures.total - done, 0)
        each = ((picture.name, picture.read) for picture in left)
        return self.classifier.stream(each, total=total, rows=PIECE, threads=self.threads, progress=self.progress)

    def _rows(self, block: Predictions) -> tuple[list[dict[str, str]], Tally]:
        classifier, counted = self.classifier, Tally()
        made = rows_of(
            block,
            min_confidence=self.rules.min_confidence,
            when_ood=self.rules.when_ood,
            reasons=True,
            told=True,
        )
        rows = [with_top(row, self.rules.top) for row in made]
        for row in rows:
            counted.statuses[row["status"]] += 1
            counted.counts.update(self._labels(row))
            if row["status"] not in ("ok", UNSURE, OUT):
                counted.unreadable.append(from_cell(row["path"]))
            if row.get("ood") == OOD:
                counted.ood += 1
                counted.ood_names.append(from_cell(row["path"]))
        counted.ood_names, counted.unreadable = counted.ood_names[:MOST_NAMES], counted.unreadable[:MOST_NAMES]
        counted.shown = rows[: max(SHOWN - len(self.tally.shown), 0)]
        if classifier.ood_detector and block.distance is not None:
            ranks = DriftTest(classifier.ood_detector.held_out)
            ranks.add(block.distance)
            counted.below, counted.ties = ranks.below.tolist(), ranks.ties.tolist()
        return rows, counted

    def _labels(self, row: Mapping[str, str]) -> list[str]:
        told = from_cell(row["prediction"])
        several = (
            separated(told, between_labels(self.classifier.classes)) if self.classifier.task == "multi" else [told]
        )
        return [label for label in several if label]

    def _sort(self, pictures: Sequence[Picture], rows: Sequence[Mapping[str, str]], folders: ClassFolders) -> None:
        for picture, row in zip(pictures, rows, strict=True):
            if picture.path is None:
                raise OptionError("--sort-into copies files, and these pictures lie in an archive: unpack it first.")
            folders.put(picture.path, row["status"], self._labels(row))

    def summary(self) -> Predicted:
        """Return what came of it."""
        tally, detector = self.tally, self.classifier.ood_detector
        readable = sum(count for status, count in tally.statuses.items() if status in ("ok", UNSURE, OUT))
        drift = DriftTest(detector.held_out if detector else np.zeros(0, np.float32))
        if tally.below:
            drift.below, drift.ties = np.array(tally.below), np.array(tally.ties)
        farther = drift.share()
        found = [_drift(farther)] if drift.found else []
        return Predicted(
            shown=tuple(tally.shown),
            counts=dict(tally.counts),
            statuses=dict(tally.statuses),
            unreadable=tuple(tally.unreadable),
            ood=tuple(tally.ood_names),
            ood_count=tally.ood,
            flagged=Estimate.of_share("ood", tally.ood, readable if detector else 0),
            farther=farther,
            images=sum(tally.statuses.values()),
            findings=(*self.pictures.findings, *found),
            folders=self.folders,
            went_on=self.went_on,
        )


class _OtherPictures(Exception):
    """The pictures are others than those whose rows are there."""


class _Nowhere:
    def add(self, rows: Sequence[Mapping[str, str]], pictures: str, counts: Tally) -> None:
        """Keep nothing."""


class _Straight:
    """Rows that go into a pipe or a terminal at once."""

    def __init__(self, file: BinaryIO, made: RowFormat, columns: Sequence[str]) -> None:
        if made.name == "parquet":
            raise OptionError("A Parquet file can't be written into a pipe: name a file.")
        self.file, self.made, self.columns = file, made, columns
        if made.name == "csv":
            file.write(header(columns))

    def add(self, rows: Sequence[Mapping[str, str]], pictures: str, counts: Tally) -> None:  # noqa: ARG002
        """Write rows as they come."""
        self.file.write(self.made.encode(rows, self.columns))
        self.file.flush()


class _Parts:
    """Rows that become parts of a file."""

    def __init__(self, parts: Any, made: RowFormat, columns: Sequence[str]) -> None:
        self.parts, self.made, self.columns = parts, made, columns

    def add(self, rows: Sequence[Mapping[str, str]], pictures: str, counts: Tally) -> None:
        """Write rows as a part, which stays."""
        self.parts.add(len(rows), self.made.encode(rows, self.columns), pictures, as_json(counts))


def _resumed(work: _Work, out: Path, made: RowFormat, exclude: list[str]) -> None:
    """Predict to a file; go on behind the rows that an earlier command has written."""
    about = {
        "classifier": identity_of(work.classifier),
        "device": work.classifier.device,
        "rules": as_json(work.rules),
        "format": made.name,
        "images": list(work.pictures.arguments),
        "exclude": exclude,
    }
    with row_parts(out, about) as parts:
        rows = _Parts(parts, made, work.columns)
        done = sum(part.rows for part in parts.parts)
        if done:
            work.progress.say(f"{done:,} rows are there already: going on behind them.")
            for part in parts.parts:
                work.tally.add(Tally.of_json(part.counts))
            work.went_on = done
        try:
            work.run(rows, done=done, known=parts.parts[-1].pictures if done else "")
        except _OtherPictures:
            if not work.pictures.again:
                raise SourceError(
                    f"The list on standard input is another one than that of the {done:,} rows in {parts.folder}. Give "
                    "that one again, or remove the folder."
                ) from None
            work.progress.say("The pictures are others than before: all rows are made anew.")
            parts.clear()
            work.tally, work.went_on = Tally(), 0
            work.run(rows)
        with atomic_path(out) as temporary, storage_errors(out), temporary.open("wb") as file:
            made.finish(copied(parts.paths()), work.columns, file)


def identity_of(classifier: Classifier) -> str:
    """Return what changes when a prediction may: head, backbone, views, thresholds, sets and OOD detector."""
    tensors = digest(tensors_content(classifier.head.tensors)).hex()
    held_out = digest(classifier.ood_detector.held_out.tobytes()).hex() if classifier.ood_detector else ""
    return json_digest({"head": tensors, "held_out": held_out, **as_json(classifier)})


def _identity(picture: Picture) -> bytes:
    return f"{picture.name}\0{picture.stamp}\n".encode("utf-8", "surrogateescape")


def with_top(row: dict[str, str], top: int) -> dict[str, str]:
    """Return a row with the columns class_1, probability_1 ... of its `top` most probable classes, where 2 or more."""
    if top < 2:
        return row
    likely = [(float(cell), name.removeprefix("p:")) for name, cell in row.items() if name.startswith("p:") and cell]
    likely.sort(key=lambda pair: -pair[0])
    for rank in range(1, top + 1):
        value, label = likely[rank - 1] if rank <= len(likely) else (None, "")
        row[f"class_{rank}"] = to_cell(label)
        row[f"probability_{rank}"] = "" if value is None else f"{value:.9g}"
    return row


def columns_of(classifier: Classifier, rules: RowRules) -> list[str]:
    """Return the columns of a row, in order."""
    top = [name for rank in range(1, rules.top + 1) for name in (f"class_{rank}", f"probability_{rank}")]
    return [
        *("path", "status", "prediction", "probability"),
        *(["set"] if classifier.sets else []),
        *(["ood", "distance"] if classifier.ood_detector else []),
        "reason",
        *(top if rules.top > 1 else []),
        *(f"p:{label}" for label in classifier.classes),
    ]


def _added(one: list[int], other: list[int]) -> list[int]:
    return [first + second for first, second in zip(one, other, strict=True)] if one and other else one or other


def _drift(farther: Estimate) -> Finding:
    return Finding(
        severity="warning",
        code="drift",
        fields={"share": value_and_interval(farther), "n": farther.n},
    )
