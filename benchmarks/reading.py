"""How fast files become pixels: read, decode, resize to 224 px; goldenrule beside Pillow, torchvision and OpenCV.

One interleaved run on the photos of dogscats, one thread each, files in the page cache: every repeat gives each way
all files once, in turn. Ways that are not installed are left out. Then large photos (enlarged copies, made in a
temporary folder) decoded in full and scaled, and what scaled decoding does to the answers of a fit at 128 px.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from threadpoolctl import threadpool_limits

import goldenrule as gr
from common import DATA, RESULTS, made_with, markdown_table
from goldenrule.core.schema import as_json, from_json
from goldenrule.data.pictures.decode import decode
from goldenrule.data.pictures.preprocess import Preprocessing
from goldenrule.data.scan import glance, look
from goldenrule.data.sources.folders import image_files
from goldenrule.metrics import value_and_interval

Way = Callable[[Path], object]
PREPROCESSING = Preprocessing(size=224)
SCALED = Preprocessing(size=224, name="scaled")
LARGE = ((1600, 1200), (4032, 3024))


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--large", type=int, default=24, help="photos that are enlarged")
    parser.add_argument("-o", "--out", type=Path, default=RESULTS / "reading.md")
    arguments = parser.parse_args()
    files = [path for _, path in image_files([DATA / "dogscats"])][: arguments.images]
    ways = {**ours(), **theirs()}
    rates = measured(ways, files, arguments.repeats)
    with tempfile.TemporaryDirectory() as folder:
        large = {
            f"{width} x {height}": measured(
                decodings(), enlarged(files[: arguments.large], (width, height), Path(folder)), arguments.repeats
            )
            for width, height in LARGE
        }
    answers = of_a_fit()
    values = {"files": rates, "large": large, "answers": answers}
    arguments.out.with_suffix(".json").write_text(json.dumps(values, indent=1) + "\n")
    text = page(rates, len(files), large, arguments.large, answers)
    arguments.out.write_text(text)
    print(text)


def measured(ways: dict[str, Way], files: list[Path], repeats: int) -> dict[str, list[float]]:
    """Return the files per second of every way and repeat."""
    rates: dict[str, list[float]] = {name: [] for name in ways}
    with threadpool_limits(1):
        for repeat in range(repeats + 1):
            for name, way in ways.items():
                began = time.perf_counter()
                for file in files:
                    way(file)
                if repeat:  # the first warms the page cache and the libraries
                    rates[name].append(len(files) / (time.perf_counter() - began))
    return rates


def decodings() -> dict[str, Way]:
    """Return the two ways to decode."""
    return {
        preprocessing.name: lambda path, value=preprocessing: value.pixels(  # type: ignore[misc]
            decode(path.read_bytes(), least_side=value.least_side)
        )
        for preprocessing in (PREPROCESSING, SCALED)
    }


def enlarged(files: list[Path], size: tuple[int, int], folder: Path) -> list[Path]:
    """Write copies of that size (width, height) and give their paths."""
    made = []
    for file in files:
        with Image.open(file) as image:
            large = image.convert("RGB").resize(size, Image.Resampling.BICUBIC)
        made.append(folder / f"{size[0]} {file.name}")
        large.save(made[-1], quality=92)
    return made


def of_a_fit() -> dict[str, object]:
    """Fit dogscats at 128 px either way and compare the answers on its validation split."""
    names = ("canonical", "scaled")
    with tempfile.TemporaryDirectory() as folder:
        found = {}
        for name in names:
            fit_result = gr.fit(DATA / "dogscats", quick=True, size=128, decoding=name, out=Path(folder) / name)
            found[name] = fit_result.classifier.predict_table(fit_result.table.split("valid"))
    far = np.abs(found["scaled"].probabilities - found["canonical"].probabilities).max(axis=1)
    numbers = {
        name: {
            "accuracy": as_json(gr.metrics.accuracy(predictions)),
            "log_loss": as_json(gr.metrics.log_loss(predictions)),
        }
        for name, predictions in found.items()
    }
    same = found["scaled"].predicted == found["canonical"].predicted
    return numbers | {
        "n": len(far),
        "same_class": int(np.sum(same)),
        "probability": {"median": float(np.median(far)), "largest": float(far.max())},
    }


def ours() -> dict[str, Way]:
    """Return goldenrule's own ways: to network input, and what audit and the beginning of a fit do."""
    return {
        "goldenrule: network input, float32": lambda path: PREPROCESSING.pixels(decode(path.read_bytes())),
        "goldenrule: a look at a file (audit, split)": lambda path: look(path.read_bytes()),
        "goldenrule: a glance at a file (every fit)": lambda path: glance(path.read_bytes()),
    }


