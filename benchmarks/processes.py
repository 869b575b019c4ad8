"""One process against two that train together on this machine's cores: pictures a second, and their losses.

Both train all layers of the real network on real photos, round after round in turn. Beside the speed stands what the
second process changes of the losses, and what one thread less changes of them, which is rounding alone.
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

SET, BATCH, ROUNDS, SEEDS, EPOCHS, SMALL, RATE = "hymenoptera_data", 16, 5, 3, 3, 96, 1e-4
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


def learner(
    images: gr.ImageTable, devices: int, *, size: int | None, seed: int, optimizer: str, threads: int | None = None
) -> gr.Learner:
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
        threads=threads,
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
    """Return the largest difference of a loss of two processes from one, and of one process with a single thread."""
    curves = []
    for devices, threads in ((1, None), (2, None), (1, 1)):
        learn = learner(images, devices, size=SMALL, seed=seed, optimizer=optimizer, threads=threads)
        learn.bn_freeze(kept)
        learn.fit(RATE, EPOCHS)
        curves.append(np.array([(row.train_loss, row.valid_loss) for row in learn.history.rows], float))
    one, *others = curves
    processes, threads_alone = (float(np.abs(one - other).max()) for other in others)
    print(optimizer, kept, processes, threads_alone, one[-1], flush=True)
    return processes, threads_alone


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
        rate=RATE,
        seeds=len(next(iter(differences.values()))),
        differences=markdown_table(["how", "two processes", "one process, one thread"], told),
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

Largest difference of an epoch's mean loss, on training or validation images, in nats, from one process with two \
threads and the same batches: {epochs} epochs at {size} px and a rate of {rate:g}, {seeds} seeds. One process with one \
thread sums in another order, and no more: what it differs by is rounding that the training blows up.

{differences}

The network has no dropout, and no images are mixed. Where BatchNorms follow the batches each process normalises by \
its own half of a batch, and the statistics kept are those of the first: that is another training. At ten times the \
rate rounding alone moved a loss by .03 in three epochs (n = 1).

Made by `python benchmarks/processes.py`: {made}.
"""

if __name__ == "__main__":
    main()
