"""What commands touch: no network, no other program, no file but those of the run, the cache and the named outputs."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

WRITES = ("write", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod")
WATCH = """
import json, os, sys

NETWORK = ("socket.__new__", "socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo")
PROGRAMS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty")
CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod")
seen = []

def watch(event, arguments):
    if event in NETWORK or event in PROGRAMS:
        seen.append([event, str(arguments)[:200]])
    elif event == "open" and isinstance(arguments[0], (str, bytes)):
        path, mode, flags = arguments
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC):
            seen.append(["write", os.path.abspath(os.fsdecode(path))])
    elif event in CHANGES:
        for path in arguments[: 2 if event in ("os.rename", "os.link", "os.symlink") else 1]:
            if isinstance(path, (str, bytes, os.PathLike)):
                seen.append([event, os.path.abspath(os.fsdecode(path))])

from goldenrule.cli.main import app
from typer.testing import CliRunner
import subprocess, socket, multiprocessing

sys.addaudithook(watch)
codes = [CliRunner().invoke(app, words).exit_code for words in json.loads(sys.argv[1])]
found, seen = seen, []
open(sys.argv[2], "w").write(json.dumps({"codes": codes, "seen": found}))
"""


@pytest.mark.usefixtures("cache")
def test_fit_predict_evaluate_and_report_write_what_was_named_and_start_nothing(
    start: Callable[..., subprocess.Popen[str]], draw: Callable[..., Path], tmp_path: Path, cache: Path
) -> None:
    draw([f"{label}/{number:02d}.png" for label in ("cats", "dogs") for number in range(16)], folder="photos")
    commands = [
        ["fit", "photos", "--quick", "--views", "0", "--out", "run"],
        ["predict", "run", "photos/cats", "-o", "predictions.csv"],
        ["evaluate", "run", "photos", "--out", "evaluated"],
        ["report", "run", "--lang", "ja"],
    ]
    process = start("-B", "-c", WATCH, json.dumps(commands), tmp_path / "seen.json")
    said = process.communicate(timeout=240)
    assert process.returncode == 0, said
    found = json.loads((tmp_path / "seen.json").read_text())
    assert found["codes"] == [0, 0, 0, 0]
    named = ("run", "evaluated", "cache", "predictions.csv", ".predictions.csv.parts")
    within = [tmp_path / name for name in named]

    def is_fine(event: str, path: str) -> bool:
        file = Path(path)
        unfinished = file.parent == tmp_path and file.name.startswith(".")  # beside an output, until it is whole
        there = event == "os.mkdir" and file == tmp_path
        return event in WRITES and (there or unfinished or any(one == file or one in file.parents for one in within))

    assert [one for one in found["seen"] if not is_fine(*one)] == []
    assert sum(event == "write" for event, _ in found["seen"]) > 10, "nothing was watched"
