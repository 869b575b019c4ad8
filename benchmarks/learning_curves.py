"""How well a learning curve of half, or a quarter, of the images forecasts the accuracy with all of them.

A stratified half (or quarter) of the training images is drawn by each of several seeds, whole groups at a time. Its
curve is measured and fitted as `goldenrule learning-curve` does, from its own images alone, and forecasts the accuracy
with all training images. That is then measured: a head solved on all of them, evaluated on images that neither has
seen, the set's own labelled test images where there are 100 or more, else 30 % of the images, drawn anew by each seed.
"Inside" counts how often the measured accuracy lies in the forecast's 95 % interval for so many test images. "Stays"
takes for the forecast what the curve's largest size has out-of-fold. The last two columns leave the luck of the test
images out: the gain from half (or a quarter) to all, both measured on the same test images, beside the gain that the
curve forecasts and beside none. Which sizes the laws are fitted to, and that each law has an equal share, was chosen on
four seeds of these same sets, among ways that differed little: the errors flatter a little.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

import goldenrule as gr
from common import DATA, RESULTS, ROOT, commit, made_with, markdown_table
from goldenrule.analysis.curve_points import nested_order
from goldenrule.analysis.learning_curve import learning_curve
from goldenrule.core.errors import TooFewImages
from goldenrule.core.progress import Silent
from goldenrule.data.sources.label_tables import from_source
from goldenrule.data.splits.folds import stratified_folds
from goldenrule.data.units import duplicate_units
from goldenrule.features.linear import Rows, fit_linear
from goldenrule.metrics import Estimate, bootstrap, value_and_interval

SETS = (
    "cat_dog_horse",
    "cifar10_cat_dog_horse",
    "clothing_small",
    "dog_breed",
    "dogscats",
    "flowers_128",
    "GTSRB",
    "GTSRB_native15",
    "hymenoptera_data",
    "surface_crack",
)
SHARES = {2: "half", 4: "a quarter"}
LEAST_TEST, HELD_OUT = 100, 0.3
KEPT = ROOT / "runs" / "learning_curves.jsonl"
Record = dict[str, Any]


def main() -> None:
    """Measure what is not there yet and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="*", default=SETS)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("-o", "--out", type=Path, default=RESULTS / "learning_curves.md")
    arguments = parser.parse_args()
    KEPT.parent.mkdir(parents=True, exist_ok=True)
    records = [json.loads(line) for line in KEPT.read_text().splitlines()] if KEPT.exists() else []
    done = {(one["set"], one["seed"], one["of"]) for one in records}
    for name in arguments.sets:
        wanted = [(seed, of) for seed in range(arguments.seeds) for of in SHARES if (name, seed, of) not in done]
        images = Images(name) if wanted else None
        for seed, of in wanted:
            assert images is not None
            records.append(images.measured(seed, of))
            with KEPT.open("a") as file:
                file.write(json.dumps(records[-1]) + "\n")
            print(records[-1], flush=True)
    records.sort(key=lambda one: (one["of"], one["set"].lower(), one["seed"]))
    arguments.out.with_suffix(".json").write_text(json.dumps(records, indent=1) + "\n")
    arguments.out.write_text(page(records))


