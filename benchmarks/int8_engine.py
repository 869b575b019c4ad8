"""Whether precomputing in int8 would be faster, at no loss that can be measured.

The embedded backbone's graph is quantized by NNCF, calibrated on pictures of one set, as an engine would be that is
made once per machine. Features of all sets come from it and from the engine of today, batch by batch in turn; linear
heads on both are compared out of fold, in pairs.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import goldenrule as gr
from common import DATA, RESULTS, made_with, markdown_table
from goldenrule.data.pictures.decode import decode
from goldenrule.data.sources.folders import image_files
from goldenrule.data.splits.folds import stratified_folds
from goldenrule.engines import as_halves
from goldenrule.engines import openvino as ov
from goldenrule.features.linear import Rows, fit_linear
from goldenrule.metrics import Predictions, mcnemar, paired_bootstrap
from goldenrule.metrics.estimate import value_and_interval
from goldenrule.models.graphs import carried
from goldenrule.models.graphs.compiled import _folder, engine_kind

SETS = {  # name: where its class folders are
    "dogscats": "train",
    "cat_dog_horse": "train",
    "clothing_small": "train",
    "flowers_128": "",
    "hymenoptera_data": "train",
    "surface_crack": "",
}
CALIBRATED_ON, FOLDS = "dogscats", 5
Pixels = np.ndarray


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("-o", "--out", type=Path, default=RESULTS / "int8_engine.md")
    arguments = parser.parse_args()
    backbone = gr.backbone("efficientnet_lite0")
    kind = engine_kind(backbone)
    graph = _folder(backbone) / carried.GRAPH[0]

    def pixels(name: str) -> tuple[Pixels, np.ndarray]:
        files, labels = pictures_of(name, arguments.images)
        return np.stack([backbone.spec.preprocessing.pixels(decode(file.read_bytes())) for file in files]), labels

    sets: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        calibration, _ = pixels(CALIBRATED_ON)
        started, used = time.monotonic(), time.process_time()
        quantize(graph, calibration, Path(folder, "int8.xml"))
        calibrating = {
            "images": len(calibration),
            "wall": time.monotonic() - started,
            "cpu": time.process_time() - used,
        }
        engines = [
            ov.OpenVinoEngine(path, kind.precision, threads=os.cpu_count() or 1)
            for path in (graph, Path(folder, "int8.xml"))
        ]
        for name in SETS:
            batch, labels = pixels(name)
            features, seconds = in_turn([runner(engine) for engine in engines], batch)
            sets[name] = compared(features, labels) | {"cpu": seconds["cpu"], "wall": seconds["wall"]}
            print(name, json.dumps(sets[name], default=str)[:300], flush=True)
    values = {"sets": sets, "calibrating": calibrating, "precision": kind.precision, "load": os.getloadavg()[0]}
    arguments.out.with_suffix(".json").write_text(json.dumps(values, indent=1) + "\n")
    arguments.out.write_text(page(values))
    print(page(values))


def pictures_of(name: str, most: int) -> tuple[list[Path], np.ndarray]:
    """Return so many files of a set, from everywhere alike, and the number of each one's class."""
    root = DATA / name / SETS[name]
    files = [path for _, path in image_files([root])]
    files = [files[place] for place in np.linspace(0, len(files) - 1, min(most, len(files))).astype(int)]
    names = sorted({file.relative_to(root).parts[0] for file in files})
    return files, np.array([names.index(file.relative_to(root).parts[0]) for file in files])


def quantize(graph: Path, calibration: Pixels, target: Path) -> None:
    """Write a graph in int8, as `goldenrule export` quantizes one."""
    openvino = ov.imported()
    with contextlib.redirect_stdout(io.StringIO()):
        import nncf

        model = ov.core().read_model(graph)
        batch, *shape = model.input(0).shape
        model.reshape([1, *shape])
        model = nncf.quantize(
            model,
            nncf.Dataset(list(calibration[:, np.newaxis])),
            subset_size=len(calibration),
            advanced_parameters=nncf.AdvancedQuantizationParameters(overflow_fix=nncf.OverflowFix.ENABLE),
        )
        model.reshape([batch, *shape])
        openvino.save_model(model, target, compress_to_fp16=False)


def runner(engine: ov.OpenVinoEngine) -> Callable[[Pixels], Pixels]:
    """Return what turns two full batches of pixels into features: one for each stream."""

    def run(pixels: Pixels) -> Pixels:
        size = engine.batch_size
        parts = ((start, np.ascontiguousarray(pixels[start : start + size])) for start in range(0, len(pixels), size))
        return np.concatenate([found for _, found in engine.run(parts)])

    return run


