"""Two finished runs, compared on the images that both were evaluated on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from goldenrule.core.errors import OptionError, system_errors
from goldenrule.core.findings import plural
from goldenrule.core.schema import as_json
from goldenrule.data.sources.origin import some_names
from goldenrule.metrics import (
    Comparison,
    Estimate,
    McNemar,
    Predictions,
    accuracy,
    log_loss,
    mcnemar,
    paired_bootstrap,
)
from goldenrule.metrics.estimate import Basis
from goldenrule.runs.finished import check_finished
from goldenrule.runs.verified_files import kept_predictions, run_images, run_result

EvaluatedSplit = Literal["test", "valid", "out-of-fold"]
LEAST = 2
"""So few images can be compared at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedRuns:
    """What two runs say of the same images; `left_out` counts, by reason, those that only one was evaluated on.

    `right` is None where images have several labels.
    """

    names: tuple[str, str]
    split: EvaluatedSplit
    estimates: Mapping[str, tuple[Estimate, Estimate]]
    gains: Mapping[str, Comparison]
    right: McNemar | None
    left_out: Mapping[str, int]

    @property
    def n(self) -> int:
        """On how many images they were compared."""
        return self.gains["log loss"].gain.n

    @property
    def basis(self) -> Basis:
        """Whether these images helped to choose one of them."""
        return self.gains["log loss"].gain.basis

    @property
    def sentences(self) -> tuple[str, ...]:
        """The results in plain words."""
        right = (self.right.sentence(*self.names),) if self.right else ()
        return (*right, self.gains["log loss"].sentence(*self.names))

    def __repr__(self) -> str:
        return f"ComparedRuns({'; '.join(self.sentences)})"


@as_json.register(ComparedRuns)
def _(value: ComparedRuns) -> Any:
    return as_json(
        {
            "schema_version": 2,
            "runs": value.names,
            "split": value.split,
            "basis": value.basis,
            "n": value.n,
            "estimates": value.estimates,
            "gains": {
                name: {
                    "gain": one.gain,
                    "probability_better": one.probability_better,
                    "better": one.better,
                    "images_needed": one.images_needed,
                }
                for name, one in value.gains.items()
            },
            "mcnemar": None if value.right is None else _right_json(value.right),
            "left_out": value.left_out,
            "sentences": value.sentences,
        }
    )


@system_errors()
def compare_runs(
    first: str | Path, second: str | Path, *, split: EvaluatedSplit | Literal["auto"] = "auto"
) -> ComparedRuns:
    """Compare two finished runs on their common images, which are known by their bytes.

    `split` is what both must have evaluated an image in; "auto" takes test, else valid, else out-of-fold (of the linear
    heads), whichever is the first that has two common images. Images that one run evaluates and the other learned from
    are left out, and counted.
    Raises `SourceError` where a folder holds no finished run, `OptionError` where there are no such images or the
    classes differ.
    """
    if split not in ("auto", *get_args(EvaluatedSplit)):
        raise OptionError(f"--on {split}: wanted auto, {', '.join(get_args(EvaluatedSplit))}.")
    a, b = _EvaluatedRun(Path(first)), _EvaluatedRun(Path(second))
    wanted: tuple[EvaluatedSplit, ...] = get_args(EvaluatedSplit) if split == "auto" else (split,)
    for wished in wanted:
        pair, left_out = _common(a, b, wished)
        if pair is not None:
            return _compared(_names(a, b), wished, *pair, left_out)
    reasons = "; ".join(f"{plural(count, 'image')} {reason}" for reason, count in left_out.items())
    raise OptionError(
        f"{first} and {second} have no {LEAST} common images in {' or '.join(wanted)}{reasons and f': {reasons}'}. "
        "Fit both on the same folder with the same seed (--seed), so that both are evaluated by the same images."
    )


def _compared(
    names: tuple[str, str], split: EvaluatedSplit, a: Predictions, b: Predictions, left_out: Mapping[str, int]
) -> ComparedRuns:
    single = a.task == "single"
    estimates = {"log loss": (log_loss(a), log_loss(b))}
    gains = {"log loss": paired_bootstrap(a, b)}
    if single:
        estimates = {"accuracy": (accuracy(a), accuracy(b)), **estimates}
        gains = {"accuracy": paired_bootstrap(a, b, metric="accuracy"), **gains}
    right = mcnemar(a, b) if single else None
    return ComparedRuns(names=names, split=split, estimates=estimates, gains=gains, right=right, left_out=left_out)