def theirs() -> dict[str, Way]:
    """Return what others do to come to the same array (3, 224, 224), normalised."""
    ways: dict[str, Way] = {}
    mean, std = (np.array(value, np.float32) for value in (PREPROCESSING.mean, PREPROCESSING.std))

    def pillow(path: Path) -> object:
        with Image.open(io.BytesIO(path.read_bytes())) as image:
            picture = image.convert("RGB")
        scale = 256 / min(picture.size)
        picture = picture.resize(
            (round(picture.width * scale), round(picture.height * scale)), Image.Resampling.BICUBIC
        )
        left, top = (picture.width - 224) // 2, (picture.height - 224) // 2
        values = np.asarray(picture.crop((left, top, left + 224, top + 224)), np.float32)
        return np.ascontiguousarray(((values / 255 - mean) / std).transpose(2, 0, 1))

    ways["Pillow and numpy, uint8 resize"] = pillow
    try:
        import torch
        from torchvision.io import ImageReadMode, decode_jpeg
        from torchvision.transforms import v2
    except ImportError:
        pass
    else:
        torch.set_num_threads(1)
        steps = v2.Compose(
            [
                v2.Resize(256, interpolation=v2.InterpolationMode.BICUBIC, antialias=True),
                v2.CenterCrop(224),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(PREPROCESSING.mean, PREPROCESSING.std),
            ]
        )

        def torchvision(path: Path) -> object:
            content = torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.uint8)
            return steps(decode_jpeg(content, mode=ImageReadMode.RGB))

        ways["torchvision, uint8 resize"] = torchvision
    try:
        import cv2
    except ImportError:
        pass
    else:
        cv2.setNumThreads(1)

        def opencv(path: Path) -> object:
            picture = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
            scale = 256 / min(picture.shape[:2])
            size = (round(picture.shape[1] * scale), round(picture.shape[0] * scale))
            picture = cv2.cvtColor(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGB)
            top, left = (picture.shape[0] - 224) // 2, (picture.shape[1] - 224) // 2
            values = picture[top : top + 224, left : left + 224].astype(np.float32)
            return np.ascontiguousarray(((values / 255 - mean) / std).transpose(2, 0, 1))

        ways["OpenCV, area resize (not the pixels of training)"] = opencv
    return ways


def rows_of(rates: dict[str, list[float]], *before: str) -> list[list[str]]:
    """Return a line per way: its files per second, and how many times those of the first."""
    first = next(iter(rates))
    rows = []
    for name, rate in rates.items():
        ratios = [one / base for one, base in zip(rate, rates[first], strict=True)]
        spread = f"{statistics.median(rate):.0f} [{min(rate):.0f}, {max(rate):.0f}]"
        rows.append([*before, name, spread, f"{statistics.median(ratios):.2f}"])
    return rows


def page(
    rates: dict[str, list[float]],
    count: int,
    large: dict[str, dict[str, list[float]]],
    large_count: int,
    answers: dict[str, Any],
) -> str:
    """Return the page of docs/results."""
    first, rows = next(iter(rates)), rows_of(rates)
    large_rows = [row for size, value in large.items() for row in rows_of(value, size)]
    fits = [
        [name, *(value_and_interval(from_json(answers[name][key], gr.Estimate)) for key in ("accuracy", "log_loss"))]
        for name in ("canonical", "scaled")
    ]
    far = answers["probability"]
    return (
        "# Reading\n\n"
        f"Files of dogscats (JPEG, mostly 500 x 375 px), n={count}, one thread, page cache warm, "
        f"{len(rates[first])} interleaved repeats: median, smallest and largest.\n\n"
        f"{markdown_table(['way', 'files/s', 'against the first'], rows)}\n\n"
        "The canonical pixels of goldenrule are resized in float32 without rounding (law 1); the others round to "
        "uint8.\n\n"
        "## Large photos\n\n"
        f"Copies of {large_count} of these photos, enlarged; to the network's input at 224 px, otherwise as above. "
        "`--decoding scaled` decodes a JPEG at 1/2, 1/4 or 1/8 of its size where that leaves enough.\n\n"
        f"{markdown_table(['px', 'decoding', 'files/s', 'against canonical'], large_rows)}\n\n"
        "What it does to answers, where the photos have all their detail: dogscats at 128 px, where most are decoded "
        f"at half their size; linear heads, on the validation split, n={answers['n']}.\n\n"
        f"{markdown_table(['decoding', 'accuracy (95 %)', 'log loss (95 %)'], fits)}\n\n"
        f"The same class for {answers['same_class']} of {answers['n']} images; the probability differs by "
        f"{far['median']:.4f} (median), at most {far['largest']:.3f}.\n\n"
        f"Made by `python benchmarks/reading.py`: {made_with()}.\n"
    )


if __name__ == "__main__":
    main()
