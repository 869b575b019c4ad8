"""From what probability labels should be called: 600 of 1,200 scenes with several labels each evaluate, ten splits.

    python benchmarks/several_labels.py

The head is solved on the other 600; thresholds are chosen on its out-of-fold predictions.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

import goldenrule as gr
from common import DATA, RESULTS, made_with, markdown_table
from goldenrule.data.sources.label_tables import from_source
from goldenrule.metrics import (
    Predictions,
    Thresholds,
    best_thresholds,
    quality,
    value_and_interval,
    with_class_thresholds,
)
from goldenrule.metrics.uncertainty.thresholds import _best, _scored

SET, SEEDS = "scenes_multilabel", 10
BETAS = (2.0, 1.0)
SHARES = gr.data.Shares(valid=0.0, test=0.5)
Ways = Mapping[str, Predictions]


def ways(seed: int, beta: float) -> Ways:
    """Return the test images of a split called in each way, and the out-of-fold ones as a fit evaluates them."""
    table = gr.with_split(from_source(DATA / SET), seed=seed, shares=SHARES)
    table, features = gr.features_of(table, gr.backbone())
    train, test = table.split("train"), table.split("test")
    fitted = gr.fit_head(train, features, seed=seed)
    logits = fitted.head.logits(features.rows([digest or b"" for digest in test.digests]))
    said = Predictions.from_logits(logits, test.classes, truth=test.truth, ids=test.uris, task="multi")
    seen = fitted.out_of_fold

    def called(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Predictions:
        rule = Thresholds(classes=said.classes, values=tuple(values), beta=beta, n=len(seen), per_class=True)
        return rule.apply(said)

    return {
        "every label": called(np.zeros(len(said.classes))),
        "from .5 on": said,
        "from one threshold on": called(_best(*_scored(seen), beta, per_class=False)),
        "from one threshold per label on": called(_best(*_scored(seen), beta, per_class=True)),
        "as goldenrule decides": best_thresholds(seen, beta=beta).apply(said),
        "out-of-fold, as a fit says": with_class_thresholds(seen, beta=beta),
    }


def page() -> str:
    """Return the page: for each beta a table of the ways."""
    blocks = []
    for beta in BETAS:
        runs = [ways(seed, beta) for seed in range(SEEDS)]
        rows = []
        for name in runs[0]:
            scores = [quality(run[name], beta=beta) for run in runs]
            values = np.array([score.value for score in scores])
            against = np.array([run["from one threshold on"] for run in runs], object)
            gains = values - [quality(one, beta=beta).value for one in against]
            first = replace(scores[0], basis="held out")
            rows.append(
                [
                    name,
                    f"{100 * values.mean():.1f} %",
                    f"{100 * values.min():.1f} to {100 * values.max():.1f}",
                    f"{100 * gains.mean():+.2f} [{100 * gains.min():+.2f}, {100 * gains.max():+.2f}]",
                    f"{value_and_interval(first)} of {first.n}",
                ]
            )
        header = [
            "labels are called",
            f"F{beta:g}, mean of {SEEDS} splits",
            "lowest to highest",
            "against one threshold, points [lowest, highest]",
            "first split (95 %)",
        ]
        blocks.append(f"## F{beta:g}, averaged over images\n\n{markdown_table(header, rows)}")
    about = (
        f"The head is solved on 600 photos of the set `{SET}` (five labels, one to three an image), thresholds are "
        "chosen on its out-of-fold predictions, and the other 600 photos evaluate. A fit takes one threshold per label "
        "only where that scores better on folds that have not chosen it. The last line is what a fit quotes without "
        "any test image: each fold's thresholds chosen on the other folds."
    )
    title = "# Several labels an image: from what probability they are called"
    made = f"Made by `python benchmarks/several_labels.py`: {made_with()}."
    return "\n\n".join([title, about, *blocks, made]) + "\n"


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--out", type=Path, default=RESULTS / "several_labels.md")
    out = parser.parse_args().out
    out.write_text(page(), encoding="utf-8")
    print(out.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
