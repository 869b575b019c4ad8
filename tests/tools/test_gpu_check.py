"""The check of a GPU, as far as a machine without one can run it."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from house import ROOT


def checked(device: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, str(ROOT / "tools" / "gpu_check.py"), "--device", device]
    return subprocess.run(words, capture_output=True, text=True, check=False)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_the_device_it_says_so() -> None:
    done = checked("cuda")
    assert done.returncode == 2
    assert "finds no such device" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.exhaustive
def test_every_path_agrees_with_itself_on_the_processor() -> None:
    done = checked("cpu")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("agrees") == 4
