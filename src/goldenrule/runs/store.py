"""`Run`: the folder of one run: what it is about, its lock, its split, and the steps it can replay.

RUN/manifest.json    size and digest of every file that a later command reads
RUN/run.json         which images and options this run is about
RUN/split.csv        path, split, class and digest of every image: the split never changes again
RUN/images.arrow     the same images with all that is known of them, and where they lie
RUN/steps/*          outcomes of finished steps, by the hash of all that led to them (law 7), with checksums
RUN/epochs/*         where it was asked for: a classifier of every so many epochs, as the weights stood then
RUN/classifier/      the classifier: safetensors and JSON
RUN/predictions/*    one CSV per split
RUN/result.json      the numbers, for programs
RUN/report.html      the numbers, for people
RUN/MODEL_CARD.md    the same in short, to go with the classifier
RUN/report/*         what the report says, to make its page again
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec

from goldenrule.core.cells import csv_text
from goldenrule.core.errors import FormatError, InputError, OptionError, RunError, RunMismatch
from goldenrule.core.option import options_of, spelled
from goldenrule.core.schema import Count, Name, as_type, parse_json
from goldenrule.data.containers.objects import written
from goldenrule.data.sources.origin import some_names
from goldenrule.data.table import ImageTable
from goldenrule.data.table_file import table_content
from goldenrule.runs.history import EpochRow
from goldenrule.runs.options import FitOptions
from goldenrule.runs.verified_files import (
    ABOUT,
    CHOICE,
    COLUMNS,
    IMAGES,
    SCHEMA_VERSION,
    SPLIT,
    ImagesJson,
    is_run,
    run_about,
    split_rows,
    was_written,
)
from goldenrule.storage.files import (
    json_digest,
    list_digest,
    write_atomic,
)
from goldenrule.storage.lock import only_writer
from goldenrule.storage.manifest import MANIFEST, Sealed, recorded, write_recorded, write_recorded_json
from goldenrule.storage.tensors import Tensors, read_tensors, tensors_content
from goldenrule.storage.unfinished import remove_leftovers

ROWS_AT_ONCE = 10_000
NAMES = frozenset(
    {
        "manifest.json",
        "split.csv",
        "images.arrow",
        "steps",
        "epochs",
        "classifier",
        "predictions",
        "result.json",
        "choice.json",
        "report.html",
        "MODEL_CARD.md",
        "report",
        "labels",
        "review",
        "learning-curve",
        "evaluations",
        "default",
        "entries",
        "tune.csv",
        "tune.json",
        "tune.html",
        "comparison.csv",
        "comparison.json",
        "comparison.html",
    }
)
"""What a run calls its files and folders."""
_STEP = re.compile(r"[0-9a-f]{32}\.|\.goldenrule-")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a step gave: arrays and a JSON object."""

    tensors: Tensors
    facts: Mapping[str, Any]


