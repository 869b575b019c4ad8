"""What a process does that takes part in another's training; `python -m goldenrule.training.processes.follower`."""

from __future__ import annotations

import os
import sys
import threading
import time
from dataclasses import replace

import torch

from goldenrule.training.inputs.batches import Pixels
from goldenrule.training.inputs.training_data import new_canvases
from goldenrule.training.loop import train
from goldenrule.training.processes.launch import Seat, fabric, join
from goldenrule.training.processes.team import Team
from goldenrule.training.processes.work import Work, part_of
from goldenrule.training.runtime import Runtime


def follow(team: Team) -> None:
    """Take part in all that the leader does with others, until it has no more."""
    torch.set_num_threads(team.threads)
    with team.together():
        while (work := team.next_work()) is not None:
            if isinstance(work, Work):
                _take_part(work, team)
            else:
                team.extract(work)
    team.end()


def _take_part(work: Work, team: Team) -> None:
    source = part_of(work.source, team.part, team.threads)
    if isinstance(source, Pixels):
        source = replace(source, canvases=new_canvases(team.part.world))
    runtime = Runtime(team.fabric, team)
    for _ in train(work.network, work.optimizer, source.batches, runtime=runtime, **work.how):
        pass
    team.finish()


def _end_with_parent(parent: int) -> None:
    """End this process when the one that started it is gone, in whatever way."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def main() -> None:
    """Read the seat from standard input, join the others, follow."""
    seat = Seat.of(sys.stdin.read())
    threading.Thread(target=_end_with_parent, args=(seat.parent,), daemon=True).start()
    seat.ready.touch()
    join(seat)
    follow(Team(fabric(seat.machines, rank=seat.rank), threads=seat.threads))


if __name__ == "__main__":
    main()
