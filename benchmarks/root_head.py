"""The linear head on square roots beside the plain one, on images that neither has seen: three folds of each set.

Each third of a set is predicted by heads that are fitted on the other two, as `goldenrule fit --quick --views 0` fits
them, and by the one of both whose cross-validated log loss is lower, as a fit takes it. Nothing is calibrated.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from common import DATA, RESULTS, commit, made_with, markdown_table
from goldenrule.core.option import HeadKind
from goldenrule.core.progress import Bars
from goldenrule.data.splits.folds import dealt_folds
from goldenrule.data.table import ImageTable
from goldenrule.features.extractor import FeatureExtractor, Features
from goldenrule.metrics import Predictions, accuracy, log_loss, paired_bootstrap, value_and_interval
from goldenrule.models.backbone import backbone
from goldenrule.pipelines.linear_heads import fit_head
from goldenrule.pipelines.prepare import read_images
from goldenrule.runs.options import FitOptions

SETS = (
    "hymenoptera_data",
    "cat_dog_horse",
    "surface_crack",
    "cifar10_cat_dog_horse",
    "flowers_128",
    "clothing_small",
    "GTSRB_native15",
    "GTSRB",
    "dog_breed",
)
MOST_IMAGES, FOLDS = 1500, 3
KINDS: tuple[HeadKind, ...] = ("linear", "root")
TAKEN = "taken"


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="*", default=SETS)
    parser.add_argument("-o", "--out", type=Path, default=RESULTS / "root_head.md")
    arguments = parser.parse_args()
    measured_at, progress = commit(), Bars()
    results = [measured(name, progress) for name in arguments.sets]
    made = made_with(measured_at)
    arguments.out.write_text(page(results, made))
    arguments.out.with_suffix(".json").write_text(json.dumps({"made_with": made, "sets": results}, indent=1) + "\n")
    print(arguments.out.read_text())


def measured(name: str, progress: Bars) -> dict[str, Any]:
    """Evaluate both heads on every image of a set."""
    table = read_images(DATA / name, FitOptions(), progress)[0].only_labelled()
    if len(table) > MOST_IMAGES:
        drawn = np.random.default_rng(0).permutation(len(table))[:MOST_IMAGES]
        table = table.where(np.isin(np.arange(len(table)), drawn))
    features = FeatureExtractor.of(backbone(progress=progress), progress=progress).features(table)
    table = table.where(features.has(table.digests)).only_labelled()
    fold = dealt_folds(table, FOLDS, seed=0)
    said: dict[str, list[Predictions]] = {kind: [] for kind in (*KINDS, TAKEN)}
    seconds = dict.fromkeys(KINDS, 0.0)
    for number in range(FOLDS):
        train, test = table.where(fold != number), table.where(fold == number)
        losses = {}
        for kind in KINDS:
            began = time.perf_counter()
            head = fit_head(train, features, kind=kind)
            seconds[kind] += time.perf_counter() - began
            losses[kind] = log_loss(head.out_of_fold).value
            said[kind].append(predicted(test, features, head.head))
        said[TAKEN].append(said[min(KINDS, key=lambda kind: losses[kind])][-1])
    whole = {kind: joined(parts) for kind, parts in said.items()}
    plain, root, taken = whole["linear"], whole["root"], whole[TAKEN]
    gain = paired_bootstrap(plain, taken, metric="log_loss").gain
    return {
        "set": name,
        "images": len(plain),
        "classes": len(table.classes),
        "loss": {kind: value_and_interval(log_loss(one)) for kind, one in whole.items()},
        "accuracy": {kind: value_and_interval(accuracy(one)) for kind, one in whole.items()},
        "share": 1 - log_loss(taken).value / log_loss(plain).value,
        "gain_root": value_and_interval(paired_bootstrap(plain, root, metric="log_loss").gain),
        "gain": value_and_interval(gain),
        "clearly": "better" if gain.low > 0 else "worse" if gain.high < 0 else "neither",
        "gain_accuracy": value_and_interval(paired_bootstrap(plain, taken, metric="accuracy").gain),
        "seconds": {kind: value / FOLDS for kind, value in seconds.items()},
    }


def predicted(test: ImageTable, features: Features, head: Any) -> Predictions:
    """Return what a head says of images."""
    logits = head.logits(features.rows([digest or b"" for digest in test.digests]))
    return Predictions.from_logits(logits, test.classes, truth=test.targets, ids=test.uris)


def joined(parts: list[Predictions]) -> Predictions:
    """Return the predictions of all folds as one."""
    logits = np.concatenate([one.logits[:, 0] for one in parts])
    truth = np.concatenate([one.truth for one in parts])
    return Predictions.from_logits(logits, parts[0].classes, truth=truth, ids=[uri for one in parts for uri in one.ids])


def page(results: list[dict[str, Any]], made: str) -> str:
    """Return the page of docs/results."""
    rows = [
        [
            f"{one['set']} ({one['classes']} classes, n={one['images']:,})",
            one["loss"]["linear"],
            one["gain_root"],
            one["gain"],
            f"{100 * one['share']:.0f} %",
            one["accuracy"]["linear"],
            one["gain_accuracy"],
            f"{one['seconds']['linear']:.1f} / {one['seconds']['root']:.1f} s",
        ]
        for one in results
    ]
    header = [
        "set",
        "log loss, linear (95 %)",
        "gained by root",
        "gained by the one that is taken",
        "of the loss",
        "accuracy, linear (95 %)",
        "gained by the one that is taken",
        "seconds, linear / root",
    ]
    shares = np.array([one["share"] for one in results])
    better, worse, tied = (
        ", ".join(one["set"] for one in results if one["clearly"] == how) or "none"
        for how in ("better", "worse", "neither")
    )
    return (
        "# The linear head on square roots\n\n"
        "`--head root`: the linear head on the square roots of the features, whose weights are the sum of a logistic "
        "regression's and a linear discriminant analysis's (shrunk covariance); how much of each is chosen "
        "out-of-fold. A fit takes it where its cross-validated log loss is lower than that of the plain linear head, "
        "`--head linear`. Both predict at the same cost. EfficientNet-Lite0 at 224 px, plain views, no calibration. "
        f"Every image is predicted by heads that have not seen it: {FOLDS} folds, copies and groups in one fold; of "
        f"sets with more than {MOST_IMAGES:,} labelled images so many are drawn.\n\n"
        "Gained: with the 95 % interval of a paired bootstrap over all images; an interval that holds 0 is a tie. Log "
        "loss in nats. Seconds are those of a fit on two thirds, the features known.\n\n"
        f"{markdown_table(header, rows)}\n\n"
        f"Over these {len(results)} sets the one that is taken has {100 * shares.mean():.0f} % less log loss on "
        f"average (from {100 * shares.min():.0f} to {100 * shares.max():.0f} %).\n\n"
        f"Clearly better: {better}. A tie: {tied}. Clearly worse: {worse}. Where nearly all images are right, the few "
        "that are wrong decide.\n\n"
        f"Made by `python benchmarks/root_head.py`; {made}.\n"
    )


if __name__ == "__main__":
    main()
