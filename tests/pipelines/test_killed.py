"""Law 6 on real processes: `python -m goldenrule fit`, killed by SIGKILL at many moments, is only paused."""

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

WITH_SMALL_CHUNKS = """
import goldenrule.features.cache as bank
bank.CHUNK_SECONDS = 0.01
from goldenrule.cli.main import run
run()
"""


def numbers_of(run: Path) -> dict[str, Any]:
    result = json.loads((run / "result.json").read_text())
    return {name: value for name, value in result.items() if name not in ("stages", "features", "environment")}


def classifier_of(run: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((run / "classifier").iterdir())}


def count(folder: Path, pattern: str) -> int:
    return sum(1 for _ in folder.glob(pattern))


@pytest.fixture
def folder(photos: Callable[[str], Path], tmp_path: Path) -> Path:
    """Class folders alone: 80 real photos of the test's own."""
    for label in ("cats", "dogs"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for file in sorted((photos("dogscats") / "train" / label).iterdir())[:40]:
            shutil.copy(file, tmp_path / "photos" / label)
    return tmp_path / "photos"


@pytest.fixture
def fit(start: Start, folder: Path, prepared_cache: Path, tmp_path: Path) -> Callable[[str], subprocess.Popen[str]]:
    """Start a fit of the folder in the world of that name: its own cache and its own run, the same images."""

    def begin(world: str) -> subprocess.Popen[str]:
        cache = tmp_path / world / "cache"
        if not cache.exists():
            shutil.copytree(prepared_cache, cache)
        arguments = ("fit", "--quick", folder, "--views", "1", "--out", tmp_path / world / "run")
        return start("-c", WITH_SMALL_CHUNKS, *arguments, env={"GOLDENRULE_CACHE": str(cache)})

    return begin


def finished(process: subprocess.Popen[str]) -> None:
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors


@pytest.mark.exhaustive
def test_a_fit_killed_at_many_moments_ends_with_the_bits_of_an_unbroken_one(
    fit: Callable[[str], subprocess.Popen[str]], tmp_path: Path
) -> None:
    finished(fit("unbroken"))
    broken = tmp_path / "broken"
    caches = broken / "cache" / "banks"
    moments: list[Callable[[], bool]] = [
        lambda: (broken / "run" / "split.csv").exists(),
        lambda: count(caches, "*/*.arrow") >= 3,
        lambda: count(broken, "run/steps/*.safetensors") >= 1,
        lambda: (broken / "run" / "choice.json").exists(),
    ]
    committed = 0
    for moment in moments:
        process = fit("broken")
        end = time.monotonic() + 120
        while not moment():
            assert process.poll() is None, "the fit ended before the moment came"
            assert time.monotonic() < end
            time.sleep(0.002)
        process.kill()
        process.wait()
        assert count(caches, "*/*.damaged") == 0
        assert count(caches, "*/*.arrow") >= committed
        committed = count(caches, "*/*.arrow")
    finished(fit("broken"))
    assert numbers_of(broken / "run") == numbers_of(tmp_path / "unbroken" / "run")
    assert classifier_of(broken / "run") == classifier_of(tmp_path / "unbroken" / "run")
    assert json.loads((broken / "run" / "result.json").read_text())["features"]["reused"] > 0


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(3))
def test_a_fit_killed_at_random_moments_ends_with_the_bits_of_an_unbroken_one(
    fit: Callable[[str], subprocess.Popen[str]], tmp_path: Path, seed: int
) -> None:
    began = time.monotonic()
    finished(fit("unbroken"))
    whole = time.monotonic() - began
    moments = random.Random(seed)
    for _ in range(5):
        process = fit("broken")
        time.sleep(moments.uniform(0.3, whole))
        process.kill()
        process.wait()
    finished(fit("broken"))
    assert numbers_of(tmp_path / "broken" / "run") == numbers_of(tmp_path / "unbroken" / "run")
    assert classifier_of(tmp_path / "broken" / "run") == classifier_of(tmp_path / "unbroken" / "run")
    assert not list((tmp_path / "broken" / "run").glob(".*.tmp"))
