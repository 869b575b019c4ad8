"""How good the linear head is with 5, 10, 20, 50, 100 ... images per class, beside the rule of thumb for how many.

The rule of thumb says: transfer learning up to 1,000 images per class, fine-tuning 1,000 to 5,000, training from
scratch 5,000 or more. Here the default backbone's activations are computed once, and heads are solved on them, as
`goldenrule fit --quick` does, with equally many training images of each class, drawn anew five times, and once with all
of them. Each evaluates the same images, which none has learned from: the set's own labelled test images where there are
100 or more, else 30 % of the images, drawn once. What belongs together (equal files, frames of one series) is on one
side, and whole series are drawn: in GTSRB 10 images of a class are of one track or two. Intervals are of 95 %, by the
Bayesian bootstrap over test images and draws, at every size the same resamples.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common import RESULTS, commit, made_with, markdown_table
from goldenrule.analysis.curve_laws import resampled_curves
from goldenrule.analysis.curve_points import nested_order
from goldenrule.analysis.data_size import NEAR, ClassSizes, data_size
from goldenrule.analysis.learning_curve import learning_curve
from goldenrule.core.errors import TooFewImages
from goldenrule.core.progress import Silent
from goldenrule.core.randomness import key
from goldenrule.core.schema import as_json, from_json
from goldenrule.metrics import Estimate, value_and_interval
from learning_curves import LEAST_TEST, SETS, Images

SIZES = (5, 10, 20, 50, 100, 200, 500)
DRAWS = 5
METHOD = "Bayesian bootstrap 95 % over images and draws"
HELP = {"clearly": "would clearly help", "hardly": "would hardly help", "unknown": "can't be told"}
Record = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Training rows and held-out rows of a set."""

    images: Images
    train: Any
    test: Any

    @classmethod
    def of(cls, images: Images, seed: int = 0) -> Held:
        """Hold out the set's own test images, or a share of all."""
        test = images.own_test if images.own_test.sum() >= LEAST_TEST else images.held_out(seed)
        return cls(images=images, train=np.flatnonzero(~test & ~images.own_test), test=np.flatnonzero(test))

    def drawn(self, each: int, draw: int) -> Any:
        """Return so many training rows of each class: whole units in the order of their hash, but for the last."""
        units = self.images.units
        ordered = sorted(self.train.tolist(), key=lambda row: (key(draw, "data size", units[row]), row))
        by_class: dict[int, list[int]] = {}
        for row in ordered:
            by_class.setdefault(int(self.images.targets[row]), []).append(row)
        return np.array([row for rows in by_class.values() for row in rows[:each]])