class Run:
    """The folder of one run, open for writing by this process alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def begin(self, about: Mapping[str, Any], table: ImageTable) -> None:
        """Write down what the run is about; `table` is split. A whole fit makes a run of quick fits its own."""
        if not is_run(self.folder):
            write_recorded(self.folder, SPLIT, _split_text(table))
            write_recorded(self.folder, IMAGES, table_content(table))
        elif about["quick"] or not run_about(self.folder).quick:
            return
        write_recorded_json(self.folder, ABOUT, {"schema_version": SCHEMA_VERSION, **about})

    def write(self, name: str, content: bytes | str) -> None:
        """Write a file of the run that later commands read, with its record in the manifest."""
        write_recorded(self.folder, name, content)

    def write_json(self, name: str, value: Any) -> None:
        """Write a JSON file as `write` does."""
        write_recorded_json(self.folder, name, value)

    def step(
        self,
        key: Mapping[str, Any],
        compute: Callable[[], Outcome],
        *,
        check: Callable[[Outcome], object] | None = None,
    ) -> tuple[Outcome, bool]:
        """Return the outcome of a step and whether it was replayed from an earlier run of the same step.

        What is damaged, or not what `check` takes for an outcome of this step, is computed again.
        """
        path = self.folder / "steps" / _outcome_name(key)
        if path.exists():
            with contextlib.suppress(FormatError):
                outcome = read_outcome(path)
                if check:
                    _checked(outcome, check)
                return outcome, True
        outcome = compute()
        write_outcome(path, outcome)
        return outcome, False

    def journaled(self, key: str, out_of_time: Callable[[EpochRow], bool]) -> Callable[[EpochRow], bool]:
        """Write a decision of the clock down before it is obeyed, and obey what was written (law 6)."""
        name = f"steps/{key[:32]}.stopped.json"

        def decided(row: EpochRow) -> bool:
            if was_written(self.folder, name):
                value = Sealed(self.folder).json(name)
                if last := as_type(value, _Stopped, what=str(self.folder / name)).after_epoch:
                    return row.epoch >= last
            if out_of_time(row):
                self.write_json(name, {"after_epoch": row.epoch, "outcome": _outcome_name({"learner": key})})
                return True
            return False

        return decided

    def forget_stops(self) -> None:
        """Let fits that the clock has ended go on from their checkpoints: their outcomes are not replayed any more."""
        for path in sorted((self.folder / "steps").glob("*.stopped.json")):
            stopped = as_type(Sealed(self.folder).json(f"steps/{path.name}"), _Stopped, what=str(path))
            (self.folder / "steps" / stopped.outcome).unlink(missing_ok=True)
            self.write_json(f"steps/{path.name}", {"after_epoch": 0, "outcome": stopped.outcome})


class _Stopped(msgspec.Struct, forbid_unknown_fields=True):
    """After which epoch the clock has ended a fit, 0 where it goes on, and the file of its outcome."""

    after_epoch: Count
    outcome: Name = "none"


def _outcome_name(key: Mapping[str, Any]) -> str:
    return f"{json_digest(dict(key))[:32]}.safetensors"


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[Run]:
    """Open a run for writing; a second writer gets `RunInUse` with the pid of the first.

    A new one that ends without a result, as its images can't be learned from, leaves nothing.
    """
    check_ours(folder)
    new = not folder.exists()
    with only_writer(folder, instead="another --out"):
        for place in (folder, folder / "steps", folder / "predictions", folder / "epochs"):
            remove_leftovers(place)  # of a writer that was killed before its run.json, too
        try:
            yield Run(folder)
        except (InputError, OptionError):
            if new and not was_written(folder, CHOICE):
                for name in (*NAMES, ABOUT):
                    _remove(folder / name)
            raise


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def check_ours(folder: Path) -> None:
    """Raise `RunError` where a folder is no run, and holds anything else: a run would lie scattered among it.

    A run that was killed before it had written run.json holds at most its first steps, its split and its table. What
    is hidden stays beside a run, such as the lock, or what a file manager leaves.
    """
    if is_run(folder) or not folder.is_dir():
        return
    there = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    if (folder / MANIFEST).is_file():
        with contextlib.suppress(FormatError):
            there -= {MANIFEST, *recorded(folder)}
    split, state = folder / SPLIT, folder / "steps"
    if SPLIT in there and split.is_file():
        with split.open("rb") as file:
            if file.readline() == f"{','.join(COLUMNS)}\n".encode():
                there -= {SPLIT, IMAGES}
    if "steps" in there and state.is_dir() and all(_STEP.match(path.name) for path in state.iterdir()):
        there -= {"steps"}
    if there:
        raise RunError(
            f"{folder} holds something else ({some_names(sorted(there), 3)}), and is no run of goldenrule's (it has no "
            "run.json). Nothing was changed: give another --out, such as a new folder."
        )


def about_images(table: ImageTable) -> dict[str, Any]:
    """Return what identifies the images of a run: content, names, classes, given parts and what is kept together."""
    listed = ([uri, split, labels, d.hex() if d else None] for uri, split, labels, d in _each(table))
    groups = table.rows["group"].to_pylist() if _has_values(table, "group") else []
    places = table.places if _has_values(table, "place") else None
    content = chain(listed, [groups] if any(groups) else [], [places] if places else [])
    return {
        "folder": written(table.place),
        "count": len(table),
        "classes": list(table.classes),
        "digest": list_digest(content),
    }


def _has_values(table: ImageTable, column: str) -> bool:
    """Return whether any image has a value in a column."""
    return bool(table.rows[column].null_count < len(table))


def _each(table: ImageTable) -> Iterator[tuple[str, str | None, list[int], bytes | None]]:
    """Yield what is known of each image; of a million images a few thousand are Python's values at a time."""
    for rows in table.rows.select(["uri", "split", "labels", "digest"]).to_batches(max_chunksize=ROWS_AT_ONCE):
        yield from zip(*(column.to_pylist() for column in rows.columns), strict=True)


