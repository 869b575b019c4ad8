"""How large each way to install is, and how long it takes: a new environment each, by pip, removed afterwards.

MB is what the packages take in site-packages, without pip and setuptools. Seconds are pip's with its cache warm: the
download comes on top. The build of PyTorch for CPUs is the one that `--cpu-torch` names, wherever pip finds it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from common import RESULTS, ROOT, made_with, markdown_table

TOOLS = ("pip", "setuptools", "pkg_resources", "_distutils_hack", "distutils")
LARGEST = 4


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cpu-torch", nargs="+", default=["torch==2.13.0+cpu", "torchvision==0.28.0"])
    parser.add_argument("-o", "--out", type=Path, default=RESULTS / "install.md")
    arguments = parser.parse_args()
    tested = (ROOT / "constraints.txt").read_text().splitlines()
    without_torch = [line for line in tested if not line.startswith(("torch==", "torchvision=="))]
    found = {
        "`pip install .`": installed([str(ROOT)], tested),
        "`pip install '.[fit]'`, PyTorch for CPUs first": installed(
            [*arguments.cpu_torch, f"{ROOT}[fit]"], without_torch
        ),
        "`pip install '.[fit]'`": installed([f"{ROOT}[fit]"], tested),
    }
    arguments.out.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n")
    text = page(found, arguments.cpu_torch)
    arguments.out.write_text(text)
    print(text)


def installed(requirements: Sequence[str], constraints: Sequence[str]) -> dict[str, object]:
    """Return the megabytes and seconds of an installation, how many packages it has, and its largest folders."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "constraints.txt").write_text("\n".join(constraints))
        subprocess.run([sys.executable, "-m", "venv", str(place / "new")], check=True)
        pip = [str(place / "new/bin/python"), "-m", "pip", "--quiet", "--disable-pip-version-check"]
        began = time.monotonic()
        subprocess.run([*pip, "install", "-c", str(place / "constraints.txt"), *requirements], check=True)
        seconds = time.monotonic() - began
        (packages,) = (place / "new/lib").glob("python*/site-packages")
        sizes = {path.name: size_of(path) for path in packages.iterdir() if not path.name.startswith(TOOLS)}
        distributions = [name for name in sizes if name.endswith(".dist-info")]
    largest = sorted(sizes.items(), key=lambda item: -item[1])[:LARGEST]
    return {
        "megabytes": round(sum(sizes.values()) / 1e6),
        "seconds": round(seconds),
        "packages": len(distributions),
        "largest": {name: round(size / 1e6) for name, size in largest},
    }


def size_of(path: Path) -> int:
    """Return how many bytes a file or folder takes on the disk."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file() and not file.is_symlink()]
    return sum(512 * os.stat(file).st_blocks for file in files)  # noqa: PTH116


def page(found: dict[str, dict[str, object]], cpu_torch: Sequence[str]) -> str:
    """Return the page of the results."""
    rows = []
    for (way, of), what in zip(found.items(), ("predict", "all", "all, on a GPU too"), strict=True):
        largest = of["largest"]
        assert isinstance(largest, dict)
        told = ", ".join(f"{name} {size:,}" for name, size in largest.items())
        rows.append([way, what, f"{of['megabytes']:,}", str(of["packages"]), str(of["seconds"]), told])
    return (
        "# How large an installation is\n\n"
        f"{markdown_table(['way', 'does', 'MB', 'packages', 'seconds', 'largest, MB'], rows)}\n\n"
        "MB: what the packages take on the disk, without pip and setuptools. Seconds: pip's with its cache warm, "
        "beside other programs; the download comes on top.\n\n"
        f"The build for CPUs is {' with '.join(cpu_torch)}, measured for its size. PyTorch's own index of CPU builds "
        "has the pair that fits: `pip install torch torchvision --index-url https://download.pytorch.org/whl/cpu`.\n\n"
        "A quick fit needs PyTorch too, once per backbone and machine: it reads the pretrained weights and traces the "
        "network ([decision 50](../decisions/0050-a-classifier-carries-its-graph.md)).\n\n"
        f"Made by `python benchmarks/install.py`: {made_with()}.\n"
    )


if __name__ == "__main__":
    main()
