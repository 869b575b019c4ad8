"""Ctrl-C and SIGTERM end a real command with one sentence, and nothing that was computed is lost."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

WAYS = pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.exhaustive)]
)

PRECOMPUTING = """
import time
from goldenrule.features.cache import ChunkWriter
add = ChunkWriter.add

def slowly(writer, digest, row):
    add(writer, digest, row)
    if len(writer._rows) == 20:
        print("computing", flush=True)
        time.sleep(1)

ChunkWriter.add = slowly
from goldenrule.cli.main import run
run()
"""

TRAINING = """
import time
from goldenrule.training import fitting
from goldenrule.training import plan
from goldenrule.training.schedule import Rising
plan.MOST_PASSES, plan.HEAD_CYCLES = {0: 0}, 1
train = fitting.train

def slowly(*arguments, **options):
    for number, event in enumerate(train(*arguments, **options)):
        if number == 2 and not isinstance(options["schedule"], Rising):
            print("training", flush=True)
            time.sleep(1)
        yield event

fitting.train = slowly
from goldenrule.cli.main import run
run()
"""


@pytest.fixture
def interrupted(start: Callable[..., subprocess.Popen[str]]) -> Callable[..., str]:
    """Run a command until it prints a word, send the signal, and give what it said on standard error."""

    def run(script: str, word: str, number: signal.Signals, code: int, *arguments: object) -> str:
        process = start("-c", script, *arguments)
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip() == word:
                break
        else:
            pytest.fail(process.communicate()[1])
        process.send_signal(number)
        _, errors = process.communicate(timeout=120)
        assert process.returncode == code, errors
        assert "Traceback" not in errors
        assert errors.count("Give the same command again: it goes on where it stopped.") == 1
        return errors

    return run


@WAYS
def test_while_activations_are_computed_those_so_far_are_kept(
    interrupted: Callable[..., str],
    command: Callable[..., Any],
    small_photos: Path,
    cache: Path,
    number: signal.Signals,
    code: int,
) -> None:
    arguments = ("fit", small_photos, "--quick", "--views", "0", "--out", "run")
    interrupted(PRECOMPUTING, "computing", number, code, *arguments)
    kept = sum(pa.ipc.open_file(str(path)).read_all().num_rows for path in cache.glob("banks/*/*.arrow"))
    assert 20 <= kept < 68
    again = command(*arguments, "-v")
    assert f"{68 - kept} computed, {kept} reused" in again.stdout


@pytest.mark.exhaustive
@WAYS
def test_while_a_fit_runs_its_place_is_saved(
    interrupted: Callable[..., str],
    start: Callable[..., subprocess.Popen[str]],
    small_photos: Path,
    cache: Path,
    tmp_path: Path,
    number: signal.Signals,
    code: int,
) -> None:
    arguments = ("fit", small_photos, "--views", "0", "--size", "64", "--threads", "1", "--out", "run")
    errors = interrupted(TRAINING, "training", number, code, *arguments)
    assert "head, precomputed: saved in epoch 1, after step 3." in errors
    assert len(list(tmp_path.glob("run/steps/*.checkpoint"))) == 1
    assert not list(tmp_path.rglob("*.tmp"))
    assert not (tmp_path / "run" / ".lock.pid").exists()


@pytest.mark.exhaustive
def test_a_training_from_scratch_goes_on_to_the_same_bits(
    interrupted: Callable[..., str], command: Callable[..., Any], small_photos: Path, tmp_path: Path
) -> None:
    named = ("train", small_photos, "-m", "original", "-t", "fromzero", "--epochs", "2", "--lr", "1e-3")
    arguments = (*named, "--size", "32", "--threads", "1", "--out")
    errors = interrupted(TRAINING, "training", signal.SIGINT, 130, *arguments, "run")
    assert "from scratch: saved in epoch 1, after step 3." in errors
    for run in ("run", "other"):
        assert command(*arguments, run).returncode == 0
    found, wanted = ((tmp_path / run / "classifier" / "backbone.safetensors").read_bytes() for run in ("run", "other"))
    assert found == wanted
