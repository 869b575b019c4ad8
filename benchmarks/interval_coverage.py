"""How often the 95 % intervals hold the truth: simulated predictions whose true score is known.

Each case is a way to draw images, truths and logits of two networks. What a network truly scores is taken from so many
drawn images that its own error is small; then small sets are drawn again and again, and it is counted how often the
interval of each metric holds the true score.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import goldenrule as gr
from common import RESULTS, made_with, markdown_table
from goldenrule.core.schema import as_json
from goldenrule.metrics import averages
from goldenrule.metrics.probabilities import sigmoid
from goldenrule.metrics.rank_statistics import auc_and_influences

SIZES = (30, 100, 300, 1000)
RESAMPLES = 1000
Pair = tuple[gr.Predictions, gr.Predictions]
Score = Callable[[gr.Predictions, gr.Predictions], gr.Estimate]


@dataclass(frozen=True, kw_only=True)
class OneLabel:
    """Logits are `skill` at the true class, and normal noise; `frequencies` are those of the classes."""

    about: str
    skill: float
    frequencies: tuple[float, ...]
    better: float = 0.2

    def draw(self, generator: np.random.Generator, n: int) -> Pair:
        """Return n images seen by two networks, the second a little better; half of their noise is the same."""
        classes = len(self.frequencies)
        truth = generator.choice(classes, n, p=np.array(self.frequencies) / sum(self.frequencies))
        shared, a, b = generator.normal(scale=np.sqrt(0.5), size=(3, n, classes))
        target = np.eye(classes)[truth]
        names = [f"class {k}" for k in range(classes)]
        logits = (self.skill * target + shared + a, (self.skill + self.better) * target + shared + b)
        first, second = (gr.Predictions.from_logits(2 * logit, names, truth=truth) for logit in logits)
        return first, second


@dataclass(frozen=True, kw_only=True)
class ManyLabels:
    """Labels that come together, and images that are hard in all of their labels at once."""

    about: str
    skill: float
    labels: int = 8
    better: float = 0.2

    def draw(self, generator: np.random.Generator, n: int) -> Pair:
        """Return n images seen by two networks; labels are at 56 % to 8 % of the images."""
        offsets = np.linspace(0.3, -2.8, self.labels)
        together = generator.normal(size=(n, 1))
        truth = (generator.random((n, self.labels)) < sigmoid(offsets + together)).astype(np.int64)
        clear = self.skill * generator.lognormal(sigma=0.5, size=(n, 1))
        shared, a, b = generator.normal(scale=np.sqrt(0.5), size=(3, n, self.labels))
        names = [f"label {k}" for k in range(self.labels)]
        logits = [
            offsets + (2 * truth - 1) * scale + 1.5 * (shared + value)
            for scale, value in ((clear, a), (clear * 1.1, b))
        ]
        first, second = (gr.Predictions.from_logits(logit, names, truth=truth, task="multi") for logit in logits)
        return first, second


CASES: dict[str, OneLabel | ManyLabels] = {
    "10 classes, easy": OneLabel(about="10 equal classes", skill=3.3, frequencies=(1,) * 10),
    "10 classes, middling": OneLabel(about="10 equal classes", skill=2.3, frequencies=(1,) * 10),
    "5 classes, uneven": OneLabel(
        about="5 classes, the rarest with 3 % of the images", skill=1.5, frequencies=(50, 25, 14, 8, 3)
    ),
    "2 classes, 1 in 10": OneLabel(about="2 classes, one of them with 10 %", skill=1.5, frequencies=(9, 1)),
    "many labels": ManyLabels(about="8 labels an image may have, of 56 % to 8 % of the images", skill=1.5),
}


def scores_of(case: OneLabel | ManyLabels) -> dict[str, Score]:
    """Return the metrics of a case by name; those of one network look at the first."""
    if isinstance(case, ManyLabels):
        single = {
            "log loss": partial(gr.metrics.log_loss, resamples=RESAMPLES),
            "micro precision": lambda value: averages(value)["micro"].precision,
            "micro recall": lambda item: averages(item)["micro"].recall,
            "macro precision": lambda member: averages(member)["macro"].precision,
            "macro recall": lambda values: averages(values)["macro"].recall,
            "macro F1": gr.metrics.f_beta,
            "weighted F1": partial(gr.metrics.f_beta, average="weighted"),
            "samples F2, threshold .2": partial(gr.metrics.f_beta, beta=2, average="samples", thresholds=0.2),
            "macro ROC-AUC": gr.metrics.roc_auc,
            "macro average precision": gr.metrics.average_precision,
        }
    else:
        single = {
            "accuracy (= micro)": gr.metrics.accuracy,
            "log loss": partial(gr.metrics.log_loss, resamples=RESAMPLES),
            "balanced accuracy (= macro recall)": gr.metrics.balanced_accuracy,
            "macro precision": lambda said: averages(said)["macro"].precision,
            "macro F1": gr.metrics.f_beta,
            "macro ROC-AUC": gr.metrics.roc_auc,
            "macro average precision": gr.metrics.average_precision,
            "kappa": gr.metrics.cohen_kappa,
            "quadratic kappa": partial(gr.metrics.cohen_kappa, weights="quadratic"),
            "Matthews correlation": gr.metrics.matthews_correlation,
        }
        if len(case.frequencies) == 2:
            single["ROC-AUC, DeLong's own interval"] = delong
    scores: dict[str, Score] = {
        name: lambda a, _, metric=metric: metric(a)  # type: ignore[misc]
        for name, metric in single.items()
    }
    scores["paired gain in log loss"] = lambda a, b: gr.metrics.paired_bootstrap(a, b, resamples=RESAMPLES).gain
    if isinstance(case, OneLabel):
        scores["paired gain in accuracy"] = lambda a, b: (
            gr.metrics.paired_bootstrap(a, b, metric="accuracy", resamples=RESAMPLES).gain
        )
    return scores


def delong(predictions: gr.Predictions) -> gr.Estimate:
    """Return the ROC-AUC of two classes with the symmetric interval of the paper: what ours is compared with."""
    positive, name = predictions.truth == 1, "ROC-AUC"
    counts = np.array([len(predictions) - positive.sum(), positive.sum()])
    if counts.min() < 2:
        return gr.Estimate.undefined(name, "DeLong 95 %")
    value, influences = auc_and_influences(predictions.probabilities[:, 1], positive)
    unbiased = np.sqrt(counts / (counts - 1))[predictions.truth]
    reach = 1.96 * float(np.linalg.norm(influences * unbiased))
    low, high = value - reach, value + reach
    return gr.Estimate(name=name, value=value, low=low, high=high, n=len(predictions), method="DeLong 95 %")


def main() -> None:
    """Simulate and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=400)
    parser.add_argument("--population", type=int, default=200_000, help="images that stand for all images")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--out", type=Path, default=RESULTS / "interval_coverage.md")
    arguments = parser.parse_args()
    began = time.perf_counter()
    rows = list(measured(arguments.repeats, arguments.population, arguments.seed))
    values = {"repeats": arguments.repeats, "population": arguments.population, "seed": arguments.seed, "rows": rows}
    arguments.out.with_suffix(".json").write_text(json.dumps(values, indent=1) + "\n")
    text = page(rows, arguments.repeats, arguments.population)
    arguments.out.write_text(text)
    print(text)
    print(f"{time.perf_counter() - began:.0f} s")


