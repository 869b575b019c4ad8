"""`Machines`: on what a training runs: the device, how many of them on how many nodes, and in which precision."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

from goldenrule.core.errors import OptionError

Strategy = Literal["ddp"]
"""How processes share a training. "ddp": each has the whole network and its part of every batch (PyTorch's
`DistributedDataParallel`)."""
Precision = Literal["32-true", "bf16-mixed", "16-mixed"]
"""As Lightning Fabric names them: what a training step computes in; weights are float32 in all three."""
MOST_DEVICES, MOST_NODES = 64, 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Machines:
    """On what a training runs: `devices` processes on each of `nodes` machines, each with a device of this kind."""

    device: str = "cpu"
    devices: int = 1
    nodes: int = 1
    strategy: Strategy = "ddp"
    precision: Precision = "32-true"

    def __post_init__(self) -> None:
        for name, most in (("devices", MOST_DEVICES), ("nodes", MOST_NODES)):
            if not 1 <= getattr(self, name) <= most:
                raise OptionError(f"{name}={getattr(self, name)}: wanted a number, 1 to {most:,}.")
        for name, known in (("strategy", get_args(Strategy)), ("precision", get_args(Precision))):
            if getattr(self, name) not in known:
                raise OptionError(f"{name}={getattr(self, name)!r}: wanted one of {', '.join(known)}.")
        if self.device == "mps" and self.processes > 1:
            raise OptionError("--device mps is one device: wanted --devices 1, or --device cpu or cuda.")
        if self.precision == "16-mixed" and self.device == "cpu":
            raise OptionError("--precision 16-mixed is for GPUs: wanted bf16-mixed or 32-true with --device cpu.")

    @property
    def said(self) -> dict[str, Any]:
        """They as arguments of `Learner`."""
        return asdict(self)

    @property
    def processes(self) -> int:
        """How many processes train together."""
        return self.devices * self.nodes


@dataclass(frozen=True, slots=True, kw_only=True)
class Launched:
    """What torchrun or SLURM says of this process: its `rank` among `processes`, `local` of which are on its node."""

    by: Literal["torchrun", "SLURM"]
    rank: int
    processes: int
    local: int

    @property
    def nodes(self) -> int:
        """On how many machines they run."""
        return self.processes // self.local


def launched(environment: Mapping[str, str] | None = None) -> Launched | None:
    """Return what started this process as one of several; None for a process of its own.

    torchrun sets RANK, WORLD_SIZE and LOCAL_WORLD_SIZE (https://docs.pytorch.org/docs/stable/elastic/run.html), srun
    SLURM_PROCID, SLURM_NTASKS and SLURM_NTASKS_PER_NODE (https://slurm.schedmd.com/srun.html); an interactive shell of
    SLURM, whose step is named bash or interactive, starts no processes together.

    >>> launched({"TORCHELASTIC_RUN_ID": "a", "RANK": "1", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2"})
    Launched(by='torchrun', rank=1, processes=4, local=2)
    >>> launched({}) is None
    True
    """
    said = os.environ if environment is None else environment
    if "TORCHELASTIC_RUN_ID" in said:
        found = Launched(
            by="torchrun",
            rank=_number(said, "RANK"),
            processes=_number(said, "WORLD_SIZE"),
            local=_number(said, "LOCAL_WORLD_SIZE"),
        )
    elif "SLURM_PROCID" in said and said.get("SLURM_JOB_NAME") not in ("bash", "interactive"):
        processes = _number(said, "SLURM_NTASKS")
        nodes = int(said.get("SLURM_STEP_NUM_NODES", said.get("SLURM_NNODES", "1")))
        local = int(said.get("SLURM_NTASKS_PER_NODE", -(-processes // nodes)))
        found = Launched(by="SLURM", rank=_number(said, "SLURM_PROCID"), processes=processes, local=local)
    else:
        return None
    if found.processes % found.local:
        raise OptionError(
            f"{found.by} started {found.processes} processes, {found.local} on a node: wanted as many on every node."
        )
    return found if found.processes > 1 else None


def _number(said: Mapping[str, str], name: str) -> int:
    try:
        return int(said[name])
    except (KeyError, ValueError) as error:
        raise OptionError(
            f"{name} is {said.get(name)!r} in the environment; wanted a number, as a launcher sets."
        ) from error


def as_launched(machines: Machines, found: Launched | None) -> Machines:
    """Return the machines with the numbers of the launcher; `OptionError` where others were asked for.

    Without a launcher processes can be started on this node alone.
    """
    if found is None:
        if machines.nodes > 1:
            raise OptionError(
                f"--nodes {machines.nodes}: on each node a launcher has to start goldenrule. Wanted, on each: torchrun "
                f"--nnodes {machines.nodes} --nproc-per-node {machines.devices} --rdzv-backend c10d "
                "--rdzv-endpoint HOST:29500 -m goldenrule fit FOLDER (or srun)."
            )
        return machines
    wanted = (found.local, found.nodes)
    for name, asked, started in zip(("devices", "nodes"), (machines.devices, machines.nodes), wanted, strict=True):
        if asked not in (1, started):
            raise OptionError(
                f"--{name} {asked}, but {found.by} started {found.local} processes on each of {found.nodes} machines: "
                f"leave --{name} away, or give {started}."
            )
    return replace(machines, devices=found.local, nodes=found.nodes)
