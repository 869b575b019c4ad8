"""How long one image takes a loaded classifier: alone, as now, beside padded to a full batch, as before.

Warm calls in one process, all ways in turn, so that whatever else runs on the machine meets them alike. The engine
alone runs the same input without reading a file. Then how many images have the same bits alone and in a batch. What
was measured on other processors stays on the page.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import goldenrule as gr
from common import DATA, RESULTS, made_with, markdown_table, processor
from goldenrule.data.pictures.decode import decode
from goldenrule.data.sources.folders import image_files
from goldenrule.engines.openvino import BATCH_SIZE
from goldenrule.models.graphs.compiled import available_threads, serving_engine, serving_kind

Way = Callable[[int], object]


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("-o", "--out", type=Path, default=RESULTS / "latency.md")
    arguments = parser.parse_args()
    files = [path for _, path in image_files([DATA / "dogscats"])][:BATCH_SIZE]
    with tempfile.TemporaryDirectory() as folder:
        run = gr.fit(DATA / "cat_dog_horse", quick=True, out=Path(folder) / "run").folder
        classifier = gr.Classifier.load(run)
        seconds = measured(ways(classifier, files), arguments.calls)
        equal = same_bits(classifier, files)
    values = {
        "milliseconds": {name: summary(found) for name, found in seconds.items()},
        "calls": arguments.calls,
        "threads": available_threads(),
        "load": os.getloadavg()[0],
        "same_bits": equal,
    }
    kept = arguments.out.with_suffix(".json")
    on = processor()
    before = json.loads(kept.read_text()) if kept.exists() else {}
    every = {on: values | {"made": made_with()}} | {name: other for name, other in before.items() if name != on}
    kept.write_text(json.dumps(every, indent=1) + "\n")
    text = page(every)
    arguments.out.write_text(text)
    print(text)


def ways(classifier: gr.Classifier, files: list[Path]) -> dict[str, Way]:
    """Return what is measured, the way of before first."""
    padded, threads = copy.deepcopy(classifier), available_threads()
    kind = serving_kind(classifier.backbone, classifier.engine)
    whole = serving_engine(classifier.backbone, kind, images=BATCH_SIZE, threads=threads)
    alone = serving_engine(classifier.backbone, kind, images=1, threads=threads)
    padded._engines[threads, True] = whole  # as before: one image takes a full batch
    arrays = [decode(path.read_bytes()) for path in files]
    pixels = np.stack([classifier.preprocessing.pixels(array) for array in arrays])
    return {
        "predict(path), padded to a batch": lambda number: padded.predict(files[number]),
        "predict(path)": lambda number: classifier.predict(files[number]),
        "predict(array)": lambda number: classifier.predict(arrays[number]),
        "engine alone, one image": lambda number: list(alone.run([(None, pixels[number : number + 1])])),
        f"engine alone, a batch of {BATCH_SIZE}": lambda _: list(whole.run([(None, pixels)])),
        f"predict(list of {BATCH_SIZE} paths)": lambda _: classifier.predict(files),
    }


def measured(found: dict[str, Way], calls: int) -> dict[str, list[float]]:
    """Return the seconds of each call, all ways in turn."""
    seconds: dict[str, list[float]] = {name: [] for name in found}
    for repeat in range(calls + 5):
        for name, way in found.items():
            began = time.perf_counter()
            way(repeat % BATCH_SIZE)
            if repeat >= 5:  # the first compile, and warm caches
                seconds[name].append(time.perf_counter() - began)
    return seconds


def summary(seconds: list[float]) -> dict[str, float]:
    """Return the quantiles of a way in milliseconds."""
    at = {"fastest": 0.0, "p50": 50.0, "p99": 99.0}
    return {name: round(1000 * float(np.percentile(seconds, percent)), 2) for name, percent in at.items()}


def same_bits(classifier: gr.Classifier, files: list[Path]) -> int:
    """Return how many images have the same logits to the bit alone as in a batch."""
    together = classifier.predict(files).logits
    return sum(
        np.array_equal(classifier.predict(file).logits[0], row) for file, row in zip(files, together, strict=True)
    )


def page(every: dict[str, dict[str, Any]]) -> str:
    """Return the page of the results, the processor measured last first."""
    parts = [
        "# One image\n\n"
        "How long a classifier in memory takes for one photo (JPEG, about 500 x 375 px) on EfficientNet-Lite0: warm "
        "calls, all ways in turn in one process.\n"
    ]
    return "\n".join([*parts, *(_measured_on(name, values) for name, values in every.items())])


def _measured_on(name: str, values: dict[str, Any]) -> str:
    """Return what one processor gave."""
    milliseconds = values["milliseconds"]
    first = next(iter(milliseconds.values()))
    rows = [
        [way, *(f"{of[column]:.1f}" for column in ("fastest", "p50", "p99")), f"{first['p50'] / of['p50']:.1f}"]
        for way, of in milliseconds.items()
    ]
    header = ["way", "fastest, ms", "p50, ms", "p99, ms", "times faster than the first, p50"]
    return (
        f"## {name}\n\n"
        f"{markdown_table(header, rows)}\n\n"
        f"n={values['calls']} calls each, {values['threads']} threads. {values['same_bits']} of {BATCH_SIZE} photos "
        "have the same logits alone and in a batch, bit for bit. A network of which that is not so on a processor is "
        "run in full batches there ([decision 50](../decisions/0050-a-classifier-carries-its-graph.md)). "
        f"{_load(values['load'], values['threads'])}\n\n"
        f"Made by `python benchmarks/latency.py`: {values['made']}.\n"
    )


def _load(average: float, threads: int) -> str:
    """Return what else the machine did."""
    told = f"The load average at the end was {average:.1f} on {threads} cores"
    if average < threads:
        return f"{told}: the machine was quiet."
    return (
        f"{told}: other programs had most of them. The fastest call is nearest to what a quiet machine gives, and p99 "
        "is mostly theirs."
    )


if __name__ == "__main__":
    main()
