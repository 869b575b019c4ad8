"""`original` beside ResNet18, both from scratch, each for the same minutes: accuracy per minute on a CPU.

    python benchmarks/original.py                    two sets, a quarter of a minute to three minutes, 3 seeds: 65 min
    python benchmarks/original.py --trial            one epoch on few images, nothing is written

Every network trains one cycle (`OneCycle`) of as many epochs as fit into the minutes, by the seconds that its second
epoch takes here, at `--rate`, the highest at which `goldenrule train` trains from scratch. Evaluated is the test split,
which nothing looked at. ResNet18 has the input at which it learns fastest on these sets: at 96 px, and at its own 224
px, it is right less often after the same minutes (decision 29).
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.stats

import goldenrule as gr
from common import RESULTS, made_with, markdown_table, with_clean_test
from goldenrule.core.memory import keep_freed_memory
from goldenrule.core.progress import Bars
from goldenrule.core.schema import as_json
from goldenrule.data.augmentation.augment import Augmentation
from goldenrule.data.augmentation.presets import by_name
from goldenrule.data.splits.splitting import sample_per_class
from goldenrule.metrics import value_and_interval
from goldenrule.metrics.selection_rules import SCRATCH_RATES
from goldenrule.models.cost import multiply_adds
from goldenrule.storage.files import read_json, write_json

NETWORKS = (("original", 64), ("resnet18", 64))
SETS = {"cifar10_cat_dog_horse": "side_on", "GTSRB": "basic"}
MINUTES = (0.25, 0.5, 1.0, 3.0)


def main() -> None:
    """Measure, print, write docs/results/original.md and .json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trial", action="store_true", help="one epoch on few images, nothing is written")
    parser.add_argument("--minutes", type=float, nargs="+", default=MINUTES)
    parser.add_argument("--seeds", type=int, nargs="+", default=(0, 1, 2))
    parser.add_argument("--rate", type=float, default=SCRATCH_RATES[1], help="the same for all networks")
    parser.add_argument("--keep", type=Path, help="where the rows of each seed are kept, and found again")
    asked = parser.parse_args()
    keep_freed_memory()
    found = [row for seed in asked.seeds for row in rows_of(seed, asked)]
    text = page(found)
    print(text)
    if not asked.trial:
        (RESULTS / "original.md").write_text(text, encoding="utf-8")
        write_json(RESULTS / "original.json", {"rows": found})