class Images:
    """A photo set's labelled images with their activations."""

    def __init__(self, name: str) -> None:
        self.name = name
        table, features = gr.features_of(from_source(DATA / name), gr.backbone(), progress=Silent())
        table = table.where(table.targets >= 0)
        self.targets, self.classes = table.targets, len(table.classes)
        self.units = duplicate_units(table)
        self.features = features.rows([digest or b"" for digest in table.digests])
        self.own_test = np.array([split == "test" for split in table.splits])

    def measured(self, seed: int, of: int) -> Record:
        """Forecast from a share of the training images, and measure with all."""
        test = self.own_test if self.own_test.sum() >= LEAST_TEST else self.held_out(seed)
        train = np.flatnonzero(~test & ~self.own_test)
        units = [self.units[row] for row in train]
        order = train[nested_order(self.targets[train], units, of, seed=seed)]
        some = np.sort(order[: len(order) // of])
        record: Record = {
            "set": self.name,
            "seed": seed,
            "of": of,
            "commit": commit(),
            "images": len(some),
            "all_images": len(train),
            "classes": self.classes,
            "test_images": int(test.sum()),
        }
        try:
            curve = learning_curve(
                self.features[some],
                self.targets[some],
                [self.units[row] for row in some],
                classes=self.classes,
                seed=seed,
                progress=Silent(),
            )
        except TooFewImages:
            return record | {"too_few": True}
        forecast = curve.forecast(len(train) / self.classes, evaluated_by=int(test.sum()))
        return record | {
            "forecast": [forecast.value, forecast.low, forecast.high],
            "forecast_now": curve.forecast(curve.images_per_class).value,
            "out_of_fold": curve.points[-1].estimate.value,
            "measured": self._accuracy(train, np.flatnonzero(test)),
            "measured_now": self._accuracy(some, np.flatnonzero(test)),
        }

    def held_out(self, seed: int) -> Any:
        """Return which images are held out for a test (n,): whole units."""
        others = np.flatnonzero(~self.own_test)
        order = nested_order(self.targets[others], [self.units[row] for row in others], 1, seed=seed)
        chosen = {self.units[row] for row in others[order[: round(HELD_OUT * len(others))]]}
        return np.array([unit in chosen for unit in self.units]) & ~self.own_test

    def _accuracy(self, train: Any, test: Any) -> float:
        return float(self.right(train, test).mean())

    def right(self, train: Any, test: Any) -> Any:
        """Return which images (n,) a head solved on others, as a fit solves it, gets right."""
        ours, targets = self.features[train], self.targets[train]
        folds = min(5, max(2, int(np.bincount(targets).max())))
        rows = Rows(
            read=lambda start, stop: ours[start:stop],
            targets=targets,
            weights=np.ones(len(train), np.float32),
            folds=stratified_folds(targets, [self.units[row] for row in train], folds=folds, seed=0),
            features=ours.shape[1],
            classes=self.classes,
            scored=len(train),
        )
        said = fit_linear(rows).head.logits(self.features[test])
        return said.argmax(axis=1) == self.targets[test]


def page(records: list[Record]) -> str:
    """Return the page of docs/results."""
    how = " ".join((__doc__ or "").partition("\n\n")[2].split())
    splits = ["# How well learning curves forecast", how, "Intervals are of 95 %; points are percentage points."]
    fine = [one for one in records if not one.get("too_few")]
    for of, name in SHARES.items():
        some = [one for one in fine if one["of"] == of]
        splits += [f"## From {name} of the images", _sentence(some, name), _table(some)]
    few = sorted({f"{one['set']} ({SHARES[one['of']]})" for one in records if one.get("too_few")}, key=str.lower)
    if few:
        splits.append(
            f"Too few images, or too few that do not belong together, for a curve of four sizes: {', '.join(few)}."
        )
    seeds = len({one["seed"] for one in records})
    splits.append(
        f"Made by `python benchmarks/learning_curves.py --seeds {seeds}`: "
        f"{made_with(*(one['commit'] for one in records))}."
    )
    return "\n\n".join(splits) + "\n"


def _table(records: list[Record]) -> str:
    rows = []
    for name in sorted({one["set"] for one in records}, key=str.lower):
        some = [one for one in records if one["set"] == name]
        first = some[0]
        rows.append(
            [
                name,
                f"{first['classes']}",
                f"{first['images']:,} -> {first['all_images']:,}",
                f"{first['test_images']:,}",
                _percent(one["out_of_fold"] for one in some),
                _percent(one["forecast"][0] for one in some),
                _percent(one["measured"] for one in some),
                f"{_points(_errors(some, 'forecast')):.1f}",
                f"{_points(_errors(some, 'stays')):.1f}",
                f"{sum(map(_inside, some))} of {len(some)}",
                f"{_points(np.array([one['forecast'][2] - one['forecast'][1] for one in some])):.1f}",
                f"{_points(_errors(some, 'gain')):.1f}",
                f"{_points(_errors(some, 'no gain')):.1f}",
            ]
        )
    head = ["set", "classes", "training images", "test images", "out-of-fold", "forecast", "measured", "error"]
    head += ["error if it stays", "inside", "width of the interval", "error of the gain", "error of no gain"]
    return markdown_table(head, rows)


def _sentence(records: list[Record], share: str) -> str:
    """Sum up: mean errors beside the baseline's, sets resampled; how often inside."""
    forecast, stays = _per_set(records, "forecast"), _per_set(records, "stays")
    gain, none = _per_set(records, "gain"), _per_set(records, "no gain")
    inside = Estimate.of_share("inside", sum(map(_inside, records)), len(records))
    return (
        f"Over {len(forecast)} sets (mean of each set's seeds) the forecast from {share} is wrong by "
        f"{_mean(forecast)} points, what is had already by {_mean(stays)}: {_less(stays - forecast)}. Its gain is "
        f"wrong by {_mean(gain)} points, no gain by {_mean(none)}: {_less(none - gain)}. The measured accuracy is "
        f"inside the interval in {value_and_interval(inside)} of {len(records)} forecasts (seeds of a set share "
        "images, so that the true interval is wider)."
    )


def _errors(records: list[Record], kind: str) -> Any:
    """Return the absolute errors (n,) of a way to forecast."""
    wrong = {
        "forecast": lambda one: one["forecast"][0] - one["measured"],
        "stays": lambda one: one["out_of_fold"] - one["measured"],
        "gain": lambda one: one["forecast"][0] - one["forecast_now"] - one["measured"] + one["measured_now"],
        "no gain": lambda one: one["measured_now"] - one["measured"],
    }[kind]
    return np.abs([wrong(one) for one in records])


def _per_set(records: list[Record], kind: str) -> Any:
    """Return the mean absolute error of each set (sets,)."""
    names = sorted({one["set"] for one in records})
    return np.array([_errors([one for one in records if one["set"] == name], kind).mean() for name in names])


def _mean(values: Any) -> str:
    low, high = bootstrap(values)
    return f"{100 * values.mean():.2f} [{100 * low:.2f}, {100 * high:.2f}]"


def _less(gains: Any) -> str:
    low, high = bootstrap(gains)
    return f"{_mean(gains)} less" if low > 0 or high < 0 else f"they can't be told apart ({_mean(gains)} less)"


def _inside(record: Record) -> bool:
    _, low, high = record["forecast"]
    return bool(low - 1e-9 <= record["measured"] <= high + 1e-9)


def _percent(values: Any) -> str:
    return f"{100 * np.mean(list(values)):.1f} %"


def _points(values: Any) -> float:
    return float(100 * np.mean(values))


if __name__ == "__main__":
    main()
