"""Law 6 on the golden rule: a real process, killed by SIGKILL at random moments, ends with the same bits."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Start = Callable[..., subprocess.Popen[str]]

SMALL = """
import goldenrule.activations.bank as bank
import goldenrule.training.fitting as fitting
import goldenrule.training.plan as plan
import goldenrule.training.verbs as verbs
bank.CHUNK_SECONDS, fitting.CHECKPOINT_SECONDS = 0.05, 0.2
plan.MOST_PASSES, verbs.STEPS_LIVE = {2: 10_000}, 6
from goldenrule.cli.main import run
run()
"""


@pytest.fixture
def fit(start: Start, small_photos: Path, prepared_cache: Path, tmp_path: Path) -> Callable[[str], Any]:
    """Start a small golden rule in the world of that name: its own cache, its own run, the same images."""

    def begin(world: str) -> subprocess.Popen[str]:
        cache = tmp_path / world / "cache"
        if not cache.exists():
            shutil.copytree(prepared_cache, cache)
        arguments = ("fit", small_photos, "--views", "1", "--sample", "12", "--out", tmp_path / world / "run")
        return start("-c", SMALL, *arguments, env={"GOLDENRULE_CACHE": str(cache)})

    return begin


def outcome(run: Path) -> dict[str, Any]:
    """What must not depend on interruptions: weights, history and every number; not how long it took, and where."""
    result = json.loads((run / "result.json").read_text())
    numbers = {name: value for name, value in result.items() if name not in ("stages", "activations", "environment")}
    files = sorted([*run.glob("classifier/*"), *run.glob("predictions/*")])
    return {"numbers": numbers, **{path.name: path.read_bytes() for path in files}}


def differences(one: Any, other: Any, where: str = "") -> list[str]:
    """Where two outcomes differ, short enough to be read in a log."""
    if isinstance(one, dict) and isinstance(other, dict):
        return [
            found
            for name in sorted({*one, *other})
            for found in differences(one.get(name), other.get(name), f"{where}/{name}")
        ]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return [found for number, (a, b) in pairs for found in differences(a, b, f"{where}/{number}")]
    return [] if one == other else [f"{where}: {str(one)[:60]} against {str(other)[:60]}"]


def finished(process: subprocess.Popen[str]) -> None:
    _, errors = process.communicate(timeout=400)
    assert process.returncode == 0, errors


def killed_often(fit: Callable[[str], Any], world: Path, kills: int, seed: int) -> int:
    """Kill the fit of the world "broken" so often, at random moments; say how many steps had been stored by then."""
    moments = random.Random(seed)
    done = 0
    while done < kills:
        process = fit("broken")
        end = time.monotonic() + moments.uniform(2.0, 14.0)
        while time.monotonic() < end and process.poll() is None:
            time.sleep(0.01)
        if process.poll() is not None:
            finished(process)
            shutil.rmtree(world / "run" / "story")  # it was too fast: live through it once more
            continue
        process.kill()
        process.wait()
        done += 1
    return len(list(world.glob("run/story/*")))


def test_a_golden_rule_killed_ten_times_ends_with_the_bits_of_an_unbroken_one(
    fit: Callable[[str], Any], tmp_path: Path
) -> None:
    finished(fit("unbroken"))
    assert killed_often(fit, tmp_path / "broken", 10, seed=0) >= 1
    finished(fit("broken"))
    assert differences(outcome(tmp_path / "broken" / "run"), outcome(tmp_path / "unbroken" / "run")) == []


@pytest.mark.slow
def test_a_golden_rule_killed_more_often_ends_with_the_bits_of_an_unbroken_one(
    fit: Callable[[str], Any], tmp_path: Path
) -> None:
    finished(fit("unbroken"))
    killed_often(fit, tmp_path / "broken", 15, seed=1)
    finished(fit("broken"))
    assert differences(outcome(tmp_path / "broken" / "run"), outcome(tmp_path / "unbroken" / "run")) == []
