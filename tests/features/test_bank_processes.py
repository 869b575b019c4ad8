"""Banks shared by real processes, and processes that are killed while they write."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from goldenrule.features.cache import FeatureCache
from goldenrule.storage.files import digest

FEATURES, WHOLE_NUMBERS = 64, 2048  # of a float16: a fast processor writes more rows than that
PREAMBLE = f"""
import sys
from pathlib import Path
import numpy as np
from goldenrule.features.cache import FeatureCache
from goldenrule.storage.files import digest

def name(number):
    return digest(str(number).encode())

def row(number):
    return np.full({FEATURES}, number % {WHOLE_NUMBERS}, np.float16)

bank = FeatureCache({{"weights": "w"}}, {FEATURES}, folder=Path(sys.argv[1]))
"""
WRITE_RANGE = """
numbers = list(range(int(sys.argv[2]), int(sys.argv[3])))
print("ready", flush=True)
sys.stdin.readline()
for start in range(0, len(numbers), 10):
    part = numbers[start:start + 10]
    bank.add([name(n) for n in part], np.stack([row(n) for n in part]))
"""
WRITE_FOR_EVER = """
number = int(sys.argv[2])
while True:
    part = range(number, number + 7)
    bank.add([name(n) for n in part], np.stack([row(n) for n in part]))
    number += 7
    print(number, flush=True)
"""
KILLED_AT_A_SYNC = """
import os, signal
from goldenrule.storage import files
calls, sync = [], files._sync

def killing(path):
    calls.append(path)
    if len(calls) == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    sync(path)

files._sync = killing
bank.add([name(n) for n in range(50)], np.stack([row(n) for n in range(50)]))
"""
Start = Callable[..., subprocess.Popen[str]]


def opened(folder: Path) -> FeatureCache:
    return FeatureCache({"weights": "w"}, FEATURES, folder=folder)


def assert_served(cache: FeatureCache, numbers: range) -> None:
    rows = cache.rows([digest(str(number).encode()) for number in numbers])
    assert (rows == np.array(numbers)[:, None] % WHOLE_NUMBERS).all()


def test_two_processes_that_write_at_once_leave_every_row_once(start: Start, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    spans = [(0, 200), (100, 300), (50, 250)]
    writers = [start("-c", PREAMBLE + WRITE_RANGE, folder, *span, stdin=subprocess.PIPE) for span in spans]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        _, errors = writer.communicate(timeout=60)
        assert writer.returncode == 0, errors
    cache = opened(folder)
    assert_served(cache, range(300))
    chunks = [pa.ipc.open_file(str(path)).read_all() for path in cache.folder.glob("*.arrow")]
    assert sum(chunk.num_rows for chunk in chunks) == len(cache) == 300
    assert cache.damaged == 0


def test_a_reader_sees_what_another_process_has_added_since(start: Start, tmp_path: Path) -> None:
    cache = opened(tmp_path / "cache")
    writer = start("-c", PREAMBLE + WRITE_RANGE, tmp_path / "cache", 0, 30, stdin=subprocess.PIPE)
    writer.communicate("go\n", timeout=60)
    assert len(cache) == 0
    cache.refresh()
    assert_served(cache, range(30))


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.exhaustive) for seed in range(1, 5))])
def test_a_writer_killed_at_any_moment_loses_only_its_open_chunk(start: Start, tmp_path: Path, seed: int) -> None:
    folder = tmp_path / "cache"
    moments = random.Random(seed)
    committed = 0
    for _ in range(4):
        writer = start("-c", PREAMBLE + WRITE_FOR_EVER, folder, committed)
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(moments.uniform(0, 0.15))
        writer.kill()
        said, _ = writer.communicate()
        committed = max([committed + 7, *map(int, said.split())])
        cache = opened(folder)
        assert cache.damaged == 0
        assert list(cache.folder.glob("*.damaged")) == []
        assert_served(cache, range(committed))
        assert committed <= len(cache) <= committed + 7
        committed = len(cache)


@pytest.mark.parametrize(
    ("sync", "rows"),
    [
        pytest.param(1, 0, id="the key is written under another name"),
        pytest.param(2, 0, id="the key is in its place"),
        pytest.param(3, 0, id="the chunk is written under another name"),
        pytest.param(4, 50, id="the chunk is in its place"),
    ],
)
def test_a_chunk_is_whole_or_absent_when_its_writer_is_killed(
    start: Start, tmp_path: Path, sync: int, rows: int
) -> None:
    writer = start("-c", PREAMBLE + KILLED_AT_A_SYNC, tmp_path, sync)
    writer.communicate(timeout=60)
    assert writer.returncode == -signal.SIGKILL
    cache = opened(tmp_path)
    assert (len(cache), cache.damaged) == (rows, 0)
    numbers = range(50)
    cache.add([digest(str(n).encode()) for n in numbers], np.stack([np.full(FEATURES, n, np.float16) for n in numbers]))
    assert_served(opened(tmp_path), numbers)
