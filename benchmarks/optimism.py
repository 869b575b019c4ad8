"""How much the validation numbers of trained networks flatter: their gain over the linear head, there and on test.

Of each set images are drawn anew into train, valid and test (near duplicates and films whole), three times. All seven
steps run; each trained network is evaluated whether it was taken or not. *All of validation*: as the saved network,
whose cycle, share and temperature all of validation has chosen, scores there. *By halves*: each half predicted by what
the other half chose, which is what `goldenrule fit` prints, selects by and calibrates on. Test took no part in
anything. The sets of classes of these networks are measured on test too: calibrated either way.

What is finished stands in the JSON file beside the page, and is not done again. Pictures are 128 px wide, to be quick.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import goldenrule as gr
from common import DATA, RESULTS, ROOT, made_with, markdown_table
from goldenrule.data.duplicates.near_duplicates import near_duplicates
from goldenrule.data.grouping import with_alike
from goldenrule.data.pictures.file_digests import with_digests
from goldenrule.data.scan import looked
from goldenrule.data.sources.label_tables import from_source
from goldenrule.data.splits.splitting import Shares, sample_per_class, with_split
from goldenrule.data.table import ImageTable
from goldenrule.metrics import image_losses, set_coverage, value_and_interval
from goldenrule.metrics.basic import hits
from goldenrule.metrics.grouped.clusters import clustered_mean
from goldenrule.metrics.uncertainty.paired import holm
from goldenrule.pipelines.attempts.several_backbones import Standing
from goldenrule.pipelines.clock import Clock
from goldenrule.pipelines.finalize import scored_on_valid
from goldenrule.pipelines.golden_rule import seven_steps
from goldenrule.pipelines.prepare import prepared_fit
from goldenrule.pipelines.probe import linear_heads_of
from goldenrule.runs.options import FitOptions
from held_out import films

SETS = (
    "dogscats",
    "cat_dog_horse",
    "clothing_small",
    "flowers_128",
    "GTSRB_native15",
    "hymenoptera_data",
    "surface_crack",
    "cifar10_cat_dog_horse",
)
SEEDS, IMAGES, PX = 3, 600, 128
PROMISES = (0.9, 0.95)
WAYS = {"all": "all of validation", "halves": "by halves"}


def main() -> None:
    """Measure what is missing, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="*", default=SETS)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("-o", "--out", type=Path, default=RESULTS / "optimism.md")
    arguments = parser.parse_args()
    kept = arguments.out.with_suffix(".json")
    found = json.loads(kept.read_text()) if kept.exists() else {"made_with": made_with(), "rows": []}
    rows, done = found["rows"], {(row["set"], row["seed"]) for row in found["rows"]}
    for seed in range(arguments.seeds):
        for name in arguments.sets:
            if (name, seed) not in done:
                some = list(measured(name, seed))
                rows += some
                kept.write_text(json.dumps(found, indent=1) + "\n")
                print(name, seed, [(row["candidate"], round(row["halves"]["gain"], 3)) for row in some], flush=True)
    arguments.out.write_text(page(rows, found["made_with"]))