def in_turn(ways: list[Callable[[Pixels], Pixels]], pixels: Pixels) -> tuple[list[Pixels], dict[str, list[float]]]:
    """Return the features by each way, and the seconds an image, each chunk by every way before the next one."""
    chunk = 32
    padded = np.concatenate([pixels, pixels[: -len(pixels) % chunk]])
    found: list[list[Pixels]] = [[] for _ in ways]
    seconds: dict[str, list[float]] = {"wall": [0.0] * len(ways), "cpu": [0.0] * len(ways)}
    for way in ways:
        way(padded[:chunk])
    for turn, start in enumerate(range(0, len(padded), chunk)):
        for place in range(len(ways)) if turn % 2 else reversed(range(len(ways))):
            wall, cpu = time.perf_counter(), time.process_time()
            found[place].append(ways[place](padded[start : start + chunk]))
            seconds["wall"][place] += (time.perf_counter() - wall) / len(padded)
            seconds["cpu"][place] += (time.process_time() - cpu) / len(padded)
    return [np.concatenate(each)[: len(pixels)] for each in found], seconds


def compared(features: list[Pixels], labels: np.ndarray) -> dict[str, Any]:
    """Return how near the features are, and the heads on both, out of fold."""
    one, other = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in features)
    cosines = (one * other).sum(axis=1)
    before, after = (out_of_fold(each, labels) for each in features)
    gains = {metric: paired_bootstrap(before, after, metric=metric).gain for metric in ("log_loss", "accuracy")}
    return {
        "n": len(labels),
        "classes": int(labels.max()) + 1,
        "cosine": [float(cosines.mean()), float(cosines.min())],
        "log_loss": [float(gr.metrics.log_loss(each).value) for each in (before, after)],
        "accuracy": [float(gr.metrics.accuracy(each).value) for each in (before, after)],
        "change": {
            "log_loss": [-gains["log_loss"].value, -gains["log_loss"].high, -gains["log_loss"].low],
            "accuracy": value_and_interval(gains["accuracy"]),
        },
        "p_value": mcnemar(before, after).p_value,
    }


def out_of_fold(features: Pixels, labels: np.ndarray) -> Predictions:
    """Return what linear heads say of images that they have not learned from."""
    halves = as_halves(features, "efficientnet_lite0")
    rows = Rows(
        read=lambda start, stop: halves[start:stop],
        targets=labels,
        weights=np.ones(len(labels)),
        folds=stratified_folds(labels, [f"{row}".encode() for row in range(len(labels))], folds=FOLDS, seed=0),
        features=halves.shape[1],
        classes=int(labels.max()) + 1,
        scored=len(labels),
    )
    names = [f"class {number}" for number in range(rows.classes)]
    return Predictions.from_logits(fit_linear(rows).fold_logits, names, truth=labels)


def page(values: dict[str, Any]) -> str:
    """Return the page in Markdown."""
    precision, calibrating = values["precision"], values["calibrating"]
    rows = [
        [
            name,
            str(one["n"]),
            f"{one['cosine'][0]:.3f}, {one['cosine'][1]:.3f}",
            f"{100 * one['accuracy'][0]:.1f} → {100 * one['accuracy'][1]:.1f}",
            f"{one['change']['accuracy']} (p = {one['p_value']:.2g})",
            f"{one['log_loss'][0]:.4f} → {one['log_loss'][1]:.4f}",
            "{:+.4f} [{:+.4f}, {:+.4f}]".format(*one["change"]["log_loss"]),
            f"{one['cpu'][0] / one['cpu'][1]:.2f}, {one['wall'][0] / one['wall'][1]:.2f}",
        ]
        for name, one in values["sets"].items()
    ]
    header = [
        "set",
        "n",
        "cosine of features: mean, least",
        f"accuracy, %: {precision} → int8",
        "its change, 95 %, McNemar",
        f"log loss: {precision} → int8",
        "its change, 95 %",
        "times faster: CPU seconds, wall",
    ]
    saved = [1000 * (one["cpu"][0] - one["cpu"][1]) for one in values["sets"].values()]
    mean = float(np.mean(saved))
    pays = f"{1000 * calibrating['cpu'] / mean:,.0f} images" if mean > 0 else "no number of images"
    return "\n\n".join(
        [
            "# int8 as an engine",
            f"Features of EfficientNet-Lite0 by OpenVINO in {precision}, the engine of today on this processor, and in "
            f"int8, quantized by NNCF and calibrated once, on {calibrating['images']} pictures of {CALIBRATED_ON}. "
            f"Linear heads on both, out of {FOLDS} folds, are compared on the same images. A change of the log loss "
            "above 0 is worse.",
            markdown_table(header, rows),
            f"Calibrating took {calibrating['cpu']:.0f} CPU seconds ({calibrating['wall']:.0f} by the clock). An image "
            f"in int8 saves {mean:.0f} ms of CPU time on average of the sets, so calibrating is paid back after "
            f"{pays}.",
            "Speed is a ratio of runs in turn, 32 images by each, one process, two threads. Other work shared the "
            f"machine (load average {values['load']:.1f} at the end), so CPU seconds are the better measure. "
            "[Decision 55](../decisions/0056-int8.md) says what follows.",
            f"Made by `python benchmarks/int8_engine.py`: {made_with()}.\n",
        ]
    )


if __name__ == "__main__":
    main()
