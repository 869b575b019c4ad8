"""How processes that train together find each other: started here, or by torchrun or SLURM.

Those started here meet through a file in a private folder and talk over the loopback interface: nobody on the network
can join them (law 13). Those of a launcher meet where the launcher says.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed

from goldenrule.core.errors import OptionError, ProcessLost
from goldenrule.runs.machines import Launched, Machines
from goldenrule.storage.unfinished import remove_leftovers, unfinished_folder
from goldenrule.training.processes.team import Team

PATIENCE = timedelta(days=7)
"""A follower waits so long for its leader, which may compute for hours between two fits; a dead one is noticed."""
SECONDS_TO_END = 10.0
ENDED_BY_SIGNAL = "signal {}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """Where a follower that was started here has its place: what it is told as JSON, and nothing else."""

    rank: int
    machines: Machines
    threads: int
    folder: Path
    parent: int

    def told(self) -> str:
        """Return it as one line of JSON."""
        return json.dumps({**asdict(self), "folder": str(self.folder)})

    @classmethod
    def of(cls, line: str) -> Seat:
        """Return what `told` wrote."""
        said = json.loads(line)
        return cls(**{**said, "machines": Machines(**said["machines"]), "folder": Path(said["folder"])})

    @property
    def ready(self) -> Path:
        """The file that says that the follower has started."""
        return self.folder / f"ready-{self.rank}"

    @property
    def log(self) -> Path:
        """What the follower says while it works, of interest only where it fails."""
        return self.folder / f"process-{self.rank}.log"


def fabric(machines: Machines, *, rank: int | None = None) -> Any:
    """Return Lightning Fabric on these machines; `rank` is the place of a process that was started here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # remarks of Fabric's dependencies on their own deprecations
        from lightning_fabric import Fabric
        from lightning_fabric.plugins.environments import LightningEnvironment
        from lightning_fabric.strategies import DDPStrategy

        class Seated(LightningEnvironment):  # type: ignore[misc]  # Fabric is not typed here
            """A process that stands already: Fabric starts none."""

            creates_processes_externally = True

            def local_rank(self) -> int:
                return int(rank or 0)

        how: dict[str, Any] = {
            "accelerator": "cpu" if machines.device == "cpu" else "auto",
            "devices": machines.devices,
            "num_nodes": machines.nodes,
            "precision": machines.precision,
        }
        if machines.processes > 1:
            how["strategy"] = DDPStrategy(timeout=PATIENCE, process_group_backend=backend(machines))
            how["plugins"] = [Seated()] if rank is not None else None
        made = Fabric(**how)
        with _silent():
            made.launch()
    return made


def backend(machines: Machines) -> str:
    """Return what carries tensors from process to process."""
    return "nccl" if machines.device.startswith("cuda") else "gloo"


def started(machines: Machines, *, threads: int) -> Team:
    """Start the other processes of this node and return the team that this one leads.

    `threads` are shared among them. Raises `OptionError` for more devices than there are, `ProcessLost` where one of
    the processes doesn't start.
    """
    if machines.device != "cpu" and (there := torch.cuda.device_count()) < machines.devices:
        raise OptionError(f"--devices {machines.devices}: this machine has {there} of the kind {machines.device}.")
    held, temporary = contextlib.ExitStack(), Path(tempfile.gettempdir())
    remove_leftovers(temporary)
    folder = held.enter_context(unfinished_folder(temporary)) / "team"
    folder.mkdir(mode=0o700)  # readable by this user alone
    each = max(1, threads // machines.devices)
    own, *seats = (
        Seat(rank=rank, machines=machines, threads=each, folder=folder, parent=os.getpid())
        for rank in range(machines.devices)
    )
    followers = [_start(seat) for seat in seats]

    def gone() -> str:
        return next((said for one in zip(seats, followers, strict=True) if (said := _how_it_ended(*one))), "")

    def end() -> None:
        _end(followers, seconds=0.0 if team.lost else SECONDS_TO_END)
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
        held.close()
        atexit.unregister(team.end)

    try:
        _wait_for(seats, gone)
        join(own)
        team = Team(fabric(machines, rank=0), threads=each, gone=gone, end=end)
    except BaseException:
        _end(followers, seconds=0.0)
        held.close()
        raise
    atexit.register(team.end)
    return team


def joined(machines: Machines, found: Launched, *, threads: int) -> Team:
    """Return this process's side of a team whose processes a launcher has started."""
    made = fabric(machines)

    def end() -> None:
        torch.distributed.destroy_process_group()
        atexit.unregister(team.end)

    team = Team(made, threads=max(1, threads // found.local), end=end)
    atexit.register(team.end)
    return team


def join(seat: Seat) -> None:
    """Connect this process with the others of its node."""
    if sys.platform == "linux":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    torch.distributed.init_process_group(
        backend(seat.machines),
        init_method=f"file://{seat.folder / 'rendezvous'}",
        rank=seat.rank,
        world_size=seat.machines.processes,
        timeout=PATIENCE,
    )


def _start(seat: Seat) -> subprocess.Popen[bytes]:
    """Start a follower, which reads its seat from standard input; Ctrl-C at the terminal does not reach it."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with seat.log.open("wb") as log:
        process = subprocess.Popen(  # this Python, and no argument of anybody's
            [sys.executable, "-m", "goldenrule.training.processes.follower"],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env=environment,
            start_new_session=True,
        )
    with contextlib.suppress(BrokenPipeError):
        if process.stdin is not None:
            process.stdin.write(seat.told().encode())
            process.stdin.close()
    return process


def _wait_for(seats: Sequence[Seat], gone: Callable[[], str]) -> None:
    while not all(seat.ready.exists() for seat in seats):
        if said := gone():
            raise ProcessLost(f"A process of {len(seats) + 1} that would train together did not start ({said}).")
        time.sleep(0.02)


def _how_it_ended(seat: Seat, follower: subprocess.Popen[bytes]) -> str:
    code = follower.poll()
    if code is None:
        return ""
    lines = seat.log.read_text(errors="replace").strip().splitlines() if seat.log.exists() else []
    why = ENDED_BY_SIGNAL.format(signal.Signals(-code).name) if code < 0 else f"exit code {code}"
    return f"process {seat.rank}: {lines[-1] if lines and code > 0 else why}"


def _end(followers: Sequence[subprocess.Popen[bytes]], *, seconds: float) -> None:
    until = time.monotonic() + seconds
    for one in followers:
        try:
            one.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            one.kill()
            one.wait()


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Keep what Fabric says of its processes from the terminal."""
    logger = logging.getLogger("lightning_fabric")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
