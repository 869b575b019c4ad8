"""Whole golden rules in processes that can be killed, and on disks that can be full."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

NURSERY = Path(__file__).with_name("nursery.py")
LONGEST = 600.0
Moment = Callable[[], bool]


class Nursery:
    """Starts `goldenrule` commands, each a process of its own, in worlds: a cache and a run, the same images."""

    def __init__(self, worlds: Path, photos: Path, prepared: Path) -> None:
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        environment = os.environ | {"PYTHONWARNINGS": "ignore"}
        self.process = subprocess.Popen([sys.executable, str(NURSERY)], cwd=worlds, env=environment, **pipes)
        self.worlds, self.photos, self.prepared = worlds, photos, prepared

    def fit(self, world: str, kill_after: float = LONGEST, kill_when: Moment | None = None, **fault: str) -> int:
        """Live in a world until the fit is over, or killed after so many seconds; give its exit code.

        With `kill_when` it is killed as soon as that is so.
        `fault` "full" or "read-only" befalls the disk where a file whose path holds `at` is about to be written.
        """
        folder, cache = self.worlds / world, self.worlds / world / "cache"
        if not cache.exists():
            shutil.copytree(self.prepared, cache)
        arguments = ["fit", self.photos, "--views", "1", "--size", "64", "--threads", "1", "--out", folder / "run"]
        log = folder / "log"
        request = {"arguments": [str(one) for one in arguments], "cache": str(cache), "log": str(log), **fault}
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        child = int(self.process.stdout.readline())
        with selectors.DefaultSelector() as ended:
            ended.register(self.process.stdout, selectors.EVENT_READ)
            if not self._ended(ended, kill_after, kill_when):
                with contextlib.suppress(ProcessLookupError):  # it ended between the two lines
                    os.kill(child, signal.SIGKILL)
        return int(self.process.stdout.readline())

    @staticmethod
    def _ended(ended: selectors.BaseSelector, kill_after: float, kill_when: Moment | None) -> bool:
        """Wait for the end of a fit, or until it is to be killed."""
        if not kill_when:
            return bool(ended.select(timeout=kill_after))
        while not kill_when():
            if ended.select(timeout=0.001):
                return True
        return False

    def said(self, world: str) -> str:
        """Return what the last fit in a world has printed."""
        return (self.worlds / world / "log").read_text()

    def differences(self, world: str, other: str) -> list[str]:
        """Return where the outcomes of two worlds differ."""
        return differences(outcome(self.worlds / world / "run"), outcome(self.worlds / other / "run"))


def outcome(run: Path) -> dict[str, Any]:
    """What must not depend on interruptions: weights, history and every number; not how long it took, and where."""
    result = json.loads((run / "result.json").read_text())
    numbers = {name: value for name, value in result.items() if name not in ("stages", "features", "environment")}
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


@pytest.fixture(scope="module")
def nursery(small_photos: Path, prepared_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    worlds = tmp_path_factory.mktemp("worlds")
    ours = Nursery(worlds, small_photos, Path(shutil.copytree(prepared_cache, worlds / "prepared")))
    yield ours
    ours.process.kill()
    ours.process.communicate()


@pytest.fixture(scope="module")
def unbroken(nursery: Nursery, made_once: Callable[..., Path]) -> str:
    """The world where a golden rule met no fault, lived in once for all files that compare with it."""

    def fill(folder: Path) -> None:
        assert nursery.fit("once") == 0, nursery.said("once")
        (nursery.worlds / "once").rename(folder / "world")

    (nursery.worlds / "unbroken").symlink_to(made_once("unbroken_golden_rule", fill) / "world")
    return "unbroken"
