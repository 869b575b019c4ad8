"""Damaged files by the thousand: never a crash, never a hang, never a gigabyte; only pictures and reasons."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

MUTATING = Path(__file__).with_name("mutating.py")


@pytest.mark.parametrize(("first", "count"), [(0, 240), pytest.param(240, 6000, marks=pytest.mark.exhaustive)])
def test_of_thousands_of_damaged_files_each_is_a_picture_or_has_a_reason(
    photos: Callable[[str], Path], tmp_path: Path, first: int, count: int
) -> None:
    if not Path("/proc/self/status").exists():
        pytest.skip("the peak of a process's memory is read from /proc")
    names = ("dogscats", "flowers_128", "GTSRB", "surface_crack", "hymenoptera_data", "clothing_small")
    files = [sorted(path for path in photos(name).rglob("*.*") if path.suffix != ".csv")[0] for name in names]
    note = tmp_path / "seed"
    done = subprocess.run(
        [sys.executable, "-W", "error", MUTATING, str(first), str(count), note, *files],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, f"seed {note.read_text()}: {done.returncode} {done.stderr[-2000:]}"
    read, worst, peak = json.loads(done.stdout)
    assert 0.05 * count < read < 0.9 * count, "mutants must be neither all harmless nor all hopeless"
    assert worst < 5
    assert peak < 1e9
