"""A real Ray cluster of this machine, as `ray start --head` makes it, and how tests wait for what it does."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil

SIDE_PX, SLOW_PICTURES = 1400, 320
WORKER = "ray::MapWorker"


@dataclass(frozen=True)
class RayCluster:
    """A cluster: its head, its address, that of its client's server, and what a command needs to know of it."""

    head: subprocess.Popen[bytes]
    address: str
    client: str
    environment: dict[str, str]

    def workers(self) -> list[psutil.Process]:
        """Return the processes of the pool, the oldest first."""
        below = psutil.Process(self.head.pid).children(recursive=True)
        return sorted((one for one in below if WORKER in " ".join(one.cmdline())), key=lambda one: one.create_time())


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def end_with_children(head: subprocess.Popen[bytes]) -> None:
    """End a process that this test started, and those that it started."""
    with contextlib.suppress(psutil.Error):
        below = psutil.Process(head.pid).children(recursive=True)
        head.send_signal(signal.SIGTERM)
        _, left = psutil.wait_procs([*below, psutil.Process(head.pid)], timeout=20)
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.kill()
    head.wait(timeout=20)


def answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def wait_until(so: Callable[[], object], seconds: float) -> None:
    for _ in range(int(seconds * 10)):
        if so():
            return
        time.sleep(0.1)
    raise AssertionError("it did not come to that")
