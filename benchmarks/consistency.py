"""How often the rules on contradicting numbers fire in sound runs, and in broken ones: simulated, with linear heads.

A run is a set of normal features with classes of several numbers, sizes, mixes and difficulties, or of groups; its head
is solved as in a fit, with folds, penalty, sets of classes and distances. Sound runs draw train, valid and test from
one source. Broken ones have labels mixed up in a split, a part of another kind, images of a split in train, a class
under another's name, or logits far too sure.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import goldenrule as gr
from common import RESULTS, made_with, markdown_table
from goldenrule.core.findings import Finding
from goldenrule.data.splits.folds import stratified_folds
from goldenrule.features.linear import DECADES, Rows, fit_linear
from goldenrule.metrics import PredictionSets
from goldenrule.metrics.uncertainty.consistency import at_the_end_of_its_range, inconsistencies
from goldenrule.metrics.uncertainty.ood import OODDetector

FEATURES = 16
CLASSES, SIZES, SIGNALS = (2, 3, 10), (12, 40, 150), (0.3, 1.0, 2.5)
MIXES = ("even", "uneven", "groups")


@dataclass(frozen=True, kw_only=True)
class Case:
    """How a run's images are drawn: classes, training images of each, how far classes lie apart, and the mix."""

    classes: int
    size: int
    signal: float
    mix: str


