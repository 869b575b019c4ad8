"""Laws 12 and 13 on a whole fit: memory does not grow with the images, and nothing leaves the machine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Start = Callable[..., subprocess.Popen[str]]

PICTURE_BYTES = 3 * 224 * 224 * 4
PIXELS = ("--views", "0", "--size", "224")
ALLOWED_GROWTH = 60 << 20
"""Bytes by which 520 more images may raise the peak: rows, logits and index are 8 MB, kept pictures 310 MB."""

FORBIDDEN_SOCKETS = """
import os, sys

def watch(event, arguments):
    if event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.connect", "socket.sendto"):
        address = arguments[1] if event in ("socket.connect", "socket.sendto") else arguments[0]
        if event in ("socket.connect", "socket.sendto"):
            if isinstance(address, str) or address[0] == os.environ.get("LOOPBACK"):
                return  # a socket of this machine's own, by its path or its address
        with open(os.environ["ATTEMPTS"], "a") as file:
            file.write(f"{event} {address}\\n")
        raise PermissionError(f"this process may not {event} {address}")

sys.addaudithook(watch)
"""
PEAK = """
import atexit, os, re
from pathlib import Path

def tell():
    Path(os.environ["PEAK"]).write_text(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

atexit.register(tell)
"""
"""Writes the peak of this process's own memory in kB; `ru_maxrss` counts that of whoever started it too."""
RUN = """
from goldenrule.cli.main import run
run()
"""
SHORT = """
from goldenrule.training import plan
from goldenrule.training import verb_runner as verbs
plan.LATE_EPOCHS = plan.FEWEST_LATE_EPOCHS = 2
plan.FAR_TIMES, plan.MOST_PASSES, plan.HEAD_CYCLES = 1.0, {2: 10_000}, 1
verbs.STEPS_LIVE, verbs.STEPS_ON_ROWS = 6, 24
"""
"""Fewer epochs and steps of everything that a golden rule does."""
BOTH = """
import json
from goldenrule.cli.main import run
for sys.argv[1:] in json.loads(sys.argv[1]):
    try:
        run()
    except SystemExit as ended:
        assert not ended.code, ended
"""
LOGGED = """
import goldenrule as gr
loggers = [gr.training.TensorBoard("logs"), gr.training.MLflow("mlruns"), gr.training.WandB("project")]
learn = gr.Learner(gr.from_folder(sys.argv[1]), precompute=True, loggers=loggers, folder="run")
learn.fit(1e-2, 2)
"""


def small_pictures(folder: Path, source: Path, each: int) -> Path:
    """Make `each` files per class with bytes of their own, from ten small photos of each."""
    from PIL import Image

    for label in ("cats", "dogs"):
        (folder / label).mkdir(parents=True)
        contents = []
        for file in sorted((source / "train" / label).iterdir())[:10]:
            small = folder / "small.jpg"
            Image.open(file).resize((120, 90)).save(small)
            contents.append(small.read_bytes())
            small.unlink()
        for number in range(each):
            (folder / label / f"{number:05d}.jpg").write_bytes(contents[number % 10] + number.to_bytes(4, "big"))
    return folder


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux alone tells the peak of a process")
@pytest.mark.usefixtures("cache")
def test_the_peak_of_memory_does_not_grow_with_the_number_of_images(
    start: Start, small_photos: Path, tmp_path: Path
) -> None:
    peaks = {}
    for each in (40, 300):
        folder = small_pictures(tmp_path / f"{each}", small_photos, each)
        told = tmp_path / f"peak {each}"
        process = start("-c", PEAK + RUN, "fit", "--quick", folder, *PIXELS, env={"PEAK": str(told)})
        _, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors
        peaks[each] = int(told.read_text()) * 1024
    assert 520 * PICTURE_BYTES > 4 * ALLOWED_GROWTH
    assert peaks[300] - peaks[40] < ALLOWED_GROWTH


@pytest.mark.exhaustive
@pytest.mark.usefixtures("cache")
def test_what_is_logged_stays_on_this_machine(start: Start, small_photos: Path, tmp_path: Path) -> None:
    """W&B talks to a process of its own, which no hook sees into; its run is one that was never sent."""
    attempts = tmp_path / "attempts"
    environment = {"ATTEMPTS": str(attempts), "LOOPBACK": "127.0.0.1"}
    process = start("-c", FORBIDDEN_SOCKETS + LOGGED, small_photos, env=environment)
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    assert not attempts.exists(), attempts.read_text()
    assert [len(list(tmp_path.rglob(f"{name}*"))) for name in ("events.out.tfevents.", "offline-run-")] == [1, 1]
    assert list((tmp_path / "mlruns").iterdir())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "candidate"),
    [(["--quick"], "linear head"), pytest.param([], "whole network", marks=pytest.mark.exhaustive)],
    ids=["quick fit", "golden rule"],
)
def test_preparing_a_backbone_a_fit_and_its_predictions_need_no_network(
    start: Start, small_photos: Path, tmp_path: Path, how: list[str], candidate: str
) -> None:
    """All of it in one process, from an empty cache: a fit of the real backbone, on few pixels."""
    attempts = tmp_path / "attempts"
    fit = ["fit", *map(str, (small_photos, "--out", "run", "--sample", "4", "--size", "64", "--views", "1", *how))]
    predict = ["predict", "run", str(small_photos / "valid"), "-o", "predictions.csv"]
    environment = {"ATTEMPTS": str(attempts), "GOLDENRULE_CACHE": str(tmp_path / "empty")}
    process = start("-c", FORBIDDEN_SOCKETS + SHORT + BOTH, json.dumps([fit, predict]), env=environment)
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    assert not attempts.exists(), attempts.read_text()
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["valid"]["n"] == 8
    assert candidate in [one["name"] for one in result["candidates"]]
    assert len((tmp_path / "predictions.csv").read_text().splitlines()) == 17


def test_the_watch_over_sockets_does_see_an_attempt(start: Start, tmp_path: Path) -> None:
    code = FORBIDDEN_SOCKETS + "import socket; socket.create_connection(('127.0.0.1', 9))"
    process = start("-c", code, env={"ATTEMPTS": str(tmp_path / "attempts")})
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert (tmp_path / "attempts").exists()


@pytest.mark.exhaustive
@pytest.mark.skipif(
    shutil.which("unshare") is None or os.geteuid() != 0, reason="a world without network needs root and unshare"
)
@pytest.mark.usefixtures("real_cache")
def test_a_fit_works_where_there_is_no_network_at_all(start: Start, small_photos: Path, tmp_path: Path) -> None:
    import sys

    command = [
        "unshare",
        "-n",
        sys.executable,
        "-m",
        "goldenrule",
        "fit",
        "--quick",
        small_photos,
        "--views",
        "0",
        "--out",
        tmp_path / "run",
    ]
    found = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=240, cwd=tmp_path)
    if "unshare failed" in found.stderr:
        pytest.skip("this machine allows no network namespaces")
    assert found.returncode == 0, found.stderr
