"""What each step beside decoding and the network costs with 10,000 and 100,000 images: seconds, and peak of memory.

No pictures are made: a table of drawn names, 100 classes and digests, and drawn features of 100 clusters in a feature
cache as a fit leaves it, with a near copy of each hundredth image. Each step is a process of its own, whose peak the
kernel tells (VmHWM); the growth is that beyond the same step with 1,000 images.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from common import RESULTS, made_with, markdown_table
from goldenrule.data.table import ImageTable, image_table
from goldenrule.features.cache import ChunkWriter, FeatureCache
from goldenrule.storage.files import DIGEST_BYTES

FEATURES, CLASSES, WARM = 1280, 100, 1_000
COUNTS = (10_000, 100_000)
HEAD_MOST = 10_000
"""A head for a hundred classes on more rows takes many minutes on two cores: that is told, not measured."""
KEY = {"network": "drawn", "tap": "pooled", "pooling": "average"}
DRAWN = 4_096


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--counts", type=int, nargs="+", default=list(COUNTS))
    parser.add_argument("--step", choices=list(STEPS), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("-o", "--out", type=Path, default=RESULTS / "many_rows.md")
    arguments = parser.parse_args()
    if arguments.step:
        print(json.dumps(step_alone(arguments.step, arguments.counts[0], arguments.folder)))
        return
    found = []
    for count in (WARM, *arguments.counts):
        with tempfile.TemporaryDirectory() as folder:
            for step in STEPS:
                if step != "linear head" or count <= HEAD_MOST:
                    found.append(in_a_process(step, count, Path(folder)))
                    print(json.dumps(found[-1]), flush=True)
    arguments.out.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n")
    arguments.out.write_text(page(found))


def in_a_process(step: str, count: int, folder: Path) -> dict[str, Any]:
    """Return what a step takes."""
    words = [sys.executable, __file__, "--step", step, "--folder", str(folder), "--counts", str(count)]
    environment = os.environ | {"GOLDENRULE_CACHE": str(folder / "cache")}
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise RuntimeError(f"{step}, {count:,}: {done.stderr}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def step_alone(step: str, count: int, folder: Path) -> dict[str, Any]:
    """Do one step, and tell seconds, peak and what came of it."""
    work = STEPS[step](count, folder)
    began = time.perf_counter()
    said = work()
    seconds = time.perf_counter() - began
    status = Path("/proc/self/status").read_text()
    peak = re.search(r"VmHWM:\s+(\d+)", status)
    assert peak is not None
    return {"step": step, "rows": count, "seconds": round(seconds, 2), "peak_mb": int(peak[1]) // 1024, "said": said}


def drawn_table(count: int) -> ImageTable:
    """Return a table of so many images, each with a class and a digest."""
    labels = np.random.default_rng(0).integers(0, CLASSES, count)
    table = image_table(
        Path("images"),
        [f"class {number:02d}" for number in range(CLASSES)],
        uris=[f"{label:02d}/{number:07d}.jpg" for number, label in enumerate(labels.tolist())],
        splits=[None] * count,
        labels=labels[:, None].tolist(),
    )
    return table.with_digests(names(count))


def names(count: int) -> list[bytes]:
    """Return the digests of the drawn images."""
    return [number.to_bytes(DIGEST_BYTES, "big") for number in range(count)]


def drawn_features(count: int, labels: np.ndarray[Any, Any]) -> Any:
    """Yield blocks of features (rows, FEATURES) float16: clusters, each hundredth row nearly the one before it."""
    draws = np.random.default_rng(1)
    centres = draws.standard_normal((CLASSES, FEATURES)).astype(np.float32)
    for start in range(0, count, DRAWN):
        rows = min(DRAWN, count - start)
        block = centres[labels[start : start + rows]] + 4 * draws.standard_normal((rows, FEATURES), dtype=np.float32)
        block[99::100] = block[98::100][: len(block[99::100])] + 0.05
        yield block.astype(np.float16)


def cache() -> FeatureCache:
    """Return the feature cache of this benchmark."""
    return FeatureCache(KEY, FEATURES)


Work = Callable[[], str]


def write_table(count: int, folder: Path) -> Work:
    """Write the table of a run."""
    from goldenrule.data.table_file import table_content

    table = drawn_table(count)

    def work() -> str:
        content = table_content(table)
        (folder / "table").write_bytes(content)
        return f"{len(content) / 1e6:.1f} MB"

    return work


def read_table(count: int, folder: Path) -> Work:
    """Read it back, verified."""
    from goldenrule.data.table_file import table_of

    def work() -> str:
        path = folder / "table"
        assert len(table_of(path.read_bytes(), path)) == count
        return ""

    return work


def split(count: int, _: Path) -> Work:
    """Draw the splits."""
    from goldenrule.data.splits.splitting import with_split

    table = drawn_table(count)

    def work() -> str:
        found = with_split(table, seed=0)
        return f"{found.splits.count('test'):,} in test"

    return work


def fill_cache(count: int, _: Path) -> Work:
    """Write the features of all images in chunks, as the engine hands them over."""
    labels = drawn_table(count).targets
    writer = ChunkWriter(cache())

    def work() -> str:
        number = 0
        for block in drawn_features(count, labels):
            for row in block:
                writer.add(number.to_bytes(DIGEST_BYTES, "big"), row)
                number += 1
        writer.flush()
        return f"{2 * FEATURES * count / 1e9:.2f} GB"

    return work


def open_cache(count: int, _: Path) -> Work:
    """Open the cache, each row verified by its checksum, and read one row in ten."""

    def work() -> str:
        found = cache()
        assert len(found) == count
        assert np.isfinite(found.rows(names(count)[::10][:DRAWN])).all()
        return ""

    return work


def duplicates(count: int, _: Path) -> Work:
    """Find the pairs whose features are close; the pictures are not looked at."""
    from goldenrule.data.duplicates.close_vectors import close_pairs
    from goldenrule.features.similar_windows import _PER_BUCKET, CANDIDATE, shortened

    found = cache()
    digests = names(count)

    def work() -> str:
        short = shortened(found, digests)
        pairs = close_pairs(short, least=CANDIDATE, most=5, origin=short.mean(axis=0), per_bucket=_PER_BUCKET)
        planted = sum(1 for one, other in zip(pairs.first, pairs.second, strict=True) if other - one == 1)
        return f"{planted:,} of {count // 100:,} planted pairs"

    return work


def linear_head(count: int, _: Path) -> Work:
    """Choose a penalty by five folds and fit a head on all rows."""
    from goldenrule.features.linear import Rows, fit_linear

    labels, found, digests = drawn_table(count).targets, cache(), names(count)

    def read(start: int, stop: int) -> Any:
        return found.rows(digests[start:stop])

    rows = Rows(
        read=read,
        targets=labels,
        weights=np.ones(count, np.float32),
        folds=np.arange(count) % 5,
        features=FEATURES,
        classes=CLASSES,
        scored=count,
    )

    def work() -> str:
        fit = fit_linear(rows)
        right = float(np.mean(fit.fold_logits.argmax(axis=1) == labels))
        return f"{100 * right:.1f} % right, out of fold"

    return work


def label_issues(count: int, _: Path) -> Work:
    """Find suspected label errors among out-of-fold probabilities."""
    from goldenrule.analysis.label_issues import find_label_issues
    from goldenrule.metrics import Predictions

    table, draws = drawn_table(count), np.random.default_rng(2)
    logits = draws.standard_normal((count, CLASSES), dtype=np.float32)
    logits[np.arange(count), table.targets] += 6
    predictions = Predictions.from_logits(logits, table.classes, truth=table.targets, ids=table.uris)

    def work() -> str:
        return f"{find_label_issues(predictions).number_suspected:,} suspected"

    return work


def ood_flags(count: int, _: Path) -> Work:
    """Flag what is out-of-distribution among all images, by references drawn from them."""
    from goldenrule.metrics.uncertainty.ood import OODDetector

    found = cache()
    digests = names(count)
    step = max(count // 2_000, 1)
    references = found.rows(digests[::step][:2_000])
    detector = OODDetector.fit(references, list(range(len(references))))

    def work() -> str:
        flagged = 0
        for start in range(0, count, DRAWN):
            flagged += int((detector.distances(found.rows(digests[start : start + DRAWN])) > detector.threshold).sum())
        return f"{100 * flagged / count:.1f} % flagged"

    return work


STEPS: dict[str, Callable[[int, Path], Work]] = {
    "write the table": write_table,
    "read the table": read_table,
    "split": split,
    "write the features": fill_cache,
    "open the features": open_cache,
    "near duplicates": duplicates,
    "linear head": linear_head,
    "suspected labels": label_issues,
    "out-of-distribution flags": ood_flags,
}


def page(found: list[dict[str, Any]]) -> str:
    """Return the Markdown page."""
    least = {one["step"]: one for one in found if one["rows"] == WARM}
    rows = [
        [
            one["step"],
            f"{one['rows']:,}",
            f"{one['seconds']:.1f}",
            f"{1e6 * one['seconds'] / one['rows']:.0f}",
            f"{one['peak_mb']:,}",
            f"{max(one['peak_mb'] - least[one['step']]['peak_mb'], 0) * 2**20 / one['rows']:,.0f}",
            one["said"],
        ]
        for step in STEPS
        for one in found
        if one["step"] == step and one["rows"] != WARM
    ]
    header = ["step", "images", "s", "µs an image", "peak, MB", "bytes an image", ""]
    return TEXT.format(table=markdown_table(header, rows), made=made_with())


TEXT = """# Many images, beside decoding and the network

What each step costs with 10,000 and 100,000 images, without pictures: a table of drawn names, 100 classes, \
and features (1,280 numbers an image) in a cache as a fit leaves it. A process each, n = 1. \
To decode and to run the network takes [10 ms an image](bulk.md), far more than any of these but the head.

{table}

- **Bytes an image**: the peak beyond that of the same step with 1,000 images, by the images. \
The features themselves are 2,560 bytes an image and stay on the disk, mapped: pages of them that were read count as \
memory here, and the system takes them back when it needs room.
- **Linear head**: a plain one for 100 classes by five folds; on ten times as many images not measured here. \
Of more than fit in 4 GB the rows are read from the disk in blocks.

Made by `python benchmarks/many_rows.py`: {made}.
"""

if __name__ == "__main__":
    main()
