"""`goldenrule fit` with default options on every photo set that has class folders: the table of docs/results.

Each set in a fresh process with an empty bank (the backbone is prepared); seconds are wall time of the whole
process, memory is the peak of its resident set.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from common import DATA, RESULTS, made_with, markdown_table
from goldenrule.metrics import Estimate, value_and_interval

SETS = (
    "dogscats",
    "cat_dog_horse",
    "clothing_small",
    "hymenoptera_data",
    "surface_crack",
    "flowers_128",
    "GTSRB",
    "GTSRB_native15",
    "cifar10_cat_dog_horse",
)


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="*", default=SETS)
    parser.add_argument("-o", "--out", type=Path, default=RESULTS / "every_set.md")
    parser.add_argument("--note", default="", help="a sentence on the circumstances, for the page")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        template = Path(folder) / "prepared"
        environment = os.environ | {"GOLDENRULE_CACHE": str(template)}
        command = [sys.executable, "-m", "goldenrule", "doctor", "--prepare", "efficientnet_lite0"]
        subprocess.run(command, env=environment, check=True)
        results = [measured(name, Path(folder), template) for name in arguments.sets]
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.with_suffix(".json").write_text(
        json.dumps({"made_with": made_with(), "sets": results}, indent=1) + "\n"
    )
    arguments.out.write_text(page(results, arguments.note))
    print(page(results, arguments.note))


def measured(name: str, folder: Path, template: Path) -> dict[str, object]:
    """Fit one set and give its result.json with seconds and megabytes."""
    cache, run = folder / f"cache-{name}", folder / f"run-{name}"
    shutil.copytree(template, cache)
    command = [sys.executable, "-m", "goldenrule", "fit", "--quick", str(DATA / name), "--out", str(run)]
    began = time.perf_counter()
    process = subprocess.Popen(command, env=os.environ | {"GOLDENRULE_CACHE": str(cache)}, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    if status:
        sys.exit(f"goldenrule fit {name} ended with status {status}")
    result = json.loads((run / "result.json").read_text())
    shutil.rmtree(cache)
    return {"set": name, "seconds": seconds, "peak_mb": usage.ru_maxrss / 1000, **result}


def page(results: list[dict[str, Any]], note: str) -> str:
    """Return the page of docs/results."""
    rows = []
    for one in results:
        stages = {stage["name"]: stage["seconds"] for stage in one["stages"]}
        rows.append(
            [
                str(one["set"]),
                *(accuracy(one[split]) for split in ("test", "valid", "out_of_fold")),
                str(one["chosen"]),
                f"{one['seconds']:.1f}",
                " ".join(f"{name} {seconds:.1f}" for name, seconds in stages.items() if seconds >= 0.05),
                f"{one['peak_mb']:,.0f}",
            ]
        )
    header = ["set", "test", "valid", "out-of-fold (used for selection)", "chosen", "seconds", "of these", "peak MB"]
    return (
        "# Every photo set, default options\n\n"
        "Accuracy with its 95 % interval (Wilson) and n; test and valid are clean: no choice has seen them. One run "
        "each, bank empty, backbone prepared; seconds are those of the whole process."
        f"{' ' + note if note else ''}\n\n"
        f"{markdown_table(header, rows)}\n\nMade by `python benchmarks/every_set.py`: {made_with()}.\n"
    )


def accuracy(numbers: dict[str, object] | None) -> str:
    """Return an accuracy as the project prints it."""
    if numbers is None:
        return "-"
    keys = {"value": "accuracy", "low": "low", "high": "high", "n": "n"}
    fields = {name: numbers[key] for name, key in keys.items()}
    estimate = Estimate(name="accuracy", method="Wilson 95 %", kind="share", **fields)
    return f"{value_and_interval(estimate)} n={estimate.n:,}"


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main()
