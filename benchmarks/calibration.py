"""What a temperature does to linear heads: fitted out-of-fold, evaluated on held-out images; to one that is too sure.

A head as it is solved, the same at the temperature that its out-of-fold predictions ask for, and at that temperature
only where it helps by folds, as `goldenrule fit` does it. Then the same with a head that is too sure of itself: its
penalty is a hundredth of the best.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import goldenrule as gr
from common import RESULTS, made_with, markdown_table
from goldenrule.core.schema import as_json
from goldenrule.features.linear import Rows, fit_linear_at
from goldenrule.metrics import value_and_interval
from goldenrule.models.heads import LayeredHead
from goldenrule.pipelines.calibrate import calibrated_head
from goldenrule.pipelines.linear_heads import training_rows
from held_out import OUTER, SETS, Split, says, splits

WEAKER = 100
KINDS = ("as solved", "temperature", "where it helps by folds")


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="*", default=SETS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--out", type=Path, default=RESULTS / "calibration.md")
    arguments = parser.parse_args()
    rows = []
    for name in arguments.sets:
        rows += list(measured(name, arguments.seed))
        print(json.dumps(rows[-2:])[:400], flush=True)
    arguments.out.with_suffix(".json").write_text(
        json.dumps({"made_with": made_with(), "seed": arguments.seed, "rows": rows}, indent=1) + "\n"
    )
    arguments.out.write_text(page(rows))


def measured(name: str, seed: int) -> Iterator[dict[str, Any]]:
    """Give, for the linear head and for one that is too sure, what was measured on all images of a set."""
    linear, sure = [], []
    for split in splits(name, seed=seed):
        linear.append(evaluated(split, split.fitted.head, split.fitted.out_of_fold))
        sure.append(evaluated(split, *too_sure(split, seed)))
    for kind, some in (("linear head", linear), (f"penalty / {WEAKER}", sure)):
        said = {when: gr.Predictions.concatenate([one[when] for one in some]) for when in KINDS}
        yield {
            "set": name,
            "classes": len(said["as solved"].classes),
            "head": kind,
            "temperatures": [one["value"] for one in some],
            "taken": sum(one["taken"] for one in some),
            "measured": {when: numbers(seen, said["as solved"]) for when, seen in said.items()},
        }


def evaluated(split: Split, head: LayeredHead, out_of_fold: gr.Predictions) -> dict[str, Any]:
    """Return what a head says of the held-out images: as it is, at its temperature, and as a fit would leave it."""
    after, _, tried = calibrated_head(head, out_of_fold)
    assert tried is not None
    seen = split.says(head)
    return {
        "as solved": seen,
        "temperature": tried.temperature.apply(seen),
        "where it helps by folds": says(after, split.held_out, split.features),
        "value": tried.temperature.value,
        "taken": tried.applied,
    }


def too_sure(split: Split, seed: int) -> tuple[LayeredHead, gr.Predictions]:
    """Return a head with a penalty that is far too weak, and its out-of-fold predictions."""
    rows = training_rows(split.train, split.features, views=0, seed=seed)
    l2 = float(split.fitted.facts["l2"]) / WEAKER
    features = rows.read(0, len(rows))
    logits = np.zeros((len(rows), rows.classes), np.float32)
    for fold in range(int(rows.folds.max()) + 1):
        out = rows.folds == fold
        logits[out] = fit_linear_at(without(rows, out), l2).logits(features[out])
    out_of_fold = gr.Predictions.from_logits(
        logits,
        split.train.classes,
        truth=split.train.targets,
        ids=split.train.uris,
        fold=rows.folds,
        basis="used for selection",
    )
    return fit_linear_at(rows, l2), out_of_fold


def without(rows: Rows, out: np.ndarray[Any, np.dtype[np.bool_]]) -> Rows:
    """Return the rows with those left out counting nothing."""
    return dataclasses.replace(rows, weights=np.where(out, 0, rows.weights).astype(np.float32))


def numbers(seen: gr.Predictions, before: gr.Predictions) -> dict[str, Any]:
    """Return the scores, and the paired gain in log loss over the head as it was solved."""
    return {
        "calibration error": as_json(gr.metrics.calibration_error(seen)),
        "ECE": familiar_ece(seen),
        "log loss": as_json(gr.metrics.log_loss(seen)),
        "Brier score": as_json(gr.metrics.brier_score(seen)),
        "gain": as_json(gr.metrics.paired_bootstrap(before, seen).gain),
    }


def familiar_ece(seen: gr.Predictions, bins: int = 15) -> float:
    """Return the familiar expected calibration error, in points: 15 bins of equal width, biased upwards.

    Guo et al. (2017), On calibration of modern neural networks, arXiv:1706.04599, section 2.
    """
    confidence = seen.probabilities.max(axis=1)
    right = seen.predicted == seen.truth
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [
        abs(right[which == number].mean() - confidence[which == number].mean()) * np.mean(which == number)
        for number in np.unique(which)
    ]
    return float(100 * np.sum(gaps))


def estimate(value: dict[str, Any]) -> gr.Estimate:
    """Return an estimate back from its JSON value."""
    return gr.Estimate(**value)


def page(rows: list[dict[str, Any]]) -> str:
    """Return the page of docs/results."""
    linear = [row for row in rows if row["head"] == "linear head"]
    sure = [row for row in rows if row["head"] != "linear head"]
    gains = [(row["set"], estimate(row["measured"]["where it helps by folds"]["gain"])) for row in linear]
    better = [name for name, gain in gains if gain.low > 0]
    worse = [name for name, gain in gains if gain.high < 0]
    always = [(row["set"], estimate(row["measured"]["temperature"]["gain"])) for row in linear]
    repaired = [(row["set"], estimate(row["measured"]["where it helps by folds"]["gain"])) for row in sure]
    mended = [name for name, gain in repaired if gain.low > 0]
    harmed = [name for name, gain in repaired if gain.high < 0]
    return (
        "# Calibration: before and after a temperature\n\n"
        "The linear head of each set, on images that took no part in anything: "
        f"{OUTER} outer folds, each held out once, so n is all labelled images of the set. Within the four fifths that "
        "train, the penalty is chosen and the temperature fitted on out-of-fold predictions, as `goldenrule fit` does. "
        "Equal files, near duplicates and series stay together. *Calibration error* is the debiased root mean square "
        "of (accuracy - confidence) in percentage points ([how](../reference/python.md#grmetricscalibration_error)), "
        "*ECE* the familiar sum of absolute gaps over 15 bins of equal width, which is biased upwards. Gains are "
        "paired over images, in nats of log loss, above 0 where the temperature helps. All intervals 95 %.\n\n"
        "## What came of it\n\n"
        f"- As a fit does it (a temperature only where it helps by folds with 90 % or more): clearly better on "
        f"{_names(better)}, clearly worse on {_names(worse)}, no clear difference on the other "
        f"{len(linear) - len(better) - len(worse)} of {len(linear)} sets.\n"
        f"- Always taken: clearly better on {_names([name for name, gain in always if gain.low > 0])}, clearly worse "
        f"on {_names([name for name, gain in always if gain.high < 0])}.\n"
        f"- A head that is too sure (its penalty a {WEAKER}th of the best): clearly better on {_names(mended)}; "
        f"clearly worse on {_names(harmed)}; no clear difference on the other "
        f"{len(sure) - len(mended) - len(harmed)} of {len(sure)} sets.\n\n"
        f"## The linear head\n\n{table(linear)}\n\n"
        f"## A head that is too sure\n\nIts penalty is a {WEAKER}th of the best.\n\n{table(sure)}\n\n"
        "*Taken* counts the outer folds whose temperature helped by folds within their own training images. Images of "
        "a set are evaluated by five heads that share most of their training images; the intervals are those of "
        "images, not of training sets.\n\n"
        f"Made by `python benchmarks/calibration.py`: {made_with()}.\n"
    )


def table(rows: list[dict[str, Any]]) -> str:
    """Return a table with three lines per set."""
    lines = []
    for row in rows:
        for when, value in row["measured"].items():
            first = when == "as solved"
            lines.append(
                [
                    f"{row['set']}, {row['classes']} classes" if first else "",
                    when,
                    _span(row["temperatures"]) if when == "temperature" else "",
                    f"{row['taken']} of {OUTER}" if when == "where it helps by folds" else "",
                    value_and_interval(estimate(value["calibration error"])).replace(" points", ""),
                    f"{value['ECE']:.1f}",
                    value_and_interval(estimate(value["log loss"])),
                    f"{value['Brier score']['value']:.4f}",
                    "" if first else value_and_interval(estimate(value["gain"])),
                    f"{value['log loss']['n']:,}" if first else "",
                ]
            )
    header = [
        "set",
        "head",
        "temperatures",
        "taken",
        "calibration error, points",
        "ECE",
        "log loss",
        "Brier",
        "paired gain in log loss",
        "n",
    ]
    return markdown_table(header, lines)


def _span(values: list[float]) -> str:
    return f"{min(values):.2f} to {max(values):.2f}"


def _names(names: list[str]) -> str:
    return ", ".join(names) if names else "none"


if __name__ == "__main__":
    main()
