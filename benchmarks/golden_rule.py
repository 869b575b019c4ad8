"""`goldenrule fit` with default options, all seven steps: what each stage gave, what was chosen, on clean test numbers.

Each set twice in fresh processes with an empty bank: `--quick` gives the solved head's test numbers, the whole
golden rule those of what it chose. Where a set has no labelled test part, every second validation image of each
class is put to test; class folders alone are split by goldenrule.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from common import RESULTS, made_with, markdown_table, with_clean_test
from every_set import accuracy

SETS = ("dogscats", "cat_dog_horse", "clothing_small", "GTSRB", "hymenoptera_data", "surface_crack")


def main() -> None:
    """Measure and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="*", default=SETS)
    parser.add_argument("-o", "--out", type=Path, default=RESULTS / "golden_rule.md")
    parser.add_argument("--options", nargs=argparse.REMAINDER, default=[], help="options for goldenrule fit")
    arguments = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = os.environ | {"GOLDENRULE_CACHE": str(folder / "prepared")}
        prepare = [sys.executable, "-m", "goldenrule", "doctor", "--prepare", "efficientnet_lite0"]
        subprocess.run(prepare, env=environment, check=True, stdout=subprocess.DEVNULL)
        for one in arguments.sets:
            photos = with_clean_test(one, folder / "photos")
            solved = measured(photos, folder, "--quick")
            whole = measured(photos, folder, *arguments.options)
            results.append({"set": one, "solved": solved, "whole": whole})
            arguments.out.parent.mkdir(parents=True, exist_ok=True)
            arguments.out.with_suffix(".json").write_text(json.dumps(results, indent=1) + "\n")
            arguments.out.write_text(page(results))
            print(page(results[-1:]), flush=True)


def measured(photos: Path, folder: Path, *options: str) -> dict[str, Any]:
    """Fit one set and give its result.json with the seconds of the process."""
    cache, run = folder / "cache", folder / "run"
    shutil.copytree(folder / "prepared", cache)
    command = [sys.executable, "-m", "goldenrule", "fit", str(photos), "--out", str(run), *options]
    began = time.perf_counter()
    done = subprocess.run(
        command, env=os.environ | {"GOLDENRULE_CACHE": str(cache)}, capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - began
    if done.returncode:
        sys.exit(f"goldenrule fit {photos.name} ended with status {done.returncode}:\n{done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads((run / "result.json").read_text())
    shutil.rmtree(cache)
    shutil.rmtree(run)
    for test in (result["live"] or {}).get("lr_find", {}).values():
        del test["rates"], test["losses"]  # the curves are long, and in the report of whoever runs it
    return {"seconds": seconds, **result}


def page(results: list[dict[str, Any]]) -> str:
    """Give the page of docs/results."""
    clean, stages = [], []
    for one in results:
        solved, whole = one["solved"], one["whole"]
        clean.append(
            [
                one["set"],
                accuracy(solved["test"]),
                loss(solved["test"]),
                f"{solved['seconds']:.0f}",
                whole["chosen"],
                accuracy(whole["test"]),
                loss(whole["test"]),
                f"{whole['seconds']:.0f}",
            ]
        )
        for candidate in whole["candidates"]:
            numbers = candidate[candidate["judged_on"].replace("-", "_")]
            stages.append(
                [
                    one["set"],
                    candidate["name"] + (" (chosen)" if candidate["name"] == whole["chosen"] else ""),
                    candidate["judged_on"],
                    accuracy(numbers),
                    loss(numbers),
                ]
            )
    head = ["set", "solved head: test", "log loss", "seconds", "chosen", "its test", "log loss", "seconds"]
    return (
        "# The golden rule, default options\n\n"
        "Test images that no choice has seen, accuracy (Wilson) and log loss (bootstrap) with 95 % intervals and n. "
        "Where a set has no labelled test part, every second validation image of each class is put to test. "
        "One run each, bank empty, backbone prepared; seconds are those of the whole process.\n\n"
        f"{markdown_table(head, clean)}\n\n## What each stage gave\n\n"
        "On the images by which it was judged: out-of-fold for solved heads, validation (chosen on) for the rest.\n\n"
        f"{markdown_table(['set', 'stage', 'judged on', 'accuracy', 'log loss'], stages)}\n\n"
        f"Made by `python benchmarks/golden_rule.py`: {made_with()}.\n"
    )


def loss(numbers: dict[str, Any] | None) -> str:
    """Give a log loss with its interval."""
    if numbers is None:
        return "-"
    return f"{numbers['log_loss']:.3f} [{numbers['log_loss_low']:.3f}, {numbers['log_loss_high']:.3f}]"


if __name__ == "__main__":
    main()
