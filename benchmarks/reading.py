"""How fast files become pixels: read, decode, resize to 224 px; goldenrule beside Pillow, torchvision and OpenCV.

One interleaved run on the photos of dogscats, one thread each, files in the page cache: every repeat gives each way
all files once, in turn. Ways that are not installed are left out.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from threadpoolctl import threadpool_limits

from common import DATA, RESULTS, made_with, markdown_table
from goldenrule.images.look import glance, look
from goldenrule.images.preprocess import Preprocessing
from goldenrule.images.read import decode
from goldenrule.images.sources import image_files

Way = Callable[[Path], object]
PREPROCESSING = Preprocessing(size=224)


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("-o", "--out", type=Path, default=RESULTS / "reading.md")
    arguments = parser.parse_args()
    files = [path for _, path in image_files([DATA / "dogscats"])][: arguments.images]
    ways = {**ours(), **theirs()}
    rates: dict[str, list[float]] = {name: [] for name in ways}
    with threadpool_limits(1):
        for repeat in range(arguments.repeats + 1):
            for name, way in ways.items():
                began = time.perf_counter()
                for file in files:
                    way(file)
                if repeat:  # the first warms the page cache and the libraries
                    rates[name].append(len(files) / (time.perf_counter() - began))
    arguments.out.with_suffix(".json").write_text(json.dumps(rates, indent=1) + "\n")
    arguments.out.write_text(page(rates, len(files)))
    print(page(rates, len(files)))


def ours() -> dict[str, Way]:
    """Give goldenrule's own ways: to network input, and what audit and the beginning of a fit do."""
    return {
        "goldenrule: network input, float32": lambda path: PREPROCESSING.pixels(decode(path.read_bytes())),
        "goldenrule: a look at a file (audit, split)": lambda path: look(path.read_bytes()),
        "goldenrule: a glance at a file (every fit)": lambda path: glance(path.read_bytes()),
    }


def theirs() -> dict[str, Way]:
    """Give what others do to come to the same array (3, 224, 224), normalised."""
    ways: dict[str, Way] = {}
    mean, std = (np.array(own, np.float32) for own in (PREPROCESSING.mean, PREPROCESSING.std))

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


def page(rates: dict[str, list[float]], count: int) -> str:
    """Give the page of docs/results."""
    first = next(iter(rates))
    rows = []
    for name, own in rates.items():
        ratios = [one / base for one, base in zip(own, rates[first], strict=True)]
        middle = statistics.median(own)
        rows.append([name, f"{middle:.0f} [{min(own):.0f}, {max(own):.0f}]", f"{statistics.median(ratios):.2f}"])
    return (
        "# Reading\n\n"
        f"Files of dogscats (JPEG, mostly 500 x 375 px), n={count}, one thread, page cache warm, "
        f"{len(rates[first])} interleaved repeats: median, smallest and largest.\n\n"
        f"{markdown_table(['way', 'files/s', 'against the first'], rows)}\n\n"
        "The canonical pixels of goldenrule are resized in float32 without rounding (law 1); the others round to "
        "uint8.\n\n"
        f"Made by `python benchmarks/reading.py`: {made_with()}.\n"
    )


if __name__ == "__main__":
    main()