def differences(folder: Path, about: Mapping[str, Any], table: ImageTable) -> str:
    """Return in words what the run in `folder` was made with instead of `about`, "" where that is the same.

    Such as "other options (seed 1 instead of 0)", as what follows "was made with".
    """
    if not is_run(folder):
        return ""
    before = run_about(folder)
    names = sorted({*before.options, *about["options"]})
    pairs = [(name, before.options.get(name), about["options"].get(name)) for name in names]
    options = [f"{_said(name, old)} instead of {_said(name, new)}" for name, old, new in pairs if old != new]
    found = [f"other options ({'; '.join(options)})"] if options else []
    if before.images.digest != about["images"]["digest"]:
        found.append(f"other images ({_image_differences(folder, before.images, table)})")
    return " and ".join(found)


def _said(name: str, value: object) -> str:
    """Return an option as words of the command line.

    >>> _said("seed", 1), _said("start_from", None), _said("beta", 2.0), _said("training", {"type": "fromzero"})
    ('--seed 1', 'no --from', '--beta 2', 'training {"type": "fromzero"}')
    """
    known = options_of(FitOptions)
    word = spelled(name, known[name])[-1] if name in known else name.replace("_", "-")
    if value is None or value is False:
        return f"no {word}"
    if value is True:
        return word
    if isinstance(value, float):
        return f"{word} {value:g}"
    return f"{word} {value if isinstance(value, str) else json.dumps(value, default=str)}"


def check_same(folder: Path, about: Mapping[str, Any], table: ImageTable) -> None:
    """Raise `RunMismatch`, naming the differences, unless the folder is free or holds this very run."""
    if found := differences(folder, about, table):
        raise RunMismatch(
            f"{folder} was made with {found}. Nothing was changed. Give those again to continue it, or another --out."
        )


def _split_text(table: ImageTable) -> str:
    def rows() -> Iterator[Sequence[str | None]]:
        yield COLUMNS
        for uri, split, indices, file_digest in _each(table):
            names = " ".join(table.classes[label] for label in indices)
            yield [uri, split, names, file_digest.hex() if file_digest else ""]

    return csv_text(rows())


def _image_differences(folder: Path, before: ImagesJson, table: ImageTable) -> str:
    name = written(table.place)
    if before.folder != name:
        return f"{before.folder}, {before.count:,}, instead of {name}, {len(table):,}"
    old = {row["path"]: row["digest"] for row in split_rows(folder)}
    new = {uri: d.hex() if d else "" for uri, d in zip(table.uris, table.digests, strict=True)}
    counts = {
        "added": len(new.keys() - old.keys()),
        "removed": len(old.keys() - new.keys()),
        "changed": sum(old[uri] != new[uri] for uri in old.keys() & new.keys()),
    }
    return ", ".join(f"{count:,} {what}" for what, count in counts.items() if count) or "labels or splits changed"


def write_outcome(path: Path, outcome: Outcome) -> None:
    """Write an outcome as one safetensors file with its step and checksum, atomically."""
    facts = json.dumps(dict(outcome.facts), allow_nan=False)
    write_atomic(path, tensors_content(outcome.tensors, facts=facts, step=_step(path)))


def read_outcome(path: Path) -> Outcome:
    """Read what `write_outcome` wrote; a damaged file, or that of another step, is a `FormatError`."""
    tensors, texts = read_tensors(path)
    try:
        facts = parse_json(texts["facts"].encode())
        if texts["step"] != _step(path) or not isinstance(facts, dict):
            raise ValueError("it belongs to another step")
        return Outcome(_Kept(path, tensors), _Kept(path, facts))
    except (KeyError, ValueError) as error:
        raise FormatError(f"{path} is damaged: {error}.") from error


def _checked(outcome: Outcome, check: Callable[[Outcome], object]) -> None:
    """Raise `FormatError` where an outcome is none of its step, whatever is wrong with it."""
    try:
        check(outcome)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise FormatError(f"That is no outcome of this step ({type(error).__name__}: {error}).") from error


class _Kept(dict[str, Any]):
    """What a file of a step holds: what it lacks is told by the file's name."""

    def __init__(self, path: Path, values: Mapping[str, Any]) -> None:
        super().__init__(values)
        self._path = path

    def __missing__(self, name: str) -> Any:
        raise FormatError(f"{self._path} holds no {name!r}: it was not written by this step. Remove it and fit again.")


def _step(path: Path) -> str:
    """Return the key of the step that a file's name begins with."""
    return path.name.split(".", 1)[0]
