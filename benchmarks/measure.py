"""What a command costs, measured from the outside: seconds and the peak memory of its process tree."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

MEMORY_METHOD = (
    "the highest sum, over the process and its children, of PSS (pages shared by several processes count "
    "once; USS where there is no PSS), sampled from the outside"
)
_SHORTEST_PAUSE_SECONDS = 0.1
_PAUSES_PER_SAMPLE = 20  # looking takes at most 5 % of one core


class CommandFailed(Exception):
    """The measured command ended with an error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Seconds from start to end of the process, interpreter and imports included; memory in 10^6 bytes.

    `others_cpu_share` is the share (0 to 1) of all cores that other processes used meanwhile: near 0 on a
    quiet machine.
    """

    seconds: float
    peak_memory_mb: float
    others_cpu_share: float


def measured(command: Sequence[str], *, environment: Mapping[str, str], log: Path) -> Cost:
    """Run a command to its end, its output in the file `log`, and give what it cost.

    Raises `CommandFailed` with the end of the log if the command fails.
    """
    peak, pause = 0, _SHORTEST_PAUSE_SECONDS
    with log.open("wb") as output:
        others, start = _others_cpu_seconds(), time.perf_counter()
        process = psutil.Popen(command, env=dict(environment), stdout=output, stderr=subprocess.STDOUT)
        try:
            while not _ended(process, pause):
                before = time.perf_counter()
                peak = max(peak, tree_memory_bytes(process))
                pause = max(_SHORTEST_PAUSE_SECONDS, _PAUSES_PER_SAMPLE * (time.perf_counter() - before))
            seconds = time.perf_counter() - start
        except BaseException:
            for survivor in (*process.children(recursive=True), process):
                with contextlib.suppress(psutil.NoSuchProcess):
                    survivor.kill()
            raise
    if process.returncode != 0:
        end = log.read_text(encoding="utf-8", errors="replace")[-3000:]
        raise CommandFailed(f"{' '.join(command)} ended with exit code {process.returncode}:\n{end}")
    share = (_others_cpu_seconds() - others) / (seconds * psutil.cpu_count())
    return Cost(seconds=seconds, peak_memory_mb=peak / 1e6, others_cpu_share=max(0.0, share))


def tree_memory_bytes(process: psutil.Process) -> int:
    """Return the memory of a process and all its children now; one that has just ended counts nothing."""
    total = 0
    with contextlib.suppress(psutil.NoSuchProcess):
        for member in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                memory = member.memory_full_info()
                total += getattr(memory, "pss", memory.uss)
    return total


def _others_cpu_seconds() -> float:
    """Return the processor seconds used since boot, but for those of this process's ended children."""
    times, ours = psutil.cpu_times(), psutil.Process().cpu_times()
    busy = sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0)
    return busy - ours.children_user - ours.children_system


def _ended(process: psutil.Popen, seconds: float) -> bool:
    """Wait for the end of a process, but not longer than this."""
    try:
        process.wait(timeout=seconds)
    except psutil.TimeoutExpired:
        return False
    return True