def measured(repeats: int, population: int, seed: int) -> Iterator[dict[str, Any]]:
    """Give, for each case, size and metric, how often the interval held the truth."""
    for number, (name, case) in enumerate(CASES.items()):
        scores = scores_of(case)
        everything = case.draw(np.random.default_rng([seed, number]), population)
        true = {metric: score(*everything).value for metric, score in scores.items()}
        for n in SIZES:
            generator = np.random.default_rng([seed, number, n])
            held: dict[str, list[bool]] = {metric: [] for metric in scores}
            widths: dict[str, list[float]] = {metric: [] for metric in scores}
            for _ in range(repeats):
                pair = case.draw(generator, n)
                for metric, score in scores.items():
                    estimate = score(*pair)
                    if estimate.defined:
                        held[metric].append(estimate.low <= true[metric] <= estimate.high)
                        widths[metric].append(estimate.high - estimate.low)
            for metric, value in held.items():
                yield {
                    "case": name,
                    "metric": metric,
                    "n": n,
                    "true": true[metric],
                    "coverage": as_json(gr.Estimate.of_share("coverage", sum(value), len(value))),
                    "undefined": repeats - len(value),
                    "width": float(np.mean(widths[metric])) if value else None,
                }


def page(rows: list[dict[str, Any]], repeats: int, population: int) -> str:
    """Return the page of docs/results."""
    sections = "\n\n".join(section(name, case, rows) for name, case in CASES.items())
    shares = [row["coverage"] for row in rows]
    below = sum(share["high"] < 0.95 for share in shares)
    above = sum(share["low"] > 0.95 for share in shares)
    worst = sorted(rows, key=lambda row: float(row["coverage"]["value"]))[:10]
    listed = markdown_table(
        ["case", "metric", "n", "held"],
        [[row["case"], row["metric"], str(row["n"]), _held(row)] for row in worst],
    )
    return (
        "# How often the intervals hold the truth\n\n"
        "Simulated predictions, so that the true score is known: it is that of "
        f"{population:,} images drawn the same way. In each cell {repeats} sets of n images; the share, in percent, of "
        "their 95 % intervals that hold the true score, and the 95 % Wilson interval of that share (it is what the "
        f"{repeats} repeats can tell). Bootstraps are of {RESAMPLES:,} resamples. Each network's logits are twice the "
        "sum of its skill at the true class and normal noise, half of which the two compared networks share; with many "
        "labels an image is hard in all its labels at once.\n\n"
        f"Of {len(rows)} cells, {below} are clearly below 95 % (their interval ends below it), {above} clearly above. "
        "The ten lowest:\n\n"
        f"{listed}\n\n"
        "The truth is that of all classes: in a small set some have no image, and an average without them measures "
        "something else. Log losses of few images miss the rare, dear mistakes. The metrics of a case are measured on "
        "the same sets, so that neighbouring rows are no independent evidence.\n\n"
        f"{sections}\n\n"
        f"Made by `python benchmarks/interval_coverage.py --repeats {repeats}`: {made_with()}.\n"
    )


def section(name: str, case: OneLabel | ManyLabels, rows: list[dict[str, Any]]) -> str:
    """Return the table of a case: a row per metric, a column per number of images."""
    some = [row for row in rows if row["case"] == name]
    lines = []
    for metric in dict.fromkeys(row["metric"] for row in some):
        cells = [row for row in some if row["metric"] == metric]
        lines.append([metric, f"{cells[0]['true']:.3f}", *map(_held, cells)])
    header = ["metric", "true score", *(f"n = {n:,}" for n in SIZES)]
    return f"## {name}\n\n{case.about[0].upper()}{case.about[1:]}.\n\n{markdown_table(header, lines)}"


def _held(row: dict[str, Any]) -> str:
    """Return the coverage in percent, and how often the metric was undefined."""
    share = row["coverage"]
    if not share["n"]:
        return "n/a"
    text = f"{100 * share['value']:.1f} [{100 * share['low']:.1f}, {100 * share['high']:.1f}]"
    return f"{text}, {row['undefined']} undefined" if row["undefined"] else text


if __name__ == "__main__":
    main()
