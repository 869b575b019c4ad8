"""On what a training runs, and what a launcher says of it: pure functions of options and environment."""

from __future__ import annotations

from typing import Any

import pytest

from goldenrule.core.errors import OptionError
from goldenrule.runs.machines import Launched, Machines, as_launched, launched
from goldenrule.runs.options import FitOptions

TORCHRUN = {"TORCHELASTIC_RUN_ID": "a", "RANK": "3", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2"}
SLURM = {"SLURM_JOB_NAME": "fit", "SLURM_PROCID": "3", "SLURM_NTASKS": "4", "SLURM_NNODES": "2"}


@pytest.mark.parametrize(("by", "said"), [("torchrun", TORCHRUN), ("SLURM", SLURM)])
def test_a_launcher_is_recognised(by: Any, said: dict[str, str]) -> None:
    found = launched(said)
    assert found == Launched(by=by, rank=3, processes=4, local=2)
    assert found.nodes == 2
    there = as_launched(Machines(device="cuda"), found)
    assert (there.devices, there.nodes, there.processes) == (2, 2, 4)


@pytest.mark.parametrize(
    "said",
    [
        {},
        TORCHRUN | {"WORLD_SIZE": "1", "LOCAL_WORLD_SIZE": "1", "RANK": "0"},
        SLURM | {"SLURM_NTASKS": "1", "SLURM_NNODES": "1", "SLURM_PROCID": "0"},
        SLURM | {"SLURM_JOB_NAME": "interactive"},
        {"RANK": "1", "WORLD_SIZE": "4"},  # somebody's variables, of no launcher that is known
    ],
)
def test_a_process_alone_is_no_part_of_a_team(said: dict[str, str]) -> None:
    assert launched(said) is None


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (TORCHRUN | {"RANK": "x"}, "RANK is 'x' in the environment"),
        ({"TORCHELASTIC_RUN_ID": "a", "RANK": "0"}, "WORLD_SIZE is None in the environment"),
        (TORCHRUN | {"WORLD_SIZE": "3"}, "torchrun started 3 processes, 2 on a node: wanted as many on every node"),
    ],
)
def test_a_launcher_that_contradicts_itself_is_an_error(said: dict[str, str], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        launched(said)


def test_options_and_launcher_have_to_agree() -> None:
    with pytest.raises(OptionError, match=r"--devices 3, but torchrun started 2 processes on each of 2 machines"):
        as_launched(Machines(devices=3), launched(TORCHRUN))
    with pytest.raises(OptionError, match=r"--nodes 2: on each node a launcher has to start goldenrule.*torchrun"):
        as_launched(Machines(nodes=2), None)
    assert as_launched(Machines(devices=2), None) == Machines(devices=2)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"devices": 0}, "devices"),
        ({"nodes": 0}, "nodes"),
        ({"precision": "fp8"}, "wanted one of 32-true, bf16-mixed, 16-mixed"),
        ({"strategy": "fsdp"}, "wanted one of ddp"),
        ({"precision": "16-mixed"}, "16-mixed is for GPUs"),
        ({"device": "mps", "devices": 2}, "mps is one device"),
    ],
)
def test_what_does_not_go_together_is_an_error_in_python_and_on_the_command_line(
    how: dict[str, Any], message: str
) -> None:
    for kind in (Machines, FitOptions):
        with pytest.raises(OptionError, match=message):
            kind(**how)


@pytest.mark.parametrize("how", [{"devices": 2}, {"nodes": 2}, {"precision": "bf16-mixed"}])
def test_a_quick_fit_trains_nothing_that_could_be_shared(how: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match="is of live training, and --quick has none"):
        FitOptions(quick=True, **how)
