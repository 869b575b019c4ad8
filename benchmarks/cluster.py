"""A Ray cluster of this machine beside the plain command: precompute and predict, what starting and sharing cost.

python benchmarks/cluster.py                              5 rounds of 8,000 images: one to two hours on 2 cores
python benchmarks/cluster.py --images 400 --rounds 1      a trial

Two head nodes run all the time, of one processor and of two, so that there are one and two workers of a thread each.
Each round runs every way in turn, the order turned by one from round to round, on all images and on an eighth of them:
the difference of both is what an image costs without the start. A way is compared with the plain command of as many
threads in the same round. Each command is a process of its own with an empty feature cache.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from common import DATA, RESULTS, made_with, markdown_table
from goldenrule.data.sources.folders import image_files

WORK = ("precompute", "predict")
SHARE = 8
"""The smaller set is this part of the larger one."""


@dataclass(frozen=True)
class Way:
    """One way to do the work: its words for the table, its options, and the way it is compared with."""

    name: str
    options: tuple[str, ...]
    beside: str = ""


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=8_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("-o", "--out", type=Path, default=RESULTS / "cluster.md")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place, contextlib.ExitStack() as stack:
        folder = Path(place)
        os.environ["GOLDENRULE_CACHE"] = str(folder / "cache")
        os.environ |= {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        run_command("fit", DATA / "dogscats", "--quick", "--views", "0", "--out", folder / "run")
        sets = {count: photos(folder, count) for count in (arguments.images // SHARE, arguments.images)}
        one, two = (stack.enter_context(head_node(cores)) for cores in (1, 2))
        ways = [
            Way("no cluster, 1 thread", ("--threads", "1")),
            Way("no cluster, 2 threads", ("--threads", "2")),
            Way("1 worker of 1 thread", ("--cluster", one, "--threads", "1"), "no cluster, 1 thread"),
            Way("2 workers of 1 thread", ("--cluster", two, "--threads", "1"), "no cluster, 2 threads"),
        ]
        seconds = measured(folder, sets, ways, arguments.rounds)
    values = {"images": [*sets], "seconds": seconds, "load": os.getloadavg()[0]}
    arguments.out.with_suffix(".json").write_text(json.dumps(values, indent=1) + "\n")
    text = page(arguments.images, seconds, ways)
    arguments.out.write_text(text)
    print(text)


def measured(
    folder: Path, sets: dict[int, Path], ways: list[Way], rounds: int
) -> dict[str, dict[str, list[list[float]]]]:
    """Return the seconds of both sets per round, by work and way; a round before them warms up."""
    found: dict[str, dict[str, list[list[float]]]] = {work: {way.name: [] for way in ways} for work in WORK}
    for number in range(rounds + 1):
        turned = ways[number % len(ways) :] + ways[: number % len(ways)]
        for work in WORK:
            for way in turned:
                took = [took_by(work, images, folder, way) for images in sets.values()]
                if number:
                    found[work][way.name].append(took)
                    print(f"round {number}, {work}, {way.name}: {took[0]:.1f} s, {took[1]:.1f} s", flush=True)
    return found


def took_by(work: str, images: Path, folder: Path, way: Way) -> float:
    """Return how many seconds a command takes, from its start to its end."""
    shutil.rmtree(folder / "cache" / "banks", ignore_errors=True)
    rows = folder / "rows.csv"
    rows.unlink(missing_ok=True)
    words = ("precompute", images) if work == "precompute" else ("predict", folder / "run", images, "-o", rows)
    began = time.perf_counter()
    run_command(*words, *way.options)
    return time.perf_counter() - began


def run_command(*words: object) -> None:
    """Run goldenrule, quietly."""
    command = [sys.executable, "-m", "goldenrule", *map(str, words), "--quiet"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def photos(folder: Path, count: int) -> Path:
    """Return a folder of so many photos of two classes, each with a mark of its own behind the picture's end."""
    named = [path for _, path in image_files([DATA / "dogscats"])]
    cats, dogs = ([path for path in named if path.parent.name == label] for label in ("cats", "dogs"))
    originals = [path for pair in zip(cats, dogs, strict=False) for path in pair]
    place = folder / f"photos{count}"
    for number in range(count):
        original = originals[number % len(originals)]
        target = place / original.parent.name / f"{number:06d}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(original.read_bytes() + f"{count} {number}".encode())
    return place


@contextlib.contextmanager
def head_node(cores: int) -> Iterator[str]:
    """Start a head node with so many processors; give its address."""
    folder = Path(tempfile.mkdtemp(prefix="gr-ray-", dir="/tmp"))
    port, client = free_port(), free_port()
    words = ["start", "--head", "--block", "--node-ip-address=127.0.0.1", f"--port={port}", f"--num-cpus={cores}"]
    words += [f"--ray-client-server-port={client}", "--include-dashboard=false", "--disable-usage-stats"]
    words += [f"--temp-dir={folder}", f"--object-store-memory={256 << 20}"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    head = subprocess.Popen([str(Path(sys.executable).with_name("ray")), *words], start_new_session=True, **quiet)
    try:
        for _ in range(1200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.1)
        yield f"127.0.0.1:{port}"
    finally:
        below = psutil.Process(head.pid).children(recursive=True)
        head.terminate()
        for process in psutil.wait_procs([*below, psutil.Process(head.pid)], timeout=20)[1]:
            with contextlib.suppress(psutil.Error):
                process.kill()
        shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def rates(took: list[list[float]], images: int) -> tuple[list[float], list[float]]:
    """Return images a second, start included, and without it, per round; nan where the smaller set took longer."""
    whole = [images / large for _, large in took]
    without = [(images - images // SHARE) / (large - small) if large > small else np.nan for small, large in took]
    return whole, without


def page(images: int, seconds: dict[str, dict[str, list[list[float]]]], ways: list[Way]) -> str:
    """Return the page of the results."""
    rows = []
    for work, of_work in seconds.items():
        each = {name: rates(took, images) for name, took in of_work.items()}
        for way in ways:
            cells = [spread(values, "{:.0f}") for values in each[way.name]]
            for mine, other in zip(each[way.name], each.get(way.beside, ((), ())), strict=True):
                ratios = [one / base for one, base in zip(mine, other, strict=False)]
                cells.append(spread(ratios, "{:.2f}") if ratios else "")
            rows.append([work, way.name, *cells])
    head = ["command", "how", "images/s", "images/s without the start", "beside no cluster", "without the start"]
    count = len(next(iter(seconds["predict"].values())))
    return (
        "# A Ray cluster of one machine\n\n"
        f"{images:,} photos (JPEG, about 500 x 375 px, no two with the same bytes), EfficientNet-Lite0; median and "
        f"range of {count} rounds, all ways in turn in each. Both clusters run all the time; each command is a process "
        "of its own, with an empty feature cache. Without the start: by the difference to an eighth of the "
        "images. The ratios are of rates in the same round, beside the plain command of as many threads.\n\n"
        f"{markdown_table(head, rows)}\n\n"
        "On one machine a cluster can only cost: what it is for is more machines, which were not there to measure.\n\n"
        f"{made_with()}. `python benchmarks/cluster.py --images {images} --rounds {count}`\n"
    )


def spread(values: list[float], form: str) -> str:
    """Return the median and the range of what could be told."""
    told = [value for value in values if np.isfinite(value)]
    if not told:
        return "not to be told"
    return f"{form.format(float(np.median(told)))} ({form.format(min(told))} to {form.format(max(told))})"


if __name__ == "__main__":
    main()
