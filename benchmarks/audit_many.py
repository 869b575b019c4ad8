"""`goldenrule audit` on many files: files per second, peak memory, and how both grow.

The files are random windows of the photos of dogscats, 128 x 96 px, in two class folders; made anew each time.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from common import DATA, RESULTS, made_with, markdown_table
from goldenrule.data.sources.folders import image_files
from measure import measured

Record = dict[str, Any]
WIDTH, HEIGHT = 128, 96


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--counts", nargs="*", type=int, default=[1_000, 10_000, 30_000, 100_000])
    parser.add_argument("-o", "--out", type=Path, default=RESULTS / "audit_many.md")
    arguments = parser.parse_args()
    records = []
    with tempfile.TemporaryDirectory() as place:
        made = 0
        for count in sorted(arguments.counts):
            make(Path(place) / "photos", made, count)
            made = count
            records.append(audited(Path(place), count))
            print(records[-1], flush=True)
    arguments.out.with_suffix(".json").write_text(json.dumps(records, indent=1) + "\n")
    arguments.out.write_text(page(records))


def make(root: Path, first: int, last: int) -> None:
    """Make the files from number `first` to `last` - 1."""
    photos = [path for _, path in image_files([DATA / "dogscats"])]
    draws = np.random.default_rng(first)
    for number in range(first, last):
        if number % 50 == first % 50:
            with Image.open(photos[int(draws.integers(len(photos)))]) as opened:
                photo = opened.convert("RGB")
        scale = draws.uniform(0.25, 0.6)
        width, height = max(16, int(photo.width * scale)), max(12, int(photo.height * scale))
        left, top = int(draws.integers(photo.width - width)), int(draws.integers(photo.height - height))
        folder = root / "ab"[number % 2] / f"{number // 5000:03d}"
        folder.mkdir(parents=True, exist_ok=True)
        window = photo.crop((left, top, left + width, top + height)).resize((WIDTH, HEIGHT))
        window.save(folder / f"{draws.integers(10**9):09d}x.jpg", quality=85)


def audited(place: Path, count: int) -> Record:
    """Audit the folder in a process of its own."""
    command = (sys.executable, "-m", "goldenrule", "audit", str(place / "photos"), "--out", str(place / str(count)))
    cost = measured(command, environment=dict(os.environ), log=place / "log.txt")
    found = json.loads((place / str(count) / "audit.json").read_text())
    pairs = sum(len(one["evidence"]) for one in found["findings"] if "near" in one["code"])
    return {
        "files": found["images"],
        "seconds": cost.seconds,
        "peak_memory_mb": cost.peak_memory_mb,
        "others_cpu_share": cost.others_cpu_share,
        "near_duplicates": pairs,
        "page_mb": (place / str(count) / "audit.html").stat().st_size / 1e6,
    }


def page(records: list[Record]) -> str:
    """Return the page of docs/results."""
    rows = [
        [
            f"{record['files']:,}",
            f"{record['seconds']:.1f}",
            f"{record['files'] / record['seconds']:,.0f}",
            f"{record['peak_memory_mb']:,.0f}",
            f"{record['near_duplicates']:,}",
            f"{record['page_mb']:.1f}",
        ]
        for record in records
    ]
    head = ["files", "seconds", "files/s", "peak memory, MB", "near duplicates", "page, MB"]
    return (
        "# The audit of many files\n\n"
        f"`goldenrule audit` as a whole process, n=1 each, on random windows of photos ({WIDTH} x {HEIGHT} px JPEG; "
        "windows of one photo may be near duplicates). Larger photos take longer to read: "
        "[reading](reading.md).\n\n"
        f"{markdown_table(head, rows)}\n\n"
        f"Made by `python benchmarks/audit_many.py`: {made_with()}.\n"
    )


if __name__ == "__main__":
    main()
