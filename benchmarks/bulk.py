"""Predicting many files: how near it comes to its decoder and its engine, and that memory does not grow.

python benchmarks/bulk.py                    100,000 files: about 20 minutes on 2 cores
python benchmarks/bulk.py --most 5000        a trial

Decoder and engine are measured alone, on the same cores and in turn with the whole. Who does one after the other takes
1/decode + 1/engine seconds an image; that is what the cores allow. The many files are names of the same photos.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np

import goldenrule as gr
from common import DATA, RESULTS, made_with, markdown_table
from goldenrule.data.augmentation.augment import PLAIN
from goldenrule.data.loader import DecodeJob, batches
from goldenrule.data.sources.folders import image_files
from goldenrule.data.sources.picture_files import read_picture
from goldenrule.deploy.bulk import predict_files
from goldenrule.models.graphs.compiled import available_threads, serving_engine, serving_kind

IMAGES, ROUNDS = 1000, 5
PEAK = """
import sys, time
from functools import partial
from pathlib import Path
from goldenrule.deploy.bulk import predict_files
from goldenrule.models.classifier import Classifier

began = time.perf_counter()
found = predict_files(Classifier.load(sys.argv[1]), [sys.argv[2]], out=Path(sys.argv[3]))
seconds = time.perf_counter() - began
peak = next(line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(found.images, seconds, int(peak) / 1024)
"""


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--most", type=int, default=100_000)
    parser.add_argument("-o", "--out", type=Path, default=RESULTS / "bulk.md")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        run = gr.fit(DATA / "dogscats", quick=True, out=folder / "run").folder
        photos = [path for _, path in image_files([DATA / "dogscats"])]
        rates = measured(gr.Classifier.load(run), photos[:IMAGES], folder)
        grown = [of_many(run, photos, count, folder) for count in counts(arguments.most)]
    values = {"rates": rates, "memory": grown, "load": os.getloadavg()[0]}
    arguments.out.with_suffix(".json").write_text(json.dumps(values, indent=1) + "\n")
    text = page(rates, grown)
    arguments.out.write_text(text)
    print(text)


def counts(most: int) -> list[int]:
    """Return how many files are tried."""
    return sorted({max(most // 100, 100), max(most // 10, 100), most})


def measured(classifier: gr.Classifier, photos: list[Path], folder: Path) -> dict[str, list[float]]:
    """Return images per second of the decoder, the engine and the whole, in turn."""
    threads = available_threads()
    engine = serving_engine(
        classifier.backbone, serving_kind(classifier.backbone, classifier.engine), images=len(photos), threads=threads
    )
    first = photos[: engine.batch_size]
    pixels = next(batch.pixels for batch in decoded(classifier, first, engine.batch_size, threads))
    whole_batches = len(photos) // engine.batch_size

    def only_decode() -> int:
        return sum(len(batch.slots) for batch in decoded(classifier, photos, engine.batch_size, threads))

    def only_engine() -> int:
        return sum(len(found) for _, found in engine.run((number, pixels) for number in range(whole_batches)))

    def whole() -> int:
        (folder / "rows.csv").unlink(missing_ok=True)
        return predict_files(classifier, photos, out=folder / "rows.csv").images

    found: dict[str, list[float]] = {"decode": [], "engine": [], "whole": []}
    for repeat in range(ROUNDS + 1):
        for name, work in (("decode", only_decode), ("engine", only_engine), ("whole", whole)):
            began = time.perf_counter()
            images = work()
            if repeat:  # the first compiles, and fills the system's cache of files
                found[name].append(images / (time.perf_counter() - began))
    return found


def decoded(classifier: gr.Classifier, photos: list[Path], batch_size: int, threads: int):
    """Decode photos as a prediction does."""
    jobs = (DecodeJob(row=row, read=partial(read_picture, path), views=(0,)) for row, path in enumerate(photos))
    return batches(jobs, (PLAIN,), classifier.preprocessing, batch_size=batch_size, threads=threads)


def of_many(run: Path, photos: list[Path], count: int, folder: Path) -> tuple[int, float, float]:
    """Return files, images per second and the peak of memory in MiB of a process of its own."""
    many = folder / f"many{count}"
    for number in range(count):
        place = many / f"{number // 1000:04d}"
        place.mkdir(parents=True, exist_ok=True)
        os.link(link_of(photos[number % len(photos)], folder), place / f"{number:07d}.jpg")
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(run), str(many), str(folder / f"{count}.csv")],
        capture_output=True,
        text=True,
        check=True,
    )
    images, seconds, peak = map(float, done.stdout.split())
    return int(images), images / seconds, peak


def link_of(photo: Path, folder: Path) -> Path:
    """Return a copy of a photo in the folder, whose names cost no disk."""
    copy = folder / "photos" / f"{photo.parent.parent.name}-{photo.name}"
    if not copy.exists():
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(photo.read_bytes())
    return copy


def page(rates: dict[str, list[float]], grown: list[tuple[int, float, float]]) -> str:
    """Return the page of the results."""
    middle = {name: float(np.median(of)) for name, of in rates.items()}
    allowed = [1 / (1 / one + 1 / other) for one, other in zip(rates["decode"], rates["engine"], strict=True)]
    ratios = [whole / most for whole, most in zip(rates["whole"], allowed, strict=True)]
    rows = [
        ["decode alone", f"{middle['decode']:.0f}", spread(rates["decode"])],
        ["engine alone", f"{middle['engine']:.0f}", spread(rates["engine"])],
        ["1 / (1/decode + 1/engine)", f"{np.median(allowed):.0f}", spread(allowed)],
        ["goldenrule predict, to CSV", f"{middle['whole']:.0f}", spread(rates["whole"])],
    ]
    many = [[f"{count:,}", f"{rate:.0f}", f"{peak:.0f}"] for count, rate, peak in grown]
    return (
        "# Predicting many files\n\n"
        f"{IMAGES} photos (JPEG, about 500 x 375 px), EfficientNet-Lite0, {available_threads()} threads; median and "
        f"range of {len(rates['whole'])} rounds, all in turn in one process.\n\n"
        f"{markdown_table(['what', 'images/s', 'range'], rows)}\n\n"
        f"The whole reaches {100 * np.median(ratios):.0f} % ({100 * min(ratios):.0f} to {100 * max(ratios):.0f}) of "
        "what decoder and engine allow one after the other.\n\n"
        f"{markdown_table(['files', 'images/s, start included', 'peak of memory, MiB'], many)}\n\n"
        "A process each, to a CSV file of all rows. The files are hard links of 1,000 to 2,000 photos, so that the "
        "disk is not what is measured.\n\n"
        f"Made by `python benchmarks/bulk.py`: {made_with()}.\n"
    )


def spread(values: list[float]) -> str:
    """Return the lowest and the highest value."""
    return f"{min(values):.0f} to {max(values):.0f}"


if __name__ == "__main__":
    main()
