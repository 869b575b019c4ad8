"""Starts commands as processes forked from one that has imported all they need: many can be killed in a minute.

    python nursery.py < requests    a request a line, JSON: arguments, cache, log, and perhaps what goes wrong where

Each child is a process of its own that does what `goldenrule ARGUMENTS` does, with a plan short enough to be lived
through often. Of each request two lines are answered: the child's pid, and when it has ended its status.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jinja2  # noqa: F401
import lightning_fabric  # noqa: F401
import matplotlib.pyplot  # noqa: F401 - slow to import
import pandas  # noqa: F401 - pyarrow looks for it
import rich.console  # noqa: F401
import scipy.optimize
import scipy.stats  # noqa: F401
import timm  # noqa: F401

from goldenrule.storage import files

FAULT: list[tuple[str, str]] = []
"""What goes wrong, and where: once."""


def watched(write: Callable[..., Any]) -> Callable[..., Any]:
    """Let the fault come as soon as a file or folder whose path matches its place is about to be written."""

    def written(path: Path, *more: Any, **options: Any) -> Any:
        if FAULT and re.search(FAULT[0][1], str(path)):
            what, _ = FAULT.pop()
            FAULTS[what](path)
        return write(path, *more, **options)

    return written


files.atomic_path, files.atomic_folder = watched(files.atomic_path), watched(files.atomic_folder)

from goldenrule.cli import main  # noqa: E402
from goldenrule.engines.openvino import imported  # noqa: E402
from goldenrule.features import cache as cache  # noqa: E402 - all who write take these from `files`
from goldenrule.pipelines import result_files as reporting  # noqa: E402, F401
from goldenrule.report import training_curves as training  # noqa: E402
from goldenrule.training import fitting, plan  # noqa: E402
from goldenrule.training import verb_runner as verbs  # noqa: E402

imported()  # OpenVINO, without its telemetry


def full(file: Path) -> None:
    """Leave no room on the disk of a file: it is made as small as what is on it."""
    disk = next(parent for parent in file.parents if parent.is_mount())
    about = os.statvfs(disk)
    used = (about.f_blocks - about.f_bfree) * about.f_frsize // 1024
    subprocess.run(["mount", "-o", f"remount,size={used}k", str(disk)], check=True)


def read_only(file: Path) -> None:
    """Take the right to write in the folder of a file, and from root the right to do so all the same."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.parent.chmod(0o500)
    header, rights, library = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)(), ctypes.CDLL(None)
    library.capget(header, rights)
    rights[0] &= ~0b110  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH of the effective ones
    library.capset(header, rights)


FAULTS: dict[str, Callable[[Path], None]] = {"full": full, "read-only": read_only}


def live(arguments: list[str], cache: str, log: str, fault: str = "", at: str = "") -> None:
    """Be the command; the fault comes as soon as a file whose path holds `at` is about to be written."""
    os.environ["GOLDENRULE_CACHE"] = cache
    with Path(log).open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)

    if fault:
        FAULT.append((fault, at))
    sys.argv = ["goldenrule", *arguments]
    main.run()


def quick_fit() -> None:
    """Live through the requests, one after the other, with chunks, checkpoints and a plan that are short."""
    cache.CHUNK_SECONDS, fitting.CHECKPOINT_SECONDS = 0.05, 0.4
    plan.MOST_PASSES, plan.HEAD_CYCLES, verbs.STEPS_LIVE = {2: 10_000}, 1, 6
    plan.LATE_EPOCHS, plan.FEWEST_LATE_EPOCHS, plan.FAR_TIMES = 2, 2, 1.0
    verbs.STEPS_ON_ROWS, training.figure_svg = 24, lambda *_, **__: ""  # to draw takes longer than to train
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            live(**json.loads(line))
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    quick_fit()
