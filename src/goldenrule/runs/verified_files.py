"""What is read of a run's folder: each file is compared with the run's manifest, then with its type.

Raises `FormatError` for a file that is damaged, was changed, or holds what no run writes.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from goldenrule.core.errors import FormatError, OptionError
from goldenrule.core.schema import Count, Digest, Name, as_type
from goldenrule.data.splits.stretches import with_blocks
from goldenrule.data.table import SPLITS, ImageTable, Split
from goldenrule.data.table_file import table_of
from goldenrule.metrics import Basis, Estimate, Predictions, Task
from goldenrule.metrics.predictions_csv import from_csv
from goldenrule.storage.manifest import Sealed, is_sealed

SCHEMA_VERSION = 3
"""Of run.json; 2: with a manifest."""
ABOUT, SPLIT, IMAGES, CHOICE, RESULT = "run.json", "split.csv", "images.arrow", "choice.json", "result.json"
COLUMNS = ("path", "split", "class", "digest")
T = TypeVar("T")


class ImagesJson(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Which images a run is about."""

    folder: str
    count: Count
    classes: tuple[Name, ...]
    digest: Digest


class RunJson(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What a run is about."""

    schema_version: Literal[3]
    images: ImagesJson
    options: dict[str, Any]
    split: Literal["drawn", "given"]
    quick: bool
    """Whether there were quick fits alone so far."""


class TestScored(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Which classifier was scored on the test split, by the digest of its files, and on which day (UTC)."""

    __test__ = False

    classifier: Digest
    chosen: str
    day: str


class LeftOut(msgspec.Struct, frozen=True, kw_only=True):
    """A step that --minutes had no time for; `after_epoch`: where it was begun, the epoch after which it was ended."""

    step: Name
    after_epoch: Count = 0

    def __str__(self) -> str:
        return f"{self.step} after epoch {self.after_epoch}" if self.after_epoch else self.step


class ChoiceJson(msgspec.Struct, kw_only=True):
    """Which candidate was chosen, written before the test split is opened; every one that was scored there."""

    chosen: str
    final: bool = True
    quick: bool = False
    left_out: tuple[LeftOut, ...] = ()
    test_scored: tuple[TestScored, ...] = ()


class Headline(msgspec.Struct, kw_only=True):
    """The number that leads."""

    split: str
    basis: Basis


class Stage(msgspec.Struct, kw_only=True):
    """How long a stage took."""

    name: str
    seconds: Annotated[float, msgspec.Meta(ge=0)]


class Numbers(msgspec.Struct, kw_only=True):
    """The numbers of a split; accuracy only where images have one label each."""

    basis: Basis
    n: Count
    accuracy: float | None = None
    low: float | None = None
    high: float | None = None
    method: str = ""

    def estimate(self) -> Estimate | None:
        """Return the accuracy; None where there is none."""
        if self.accuracy is None or self.low is None or self.high is None:
            return None
        return Estimate(
            name="accuracy",
            value=self.accuracy,
            low=self.low,
            high=self.high,
            n=self.n,
            method=self.method,
            kind="share",
            basis=self.basis,
        )


class VerdictJson(msgspec.Struct, kw_only=True):
    """What came of a comparison with the candidate that was the best before."""

    against: str
    better: bool
    asked_for: bool


class CandidateJson(msgspec.Struct, kw_only=True):
    """One of those that a run has chosen from."""

    name: str
    evaluated_on: Literal["out-of-fold", "valid"]
    comparison: str | None = None
    verdict: VerdictJson | None = None
    valid: Numbers | None = None


class BackbonesJson(msgspec.Struct, kw_only=True):
    """Which backbone was chosen."""

    chosen: str


class ExpectationJson(msgspec.Struct, kw_only=True):
    """Whether an attempt of a fit was made, or left out because little was expected of it."""

    attempt: Name
    tried: bool


class ResultJson(msgspec.Struct, kw_only=True):
    """What commands read of result.json: it holds more, for people and programs."""

    schema_version: Literal[2]
    headline: Headline
    chosen: str
    stages: list[Stage]
    candidates: list[CandidateJson]
    backbones: BackbonesJson | None
    valid: Numbers | None
    test: Numbers | None
    out_of_fold: Numbers | None
    expectations: list[ExpectationJson] = []
    images: Count | None = None  # that could be read; earlier versions did not say it

    @property
    def evaluated_on(self) -> str:
        """What the chosen candidate was evaluated on."""
        return next((candidate.evaluated_on for candidate in self.candidates if candidate.name == self.chosen), "valid")

    def numbers(self, split: str) -> Numbers | None:
        """Return the numbers of "test", "valid" or "out-of-fold"."""
        return {"test": self.test, "valid": self.valid, "out-of-fold": self.out_of_fold}.get(split)


def is_run(folder: Path) -> bool:
    """Return whether a folder holds a run, finished or not."""
    return (folder / ABOUT).is_file()


def was_written(folder: Path, name: str) -> bool:
    """Return whether a run has written a file, also where it is gone since: who reads it is told so."""
    return is_sealed(folder) and name in Sealed(folder)


def run_about(folder: Path) -> RunJson:
    """Return what a run is about."""
    value = Sealed(folder).json(ABOUT, schema=SCHEMA_VERSION)
    options = value.get("options")
    earlier = isinstance(options, dict) and options.pop("quick", False)  # an option, before a fit went on from one
    if isinstance(options, dict):
        options.pop("minutes", None)  # too: what a clock decided stands with the steps
    return as_type({"quick": earlier, **value}, RunJson, what=str(folder / ABOUT))


def run_images(folder: Path) -> ImageTable:
    """Return the images of a run, with all that was known of them."""
    return table_of(Sealed(folder).read(IMAGES), folder / IMAGES)


def run_result(folder: Path) -> ResultJson:
    """Return the numbers of a run that was ended, or paused."""
    return _some_fields(folder, RESULT, ResultJson)


def run_choice(folder: Path) -> ChoiceJson | None:
    """Return which candidate a run has chosen; None where it has not come so far."""
    return _some_fields(folder, CHOICE, ChoiceJson) if was_written(folder, CHOICE) else None


def split_rows(folder: Path) -> list[dict[str, str]]:
    """Return path, split, class and digest of every image of a run."""
    path = folder / SPLIT
    try:
        rows = list(csv.DictReader(io.StringIO(Sealed(folder).read(SPLIT).decode(), newline="")))
    except (UnicodeDecodeError, csv.Error) as error:
        raise FormatError(f"{path} can't be read as CSV: {error}.") from error
    for row in rows:
        if tuple(row) != COLUMNS or None in row.values() or row["split"] not in ("", *SPLITS):
            raise FormatError(f"{path} has a row {list(row.values())}; wanted {', '.join(COLUMNS)}.")
    return rows


def drew_split(folder: Path) -> bool:
    """Return whether the folder holds a run that drew its split: given ones, as by a fold, are its alone."""
    return is_run(folder) and run_about(folder).split == "drawn"


def known_split(folder: Path) -> dict[bytes, Split]:
    """Return the part of every image of a run, by digest; empty where the folder holds no run that drew its split."""
    if not drew_split(folder):
        return {}
    rows = [row for row in split_rows(folder) if row["split"] and row["digest"]]
    try:
        return {bytes.fromhex(row["digest"]): row["split"] for row in rows}  # type: ignore[misc]
    except ValueError as error:
        raise FormatError(f"{folder / SPLIT} has a digest that is none: {error}.") from error


def kept_predictions(folder: Path, split: str, *, task: Task, basis: Basis = Basis.HELD_OUT) -> Predictions | None:
    """Return what a run's classifier said of a split ("test", "valid", "out-of-fold"); None where it has no such file.

    With the groups or blocks of the run's images.
    """
    name = f"predictions/{split}.csv"
    if not is_sealed(folder) or name not in (files := Sealed(folder)):
        return None
    try:
        said = from_csv(files.read(name).decode(), task=task, basis=basis)
    except (UnicodeDecodeError, FormatError, OptionError) as error:
        raise FormatError(f"{folder / name}: {error} Fit again.") from error
    return with_blocks(said, table_of(files.read(IMAGES), folder / IMAGES))


def _some_fields(folder: Path, name: str, kind: type[T]) -> T:
    return as_type(Sealed(folder).json(name), kind, what=str(folder / name), whole=False)