class _EvaluatedRun:
    """A finished run: what it said of which images, by the digest of their bytes."""

    def __init__(self, folder: Path) -> None:
        check_finished(folder)
        self.folder = folder
        result, table = run_result(folder), run_images(folder)
        self.splits: dict[bytes, str | None] = {}
        for file_digest, split in zip(table.digests, table.splits, strict=True):
            if file_digest is not None and self.splits.get(file_digest) != "train":
                self.splits[file_digest] = split  # of equal files in several splits: what was learned from counts
        digests = dict(zip(table.uris, table.digests, strict=True))
        self.said: dict[str, Predictions] = {}
        self.copies: dict[str, int] = {}
        for name in get_args(EvaluatedSplit):
            if not (numbers := result.numbers(name)):
                continue
            seen = kept_predictions(folder, name, task=table.task, basis=numbers.basis)
            if seen is not None:
                self.said[name] = _by_digest(seen.scored, digests)
                self.copies[name] = len(seen.scored) - len(self.said[name])


def _by_digest(seen: Predictions, digests: Mapping[str, bytes | None]) -> Predictions:
    """Return predictions whose ids are the digests of the files, in hex; of equal files the first."""
    first: dict[str, int] = {}
    for row, name in enumerate(seen.ids):
        if (digest := digests.get(name)) is not None:
            first.setdefault(digest.hex(), row)
    return replace(seen.select(list(first.values())), ids=tuple(first))


def _common(
    a: _EvaluatedRun, b: _EvaluatedRun, split: EvaluatedSplit
) -> tuple[tuple[Predictions, Predictions] | None, dict[str, int]]:
    """Return what both said of their common images in a split, if there are enough, and why others are left out."""
    of_a, of_b = a.said.get(split), b.said.get(split)
    if of_a is None or of_b is None:
        return None, {}
    if of_a.task != of_b.task:
        raise OptionError(f"{a.folder} and {b.folder} differ: one label an image, and several. Nothing is common.")
    _check_same_classes(a, b, of_a.classes, of_b.classes)
    of_b = of_b.aligned_to(of_a.classes)
    rows_a, rows_b = ({name: row for row, name in enumerate(seen.ids)} for seen in (of_a, of_b))
    names, reasons, common = _names(a, b), Counter[str](), list[tuple[int, int]]()
    if copies := max(a.copies[split], b.copies[split]):
        reasons["with the very bytes of another, which counts once"] = copies
    for image in dict.fromkeys((*rows_a, *rows_b)):
        if why := _why(a, image, image in rows_a, split, names[0]) or _why(b, image, image in rows_b, split, names[1]):
            reasons[why] += 1
        elif (of_a.truth[rows_a[image]] != of_b.truth[rows_b[image]]).any():
            reasons["labelled otherwise in the other run"] += 1
        else:
            common.append((rows_a[image], rows_b[image]))
    left_out = dict(sorted(reasons.items()))
    if len(common) < LEAST:
        return None, left_out
    return (of_a.select([row for row, _ in common]), of_b.select([row for _, row in common])), left_out


def _check_same_classes(a: _EvaluatedRun, b: _EvaluatedRun, of_a: Sequence[str], of_b: Sequence[str]) -> None:
    if set(of_a) == set(of_b):
        return
    alone = [
        f"only {run.folder} knows {some_names(sorted(set(known) - set(others)))}"
        for run, known, others in ((a, of_a, of_b), (b, of_b, of_a))
        if set(known) - set(others)
    ]
    raise OptionError(
        f"{a.folder} and {b.folder} have other classes: {'; '.join(alone)}. Wanted two runs of the same classes: fit "
        "both on the same folder. Names that mean the same are joined by --rename old=new."
    )


def _why(run: _EvaluatedRun, image: str, evaluated: bool, split: EvaluatedSplit, name: str) -> str:
    """Return why this run can't be asked of an image, "" where it can."""
    found = run.splits.get(bytes.fromhex(image))
    if found == "train" and split != "out-of-fold":
        return f"that {name} learned from"
    if evaluated:
        return ""
    return f"not among the images of {name}" if found is None else f"in {found} of {name}"


def _names(a: _EvaluatedRun, b: _EvaluatedRun) -> tuple[str, str]:
    """Return what to call the runs: their folders' names, or paths where these are equal."""
    one, other = a.folder.resolve(), b.folder.resolve()
    return (one.name, other.name) if one.name != other.name else (str(a.folder), str(b.folder))


def _right_json(right: McNemar) -> dict[str, Any]:
    return {
        "both_right": right.both_right,
        "only_a_right": right.only_a_right,
        "only_b_right": right.only_b_right,
        "both_wrong": right.both_wrong,
        "p_value": right.p_value,
        "better": right.better,
        "images_needed": right.images_needed,
    }
