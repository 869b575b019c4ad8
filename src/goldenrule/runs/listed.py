"""The runs of a folder: what each is of, how it stands, and its number."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from pathlib import Path

from goldenrule.core.errors import FormatError, SourceError
from goldenrule.core.schema import from_json
from goldenrule.metrics import Estimate
from goldenrule.runs.removal import size_of_run
from goldenrule.runs.verified_files import (
    ABOUT,
    RESULT,
    RunJson,
    is_run,
    run_about,
    run_choice,
    run_result,
    was_written,
)
from goldenrule.storage.manifest import Sealed

MOST_NAMED = 2
"""Steps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedRun:
    """A line of the list; `damaged` says why a run can't be read, and then most else is empty.

    `images` are those that could be read; all of them in a run without a result. `number` is the headline, measured on
    `split`; None where there is none yet.
    """

    folder: Path
    kind: str
    images: int
    classes: int
    changed: float  # seconds since 1970
    bytes: int
    chosen: str = ""
    split: str = ""
    number: Estimate | None = None
    damaged: str = ""


def listed_runs(folder: Path) -> list[ListedRun]:
    """Return the runs in a folder, by name. Raises `SourceError` where there is no such folder."""
    if not folder.is_dir():
        raise SourceError(f"{folder} is no folder. Runs are written to runs/, or where --out says; name it: --runs.")
    return [_listed(one) for one in sorted(folder.iterdir()) if one.is_dir() and is_run(one)]


def _listed(folder: Path) -> ListedRun:
    changed, size = _changed(folder), size_of_run(folder).bytes
    try:
        about = run_about(folder)
    except FormatError as error:
        return ListedRun(
            folder=folder, kind="damaged", images=0, classes=0, changed=changed, bytes=size, damaged=str(error)
        )
    run = ListedRun(
        folder=folder,
        kind=_kind(folder, about),
        images=about.images.count,
        classes=len(about.images.classes),
        changed=changed,
        bytes=size,
    )
    if not was_written(folder, RESULT):  # a comparison, or not so far yet
        return run
    try:
        result = run_result(folder)
        headline = dict(Sealed(folder).json(RESULT)["headline"])
        del headline["split"]
        number = from_json(headline, Estimate)
    except FormatError as error:
        return replace(run, damaged=str(error))
    kind = _kind(folder, about, little_expected=any(not one.tried for one in result.expectations))
    read = run.images if result.images is None else result.images
    return replace(run, kind=kind, images=read, chosen=result.chosen, split=result.headline.split, number=number)


def _kind(folder: Path, about: RunJson, *, little_expected: bool = False) -> str:
    if "search" in about.options:
        return "tuning"
    if "compare" in about.options:
        return "comparison"
    choice = None
    with contextlib.suppress(FormatError):
        choice = run_choice(folder)
    if choice is None or not choice.final:
        return "unfinished"
    training = about.options.get("training")
    if isinstance(training, dict):
        return f"trained, {training.get('type', '')}"
    if about.options.get("folds") is not None:
        return "average of folds"
    if choice.quick:
        return "quick fit" if about.quick else "quick fit, training begun"
    if choice.left_out:
        if len(choice.left_out) > MOST_NAMED:
            return f"{len(choice.left_out)} of the steps left out"
        return f"steps without {', '.join(map(str, choice.left_out))}"
    return "all steps expected to help" if little_expected else "all steps"


def _changed(folder: Path) -> float:
    place = folder / RESULT if (folder / RESULT).is_file() else folder / ABOUT
    return place.stat().st_mtime