def rows_of(seed: int, asked: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the rows of a seed: those that are kept, else measured and kept."""
    kept = asked.keep / f"seed-{seed}.json" if asked.keep else None
    if kept and kept.exists():
        rows: list[dict[str, Any]] = read_json(kept)["rows"]
        return rows
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for name, kind in SETS.items():
            table = gr.from_folder(with_clean_test(name, Path(folder)))
            if asked.trial:
                table = sample_per_class(table, 6, seed=0)
            for network, size in NETWORKS:
                backbone = gr.backbone(network, drawn=seed, size=size)
                seconds = seconds_of_an_epoch(table, backbone, by_name(kind), seed, asked.rate)
                for minutes in (0.0,) if asked.trial else asked.minutes:
                    epochs = max(1, round(60 * minutes / seconds))
                    row = measured(table, backbone, minutes, epochs, by_name(kind), seed, asked.rate)
                    found.append({"set": name, "seed": seed, "made_with": made_with(), **row})
                    print(found[-1], flush=True)
    if kept:
        write_json(kept, {"rows": found})
    return found


def seconds_of_an_epoch(
    table: gr.ImageTable, backbone: gr.models.Backbone, augment: Augmentation | None, seed: int, rate: float
) -> float:
    """Return the seconds of the second epoch: the first decodes the pictures."""
    trial = learner(table, backbone, augment, seed)
    trial.fit(rate, 1)
    began = time.perf_counter()
    trial.fit(rate, 1)
    return time.perf_counter() - began


def measured(
    table: gr.ImageTable,
    backbone: gr.models.Backbone,
    minutes: float,
    epochs: int,
    augment: Augmentation | None,
    seed: int,
    rate: float,
) -> dict[str, Any]:
    """Train one network for so many epochs, which should take so many minutes, and evaluate it on test."""
    learn = learner(table, backbone, augment, seed)
    began = time.perf_counter()
    learn.fit_one_cycle(rate, epochs)
    took = time.perf_counter() - began
    test = learn.evaluate("test")
    return {
        "network": f"{backbone.spec.name} at {backbone.spec.preprocessing.size} px",
        "parameters": backbone.spec.parameters,
        "multiply_adds": multiply_adds(backbone),
        "minutes": minutes,
        "rate": rate,
        "epochs": epochs,
        "took_minutes": took / 60,
        "images_per_second": epochs * len(learn.data.table.split("train")) / took,
        "accuracy": as_json(gr.metrics.accuracy(test)),
        "accuracy_text": value_and_interval(gr.metrics.accuracy(test)),
        "log_loss_text": value_and_interval(gr.metrics.log_loss(test)),
        "right": "".join(map(str, (test.predicted == test.truth).astype(int))),
    }


def learner(table: gr.ImageTable, backbone: gr.models.Backbone, augment: Augmentation | None, seed: int) -> gr.Learner:
    """Return a learner of the whole network; nothing is replayed."""
    learn = gr.Learner(table, backbone, augment=augment, augmented_views=0, seed=seed, replay=False, progress=Bars())
    learn.unfreeze()
    learn.bn_freeze(False)
    return learn


def gain_in_points(original: Sequence[str], other: Sequence[str]) -> tuple[float, float, float]:
    """Return how many points more of the images `original` is right on, mean over the seeds, with a 95 % interval.

    Each string says of every image whether it was right (1) or not (0). The interval is that of other test images
    (bootstrap over images, which all seeds share), not that of other seeds.
    """
    ours, its = (np.array([list(map(int, seed)) for seed in right]).mean(axis=0) for right in (original, other))
    each = 100.0 * (ours - its)
    found = scipy.stats.bootstrap((each,), np.mean, method="percentile", rng=np.random.default_rng(0))
    return float(each.mean()), float(found.confidence_interval.low), float(found.confidence_interval.high)


def page(found: Sequence[dict[str, Any]]) -> str:
    """Return the Markdown page: a row for each set and time, `original` beside ResNet18."""
    (text, own_side), (other, other_side) = NETWORKS
    names = (f"{text} at {own_side} px", f"{other} at {other_side} px")
    header = ["set", "minutes asked", *(f"{name}: {what}" for name in names for what in ("took", "epochs", "right"))]
    rows = []
    for name, minutes in dict.fromkeys((row["set"], row["minutes"]) for row in found):
        cells, right = [name, f"{minutes:g}"], []
        for network in names:
            same = [row for row in found if (row["set"], row["minutes"], row["network"]) == (name, minutes, network)]
            right.append([row["right"] for row in same])
            shares = [100 * row["accuracy"]["value"] for row in same]
            cells += [
                _span([row["took_minutes"] for row in same], ".1f"),
                _span([row["epochs"] for row in same], ".0f"),
                f"{np.mean(shares):.1f} % ({_span(shares, '.1f')})",
            ]
        gain, low, high = gain_in_points(*right)
        verdict = "better" if low > 0 else "worse" if high < 0 else "tie"
        rows.append([*cells, f"**{verdict}**: {gain:.1f} points [{low:.1f}, {high:.1f}], n={len(right[0][0])}"])
    seeds = sorted({row["seed"] for row in found})
    size = {row["network"]: (row["parameters"], row["multiply_adds"], row["rate"]) for row in found}
    made = "; ".join(sorted({row["made_with"] for row in found}))
    lines = [
        "# original beside ResNet18, both from scratch",
        "",
        "`python benchmarks/original.py`. Random weights, one cycle of as many epochs as fit into the minutes; "
        f"{len(seeds)} seeds ({', '.join(map(str, seeds))}), each of other random weights, views and order. "
        "The test split took no part in any choice of the training. ResNet18 has the input at which it learns fastest "
        "here ([decision 29](../decisions/0029-original.md)).",
        "",
        *(
            f"- {name}: {parameters / 1e6:.2f} M parameters, {cost / 1e6:,.0f} M multiply-adds, highest rate {rate:g}"
            for name, (parameters, cost, rate) in size.items()
        ),
        "",
        markdown_table([*header, "original against ResNet18, same images"], rows),
        "",
        "Minutes, epochs and what is right are from the lowest to the highest seed, what is right with its mean. The "
        "last column is the mean gain over the seeds by pairs on the same test images, its interval that of other "
        "images (bootstrap), not of other seeds.",
        "",
        f"Made with: {made}, {os.environ.get('OMP_NUM_THREADS', 'all')} OpenMP threads.",
        "",
    ]
    return "\n".join(lines)


def _span(values: Sequence[float], form: str) -> str:
    low, high = f"{min(values):{form}}", f"{max(values):{form}}"
    return low if low == high else f"{low} to {high}"


if __name__ == "__main__":
    main()
