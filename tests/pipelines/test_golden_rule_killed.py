"""Law 6 on the golden rule: real processes, killed by SIGKILL at random moments, end with the same bits."""

from __future__ import annotations

import random
import shutil
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest


def reached(run: Path) -> str:
    """Say how far a run has come."""
    steps = len(list(run.glob("steps/*.safetensors")))
    inside = " and a fit begun" * bool(list(run.glob("steps/*.checkpoint")))
    return f"{steps:2d} steps stored{inside}" if run.exists() else "no run yet"


@pytest.fixture(scope="module")
def seconds(nursery: Any, unbroken: str) -> float:
    """How long a golden rule takes that is left alone, and ends as the one in the world "unbroken"."""
    # what that compiled is given to the others: it takes longer than all the rest
    shutil.copytree(nursery.worlds / unbroken / "cache" / "engines", nursery.prepared / "engines", dirs_exist_ok=True)
    began = time.monotonic()
    assert nursery.fit("again") == 0
    whole = time.monotonic() - began
    assert nursery.differences("again", unbroken) == []
    return whole


def killed(nursery: Any, seconds: float, kills: int, seed: int) -> Counter[str]:
    """Kill fits so often, at moments drawn from the whole of an unbroken one, and start them again to their end.

    One that was killed twice at the same place is left to its end, else most of the kills would meet the last steps.
    Each one that ends must have ended as the unbroken one. Gives at which places of the run they were killed.
    """
    moments, places, number = random.Random(seed), Counter[str](), 0
    while places.total() < kills:
        number += 1
        world, met = f"broken {number}", [""]
        while code := nursery.fit(
            world, *[moments.uniform(0, seconds)] * (met[-1] not in met[:-1] and places.total() + len(met) <= kills)
        ):
            assert code == -signal.SIGKILL, nursery.said(world)
            met.append(reached(nursery.worlds / world / "run"))
        places.update(met[1:])
        assert nursery.differences(world, "unbroken") == []
        assert not list((nursery.worlds / world / "run").rglob("*.checkpoint"))
        shutil.rmtree(nursery.worlds / world)
    return places


def test_a_golden_rule_killed_a_few_times_ends_with_the_bits_of_an_unbroken_one(nursery: Any, seconds: float) -> None:
    assert killed(nursery, seconds, 2, seed=0).total() >= 2


@pytest.mark.usefixtures("seconds")
@pytest.mark.parametrize("most", [2, pytest.param(1000, marks=pytest.mark.exhaustive)], ids=["two", "each"])
def test_a_golden_rule_killed_within_its_fits_ends_with_the_same_bits(nursery: Any, most: int) -> None:
    """Random moments may miss the checkpoints, which are there for a part of a second."""
    world, met = f"within {most} of its fits", set[str]()
    run = nursery.worlds / world / "run"

    def new() -> set[str]:
        return {path.name for path in run.glob("steps/*.checkpoint")} - met

    while nursery.fit(world, kill_when=lambda: len(met) < most and bool(new())):
        assert new(), nursery.said(world)
        met.update(new())
    assert len(met) >= 2, nursery.said(world)
    assert nursery.differences(world, "unbroken") == []


@pytest.mark.exhaustive
def test_a_golden_rule_killed_at_28_more_moments_ends_with_the_same_bits(nursery: Any, seconds: float) -> None:
    places = killed(nursery, seconds, 28, seed=1)
    print(*sorted(places.items()), sep="\n")
    assert len(places) >= 5, "all parts of the run are met"
