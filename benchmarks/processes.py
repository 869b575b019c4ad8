"""One process against two that train together on this machine's cores: pictures a second, and their losses.

Both train all layers of the real network on real photos, round after round in turn. Beside the speed stands what the
second process changes of the losses: nothing but rounding where BatchNorms keep their statistics and the optimizer is
SGD; more where BatchNorms follow the batches (each process's own half), or where AdamW follows the signs of gradients.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

import goldenrule as gr
from common import DATA, RESULTS, made_with, markdown_table
from goldenrule.core.progress import Silent
from goldenrule.training.runtime import end_teams

SET, BATCH, ROUNDS, SEEDS, EPOCHS, SMALL = "hymenoptera_data", 16, 5, 3, 3, 96
KINDS = {
    "SGD, BatchNorms keep their statistics": ("sgd", True),
    "SGD, BatchNorms follow the batches": ("sgd", False),
    "AdamW, BatchNorms keep their statistics": ("adamw", True),
}


def main() -> None:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("-o", "--out", type=Path, default=RESULTS / "processes.md")
    arguments = parser.parse_args()
    images = gr.from_folder(DATA / SET)
    speeds = [tuple(speed(images, devices, number) for devices in (1, 2)) for number in range(arguments.rounds)]
    differences = {
        kind: [difference(images, seed, *how) for seed in range(arguments.seeds)] for kind, how in KINDS.items()
    }
    end_teams()
    arguments.out.write_text(page(speeds, differences))


def learner(images: gr.ImageTable, devices: int, *, size: int | None, seed: int, optimizer: str) -> gr.Learner:
    """Return a learner of all layers."""
    backbone = gr.backbone("efficientnet_lite0", size=size)
    learn = gr.Learner(
        images,
        backbone,
        devices=devices,
        batch_size=BATCH,
        seed=seed,
        optimizer=optimizer,
        augment=gr.data.side_on(),
        replay=False,
        progress=Silent(),
    )
    learn.freeze_to(0)
    return learn


def speed(images: gr.ImageTable, devices: int, number: int) -> float:
    """Return pictures a second of an epoch, its validation included, after one that starts what has to be started."""
    learn = learner(images, devices, size=None, seed=number, optimizer="sgd")
    learn.fit(1e-3, 1)
    began = time.perf_counter()
    learn.fit(1e-3, 1)
    seconds = time.perf_counter() - began
    count = len(learn.data.split("train")) + len(learn.data.split("valid"))
    print(devices, f"{count / seconds:.1f} pictures/s", flush=True)
    return count / seconds


def difference(images: gr.ImageTable, seed: int, optimizer: str, kept: bool) -> tuple[float, float]:
    """Return the largest difference of a training loss, and of a validation loss, between one process and two."""
    curves = []
    for devices in (1, 2):
        learn = learner(images, devices, size=SMALL, seed=seed, optimizer=optimizer)
        learn.bn_freeze(kept)
        learn.fit(1e-3, EPOCHS)
        curves.append([(row.train_loss, row.valid_loss) for row in learn.history.rows])
    one, two = np.array(curves[0], float), np.array(curves[1], float)
    largest = np.abs(one - two).max(axis=0)
    print(optimizer, kept, largest, one[-1], flush=True)
    return float(largest[0]), float(largest[1])


def page(speeds: list[tuple[float, ...]], differences: dict[str, list[tuple[float, float]]]) -> str:
    """Return the page."""
    ratios = np.array([two / one for one, two in speeds])
    rows = [[f"{one:.1f}", f"{two:.1f}", f"{two / one:.2f}"] for one, two in speeds]
    told = [
        [kind, f"{max(pair[0] for pair in found):.1g}", f"{max(pair[1] for pair in found):.1g}"]
        for kind, found in differences.items()
    ]
    return TEXT.format(
        set=SET,
        batch=BATCH,
        rounds=len(speeds),
        speeds=markdown_table(["one process", "two", "ratio"], rows),
        ratio=f"{np.median(ratios):.2f} times as fast (median; {ratios.min():.2f} to {ratios.max():.2f})",
        epochs=EPOCHS,
        size=SMALL,
        seeds=len(next(iter(differences.values()))),
        differences=markdown_table(["how", "training", "validation"], told),
        made=made_with(),
    )


TEXT = """# One process and two

[Several processes](../how-to/several-processes.md) train all layers of efficientnet_lite0 on `{set}`, in batches of \
{batch}.

## Speed on the cores of one machine

Pictures a second of an epoch with its validation, the two in turn, {rounds} rounds. One process has all cores, two \
have half of them each: without GPUs nothing is gained, and this shows what the second process costs.

{speeds}

Two processes are {ratio}.

## The same curve

Largest difference of the mean loss of an epoch, in nats, between one process and two with the same batches: {epochs} \
epochs at {size} px, {seeds} seeds.

{differences}

The network has no dropout, and no images are mixed. Where BatchNorms follow the batches each process normalises by \
its own half of a batch, and the statistics kept are those of the first. AdamW's first steps have the size of the rate \
whatever that of the gradient: where a gradient is all but zero, rounding decides their direction.

Made by `python benchmarks/processes.py`: {made}.
"""

if __name__ == "__main__":
    main()
