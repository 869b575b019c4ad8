"""How long each look into 1,000 photos of cats and dogs takes once their activations are in the bank.

    python benchmarks/insight_seconds.py

Every command is a process of its own, from start to end: the seconds are those that a user waits.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from common import DATA, RESULTS, made_with, markdown_table

SET, REPEATS, EXPLAINED = "dogscats", 5, 8


def commands(run: Path, world: Path) -> dict[str, list[str]]:
    """Return what is timed, by what it tells."""
    photos = DATA / SET
    asked = sorted((photos / "valid" / "cats").iterdir())[:EXPLAINED]
    return {
        "wrong labels, most confident mistakes, most uncertain, best": ["insight", str(run)],
        "how many more images for 99.9 %": ["learning-curve", str(run), "--target", "0.999"],
        f"nearest training images and heat maps of {EXPLAINED} photos": [
            "explain",
            str(run),
            *map(str, asked),
            "-o",
            str(world / "explained"),
        ],
        "nearest training images alone": [
            "explain",
            str(run),
            *map(str, asked),
            "--no-heat",
            "-o",
            str(world / "near"),
        ],
        "a choice among three backbones, and the fit": [
            "fit",
            str(photos),
            "--quick",
            "--backbone",
            "auto",
            "--out",
            str(world / "auto-{repeat}"),
        ],
        "an average of five folds": ["fit", str(photos), "--folds", "5", "--out", str(world / "folds-{repeat}")],
        "the fit itself, --quick": ["fit", str(photos), "--quick", "--out", str(world / "quick-{repeat}")],
    }


def timed(words: list[str], repeat: int, world: Path) -> float:
    """Return the seconds of one command."""
    ours = [word.replace("{repeat}", str(repeat)) for word in words]
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "goldenrule", *ours], cwd=world, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(ours)}: {done.stderr}")
    return time.perf_counter() - began


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--out", type=Path, default=RESULTS / "insight_seconds.md")
    parser.add_argument("--repeats", type=int, default=REPEATS)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        world = Path(folder)
        run = world / "run"
        timed(["fit", str(DATA / SET), "--quick", "--out", str(run)], 0, world)
        every = commands(run, world)
        for words in every.values():  # fills the bank, and the caches of compiled networks
            timed(words, -1, world)
        rows = []
        taken: dict[str, list[float]] = {name: [] for name in every}
        for repeat in range(asked.repeats):
            for name, words in every.items():
                taken[name].append(timed(words, repeat, world))
        for name, seconds in taken.items():
            median, low, high = np.median(seconds), min(seconds), max(seconds)
            rows.append([name, f"`goldenrule {every[name][0]}`", f"{median:.1f} s [{low:.1f}, {high:.1f}]"])
    load = os.getloadavg()[0]
    page = [
        "# Seconds of insight",
        f"The set `{SET}`: 800 photos to train, 200 to validate. Each command is a process of its own, timed from its "
        f"start to its end, {asked.repeats} times in turns: median [fastest, slowest]. The activations are in the "
        "bank; no network is compiled.",
        markdown_table(["what it tells", "command", "seconds"], rows),
        f"Made by `python benchmarks/insight_seconds.py`: {made_with()}; load {load:.1f} at the end.",
    ]
    asked.out.write_text("\n\n".join(page) + "\n", encoding="utf-8")
    print(asked.out.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
