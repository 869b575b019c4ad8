"""`original` beside ResNet18, both from zero, each for the same minutes: accuracy per minute on a CPU.

    python benchmarks/original.py                    two sets, a quarter of a minute to three minutes: 25 min
    python benchmarks/original.py --trial            one epoch on few images, nothing is written

Every network trains one cycle (`OneCycle`) of as many epochs as fit into the minutes, by the seconds that its second
epoch takes here, at `--rate`, the highest at which `goldenrule train` trains from zero. Judged is the test part, which
nothing looked at. ResNet18 has the input at which it learns fastest on these sets: at 96 px, and at its own 224 px, it
is right less often after the same minutes (decision 29).
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import goldenrule as gr
from common import RESULTS, made_with, markdown_table, with_clean_test
from goldenrule.evaluation import Predictions, value_and_interval
from goldenrule.foundation.files import write_json
from goldenrule.foundation.memory import keep_freed_memory
from goldenrule.foundation.progress import Bars
from goldenrule.images.augment import Augmentation
from goldenrule.images.kinds import by_name
from goldenrule.images.split import sample_per_class
from goldenrule.models.cost import multiply_adds
from goldenrule.training.choice import ZERO_RATES

NETWORKS = (("original", 64), ("resnet18", 64))
SETS = {"cifar10_cat_dog_horse": "side_on", "GTSRB": "basic"}
MINUTES = (0.25, 0.5, 1.0, 3.0)


def main() -> None:
    """Measure, print, write docs/results/original.md and .json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trial", action="store_true", help="one epoch on few images, nothing is written")
    parser.add_argument("--minutes", type=float, nargs="+", default=MINUTES)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rate", type=float, default=ZERO_RATES[1], help="the same for all networks")
    asked = parser.parse_args()
    keep_freed_memory()
    found: list[dict[str, Any]] = []
    said: dict[tuple[str, float, str], Predictions] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, kind in SETS.items():
            table = gr.from_folder(with_clean_test(name, Path(folder)))
            if asked.trial:
                table = sample_per_class(table, 6, seed=0)
            for network, size in NETWORKS:
                body = gr.backbone(network, drawn=asked.seed, size=size)
                seconds = seconds_of_an_epoch(table, body, by_name(kind), asked.seed, asked.rate)
                for minutes in (0.0,) if asked.trial else asked.minutes:
                    epochs = max(1, round(60 * minutes / seconds))
                    row, test = measured(table, body, minutes, epochs, by_name(kind), asked.seed, asked.rate)
                    found.append({"set": name, **row})
                    said[name, minutes, row["network"]] = test
                    print(found[-1], flush=True)
    sentences = compared(said)
    text = page(found, sentences, asked.seed)
    print(text)
    if not asked.trial:
        (RESULTS / "original.md").write_text(text, encoding="utf-8")
        write_json(RESULTS / "original.json", {"made_with": made_with(), "seed": asked.seed, "rows": found})


def seconds_of_an_epoch(
    table: gr.ImageTable, body: gr.Backbone, augment: Augmentation | None, seed: int, rate: float
) -> float:
    """Give the seconds of the second epoch: the first decodes the pictures."""
    trial = learner(table, body, augment, seed)
    trial.fit(rate, 1)
    began = time.perf_counter()
    trial.fit(rate, 1)
    return time.perf_counter() - began


def measured(
    table: gr.ImageTable,
    body: gr.Backbone,
    minutes: float,
    epochs: int,
    augment: Augmentation | None,
    seed: int,
    rate: float,
) -> tuple[dict[str, Any], Predictions]:
    """Train one network for so many epochs, which should take so many minutes, and judge it on test."""
    learn = learner(table, body, augment, seed)
    began = time.perf_counter()
    learn.fit_one_cycle(rate, epochs)
    took = time.perf_counter() - began
    test = learn.evaluate("test")
    row = {
        "network": f"{body.spec.name} at {body.spec.preprocessing.size} px",
        "parameters": body.spec.parameters,
        "multiply_adds": multiply_adds(body),
        "minutes": minutes,
        "rate": rate,
        "epochs": epochs,
        "took_minutes": took / 60,
        "images_per_second": epochs * len(learn.material.table.part("train")) / took,
        "accuracy": gr.accuracy(test).to_json(),
        "accuracy_text": value_and_interval(gr.accuracy(test)),
        "log_loss_text": value_and_interval(gr.log_loss(test)),
    }
    return row, test


def learner(table: gr.ImageTable, body: gr.Backbone, augment: Augmentation | None, seed: int) -> gr.Learner:
    """Give a learner of the whole network; nothing is replayed."""
    learn = gr.Learner(table, body, augment=augment, augmented_views=0, seed=seed, replay=False, progress=Bars())
    learn.unfreeze()
    learn.bn_freeze(False)
    return learn


def compared(said: dict[tuple[str, float, str], Predictions]) -> list[str]:
    """Say, by set and minutes, whether original and each ResNet18 can be told apart on the same test images."""
    sentences = []
    for (name, minutes, network), test in said.items():
        if network.startswith("original"):
            continue
        own = said[name, minutes, "original at 64 px"]
        pair = gr.paired_bootstrap(test, own, metric="accuracy")
        sentences.append(f"- {name}, {minutes:g} min: {pair.sentence(network, 'original')}")
    return sentences


def page(found: list[dict[str, Any]], sentences: list[str], seed: int) -> str:
    """Give the Markdown page."""
    header = [
        "set",
        "network",
        "parameters",
        "multiply-adds",
        "rate",
        "minutes",
        "epochs",
        "images/s",
        "test accuracy (95 %)",
    ]
    rows = [
        [
            row["set"],
            row["network"],
            f"{row['parameters'] / 1e6:.2f} M",
            f"{row['multiply_adds'] / 1e6:,.0f} M",
            f"{row['rate']:.1e}",
            f"{row['took_minutes']:.1f}",
            str(row["epochs"]),
            f"{row['images_per_second']:.0f}",
            f"{row['accuracy_text']} of {row['accuracy']['n']}",
        ]
        for row in found
    ]
    lines = [
        "# original beside ResNet18, both from zero",
        "",
        "`python benchmarks/original.py`. Random weights, one cycle of as many epochs as fit into the minutes, one "
        f"seed ({seed}); the test part took no part in any choice of the training. ResNet18 has the input at which it "
        "learns fastest here ([decision 29](../decisions/0029-original.md)).",
        "",
        markdown_table(header, rows),
        "",
        "By pairs, on the same test images:",
        "",
        *sentences,
        "",
        f"Made with: {made_with()}, {os.environ.get('OMP_NUM_THREADS', 'all')} OpenMP threads.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
