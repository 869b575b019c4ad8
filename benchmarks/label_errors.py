"""How well wrong labels are found: 5 % of the labels of photo sets are made wrong, and looked for.

Random: each into any other class alike. Confusable: each into the class that the heads take its own for most often.
Several draws of each set; all labelled images of all splits, as `goldenrule labels` takes them. The bank is filled
first; nothing is trained but heads.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import goldenrule as gr
from common import DATA, RESULTS, commit, made_with, markdown_table
from goldenrule.core.schema import as_json, from_json
from goldenrule.data.sources.label_tables import from_source
from goldenrule.data.table import ImageTable
from goldenrule.features.extractor import Features
from goldenrule.features.linear import fold_logits
from goldenrule.pipelines.linear_heads import training_rows
from goldenrule.tasks.run_label_issues import MORE_PENALTY, SuspectedLabels, held_out, suspected, with_features

SETS = ("dogscats", "cat_dog_horse", "flowers_128", "clothing_small", "dog_breed")
SHARE, FIRST = 0.05, (10, 20)
KINDS = ("random", "confusable")
MANY, DRAWS_OF_MANY = 50, 5
"""Sets of more classes than MANY are drawn less often."""
DEFAULT = "self-confidence"


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="+", default=SETS)
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("-o", "--out", type=Path, default=RESULTS / "label_errors.md")
    parser.add_argument("--page", action="store_true", help="write the page from the numbers there are")
    arguments = parser.parse_args()
    numbers = arguments.out.with_suffix(".json")
    if not arguments.page:
        about = {"commit": commit(), "draws": arguments.draws}
        found = {name: measured(name, arguments.draws) for name in arguments.sets}
        numbers.write_text(json.dumps(about | {"sets": found}, indent=1) + "\n")
    made = json.loads(numbers.read_text())
    text = page(made["sets"], made["draws"], made["commit"])
    arguments.out.write_text(text)
    print(text)


def measured(name: str, draws: int) -> dict[str, Any]:
    """Return what is found in a set as it is, and in every draw of flipped labels."""
    table, features = gr.features_of(from_source(DATA / name), gr.backbone())
    images, _ = with_features(table, features)
    plain = suspected(images, features)
    facts = {
        "images": len(images),
        "classes": len(images.classes),
        "accuracy": as_json(gr.metrics.accuracy(plain.predictions)),
        "as it is": {"doubted": plain.errors.number_suspected, "wrong": as_json(plain.wrong)},
        "first as it is": [as_json(suspect) for suspect in plain.errors.first(20)],
    }
    kinds = KINDS if len(images.classes) > 2 else KINDS[:1]
    draws = min(draws, DRAWS_OF_MANY) if len(images.classes) > MANY else draws
    runs = {
        kind: [one_draw(images, features, plain.predictions, kind, seed) for seed in range(draws)] for kind in kinds
    }
    print(name, "measured", flush=True)
    return facts | runs


def one_draw(images: ImageTable, features: Features, plain: gr.Predictions, kind: str, seed: int) -> dict[str, Any]:
    """Flip labels, look for them in every way, and give what was found."""
    labels, flipped = flips(images.targets, plain, kind, seed)
    table = relabelled(images, labels)
    wrong = np.zeros(len(table), dtype=bool)
    wrong[flipped] = True
    truth = dict(zip(table.uris, wrong.tolist(), strict=True))
    found = suspected(table, features)
    errors = found.errors
    is_wrong = np.array([truth[uri] for uri in errors.ids])
    named = int(is_wrong[errors.suspected].sum())
    return {
        "flipped": len(flipped),
        "top": {way: hits(order, wrong, len(flipped)) for way, order in rankings(table, features, found)},
        "first": {str(count): int(is_wrong[:count].sum()) for count in FIRST},
        "doubted": errors.number_suspected,
        "doubted and flipped": named,
        "estimated by confident learning": errors.estimated,
        "wrong": as_json(found.wrong),
    }


def flips(given: np.ndarray, plain: gr.Predictions, kind: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the labels (n,) of which 5 % are made wrong, and the rows of those."""
    draws = np.random.default_rng([5, KINDS.index(kind), seed])
    rows = draws.choice(len(given), round(SHARE * len(given)), replace=False)
    labels = given.copy()
    classes = len(plain.classes)
    if kind == "random":
        labels[rows] = (labels[rows] + draws.integers(1, classes, len(rows))) % classes
        return labels, rows
    means = np.stack([plain.probabilities[given == label].mean(axis=0) for label in range(classes)])
    np.fill_diagonal(means, -1)
    labels[rows] = means.argmax(axis=1)[labels[rows]]
    return labels, rows


