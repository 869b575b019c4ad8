"""`goldenrule fit` with default options, all seven steps: what each stage gave, what was chosen, on clean test numbers.

Each set twice per seed, in fresh processes with an empty bank: `--quick` gives the linear head's test numbers, the
whole golden rule those of what it chose. Where a set has no labelled test split, every second validation image of
each class is put to test; class folders alone are split by goldenrule. Runs are kept in runs/golden, and not
repeated while they are there.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from common import RESULTS, made_with, markdown_table
from every_set import accuracy
from golden_runs import GoldenRun, golden_run
from goldenrule.metrics import Predictions, bootstrap, image_losses, paired_bootstrap
from goldenrule.metrics.predictions_csv import from_csv

SETS = (
    "dogscats",
    "cat_dog_horse",
    "clothing_small",
    "GTSRB",
    "GTSRB_native15",
    "flowers_128",
    "hymenoptera_data",
    "surface_crack",
)
SEEDS = {"GTSRB": 1, "GTSRB_native15": 1, "clothing_small": 1, "surface_crack": 1}
"""How many seeds, where not as many as the option says."""

Pair = tuple[GoldenRun, GoldenRun]


def main() -> None:
    """Measure and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="*", default=SETS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("-o", "--out", type=Path, default=RESULTS / "golden_rule.md")
    arguments = parser.parse_args()
    pairs: list[Pair] = []
    for seed in range(arguments.seeds):
        for one in arguments.sets:
            if seed < SEEDS.get(one, arguments.seeds):
                pairs.append((golden_run(one, seed, options=("--quick",)), golden_run(one, seed)))
                print(" | ".join(row(*pairs[-1])), flush=True)
                pairs.sort(key=lambda pair: (arguments.sets.index(pair[1].set), pair[1].seed))
                write(pairs, arguments.out)


def write(pairs: list[Pair], out: Path) -> None:
    """Write the page of what there is so far, and the numbers beside it."""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.with_suffix(".json").write_text(json.dumps([facts(*pair) for pair in pairs], indent=1) + "\n")
    out.write_text(page(pairs))


def row(linear: GoldenRun, whole: GoldenRun) -> list[str]:
    """Return one row of the table of clean numbers."""
    first, last = linear.result, whole.result
    return [
        whole.set,
        str(whole.seed),
        accuracy(first["test"]),
        loss(first["test"]),
        f"{linear.cost.seconds:.0f}",
        last["chosen"],
        accuracy(last["test"]),
        loss(last["test"]),
        gain(linear, whole),
        f"{whole.cost.seconds:.0f}",
    ]


def gain(linear: GoldenRun, whole: GoldenRun) -> str:
    """Return by how much the chosen classifier's test log loss is lower, with the interval of the same images."""
    first, last = tested(linear), tested(whole)
    if first is None or last is None:
        return "-"
    found = paired_bootstrap(first, last, metric="log_loss").gain
    return f"{found.value:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"


def all_seeds(pairs: list[Pair]) -> list[str]:
    """Return a row of gains on the test images of all seeds: an image that several seeds have tested counts once.

    Its gain is then the mean of theirs. Seeds split sets of class folders differently, so they test other images.
    """
    gains: dict[str, list[float]] = {}
    for pair in pairs:
        first, last = (tested(run) for run in pair)
        if first and last:
            losses = zip(last.ids, image_losses(first) - image_losses(last), strict=True)
            for name, value in losses:
                gains.setdefault(name, []).append(float(value))
    means = np.array([np.mean(each) for each in gains.values()])
    low, high = bootstrap(means, resamples=10_000)
    seeds = ", ".join(str(pair[1].seed) for pair in pairs)
    return [pairs[0][1].set, seeds, f"{len(means):,}", f"{means.mean():+.3f} [{low:+.3f}, {high:+.3f}]"]


def tested(run: GoldenRun) -> Predictions | None:
    """Read the test predictions that a run has written, in the order of their paths."""
    file = run.run / "predictions" / "test.csv"
    if not file.exists():
        return None
    seen = from_csv(file.read_text(encoding="utf-8")).scored
    return seen.select(np.argsort(seen.ids))


def facts(linear: GoldenRun, whole: GoldenRun) -> dict[str, Any]:
    """Return what is kept of both runs: what they cost and their result.json without the long curves."""
    kept: dict[str, Any] = {"set": whole.set, "seed": whole.seed, "commit": whole.commit}
    for name, run in (("solved", linear), ("whole", whole)):
        result = run.result
        for test in (result["live"] or {}).get("lr_find", {}).values():
            del test["rates"], test["losses"]
        kept[name] = {
            "seconds": run.cost.seconds,
            "peak_memory_mb": run.cost.peak_memory_mb,
            "others_cpu_share": run.cost.others_cpu_share,
            **result,
        }
    return kept


def page(pairs: list[Pair]) -> str:
    """Return the page of docs/results."""
    stages = []
    for _, whole in pairs:
        stated = whole.result
        for candidate in stated["candidates"] if whole.seed == 0 else ():
            numbers = candidate[candidate["evaluated_on"].replace("-", "_")]
            stages.append(
                [
                    whole.set,
                    candidate["name"] + (" (chosen)" if candidate["name"] == stated["chosen"] else ""),
                    candidate["evaluated_on"],
                    accuracy(numbers),
                    loss(numbers),
                ]
            )
    names = dict.fromkeys(whole.set for _, whole in pairs)
    of_set = [[pair for pair in pairs if pair[1].set == name] for name in names]
    together = [all_seeds(value) for value in of_set if len(value) > 1]
    head = ["set", "seed", "linear head: test", "log loss", "seconds", "chosen", "its test", "log loss"]
    head += ["lower by (paired)", "seconds"]
    others = max(run.cost.others_cpu_share for pair in pairs for run in pair)
    return (
        "# The golden rule, default options\n\n"
        "Test images that no choice has seen, accuracy (Wilson) and log loss (bootstrap) with 95 % intervals and n. "
        "Where a set has no labelled test split, every second validation image of each class is put to test. "
        "A row per run, bank empty, backbone prepared; seconds are those of the whole process. Other programs used "
        f"at most {100 * others:.0f} % of the processor during a run.\n\n"
        f"{markdown_table(head, [row(*pair) for pair in pairs])}\n\n"
        "All seeds together; an image that several of them tested counts once, with the mean of its gains:\n\n"
        f"{markdown_table(['set', 'seeds', 'images', 'log loss lower by'], together)}\n\n## What each stage gave\n\n"
        "Seed 0, on the images by which it was evaluated: out-of-fold for linear heads, validation for the "
        f"rest.\n\n{markdown_table(['set', 'stage', 'judged on', 'accuracy', 'log loss'], stages)}\n\n"
        f"Made by `python benchmarks/golden_rule.py`: {made_with(*(whole.commit for _, whole in pairs))}.\n"
    )


def loss(numbers: dict[str, Any] | None) -> str:
    """Return a log loss with its interval."""
    if numbers is None:
        return "-"
    return f"{numbers['log_loss']:.3f} [{numbers['log_loss_low']:.3f}, {numbers['log_loss_high']:.3f}]"


if __name__ == "__main__":
    main()
