"""What training deeper gives and costs: the head alone, late layers from kept activations, the whole network live.

All three begin with the linear head, each with its seconds from an empty bank (backbone and engines prepared). Late
layers: eight epochs over the plain and three augmented views. Whole network: three epochs of live, augmented images.
Both in one cosine cycle, then blended with the start and calibrated on validation. Rates by how well the linear head
does out-of-fold: 0.0001 for the head where it is right on more than 95 %, 0.003 below 70 %, 0.0003 between (late layers
a third, early ones a ninth). Late layers see pairs of pictures blended (mixup) below 95 %; below 70 % the whole network
does so too, late BatchNorms follow, and nothing is mirrored. Accuracy and log loss are those of test images that no
choice has seen. A run per set and seed, kept in runs/depth.jsonl and not repeated.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import goldenrule as gr
from common import RESULTS, ROOT, commit, made_with, markdown_table, with_clean_test
from goldenrule.core.progress import Silent
from goldenrule.data.augmentation.presets import stronger
from goldenrule.data.splits.splitting import sample_per_class
from goldenrule.features import cache as cache
from goldenrule.metrics import Predictions, paired_bootstrap
from goldenrule.metrics.selection_rules import DomainShift, domain_shift
from goldenrule.models.heads import Head
from goldenrule.pipelines.linear_heads import FittedHead, fit_head
from goldenrule.training.learner import Learner

SETS = ("cat_dog_horse", "surface_crack", "clothing_small", "GTSRB_native15")
KEPT = ROOT / "runs" / "depth.jsonl"
ARMS = ("head only", "late layers from the bank", "whole network live")
LATE_EPOCHS, LIVE_EPOCHS, VIEWS = 8, 3, 3
RATES: dict[DomainShift, float] = {"well": 1e-4, "partly": 3e-4, "far": 3e-3}
Record = dict[str, Any]


def main() -> None:
    """Measure what is not there yet and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="*", default=SETS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("-o", "--out", type=Path, default=RESULTS / "depth.md")
    arguments = parser.parse_args()
    KEPT.parent.mkdir(parents=True, exist_ok=True)
    records = [json.loads(line) for line in KEPT.read_text().splitlines()] if KEPT.exists() else []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["GOLDENRULE_CACHE"] = str(Path(folder) / "cache")
        for seed in range(arguments.seeds):
            for name in arguments.sets:
                if not any((one["set"], one["seed"]) == (name, seed) for one in records):
                    records.append(measured(name, seed, Path(folder) / f"{name}-{seed}"))
                    with KEPT.open("a") as file:
                        file.write(json.dumps(records[-1]) + "\n")
                    print(records[-1], flush=True)
    arguments.out.write_text(page(records))


def measured(name: str, seed: int, folder: Path) -> Record:
    """Train all three ways on one set and evaluate them on test."""
    photos = gr.from_folder(with_clean_test(name, folder))
    prepare(photos, seed)
    cache.clear()
    record: Record = {"set": name, "seed": seed, "commit": commit()}
    began = time.monotonic()
    linear = linear_head(photos, seed)
    known = domain_shift(linear.out_of_fold)
    seconds = time.monotonic() - began
    seen: dict[str, Predictions] = {}
    for arm in ARMS:
        learn = learner(photos, seed, linear.head, known)
        began = time.monotonic()
        train(learn, arm, known)
        ours = time.monotonic() - began
        seen[arm] = learn.evaluate("test")
        record[arm] = {
            "seconds": seconds + ours,
            "accuracy": numbers(gr.metrics.accuracy(seen[arm])),
            "log_loss": numbers(gr.metrics.log_loss(seen[arm])),
        }
        if arm != ARMS[0]:
            record[arm]["gain"] = numbers(paired_bootstrap(seen[ARMS[0]], seen[arm], metric="log_loss").gain)
    return record


def prepare(photos: gr.ImageTable, seed: int) -> None:
    """Have backbone and engines compiled before the clock starts."""
    learn = Learner(sample_per_class(photos, 8), precompute=True, replay=False, progress=Silent(), seed=seed)
    learn.freeze_to(1)
    learn.fit([0.0, 0.0, 0.0], 1)


def linear_head(photos: gr.ImageTable, seed: int) -> FittedHead:
    """Return the linear head on plain rows, computed now."""
    learn = Learner(photos, precompute=True, replay=False, progress=Silent(), seed=seed)
    data = learn.data
    return fit_head(data.split("train"), data.features(data.base, views=0), seed=seed)


def learner(photos: gr.ImageTable, seed: int, head: Head, known: DomainShift) -> Learner:
    """Return a learner that stands at the linear head."""
    far = known == "far"
    augment = stronger(gr.data.basic()) if far else gr.data.side_on(max_zoom=1.1)
    learn = Learner(
        photos,
        precompute=True,
        augment=augment,
        augmented_views=VIEWS,
        head=head,
        seed=seed,
        replay=False,
        progress=Silent(),
    )
    learn.bn_freeze("early" if far else True)
    return learn


def train(learn: Learner, arm: str, known: DomainShift) -> None:
    """Train as the arm says."""
    rate = RATES[known]
    if arm == "late layers from the bank":
        learn.freeze_to(1)
        learn.fit([0.0, rate / 3, rate], 1, cycle_len=LATE_EPOCHS, mixup=0.0 if known == "well" else 0.4)
    elif arm == "whole network live":
        learn.unfreeze()
        learn.fit([rate / 9, rate / 3, rate], 1, cycle_len=LIVE_EPOCHS, mixup=0.4 if known == "far" else 0.0)
    else:
        return
    learn.blend()
    learn.calibrate()


def numbers(estimate: gr.Estimate) -> list[float]:
    """Return value, low, high and n."""
    return [estimate.value, estimate.low, estimate.high, estimate.n]


def page(records: list[Record]) -> str:
    """Return the page of docs/results."""
    rows = []
    for record in sorted(records, key=lambda one: (one["set"], one["seed"])):
        for arm in ARMS:
            ours = record[arm]
            rows.append(
                [
                    record["set"],
                    str(record["seed"]),
                    arm,
                    f"{ours['seconds']:.0f}",
                    "{:.1%} [{:.1%}, {:.1%}] n={}".format(*ours["accuracy"]),
                    "{:.3f} [{:.3f}, {:.3f}]".format(*ours["log_loss"][:3]),
                    "{:.3f} [{:.3f}, {:.3f}]".format(*ours["gain"][:3]) if "gain" in ours else "",
                ]
            )
    head = ["set", "seed", "trained", "seconds", "accuracy", "log loss", "lower by (paired)"]
    how = " ".join((__doc__ or "").partition("\n\n")[2].split())
    return (
        f"# What training deeper gives\n\n{how}\n\n"
        f"Intervals are of 95 %.\n\n{markdown_table(head, rows)}\n\n"
        f"Made by `python benchmarks/depth.py`: {made_with(*(record['commit'] for record in records))}.\n"
    )


if __name__ == "__main__":
    main()
