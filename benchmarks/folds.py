"""Whether the average of folds' heads is better than one head solved on all images: paired, on held-out images."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import goldenrule as gr
from common import RESULTS, made_with, markdown_table
from goldenrule.core.schema import as_json
from goldenrule.metrics import value_and_interval
from held_out import OUTER, SETS, splits

FOLDS = (5, 10)


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="*", default=SETS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--out", type=Path, default=RESULTS / "folds.md")
    arguments = parser.parse_args()
    rows = []
    for name in arguments.sets:
        rows.append(measured(name, arguments.seed))
        print(json.dumps(rows[-1])[:300], flush=True)
    arguments.out.with_suffix(".json").write_text(
        json.dumps({"made_with": made_with(), "seed": arguments.seed, "rows": rows}, indent=1) + "\n"
    )
    arguments.out.write_text(page(rows))


def measured(name: str, seed: int) -> dict[str, Any]:
    """Return the scores of one head and of averages on all images of a set, and the paired gains."""
    said: dict[int, list[gr.Predictions]] = {number: [] for number in (1, *FOLDS)}
    for split in splits(name, seed=seed):
        said[1].append(split.says(split.fitted.head))
        for folds in FOLDS:
            average = gr.fit_head(split.train, split.features, seed=seed, folds=folds)
            said[folds].append(split.says(average.head))
    every = {folds: gr.Predictions.concatenate(value) for folds, value in said.items()}
    return {
        "set": name,
        "classes": len(every[1].classes),
        "scores": {
            folds: {
                "accuracy": as_json(gr.metrics.accuracy(predictions)),
                "log loss": as_json(gr.metrics.log_loss(predictions)),
            }
            for folds, predictions in every.items()
        },
        "gains": {
            folds: {
                metric.replace("_", " "): as_json(
                    gr.metrics.paired_bootstrap(every[1], every[folds], metric=metric).gain
                )
                for metric in ("log_loss", "accuracy")
            }
            for folds in FOLDS
        },
    }


def page(rows: list[dict[str, Any]]) -> str:
    """Return the page of docs/results."""
    return (
        "# The average of folds against one head on everything\n\n"
        "`goldenrule fit --folds 5` averages the heads that were solved without each of five folds; without it one "
        "head is solved on all training images. Both on images that took no part in anything: "
        f"{OUTER} outer folds of each set, each held out once, so n is all its labelled images; plain activations. "
        "Gains are paired over images, above 0 where the average is better: log loss in nats, accuracy in percentage "
        "points. All intervals 95 %.\n\n"
        f"{verdicts(rows)}\n\n{table(rows)}\n\n"
        "Each head of the average has seen four fifths (nine tenths) of the images. Images of a set are evaluated by "
        "five classifiers that share most of their training images: the intervals are those of images, "
        "not of training sets.\n\n"
        f"Made by `python benchmarks/folds.py`: {made_with()}.\n"
    )


def verdicts(rows: list[dict[str, Any]]) -> str:
    """Say on which sets an average is clearly better, and worse."""
    lines = []
    for folds in FOLDS:
        gains = {row["set"]: row["gains"][folds]["log loss"] for row in rows}
        better = [name for name, gain in gains.items() if gain["low"] > 0]
        worse = [name for name, gain in gains.items() if gain["high"] < 0]
        lines.append(
            f"- Of {folds} folds: log loss clearly lower on {', '.join(better) or 'none'}; clearly higher on "
            f"{', '.join(worse) or 'none'}; no clear difference on the other {len(rows) - len(better) - len(worse)} "
            f"of {len(rows)} sets."
        )
    return "\n".join(lines)


def table(rows: list[dict[str, Any]]) -> str:
    """Return a line per set and number of folds."""
    lines = []
    for row in rows:
        for folds, score in row["scores"].items():
            gains = row["gains"].get(folds)
            lines.append(
                [
                    f"{row['set']}, {row['classes']} classes" if folds == 1 else "",
                    "one head" if folds == 1 else f"mean of {folds} folds",
                    *(value_and_interval(gr.Estimate(**score[name])) for name in ("accuracy", "log loss")),
                    *(
                        value_and_interval(gr.Estimate(**gains[name])) if gains else ""
                        for name in ("log loss", "accuracy")
                    ),
                    f"{score['log loss']['n']:,}" if folds == 1 else "",
                ]
            )
    header = ["set", "head", "accuracy", "log loss", "paired gain in log loss", "paired gain in accuracy", "n"]
    return markdown_table(header, lines)


if __name__ == "__main__":
    main()
