"""Whether sets of classes keep their promise on held-out images: least ambiguous, adaptive and regularised sets.

Two ways to calibrate: on the out-of-fold predictions of all training images (as `goldenrule fit` does), and on a
fifth of them that the head has not learned from (split conformal prediction, for which the promise is a theorem).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np

import goldenrule as gr
from common import RESULTS, made_with, markdown_table
from goldenrule.core.schema import as_json
from goldenrule.metrics import mean_set_size, set_coverage, value_and_interval
from goldenrule.metrics.uncertainty.conformal import Method, images_needed
from held_out import OUTER, SETS, Split, says, splits

COVERAGES = (0.9, 0.95, 0.99)
METHODS: tuple[Method, ...] = get_args(Method)
WAYS = ("out-of-fold", "own split")
APART = 5


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="*", default=SETS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--out", type=Path, default=RESULTS / "set_coverage.md")
    arguments = parser.parse_args()
    rows = []
    for name in arguments.sets:
        rows += list(measured(name, arguments.seed))
        print(name, [row["coverage"]["value"] for row in rows if row["set"] == name], flush=True)
    arguments.out.with_suffix(".json").write_text(
        json.dumps({"made_with": made_with(), "seed": arguments.seed, "rows": rows}, indent=1) + "\n"
    )
    arguments.out.write_text(page(rows))


def measured(name: str, seed: int) -> Iterator[dict[str, Any]]:
    """Return coverage and mean size for each way, method and promise on all images of a set."""
    seen = [(split, said) for split in splits(name, seed=seed) for said in [two_ways(split, seed)]]
    for way in WAYS:
        for method in METHODS:
            for promise in COVERAGES:
                tests, sets, calibrated = [], [], []
                for _, said in seen:
                    calibration, test = said[way]
                    rule = gr.metrics.PredictionSets.fit(calibration, coverage=promise, method=method)
                    tests.append(test)
                    sets.append(rule.sets(test))
                    calibrated.append(rule.n)
                yield summed(name, way, method, promise, tests, sets, calibrated)


def two_ways(split: Split, seed: int) -> dict[str, tuple[gr.Predictions, gr.Predictions]]:
    """Return what sets are calibrated on and what is said of the held-out images, for both ways."""
    inner = gr.k_fold(split.train.with_splits([None] * len(split.train)), APART, seed=seed)[0]
    fewer = gr.fit_head(inner.split("train"), split.features, seed=seed)
    apart = says(fewer.head, inner.split("valid"), split.features)
    return {
        "out-of-fold": (split.fitted.out_of_fold, split.says(split.fitted.head)),
        "own split": (apart, split.says(fewer.head)),
    }


def summed(
    name: str,
    way: str,
    method: Method,
    promise: float,
    tests: list[gr.Predictions],
    sets: list[Any],
    calibrated: list[int],
) -> dict[str, Any]:
    """Return coverage and size over all outer folds."""
    every, inside = gr.Predictions.concatenate(tests), np.concatenate(sets)
    return {
        "set": name,
        "classes": len(every.classes),
        "way": way,
        "method": method,
        "promise": promise,
        "calibrated_on": [min(calibrated), max(calibrated)],
        "too_few": min(calibrated) < images_needed(promise),
        "coverage": as_json(set_coverage(every, inside)),
        "size": as_json(mean_set_size(every, inside)),
        "accuracy": as_json(gr.metrics.accuracy(every)),
    }


def page(rows: list[dict[str, Any]]) -> str:
    """Return the page of docs/results."""
    sections = "\n\n".join(
        f"## {100 * promise:g} % asked for\n\n{table([row for row in rows if row['promise'] == promise])}"
        for promise in COVERAGES
    )
    return (
        "# Sets of classes on held-out images\n\n"
        "How often the set of classes holds the true one, on images that took no part in anything: "
        f"{OUTER} outer folds of each set, each held out once, so n is all its labelled images. Linear heads, no "
        "temperature. "
        "Sets are "
        "calibrated on the *out-of-fold* predictions of all training images, as `goldenrule fit` does, or on an *own "
        f"split*: a fifth of them, the head being fitted on the other four. {_methods()} Coverages with 95 % Wilson "
        "intervals; sizes are mean numbers of classes.\n\n"
        "Sets of trained networks, calibrated on validation as it is evaluated by halves, are measured [where those "
        "networks are](optimism.md#sets-of-classes-of-trained-networks).\n\n"
        f"## What came of it\n\n{verdicts(rows)}\n\n"
        f"### All sets together\n\n{pooled_table(rows)}\n\n"
        f"{sections}\n\n"
        "Where a head is right more often than was asked for, no rule can cover less: the most probable class is "
        "always in. GTSRB's held-out signs are of other films, though drawn alike. Images of a set are evaluated by "
        "five "
        "heads, and five thresholds: a threshold's own luck (a standard deviation of 1 point of coverage with 500 "
        "images to calibrate on, of 2 with 100) is averaged over five of them, and not in the intervals.\n\n"
        f"Made by `python benchmarks/set_coverage.py`: {made_with()}.\n"
    )


def _methods() -> str:
    return "Methods: least ambiguous sets (lac), adaptive (aps) and regularised adaptive ones (raps)."


def verdicts(rows: list[dict[str, Any]]) -> str:
    """Say for each way how many cells fall clearly short of what was asked for."""
    lines = []
    for way in WAYS:
        some = [row for row in rows if row["way"] == way]
        short = [row for row in some if row["coverage"]["high"] < row["promise"]]
        named = [
            f"{row['set']} {row['method']} {100 * row['promise']:g} %: "
            f"{value_and_interval(gr.Estimate(**row['coverage']))}"
            for row in short
        ]
        lines.append(
            f"- {way}: {len(short)} of {len(some)} cells are clearly below what was asked for (their interval ends "
            f"below it){': ' + '; '.join(named) if named else ''}."
        )
    return "\n".join(lines)


def pooled_table(rows: list[dict[str, Any]]) -> str:
    """Return coverage over the images of all sets, and the mean size as a share of lac's."""
    lines = []
    for promise in COVERAGES:
        for way in WAYS:
            cells = [f"{100 * promise:g} %", way]
            for method in METHODS:
                some = [row for row in rows if (row["promise"], row["way"], row["method"]) == (promise, way, method)]
                held = sum(round(row["coverage"]["value"] * row["coverage"]["n"]) for row in some)
                n = sum(row["coverage"]["n"] for row in some)
                size = sum(row["size"]["value"] * row["size"]["n"] for row in some) / n
                cells.append(f"{value_and_interval(gr.Estimate.of_share('coverage', held, n))}, {size:.2f} classes")
            lines.append([*cells, f"{n:,}"])
    return markdown_table(["asked for", "calibrated", *METHODS, "n"], lines)


def table(rows: list[dict[str, Any]]) -> str:
    """Return two lines per set: out-of-fold and own split."""
    lines = []
    for name in dict.fromkeys(row["set"] for row in rows):
        for way in WAYS:
            found = {row["method"]: row for row in rows if row["set"] == name and row["way"] == way}
            one = found["lac"]
            low, high = one["calibrated_on"]
            lines.append(
                [
                    f"{name}, {one['classes']} classes" if way == WAYS[0] else "",
                    way + (", too few" if one["too_few"] else ""),
                    f"{low:,}" if low == high else f"{low:,} to {high:,}",
                    value_and_interval(gr.Estimate(**one["accuracy"])),
                    *(
                        f"{value_and_interval(gr.Estimate(**found[method]['coverage']))}, "
                        f"{found[method]['size']['value']:.2f}"
                        for method in METHODS
                    ),
                    f"{one['coverage']['n']:,}",
                ]
            )
    header = ["set", "calibrated", "on images", "accuracy", *(f"{one}: coverage, size" for one in METHODS), "n"]
    return markdown_table(header, lines)


if __name__ == "__main__":
    main()
