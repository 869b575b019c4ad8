"""`Run`: the folder of one story: what it is about, its lock, its split, and the steps it can replay.

RUN/run.json         which images and options this story is about
RUN/split.csv        path, part, class and digest of every image: the split never changes again
RUN/images.arrow     the same images with all that is known of them, and where they lie
RUN/story/*          outcomes of finished steps, by the hash of all that led to them (law 7), with checksums
RUN/epochs/*         where it was asked for: a classifier of every so many epochs, as the weights stood then
RUN/classifier/      the classifier: safetensors and JSON
RUN/predictions/*    one CSV per part
RUN/result.json      the numbers, for programs
RUN/report.html      the numbers, for people
RUN/report/*         what the report says, to make its page again
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from goldenrule.evaluation import Basis, Predictions, Task
from goldenrule.evaluation.predictions_csv import from_csv
from goldenrule.foundation.errors import FormatError, RunMismatch
from goldenrule.foundation.files import (
    canonical_json,
    digest,
    json_digest,
    read_json,
    remove_leftovers,
    write_atomic,
    write_json,
)
from goldenrule.foundation.lock import only_writer
from goldenrule.foundation.tensors import Tensors, read_tensors, tensors_content
from goldenrule.images.kept import keep_table, kept_table
from goldenrule.images.stretches import with_blocks
from goldenrule.images.table import PARTS, ImageTable, Part
from goldenrule.training.history import EpochRow

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a step gave: arrays and a JSON object."""

    tensors: Tensors
    facts: Mapping[str, Any]