def relabelled(images: ImageTable, labels: np.ndarray) -> ImageTable:
    """Return the images with other labels."""
    column = pa.array([[int(label)] for label in labels], pa.list_(pa.int32()))
    index = images.rows.schema.get_field_index("labels")
    return replace(images, rows=images.rows.set_column(index, images.rows.schema.field(index), column))


def rankings(images: ImageTable, features: Features, found: SuspectedLabels) -> Iterator[tuple[str, np.ndarray]]:
    """Return the rows, the most doubtful first, by the ranking that is used and by those it was chosen among."""
    rows = training_rows(images, features, views=0, seed=0)
    targets, said = rows.targets, found.predictions.probabilities
    ours = said[np.arange(len(targets)), targets]
    yield DEFAULT, np.argsort(ours, kind="stable")
    others = said.copy()
    others[np.arange(len(targets)), targets] = -1
    yield "margin to the likeliest other", np.argsort(ours - others.max(axis=1), kind="stable")
    yield "penalty that is best out-of-fold", ranked(fold_logits(rows, found.l2 / MORE_PENALTY), images, rows)
    draws = [found.predictions.logits[:, 0]]
    others_rows = [training_rows(images, features, views=0, seed=seed) for seed in (1, 2)]
    draws += [fold_logits(other, found.l2) for other in others_rows]
    yield "mean over three draws of folds", ranked(np.stack(draws, axis=1), images, rows)
    weights = rows.weights.copy()
    place = {uri: row for row, uri in enumerate(images.uris)}
    weights[[place[error.id] for error in found.errors if error.suspected]] = 0
    left_out = replace(rows, weights=weights)
    yield "solved again without the doubted", ranked(fold_logits(left_out, found.l2), images, rows)


def ranked(logits: np.ndarray, images: ImageTable, rows: Any) -> np.ndarray:
    """Return the rows by rising probability of the given label."""
    said = held_out(images, rows, logits).probabilities
    return np.argsort(said[np.arange(len(said)), rows.targets], kind="stable")


def hits(order: np.ndarray, wrong: np.ndarray, count: int) -> int:
    """Count the flipped labels among the first `count`."""
    return int(wrong[order[:count]].sum())


def page(found: dict[str, Any], draws: int, measured_at: str) -> str:
    """Return the page of docs/results."""
    cases = [(name, kind) for name in found for kind in KINDS if kind in found[name]]
    return (
        "# Label errors\n\n"
        f"{100 * SHARE:.0f} % of the labels of photo sets were made wrong and looked for among all labelled images, "
        f"{draws} draws each ({DRAWS_OF_MANY} of sets with more than {MANY} classes); "
        "frozen EfficientNet-Lite0, heads solved on the bank, folds that keep equal files and "
        "series together. *Random*: any other class alike. *Confusable*: the class that the heads take the own one for "
        "most often. Precision in the first 5 % of the ranking is recall there too, since as many are flipped. **It is "
        "a lower bound**: the sets have wrong labels of their own, which are counted as false alarms.\n\n"
        f"## Found in the first 5 %\n\n{top_table(found, cases)}\n\n"
        "In brackets the Wilson interval of all draws' flips together, which takes them for independent; they are of "
        "the same images, so the range over the draws is beside it.\n\n"
        f"## Ways to rank\n\n{ways_table(found, cases)}\n\n"
        "Mean share in the first 5 %, in percent, and in brackets the mean difference to the ranking that is used with "
        "the number of draws in which the other is better, equal, worse. The ranking that is used is the first column: "
        "probability of the given label, by heads with half a decade more penalty than is best for the labels as they "
        f"are. Mean difference over the sets, random and confusable: {gains(found, cases)}. So the ranking that is "
        "used is the one for random errors; for errors between classes that look alike the margin is better, and so is "
        "solving once more without what is doubted. Ranking, penalty and pruning were chosen on trials with these same "
        "sets: on others the ways may stand otherwise.\n\n"
        f"## How many are wrong\n\n{number_table(found, cases)}\n\n"
        "*Doubted*: the labels that confident learning names as wrong (prune by class), and how many of these and "
        "of the flipped ones that is; where classes are hard to tell most of them are mistakes of the heads. "
        "*Planted*: the share that `goldenrule labels` prints, from errors planted on purpose; *held*: in how many "
        "draws its interval held the share that was flipped. It is an estimate of random errors: of confusable ones it "
        "sees few, and its interval does not hold them.\n\n"
        f"## The sets as they are\n\n{plain_table(found)}\n\n"
        "Nobody has looked at these by hand for this table; they are what the command shows first.\n\n"
        f"Made by `python benchmarks/label_errors.py --draws {draws}`: {made_with(measured_at)}.\n"
    )