def drawn(name: str, seed: int) -> ImageTable:
    """Give up to `IMAGES` labelled images of a set, dealt out anew: 40 % train, 20 % valid, 40 % test."""
    table = from_source(DATA / name, group_by=films(name))
    table = table.where(table.labelled).with_splits([None] * int(table.labelled.sum()))
    table = sample_per_class(table, IMAGES // len(table.classes), seed=seed)
    pairs = near_duplicates(with_digests(table), looked(table))
    table = with_alike(with_digests(table), [(pair.first, pair.second) for pair in pairs])
    return with_split(table, seed=seed, shares=Shares(valid=0.2, test=0.4))


def measured(name: str, seed: int) -> Iterator[dict[str, Any]]:
    """Return a row for each network that was trained: gains over the linear head, and what its sets hold."""
    options = FitOptions(size=PX, views=0, seed=seed, group_by="none")
    folder = ROOT / "runs" / f"optimism-{name}-{seed}"
    shutil.rmtree(folder, ignore_errors=True)
    with prepared_fit(drawn(name, seed), options=options, out=folder) as (work, features):
        linear = linear_heads_of(work, features)
        standing, valid = scored_on_valid(work, linear.chosen, linear.features)
        test = standing.predict_table(work.table.split("test"))
        selection, _ = seven_steps(work, linear, Standing(context=work, linear=linear), Clock(work))
        for one in selection.candidates:
            if one.evaluated_split != "valid" or one.crossed is None or len(one.views) > 1:
                continue
            network = replace(standing, backbone=one.backbone, head=one.head, sets=None, ood_detector=None)
            whole = network.predict_table(work.table.split("valid"))
            unseen = network.predict_table(work.table.split("test"))
            yield {
                "set": name,
                "seed": seed,
                "candidate": one.name,
                "taken": bool(one.verdict and one.verdict.replaced),
                "solved": {"valid": gr.metrics.accuracy(valid).value, "test": gr.metrics.accuracy(test).value},
                "n": {"valid": len(valid.scored), "test": len(test.scored)},
                "all": gains(valid, whole) | {"sets": covered(whole, unseen)},
                "halves": gains(valid, one.crossed.predictions) | {"sets": covered(one.crossed.predictions, unseen)},
                "test": gains(test, unseen),
            }
    shutil.rmtree(folder, ignore_errors=True)


def gains(before: gr.Predictions, after: gr.Predictions) -> dict[str, Any]:
    """Return by how much log loss fell and accuracy rose, on the same images."""
    before, after = before.scored, after.scored
    place = {uri: row for row, uri in enumerate(after.ids)}
    after = after.select([place[uri] for uri in before.ids])
    return {
        "gain": float((image_losses(before) - image_losses(after)).mean()),
        "points": 100 * float(hits(after).mean() - hits(before).mean()),
        "accuracy": gr.metrics.accuracy(after).value,
        "low": gr.metrics.accuracy(after).low,
        "high": gr.metrics.accuracy(after).high,
    }


def covered(calibration: gr.Predictions, test: gr.Predictions) -> list[dict[str, Any]]:
    """Return how often sets that were calibrated on some images hold the true class of others."""
    found = []
    for promise in PROMISES:
        rule = gr.metrics.PredictionSets.fit(calibration, coverage=promise)
        inside = rule.sets(test)
        estimate = set_coverage(test, inside)
        held = round(estimate.value * estimate.n)
        found.append({"promise": promise, "held": held, "n": estimate.n, "size": float(inside.sum(axis=1).mean())})
    return found


def page(rows: list[dict[str, Any]], made: str) -> str:
    """Return the page of docs/results."""
    candidates = list(dict.fromkeys(row["candidate"] for row in rows))
    lines = []
    for candidate in candidates:
        some = [row for row in rows if row["candidate"] == candidate]
        for way, said in WAYS.items():
            lines.append([candidate, said, *optimism(some, way), str(len(some))])
    header = ["network", "evaluated", "log loss: gain there - gain on test", "accuracy: points there - on test", "fits"]
    return (
        "# What choosing on validation adds to its numbers\n\n"
        f"{len(rows)} trained networks in {len({(row['set'], row['seed']) for row in rows})} fits of "
        f"{len({row['set'] for row in rows})} sets, {SEEDS} splits each at most (up to {IMAGES} images a set, {PX} px: "
        "40 % train, 20 % valid, 40 % test). The gain is that over the linear head on the same images; what is left of "
        "it on test images, which nothing was chosen on, is real, and the rest is *optimism*. Intervals are Student's "
        "t and bootstrap-t over sets.\n\n"
        f"{markdown_table(header, lines)}\n\n"
        f"{verdict(rows)}\n\n"
        f"## Sets of classes of trained networks\n\n{coverage(rows)}\n\n"
        "Test images are counted one by one; sets whose images come in films (GTSRB_native15) are not tested.\n\n"
        f"## Every set\n\n{table(rows)}\n\n"
        f"Made by `python benchmarks/optimism.py`: {made}.\n"
    )


def optimism(rows: list[dict[str, Any]], way: str) -> list[str]:
    """Return the mean optimism in log loss and accuracy with intervals over sets."""
    names = sorted({row["set"] for row in rows})
    groups = np.array([names.index(row["set"]) for row in rows])
    cells = []
    for what, digits in (("gain", 3), ("points", 1)):
        values = np.array([row[way][what] - row["test"][what] for row in rows])
        found = clustered_mean(values, groups)
        ends = f" [{found.low:.{digits}f}, {found.high:.{digits}f}]" if np.isfinite(found.low) else ""
        cells.append(f"{values.mean():.{digits}f}{ends}")
    return cells


def verdict(rows: list[dict[str, Any]]) -> str:
    """Say in how many fits the accuracy on test lies within the interval that validation gave."""
    lines = []
    for way, said in WAYS.items():
        inside = sum(row[way]["low"] <= row["test"]["accuracy"] <= row[way]["high"] for row in rows)
        above = sum(row["test"]["accuracy"] < row[way]["low"] for row in rows)
        lines.append(
            f"Evaluated {said}: the accuracy on test lies within the 95 % interval of validation in {inside} of "
            f"{len(rows)} networks, below it in {above} (test has an error of its own)."
        )
    return "\n\n".join(lines)


def coverage(rows: list[dict[str, Any]]) -> str:
    """Return pooled coverage by way and promise, and whether a set's interval lies below what was asked (Holm)."""
    lines = []
    for promise in PROMISES:
        for way, said in WAYS.items():
            found = {name: held(rows, way, promise, name) for name in sorted({row["set"] for row in rows})}
            estimate = gr.Estimate.of_share(
                "coverage", sum(one[0] for one in found.values()), sum(one[1] for one in found.values())
            )
            alone = [name for name in found if films(name) == "none"]
            adjusted = holm([below(*found[name], promise) for name in alone])
            short = [name for name, p_value in zip(alone, adjusted, strict=True) if p_value < 0.05]
            sizes = [one["size"] for row in rows for one in row[way]["sets"] if one["promise"] == promise]
            lines.append(
                [
                    f"{100 * promise:g} %",
                    said,
                    f"{value_and_interval(estimate)}",
                    f"{np.mean(sizes):.2f}",
                    f"{estimate.n:,}",
                    ", ".join(short) or "none",
                ]
            )
    header = ["asked for", "calibrated", "held the true class", "classes a set", "n", "sets below it (Holm)"]
    return markdown_table(header, lines)


def held(rows: list[dict[str, Any]], way: str, promise: float, name: str) -> tuple[int, int]:
    """Return how many test images of a set were held, and of how many, over all its fits."""
    ours = [one for row in rows if row["set"] == name for one in row[way]["sets"] if one["promise"] == promise]
    return sum(one["held"] for one in ours), sum(one["n"] for one in ours)


def below(hits_: int, n: int, promise: float) -> float:
    """Return the one-sided p-value of a coverage being what was promised."""
    from scipy.stats import binom

    return float(binom.cdf(hits_, n, promise))


def table(rows: list[dict[str, Any]]) -> str:
    """Return a line per set and network: mean accuracies and gains."""
    lines = []
    for name, candidate in dict.fromkeys((row["set"], row["candidate"]) for row in rows):
        some = [row for row in rows if (row["set"], row["candidate"]) == (name, candidate)]

        def mean(*keys: str, of_these: list[dict[str, Any]] = some) -> float:
            return float(np.mean([row[keys[0]][keys[1]] for row in of_these]))

        lines.append(
            [
                name,
                candidate,
                *(f"{100 * mean('solved', split):.1f} %" for split in ("valid", "test")),
                *(f"{100 * mean(way, 'accuracy'):.1f} %" for way in (*WAYS, "test")),
                *(f"{mean(way, 'gain'):.3f}" for way in (*WAYS, "test")),
                f"{sum(row['taken'] for row in some)} of {len(some)}",
            ]
        )
    header = [
        "set",
        "network",
        "linear head: valid",
        "test",
        "network: all of valid",
        "by halves",
        "test",
        "log loss gained: all of valid",
        "by halves",
        "test",
        "taken",
    ]
    return markdown_table(header, lines)


if __name__ == "__main__":
    main()
