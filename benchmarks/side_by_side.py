"""Several backbones side by side, `--backbone lite0+lite1+lite2`: what it gains on images that no choice has seen.

For each set and seed a linear head is fitted on the features of each backbone alone and of several side by side, as
`goldenrule fit --quick` does it, plain views only. Its out-of-fold log loss is what a choice can see, that on test what
a user gets. `--backbone auto:...` chooses among them by the former.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from common import DATA, RESULTS, made_with, markdown_table, with_clean_test
from goldenrule.core.progress import Bars
from goldenrule.core.schema import as_json
from goldenrule.data.splits.splitting import with_split
from goldenrule.features.extractor import FeatureExtractor
from goldenrule.metrics import Predictions, accuracy, log_loss, paired_bootstrap, value_and_interval
from goldenrule.models.backbone import Backbone
from goldenrule.models.cost import multiply_adds
from goldenrule.pipelines.backbone_selection import evaluated_backbones
from goldenrule.pipelines.linear_heads import fit_head
from goldenrule.pipelines.prepare import candidate_backbones, read_images
from goldenrule.pipelines.probe import readable
from goldenrule.runs.options import FitOptions

SETS = (
    "dogscats",
    "cat_dog_horse",
    "clothing_small",
    "hymenoptera_data",
    "surface_crack",
    "flowers_128",
    "dog_breed",
    "GTSRB_native15",
    "cifar10_cat_dog_horse",
)
FIRST = "efficientnet_lite0"
JOINED = ("lite0", "lite1", "lite2", "lite0+lite1", "lite0+lite1+lite2")


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="*", default=SETS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("-o", "--out", type=Path, default=RESULTS / "side_by_side.md")
    arguments = parser.parse_args()
    options, progress = FitOptions(backbone=f"auto:{','.join(JOINED)}"), Bars()
    backbones = candidate_backbones(options, progress)
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.sets:
            if not (DATA / name).is_dir():
                continue
            for seed in range(arguments.seeds):
                at = Path(folder) / str(seed)
                results.append(measured(name, at, backbones, replace(options, seed=seed), progress))
                value = {"made_with": made_with(), "cost": costs(backbones), "sets": results}
                arguments.out.with_suffix(".json").write_text(json.dumps(value, indent=1) + "\n")
    text = page(results, costs(backbones))
    arguments.out.write_text(text)
    print(text)


def costs(backbones: list[Backbone]) -> dict[str, float]:
    """Return the multiply-adds of a picture, in G."""
    return {one.spec.name: multiply_adds(one) / 1e9 for one in backbones}


def measured(name: str, folder: Path, backbones: list[Backbone], options: FitOptions, progress: Bars) -> dict[str, Any]:
    """Choose on train, evaluate every candidate on test."""
    table = with_split(read_images(with_clean_test(name, folder), options, progress)[0], seed=options.seed)
    said: dict[str, Predictions] = {}
    seconds: dict[str, float] = {}
    for number, backbone in enumerate(backbones):
        features = FeatureExtractor.of(backbone, progress=progress).features(table)
        train, test = (readable(table, split, features) for split in ("train", "test"))
        if number == 0:
            choice = evaluated_backbones(train, backbones, options=options, progress=progress)
        began = time.perf_counter()
        head = fit_head(train, features, seed=options.seed).head
        seconds[backbone.spec.name] = time.perf_counter() - began
        logits = head.logits(features.rows([digest or b"" for digest in test.digests]))
        said[backbone.spec.name] = Predictions.from_logits(logits, test.classes, truth=test.targets, ids=test.uris)
    every, single = list(said)[-1], [one for one in said if "+" not in one]
    best = min(single, key=lambda one: log_loss(said[one]).value)
    return {
        "set": name,
        "seed": options.seed,
        "train": len(train),
        "n": len(test),
        "chosen": choice.chosen,
        "out_of_fold": {one.name: as_json(one.log_loss) for one in choice.candidates},
        "test": {one: {"log_loss": log_loss(x).value, "accuracy": accuracy(x).value} for one, x in said.items()},
        "said": {
            one: f"{value_and_interval(log_loss(x))}; {value_and_interval(accuracy(x))}" for one, x in said.items()
        },
        "gained": value_and_interval(paired_bootstrap(said[FIRST], said[every], metric="log_loss").gain),
        "gained_on_best": value_and_interval(paired_bootstrap(said[best], said[every], metric="log_loss").gain),
        "best_alone": best,
        "fit_seconds": seconds,
    }


def page(results: list[dict[str, Any]], cost: dict[str, float]) -> str:
    """Return the page of docs/results."""
    names = list(cost)
    rows = [
        [
            one["set"] if one["seed"] == 0 else "",
            f"{one['train']:,} / {one['n']:,}",
            *(f"{one['test'][name]['log_loss']:.3f}" for name in names),
            one["gained"],
            f"{100 * one['test'][FIRST]['accuracy']:.1f} -> {100 * one['test'][names[-1]]['accuracy']:.1f} %",
            one["chosen"],
        ]
        for one in results
    ]
    short = [name.replace("efficientnet_", "") for name in names]
    losses = np.array([[one["test"][name]["log_loss"] for name in names] for one in results])
    chosen = np.array([one["test"][one["chosen"]]["log_loss"] for one in results])
    means = ", ".join(f"{name} {value:.3f}" for name, value in zip(short, losses.mean(axis=0), strict=True))
    lower = int((losses[:, -1] < losses[:, 0]).sum())
    return (
        "# Backbones side by side\n\n"
        "`--backbone lite0+lite1+lite2` runs three networks on each picture, and fits one linear head on the features "
        f"of all. A picture costs {', '.join(f'{a} {cost[b]:.2f}' for a, b in zip(short, names, strict=True))} G "
        'multiply-adds. Log loss on test images that no choice has seen, lower is better; "gained" is how much lower '
        'it is with all three than with lite0 alone, paired on the same images, with the 95 % interval. "Chosen" is '
        "what `--backbone auto:...` takes by the out-of-fold loss on the training images. Plain views only; seeds draw "
        "the folds, and the split where a set has none.\n\n"
        f"{markdown_table(['set', 'train / test', *short, 'gained by all', 'accuracy', 'chosen'], rows)}\n\n"
        f"All three are better than lite0 in {lower} of {len(results)} runs. Means over the runs: {means}; what was "
        f"chosen {chosen.mean():.3f}.\n\n"
        f"Made by `python benchmarks/side_by_side.py`: {made_with()}.\n"
    )


if __name__ == "__main__":
    main()