def top_table(found: dict[str, Any], cases: list[tuple[str, str]]) -> str:
    """Return precision and recall of the ranking that is used."""
    lines = []
    for name, kind in cases:
        runs, ours = found[name][kind], found[name]
        shares = [run["top"][DEFAULT] / run["flipped"] for run in runs]
        pooled = gr.Estimate.of_share(
            "found", sum(run["top"][DEFAULT] for run in runs), sum(run["flipped"] for run in runs)
        )
        firsts = [f"{np.mean([run['first'][str(count)] for run in runs]):.1f} of {count}" for count in FIRST]
        facts = [
            name,
            kind,
            f"{ours['images']:,}",
            str(ours["classes"]),
            str(runs[0]["flipped"]),
            _percent(ours["accuracy"]),
        ]
        lines.append([*facts, str(pooled), f"{100 * min(shares):.0f} to {100 * max(shares):.0f} %", *firsts])
    head = ["set", "flips", "images", "classes", "flipped", "heads right", "precision = recall", "range over draws"]
    return markdown_table([*head, *(f"of the first {count}" for count in FIRST)], lines)


def ways_table(found: dict[str, Any], cases: list[tuple[str, str]]) -> str:
    """Compare the rankings, draw by draw."""
    ways = list(found[cases[0][0]][cases[0][1]][0]["top"])
    lines = []
    for name, kind in cases:
        shares = {way: np.array([run["top"][way] / run["flipped"] for run in found[name][kind]]) for way in ways}
        cells = []
        for way in ways:
            gain = shares[way] - shares[DEFAULT]
            versus = f"{(gain > 0).sum()}/{(gain == 0).sum()}/{(gain < 0).sum()}"
            beside = "" if way == DEFAULT else f" ({100 * gain.mean():+.1f}; {versus})"
            cells.append(f"{100 * shares[way].mean():.1f}{beside}")
        lines.append([name, kind, *cells])
    return markdown_table(["set", "flips", *ways], lines)


def gains(found: dict[str, Any], cases: list[tuple[str, str]]) -> str:
    """Say how much better the other rankings are than the one that is used, on average over sets."""
    ways = [way for way in found[cases[0][0]][cases[0][1]][0]["top"] if way != DEFAULT]
    said = []
    for way in ways:
        means = [
            np.mean(
                [
                    np.mean([(run["top"][way] - run["top"][DEFAULT]) / run["flipped"] for run in found[name][kind]])
                    for name, kind in cases
                    if kind == text
                ]
            )
            for text in KINDS
        ]
        said.append(f"{way} {' and '.join(f'{100 * mean:+.1f}' for mean in means)}")
    return "; ".join(said)


def number_table(found: dict[str, Any], cases: list[tuple[str, str]]) -> str:
    """Compare the estimated numbers with the true one."""
    lines = []
    for name, kind in cases:
        runs = found[name][kind]
        suspected, named, flipped = (
            sum(run[key] for run in runs) for key in ("doubted", "doubted and flipped", "flipped")
        )
        wrong = [from_json(run["wrong"], gr.Estimate) for run in runs]
        true = [run["flipped"] / found[name]["images"] for run in runs]
        held = sum(one.low <= share <= one.high for one, share in zip(wrong, true, strict=True))
        above = sum(one.high >= share for one, share in zip(wrong, true, strict=True))
        low, value, high = np.mean([(one.low, one.value, one.high) for one in wrong], axis=0)
        counted = np.mean([run["estimated by confident learning"] for run in runs])
        doubts_of = [
            f"{suspected / len(runs):.0f}",
            f"{100 * named / max(suspected, 1):.0f} %",
            f"{100 * named / flipped:.0f} %",
        ]
        estimates = [f"{flipped / len(runs):.0f}", f"{counted:.0f}", f"{100 * value:.1f} %"]
        interval = [f"{100 * low:.1f} to {100 * high:.1f} %", f"{held} of {len(runs)}", f"{above} of {len(runs)}"]
        lines.append([name, kind, *doubts_of, *estimates, *interval])
    head = ["set", "flips", "doubted", "of these flipped", "of the flipped doubted", "flipped"]
    head += ["confident learning: wrong", "planted: wrong (true: 5.0 %)", "its interval", "held", "upper end held"]
    return markdown_table(head, lines)


def plain_table(found: dict[str, Any]) -> str:
    """Show what is told of the sets without flips."""
    lines = []
    for name, value in found.items():
        wrong = from_json(value["as it is"]["wrong"], gr.Estimate)
        first = "; ".join(
            f"`{one['id']}` {one['given']}, rather {one['likely']} ({one['probability_given']:.2g})"
            for one in value["first as it is"][:3]
        )
        lines.append([name, str(value["as it is"]["doubted"]), str(wrong), first])
    return markdown_table(["set", "doubted", "planted: wrong", "the first three, with the label's probability"], lines)


def _percent(estimate: dict[str, Any]) -> str:
    return f"{100 * estimate['value']:.1f} %"


if __name__ == "__main__":
    main()
