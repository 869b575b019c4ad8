"""How many wrong labels a review finds in its first 50 decisions, beside two other orders of looking.

5 % of the labels of three photo sets are made wrong at random, all splits alike; five draws of each set. A decision is
one card of `goldenrule review`, with the copies on it. The other orders: images at random, and those first of which
the same heads are least confident (which needs no label).
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

import goldenrule as gr
from common import DATA, RESULTS, commit, made_with, markdown_table
from goldenrule.analysis.review_queue import ReviewedImages, review_queue
from goldenrule.data.grouping import with_alike
from goldenrule.data.sources.label_tables import from_source
from goldenrule.data.table import LabelledTable
from goldenrule.features.extractor import Features
from goldenrule.features.similar_windows import near_duplicates
from goldenrule.tasks.cleaning.refit import HeadRefitter
from goldenrule.tasks.cleaning.suspects import found_suspicions, reviewed_images
from goldenrule.tasks.run_label_issues import with_features

SETS = ("cat_dog_horse", "clothing_small", "flowers_128")
SHARE, DECISIONS = 0.05, 50
ORDERS = ("review", "least confident", "random")


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="+", default=SETS)
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("-o", "--out", type=Path, default=RESULTS / "review.md")
    arguments = parser.parse_args()
    found = {name: measured(name, arguments.draws) for name in arguments.sets}
    about = {"commit": commit(), "draws": arguments.draws, "sets": found}
    arguments.out.with_suffix(".json").write_text(json.dumps(about, indent=1) + "\n")
    arguments.out.write_text(page(found, arguments.draws))
    print(arguments.out.read_text())


def measured(name: str, draws: int) -> dict[str, Any]:
    """Return what is found in every draw of flipped labels of a set."""
    table, features = gr.features_of(from_source(DATA / name), gr.backbone())
    images, _ = with_features(table, features)
    pairs = near_duplicates(images, features.caches[0])
    images = with_alike(images, [(pair.first, pair.second) for pair in pairs]).only_labelled()
    runs = [one_draw(images, features, seed) for seed in range(draws)]
    print(name, "measured", flush=True)
    return {"images": len(images), "classes": len(images.classes), "draws": runs}


def one_draw(images: LabelledTable, features: Features, seed: int) -> dict[str, Any]:
    """Flip labels, and count those that each order has shown after so many decisions."""
    draws = np.random.default_rng(seed)
    flipped = draws.choice(len(images), round(SHARE * len(images)), replace=False)
    labels = images.targets.copy()
    labels[flipped] = (labels[flipped] + draws.integers(1, len(images.classes), len(flipped))) % len(images.classes)
    wrong = images.with_labels([[label] for label in labels]).only_labelled()
    began = time.perf_counter()
    known = reviewed_images(wrong, features, seed=seed)
    cards = review_queue(known, found_suspicions(known, features))
    seconds = time.perf_counter() - began
    looked = {
        "review": [row for card in cards[:DECISIONS] for row in card.rows],
        "least confident": least_confident(known)[:DECISIONS],
        "random": draws.permutation(len(images))[:DECISIONS].tolist(),
    }
    found = {order: len({*rows} & {*flipped.tolist()}) for order, rows in looked.items()}
    return {"flipped": len(flipped), "found": found, "seconds": seconds, "refit": refit_seconds(wrong, features, known)}


def least_confident(known: ReviewedImages) -> list[int]:
    """Return the rows of which the heads are least confident, first."""
    confidence = np.nan_to_num(known.probabilities, nan=1.0).max(axis=1)
    return np.argsort(confidence, kind="stable").tolist()


def refit_seconds(wrong: LabelledTable, features: Features, known: ReviewedImages) -> float | None:
    """Return how long one more fit takes after 50 labels were decided; None where the set has no train split."""
    if "train" not in wrong.splits:
        return None
    refitter = HeadRefitter(wrong, features, seed=0)
    changes = dict.fromkeys(known.uris[:DECISIONS], known.classes[0])
    return refitter.refit(changes).seconds


def page(found: dict[str, Any], draws: int) -> str:
    """Return the page."""
    rows = []
    for name, about in found.items():
        runs = about["draws"]
        flipped = sum(run["flipped"] for run in runs)
        cells = []
        for order in ORDERS:
            each = [run["found"][order] for run in runs]
            share = gr.Estimate.of_share("found", sum(each), flipped)
            cells.append(f"{sum(each) / draws:.1f} ({min(each)} to {max(each)}): {share}")
        rows.append([name, f"{about['images']:,}", str(about["classes"]), f"{runs[0]['flipped']}", *cells])
    table = markdown_table(
        ["set", "images", "classes", "flipped", *(f"{order}: found in {DECISIONS} decisions" for order in ORDERS)], rows
    )
    seconds = [run["seconds"] for about in found.values() for run in about["draws"]]
    refits = [run["refit"] for about in found.values() for run in about["draws"] if run["refit"] is not None]
    took = (
        f"Finding the cards took {np.median(seconds):.1f} s (median; at most {max(seconds):.1f}), features kept; "
        f"fitting the head again after {DECISIONS} decisions {np.median(refits):.2f} s (median of {len(refits)}; at "
        f"most {max(refits):.2f}), on a machine that did other work too."
    )
    about = (
        f"{SHARE:.0%} of the labels of three photo sets were made wrong at random, all splits alike, {draws} draws "
        f"each (seeds 0 to {draws - 1}); frozen EfficientNet-Lite0. How many of them are on the first {DECISIONS} "
        f"cards of `goldenrule review`, beside {DECISIONS} images in two other orders: those first of which the same "
        "heads are least confident, and at random. In a cell: the mean of the draws, their range, and the share of "
        "all flipped labels."
    )
    bounds = (
        "In brackets the Wilson interval of all draws' flips together, which takes them for independent; they are of "
        "the same images, so the range over the draws stands before it. **A lower bound**: the sets have wrong labels "
        f"of their own, and copies, leaks and odd images take cards too. Of 120 flipped labels {DECISIONS} decisions "
        "find 42 % at most, copies aside. Heads are "
        "confident of an image whose label alone is wrong: looking where they are not finds fewer than chance does."
    )
    made = f"Made by `python benchmarks/review.py`: {made_with()}."
    return "\n\n".join(["# Review", about, table, bounds, took, made]) + "\n"


if __name__ == "__main__":
    main()
