"""How fast augmented views are made: one by one with Pillow, as reading threads do, or as tensors, a batch at once.

One interleaved run on photos of dogscats that are decoded and resized already, one thread each, views of 224 px.
Training on a GPU makes them there (`training.augmenting`); on a CPU the threads that read do.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from threadpoolctl import threadpool_limits

import goldenrule as gr
from common import DATA, RESULTS, made_with, markdown_table
from goldenrule.core.memory import keep_freed_memory
from goldenrule.data.augmentation.augment import Augmentation, Reflected, View
from goldenrule.data.augmentation.presets import AUGMENTATIONS
from goldenrule.data.pictures.decode import decode
from goldenrule.data.pictures.preprocess import Preprocessing
from goldenrule.data.sources.folders import image_files
from goldenrule.training.inputs.batch_augmentation import augmented, can_batch

PREPROCESSING, BATCH = Preprocessing(size=224), 32
Ways = dict[str, Callable[[], object]]


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("-o", "--out", type=Path, default=RESULTS / "augmented_views.md")
    arguments = parser.parse_args()
    keep_freed_memory()  # as goldenrule fit does
    torch.set_num_threads(1)
    rows, rates = [], {}
    with threadpool_limits(1):
        for name, kind in kinds().items():
            ways, levels = ways_of(kind)
            found = rates[name] = measured(ways, arguments.repeats)
            ratios = [b / a for a, b in zip(*found.values(), strict=True)] if len(found) > 1 else []
            cells = [f"{statistics.median(one):.0f} [{min(one):.0f}, {max(one):.0f}]" for one in found.values()]
            ratio = f"{statistics.median(ratios):.2f}" if ratios else ""
            rows.append([name, *cells, *([""] * (2 - len(cells))), ratio, levels])
    arguments.out.with_suffix(".json").write_text(json.dumps(rates, indent=1) + "\n")
    text = page(rows, arguments.repeats)
    arguments.out.write_text(text)
    print(text)


def kinds() -> dict[str, Augmentation]:
    """Return the kinds of augmentation by name."""
    every = {name: make() for name, make in AUGMENTATIONS.items() if make and name != "auto"}
    return every | {"own function (fog)": gr.data.custom(foggy, after=gr.data.side_on())}


def foggy(picture: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Blend with white, more or less."""
    share = random.uniform(0.2, 0.7)
    return (1 - share) * picture + share * 255


def ways_of(kind: Augmentation) -> tuple[Ways, str]:
    """Return the ways to make a batch of views, and by how much their pixels differ."""
    files = [path for _, path in image_files([DATA / "dogscats"])][: 10 * BATCH : 10]
    sources = [Reflected.of(PREPROCESSING.canvas(decode(path.read_bytes())), 224, rim=kind.rim) for path in files]
    warps = [warp for path in files if (warp := View(augmentation=kind, index=1).warp(path.name.encode()))]

    def one_by_one() -> list[np.ndarray]:
        return [kind.apply_to(warp, source) for warp, source in zip(warps, sources, strict=True)]

    def tensors() -> torch.Tensor:
        return augmented(sources, warps, torch.device("cpu"))

    if not can_batch(kind):
        return {"Pillow": one_by_one}, ""
    far = np.abs(tensors().permute(0, 2, 3, 1).numpy() - np.stack(one_by_one()))
    levels = f"{far.mean():.2f}, {np.quantile(far, 0.999):.1f}"
    return {"Pillow": one_by_one, "tensors": tensors}, levels


def measured(ways: Ways, repeats: int) -> dict[str, list[float]]:
    """Return the views per second of every way and repeat, in turn."""
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for repeat in range(repeats + 1):
        for name, way in ways.items():
            began = time.perf_counter()
            way()
            if repeat:
                rates[name].append(BATCH / (time.perf_counter() - began))
    return rates


def page(rows: list[list[str]], repeats: int) -> str:
    """Return the page of docs/results."""
    head = ["kind", "Pillow, views/s", "tensors, views/s", "tensors against Pillow", "levels apart: mean, 99.9 %"]
    return (
        "# Augmented views\n\n"
        f"Views of 224 px of photos of dogscats that are in memory, {BATCH} at a time, one thread, {repeats} "
        "interleaved repeats: median, smallest and largest. The tensors are on the CPU; a GPU was not at hand.\n\n"
        f"{markdown_table(head, rows)}\n\n"
        "The last column is how far the pixels of both are apart, of 255 levels. Where it is empty, changes work on "
        "one picture each.\n\n"
        f"Made by `python benchmarks/augmented_views.py`: {made_with()}.\n"
    )


if __name__ == "__main__":
    main()