def main() -> None:
    """Simulate and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=40, help="sound runs of each case")
    parser.add_argument("--broken", type=int, default=60, help="runs of each way to be broken")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--out", type=Path, default=RESULTS / "consistency.md")
    arguments = parser.parse_args()
    cases = [Case(classes=c, size=n, signal=s, mix=m) for c in CLASSES for n in SIZES for s in SIGNALS for m in MIXES]
    rows = []
    for number, case in enumerate(cases):
        for run in range(arguments.runs):
            draws = np.random.default_rng([arguments.seed, number, run])
            rows.append(vars(case) | {"fired": fired(case, draws)})
    print("sound", len(rows), sum(bool(row["fired"]) for row in rows), flush=True)
    broken = []
    for way, harm in BROKEN.items():
        for run in range(arguments.broken):
            draws = np.random.default_rng([arguments.seed, 999, run])
            case = Case(classes=3, size=100, signal=1.5, mix="even")
            broken.append({"way": way, "fired": fired(case, draws, harm)})
        print(way, sum(bool(row["fired"]) for row in broken if row["way"] == way), flush=True)
    about = {"made_with": made_with(), "rows": rows, "broken": broken}
    arguments.out.with_suffix(".json").write_text(json.dumps(about, indent=1) + "\n")
    arguments.out.write_text(page(rows, broken))


Parts = dict[str, tuple[Any, Any, Any]]
Harm = Callable[[Parts, np.random.Generator], Parts]


def fired(case: Case, draws: np.random.Generator, harm: Harm | None = None) -> list[str]:
    """Return the codes of the errors of one simulated run."""
    splits = images(case, draws)
    if harm is not None:
        splits = harm(splits, draws)
    return sorted({one.code for one in findings(case, splits) if one.severity == "error"})


def images(case: Case, draws: np.random.Generator) -> Parts:
    """Return features, truth and groups (None where images are independent) of train, valid and test."""
    centres = case.signal * draws.normal(size=(case.classes, FEATURES)) / np.sqrt(FEATURES) * 2
    shares = np.ones(case.classes) if case.mix != "uneven" else 1 / np.arange(1, case.classes + 1)
    found: Parts = {}
    for split, share in (("train", 1.0), ("valid", 0.25), ("test", 0.25)):
        counts = np.maximum(np.round(case.size * share * shares / shares.mean()).astype(int), 3 if share == 1 else 1)
        truth = np.repeat(np.arange(case.classes), counts)
        rows = centres[truth] + draws.normal(size=(len(truth), FEATURES))
        groups = None
        if case.mix == "groups":
            numbers = np.concatenate([np.arange(count) // 4 for count in counts]) + 10_000 * truth
            groups = np.unique(numbers, return_inverse=True)[1]
            rows += draws.normal(size=(groups.max() + 1, FEATURES))[groups]
        found[split] = (rows.astype(np.float32), truth, groups)
    return found


def findings(case: Case, splits: Parts) -> Iterator[Finding]:
    """Return what the rules say of a run whose head is solved on these images."""
    features, truth, groups = splits["train"]
    units = [str(row if groups is None else groups[row]).encode() for row in range(len(truth))]
    folds = stratified_folds(truth, units, folds=5, seed=0)
    evaluated = folds >= 0
    linear = fit_linear(
        Rows(
            read=lambda start, stop: features[start:stop],
            targets=truth,
            weights=np.ones(len(truth), np.float32),
            folds=folds,
            features=FEATURES,
            classes=case.classes,
            scored=len(truth),
        )
    )
    names = [f"class {label}" for label in range(case.classes)]
    ood_detector = OODDetector.fit(features.astype(np.float16), units)
    predictions = gr.Predictions.from_logits(
        linear.fold_logits, names, truth=truth, group=groups, basis="used for selection"
    )
    said = {"out-of-fold": predictions.select(evaluated)}
    for split in ("valid", "test"):
        rows, right, its_groups = splits[split]
        said[split] = gr.Predictions.from_logits(
            linear.head.logits(rows), names, truth=right, group=its_groups, distance=ood_detector.distances(rows)
        )
    if "sure" in splits:
        said = {split: replace(each, logits=(each.logits * 25).astype(np.float32)) for split, each in said.items()}
    sets = PredictionSets.fit(said["out-of-fold"])
    yield from inconsistencies(said, sets=sets, ood_detector=ood_detector, held_out={"valid": True, "test": True})
    predictions = said["out-of-fold"]
    yield from at_the_end_of_its_range("penalty (l2)", linear.l2, DECADES[-1], DECADES[0], predictions)


def mixed_up(splits: Parts, _: np.random.Generator) -> Parts:
    """Labels of test stand for the next class."""
    rows, truth, groups = splits["test"]
    return splits | {"test": (rows, (truth + 1) % (truth.max() + 1), groups)}


def other_kind(splits: Parts, draws: np.random.Generator) -> Parts:
    """Test images come from somewhere else: darker, say."""
    rows, truth, groups = splits["test"]
    return splits | {"test": (rows + 3 * draws.normal(size=FEATURES).astype(np.float32), truth, groups)}


def leaking(splits: Parts, draws: np.random.Generator) -> Parts:
    """Half of the training images have a copy, with other noise, that no group names: folds evaluate copies."""
    rows, truth, groups = splits["train"]
    noise = 0.05 * draws.normal(size=rows.shape).astype(np.float32)
    wrong = draws.random(len(truth)) < 0.35  # what is remembered can't be known otherwise
    labels = np.where(wrong, draws.permutation(truth), truth)
    return splits | {"train": (np.concatenate([rows, rows + noise]), np.concatenate([labels, labels]), groups)}


def renamed(splits: Parts, _: np.random.Generator) -> Parts:
    """Nearly all training images of one class are under the name of another."""
    rows, truth, groups = splits["train"]
    wrong = (truth == 0) & (np.cumsum(truth == 0) > 6)
    return splits | {"train": (rows, np.where(wrong, 1, truth), groups)}


def too_sure(splits: Parts, _: np.random.Generator) -> Parts:
    """Logits are 25 times what they should be."""
    return splits | {"sure": splits["test"]}


BROKEN: dict[str, Harm] = {
    "labels of test mixed up": mixed_up,
    "test of another kind": other_kind,
    "copies with wrong labels in train": leaking,
    "a class under another's name in train": renamed,
    "far too sure": too_sure,
}


def page(rows: list[dict[str, Any]], broken: list[dict[str, Any]]) -> str:
    """Return the page of docs/results."""
    alarms = sum(bool(row["fired"]) for row in rows)
    share = gr.Estimate.of_share("false alarms", alarms, len(rows))
    by_code = Counter(code for row in rows for code in row["fired"])
    lines = []
    for mix in MIXES:
        for size in SIZES:
            some = [row for row in rows if (row["mix"], row["size"]) == (mix, size)]
            lines.append([mix, str(size), str(sum(bool(row["fired"]) for row in some)), f"{len(some):,}"])
    hurt = []
    for way in BROKEN:
        some = [row for row in broken if row["way"] == way]
        codes = Counter(code for row in some for code in row["fired"])
        said = ", ".join(f"{code} {count}" for code, count in codes.most_common())
        hurt.append([way, f"{sum(bool(row['fired']) for row in some)} of {len(some)}", said or "none"])
    return (
        "# Numbers that contradict each other: how often sound runs are accused\n\n"
        f"An error is told before the numbers where they can't all be true. In {len(rows):,} simulated sound runs "
        f"({len(CLASSES)} numbers of classes, {len(SIZES)} sizes, {len(SIGNALS)} difficulties, {len(MIXES)} mixes) "
        f"one or more rules fired in {alarms}: {share}. Wanted: 1 % or less. By rule: "
        f"{', '.join(f'{code} {count}' for code, count in by_code.most_common()) or 'none'}.\n\n"
        f"{markdown_table(['mix', 'training images a class', 'runs accused', 'runs'], lines)}\n\n"
        "## Broken runs\n\nThree classes of 100 training images and 25 in valid and test.\n\n"
        f"{markdown_table(['what is wrong', 'runs accused', 'rules that fired'], hurt)}\n\n"
        f"Made by `python benchmarks/consistency.py`: {made_with()}.\n"
    )


if __name__ == "__main__":
    main()
