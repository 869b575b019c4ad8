"""`together`: the processes of one command, whoever has started them. Imports no torch where there is one alone."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import replace

from goldenrule.features.extractor import HELPERS
from goldenrule.runs.machines import as_launched, launched
from goldenrule.runs.options import FitOptions


@contextlib.contextmanager
def together(options: FitOptions) -> Iterator[FitOptions]:
    """Yield the options with the devices and nodes of the launcher; at the end of the block all other processes end.

    Of processes that torchrun or SLURM has started, the first runs the block. The others follow it, and exit when it
    has ended. Raises `OptionError` where the options and the launcher disagree.
    """
    found = launched()
    machines = as_launched(options.machines, found)
    if found is not None:
        from goldenrule.models.graphs.compiled import available_threads
        from goldenrule.training.processes.follower import follow
        from goldenrule.training.processes.launch import joined
        from goldenrule.training.runtime import kept

        team = joined(machines, found, threads=options.threads or available_threads())
        if found.rank:
            follow(team)
            raise SystemExit(0)
        kept(machines, team)
        if machines.nodes > 1 or machines.device != "cpu":  # on one machine one engine has all the cores
            HELPERS.set(team)
    try:
        yield replace(options, devices=machines.devices, nodes=machines.nodes)
    finally:
        HELPERS.set(None)
        if "goldenrule.training.runtime" in sys.modules:  # else nobody has been started
            from goldenrule.training.runtime import end_teams

            end_teams()