class Run:
    """The folder of one story, open for writing by this process alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def split_file(self) -> Path:
        """Where the split is written."""
        return self.folder / "split.csv"

    def begin(self, about: Mapping[str, Any], table: ImageTable) -> None:
        """Write down what the story is about, once; `table` is split."""
        if not (self.folder / "run.json").exists():
            write_atomic(self.split_file, _split_text(table))
            keep_table(self.folder / "images.arrow", table)
            write_json(self.folder / "run.json", {"schema_version": SCHEMA_VERSION, **about})

    def step(self, key: Mapping[str, Any], compute: Callable[[], Outcome]) -> tuple[Outcome, bool]:
        """Give the outcome of a step and whether it was replayed from an earlier run of the same step."""
        path = self.folder / "story" / f"{json_digest(dict(key))[:32]}.safetensors"
        if path.exists():
            with contextlib.suppress(FormatError):
                return read_outcome(path), True
        outcome = compute()
        write_outcome(path, outcome)
        return outcome, False

    def journaled(self, key: str, out_of_time: Callable[[EpochRow], bool]) -> Callable[[EpochRow], bool]:
        """Write a decision of the clock down before it is obeyed, and obey what was written (law 6)."""
        path = self.folder / "story" / f"{key[:32]}.stopped.json"

        def decided(row: EpochRow) -> bool:
            if path.exists():
                return row.epoch >= int(read_json(path)["after_epoch"])
            if out_of_time(row):
                write_json(path, {"after_epoch": row.epoch})
                return True
            return False

        return decided


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[Run]:
    """Open a run for writing; a second writer gets `RunInUse` with the pid of the first."""
    with only_writer(folder, instead="another --out"):
        for part in (folder, folder / "story", folder / "predictions", folder / "epochs"):
            remove_leftovers(part)
        yield Run(folder)


def about_images(table: ImageTable) -> dict[str, Any]:
    """Return what identifies the images of a story: content, names, classes, given parts and what is kept together."""
    rows = zip(table.uris, table.parts, table.rows["labels"].to_pylist(), table.digests, strict=True)
    listed = [[uri, part, labels, d.hex() if d else None] for uri, part, labels, d in rows]
    groups = table.rows["group"].to_pylist()
    places = table.places if any(place is not None for place in table.places) else None
    content = canonical_json([*listed, *([groups] if any(groups) else []), *([places] if places else [])])
    return {
        "folder": str(table.root.resolve()),
        "count": len(table),
        "classes": list(table.classes),
        "digest": digest(content.encode()).hex(),
    }


def differences(folder: Path, about: Mapping[str, Any], table: ImageTable) -> list[str]:
    """Say in words how the story in `folder` differs from `about`; nothing where there is no story yet."""
    if not (folder / "run.json").exists():
        return []
    before = read_json(folder / "run.json", newest_schema=SCHEMA_VERSION)
    found = []
    for name in sorted({*before["options"], *about["options"]}):
        old, new = before["options"].get(name), about["options"].get(name)
        if old != new:
            found.append(f"{name.replace('_', '-')} was {old!r}, now {new!r}")
    if before["images"]["digest"] != about["images"]["digest"]:
        found.append(_image_differences(folder, before["images"], table))
    return found


def check_same(folder: Path, about: Mapping[str, Any], table: ImageTable) -> None:
    """Raise `RunMismatch`, naming the differences, unless the folder is free or holds this very story."""
    found = differences(folder, about, table)
    if found:
        raise RunMismatch(
            f"{folder} holds another story: {'; '.join(found)}. Nothing was changed. Give the options and images "
            "of then to go on with it, or another --out."
        )


def drew_split(folder: Path) -> bool:
    """Say whether the folder holds a run that drew its split: parts that were given, as by a fold, are its alone."""
    path = folder / "run.json"
    return path.exists() and read_json(path, newest_schema=SCHEMA_VERSION).get("split") != "given"


def known_split(folder: Path) -> dict[bytes, Part]:
    """Give the part of every image of a run, by digest; empty where the folder holds no run that drew its split."""
    if not drew_split(folder):
        return {}
    with (folder / "split.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["part"] in PARTS and row["digest"]]
    return {bytes.fromhex(row["digest"]): row["part"] for row in rows}  # type: ignore[misc]


def kept_predictions(folder: Path, part: str, *, task: Task, basis: Basis = "clean") -> Predictions | None:
    """Return what a run's classifier said of a part ("test", "valid", "out-of-fold"); None where it has no such file.

    With the groups or blocks of the run's images.
    """
    path, images = folder / "predictions" / f"{part}.csv", folder / "images.arrow"
    if not path.is_file():
        return None
    said = from_csv(path.read_text(encoding="utf-8"), task=task, basis=basis)
    return with_blocks(said, kept_table(images)) if images.is_file() else said


def _split_text(table: ImageTable) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", "part", "class", "digest"])
    labels = table.rows["labels"].to_pylist()
    for uri, part, own, file_digest in zip(table.uris, table.parts, labels, table.digests, strict=True):
        names = " ".join(table.classes[label] for label in own)
        writer.writerow([uri, part, names, file_digest.hex() if file_digest else ""])
    return text.getvalue()


def _image_differences(folder: Path, before: Mapping[str, Any], table: ImageTable) -> str:
    own = str(table.root.resolve())
    if before["folder"] != own:
        return f"its images are those of {before['folder']} ({before['count']:,}), now {own} ({len(table):,})"
    with (folder / "split.csv").open(newline="", encoding="utf-8") as file:
        old = {row["path"]: row["digest"] for row in csv.DictReader(file)}
    new = {uri: d.hex() if d else "" for uri, d in zip(table.uris, table.digests, strict=True)}
    counts = {
        "added": len(new.keys() - old.keys()),
        "removed": len(old.keys() - new.keys()),
        "changed": sum(old[uri] != new[uri] for uri in old.keys() & new.keys()),
    }
    listed = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count) or "labels or parts changed"
    return f"the images differ ({listed})"


def write_outcome(path: Path, outcome: Outcome) -> None:
    """Write an outcome as one safetensors file with its checksum, atomically."""
    write_atomic(path, tensors_content(outcome.tensors, facts=json.dumps(dict(outcome.facts), allow_nan=False)))


def read_outcome(path: Path) -> Outcome:
    """Read what `write_outcome` wrote; a damaged file is a `FormatError`."""
    tensors, texts = read_tensors(path)
    try:
        return Outcome(tensors, json.loads(texts["facts"]))
    except (KeyError, ValueError) as error:
        raise FormatError(f"{path} is damaged: {error}.") from error