def main() -> None:
    """Measure the sets and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="*", default=SETS)
    parser.add_argument("--seeds", type=int, default=3, help="draws of a half, by which advice is tried")
    parser.add_argument("-o", "--out", type=Path, default=RESULTS / "data_size.md")
    arguments = parser.parse_args()
    records = []
    for name in arguments.sets:
        images = Images(name)
        records.append(measured(images) | {"advice": list(advised(images, arguments.seeds))})
        print(name, records[-1]["all"], [one["more_images"] for one in records[-1]["advice"]], flush=True)
    arguments.out.with_suffix(".json").write_text(json.dumps(records, indent=1) + "\n")
    arguments.out.write_text(page(records, arguments.seeds))


def measured(images: Images) -> Record:
    """Return the accuracy of heads on so many images per class, and what more of them gain."""
    held = Held.of(images)
    counts = np.bincount(images.targets[held.train])
    sizes = [size for size in SIZES if size <= counts.min()]
    wrong = np.empty((len(sizes) + 1, DRAWS, len(held.test)), np.float32)
    for number, size in enumerate(sizes):
        for draw in range(DRAWS):
            wrong[number, draw] = ~images.right(held.drawn(size, draw), held.test)
    wrong[-1] = ~images.right(held.train, held.test)
    names = {name: number for number, name in enumerate(dict.fromkeys(images.units[row] for row in held.test))}
    curves = resampled_curves(wrong, np.array([names[images.units[row]] for row in held.test]), shares=True)
    found = [
        _estimate("accuracy", 1 - wrong[number].mean(), 1 - curves[:, number], len(held.test))
        for number in range(len(sizes) + 1)
    ]
    left = [
        _estimate("gain", wrong[number].mean() - wrong[-1].mean(), curves[:, number] - curves[:, -1], len(held.test))
        for number in range(len(sizes))
    ]
    return {
        "set": images.name,
        "commit": commit(),
        "classes": images.classes,
        "training_images": len(held.train),
        "smallest": int(counts.min()),
        "median": float(np.median(counts)),
        "test_images": len(held.test),
        "series": len(set(images.units)) < 0.5 * len(images.units),
        "sizes": sizes,
        "accuracy": [as_json(one) for one in found[:-1]],
        "all": as_json(found[-1]),
        "all_gain": [as_json(one) for one in left],
    }


def advised(images: Images, seeds: int) -> Iterable[Record]:
    """Return the advice that half of the training images lead to, and what the other half then gains."""
    for seed in range(seeds):
        held = Held.of(images, seed)
        units = [images.units[row] for row in held.train]
        order = held.train[nested_order(images.targets[held.train], units, 2, seed=seed)]
        some = np.sort(order[: len(order) // 2])
        ours = images.targets[some]
        try:
            curve = learning_curve(
                images.features[some],
                ours,
                [images.units[row] for row in some],
                classes=images.classes,
                seed=seed,
                progress=Silent(),
            )
        except TooFewImages:
            continue
        advice = data_size(curve, ClassSizes.of(np.bincount(ours).tolist()))
        before, after = (images.right(rows, held.test).mean() for rows in (some, held.train))
        yield {
            "seed": seed,
            "images": len(some),
            "all_images": len(held.train),
            "test_images": len(held.test),
            "more_images": advice.more_images,
            "forecast_gain": as_json(advice.ahead[0].gain),
            "measured_gain": float(after - before),
        }


def page(records: list[Record], seeds: int) -> str:
    """Return the page of docs/results."""
    how = " ".join((__doc__ or "").partition("\n\n")[2].split())
    order = sorted(records, key=lambda one: one["set"].lower())
    return (
        "\n\n".join(
            [
                "# How many images are enough: measured, beside the rule of thumb",
                how,
                "## Accuracy by images per class",
                _summary(order),
                _accuracy_table(order),
                "## How much is left to gain",
                "Percentage points that all training images give above so many per class, on the same test images.",
                _gain_table(order),
                "## Is the advice right?",
                f"A stratified half of the training images is drawn by each of {seeds} seeds. What `goldenrule "
                "learning-curve` then says of twice as many is set beside what the other half really gains, on images "
                "that neither has seen: percentage points, whose luck (a few test images) is part of it.",
                _advice_table(order),
                _advice_by_set(order),
                f"Made by `python benchmarks/data_size.py --seeds {seeds}`: "
                f"{made_with(*(one['commit'] for one in order))}.",
            ]
        )
        + "\n"
    )


def _summary(records: list[Record]) -> str:
    """Say how far the rule is from what was measured."""
    near: dict[str, int | None] = {}
    for one in records:
        close = [size for size, gain in zip(one["sizes"], one["all_gain"], strict=True) if gain["value"] <= NEAR]
        near[one["set"]] = close[0] if close else None
    within = [f"{name} {size}" for name, size in near.items() if size]
    beyond = [name for name, size in near.items() if not size]
    most = max(one["median"] for one in records)
    said = (
        f"None of these {len(records)} sets has the rule's 1,000 training images per class, the largest {most:,.0f}. "
        "By the measured values (the intervals are wider) the smallest size tried that is within a percentage point "
        f"of what all training images of a set give is, in images per class: {', '.join(within) or 'none'}."
    )
    if beyond:
        said += f" No size tried is that near for {', '.join(beyond)}."
    return (
        f"{said} The rule has one number for all of them; how many are needed depends on how well the backbone knows "
        "such pictures, and that a curve measures."
    )


def _accuracy_table(records: list[Record]) -> str:
    sizes = [size for size in SIZES if any(size in one["sizes"] for one in records)]
    rows = []
    for one in records:
        found = dict(zip(one["sizes"], (from_json(value, Estimate) for value in one["accuracy"]), strict=True))
        cells = [value_and_interval(found[size]) if size in found else "" for size in sizes]
        everything = value_and_interval(from_json(one["all"], Estimate))
        rows.append(
            [_name(one), f"{one['classes']}", f"{one['test_images']:,}", *cells, f"{everything} ({one['median']:,.0f})"]
        )
    return markdown_table(["set", "classes", "test images", *map(str, sizes), "all (per class, median)"], rows)


def _gain_table(records: list[Record]) -> str:
    sizes = [size for size in SIZES if any(size in one["sizes"] for one in records)]
    rows = []
    for one in records:
        found = dict(zip(one["sizes"], (from_json(value, Estimate) for value in one["all_gain"]), strict=True))
        cells = [value_and_interval(found[size]).replace(" points", "") if size in found else "" for size in sizes]
        rows.append([_name(one), *cells])
    return markdown_table(["set", *(f"above {size}" for size in sizes)], rows)


def _advice_table(records: list[Record]) -> str:
    every = [advice for one in records for advice in one["advice"]]
    rows = []
    for help_, says in HELP.items():
        ours = [advice for advice in every if advice["more_images"] == help_]
        gains = 100 * np.array([advice["measured_gain"] for advice in ours])
        shown = [""] * 4
        if ours:
            shown = [
                f"{100 * np.mean([advice['forecast_gain']['value'] for advice in ours]):.1f}",
                f"{gains.mean():.1f}",
                f"{gains.min():.1f} to {gains.max():.1f}",
                f"{int((gains >= 0.5).sum())} of {len(ours)}",
            ]
        rows.append([says, f"{len(ours)} of {len(every)}", *shown])
    head = ["more images", "said", "forecast gain, mean", "measured gain, mean", "from, to", "half a point or more"]
    table = markdown_table(head, rows)
    never = [says for help_, says in HELP.items() if all(advice["more_images"] != help_ for advice in every)]
    return f"{table}\n\nNot said once, so that how right it is is not known: {', '.join(never)}." if never else table


def _advice_by_set(records: list[Record]) -> str:
    rows = []
    for one in records:
        if one["advice"]:
            first = one["advice"][0]
            rows.append(
                [
                    one["set"],
                    f"{first['images']:,} -> {first['all_images']:,}",
                    f"{first['test_images']:,}",
                    ", ".join(HELP[advice["more_images"]] for advice in one["advice"]),
                    "; ".join(value_and_interval(from_json(a["forecast_gain"], Estimate)) for a in one["advice"]),
                    "; ".join(f"{100 * a['measured_gain']:.1f}" for a in one["advice"]),
                ]
            )
    few = [one["set"] for one in records if not one["advice"]]
    table = markdown_table(["set", "training images", "test images", "more images", "forecast gain", "measured"], rows)
    return f"{table}\n\nToo few images for a curve from half of them: {', '.join(few)}." if few else table


def _name(record: Record) -> str:
    return f"{record['set']} (series)" if record["series"] else record["set"]


def _estimate(name: str, value: float, resamples: Any, n: int) -> Estimate:
    low, high = np.quantile(resamples, (0.025, 0.975)).tolist()
    kind = "share" if name == "accuracy" else "points"
    return Estimate(name=name, value=value, low=low, high=high, n=n, method=METHOD, kind=kind)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
