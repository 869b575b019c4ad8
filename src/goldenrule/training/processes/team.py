"""`Team`: processes that train one network together; the first leads, the others follow it.

The leader is the process of the user: it alone reads options, decides, writes. Before each step it says whether there
is one, so that a fit may end whenever the leader wants. What it says: `STEP`, then all compute their part of a batch
and average their gradients; `EVALUATE`, then all take its weights and evaluate their part of the validation images;
`STOP`, the end of a fit. Between fits it sends the next `Work`, features to compute (`Extraction`), or nothing, which
ends the followers.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.distributed

from goldenrule.core.errors import ProcessLost
from goldenrule.features.extractor import Computed, Extraction
from goldenrule.models.network import copied, lent
from goldenrule.training.inputs.batches import InParts, Validate, ValidationResult
from goldenrule.training.inputs.parts import Part
from goldenrule.training.processes.work import Work, packed, unpacked

STOP, STEP, EVALUATE = range(3)
SECONDS_TO_DIE = 5.0
"""So long after a connection broke a process may take to be seen as gone."""


class Team:
    """One process's side of it: its `part` of every batch, and what connects it to the others.

    `gone` says which of the others have ended and why, "" where none has; `threads` is how many each computes with.
    """

    def __init__(
        self,
        fabric: Any,
        *,
        threads: int = 1,
        gone: Callable[[], str] = lambda: "",
        end: Callable[[], None] = lambda: None,
    ) -> None:
        self.fabric = fabric
        self.part = Part(fabric.global_rank, fabric.world_size)
        self.threads = threads
        self.lost = False
        self._gone, self._end = gone, end
        self._work: Work | None = None
        self._stopped = self._ended = False

    @property
    def leads(self) -> bool:
        """Whether this is the user's process."""
        return self.part.rank == 0

    @contextlib.contextmanager
    def leading(self, work: Work) -> Iterator[None]:
        """Have the others take part in this work until the block ends; `ProcessLost` where one of them is gone."""
        content = packed(work)
        threads = torch.get_num_threads()
        with self.together(), self._in_step():
            self.fabric.broadcast(content)
            self._work = work
            torch.set_num_threads(self.threads)
            try:
                yield
            finally:
                torch.set_num_threads(threads)
                self._work = None

    def extracted(self, work: Extraction) -> Computed:
        """See `features.extractor.Helpers`."""
        content = packed(work)
        with self.together(), self._out_of_step_if_it_fails():
            self.fabric.broadcast(content)
            parts = self.extract(work)
        failed, computed = zip(*parts, strict=True)
        failures = {digest: reason for one in failed for digest, reason in one.items()}
        return failures, tuple(sum(of_view) for of_view in zip(*computed, strict=True))

    def extract(self, work: Extraction) -> list[Any]:
        """Write this process's share of the features; the leader gets what all say of theirs."""
        mine = work.share(rank=self.part.rank, world=self.part.world, all_have_looked=self.fabric.barrier)
        every: list[Any] = [None] * self.part.world
        torch.distributed.gather_object(mine, every if self.leads else None)
        return every

    def next_work(self) -> Work | Extraction | None:
        """Wait for the leader's next work; None: there is none."""
        content = self.fabric.broadcast(None)
        work = unpacked(content) if content is not None else None
        self._work, self._stopped = (work if isinstance(work, Work) else None), False
        return work

    def finish(self) -> None:
        """Evaluate for the leader after the last step, until it says that the fit has ended."""
        while not self._stopped:
            self.goes_on()

    def goes_on(self) -> bool:
        """Return whether there is another step; a follower waits for that, and evaluates whenever it is told to."""
        if self.leads:
            if self.lost:
                raise ProcessLost("The processes that train together are out of step. Give the same command again.")
            self._say(STEP)
            return True
        while (said := self._say(None)) == EVALUATE:
            self._take_part_in_evaluation()
        self._stopped = said == STOP
        return bool(said == STEP)

    def evaluate(self, network: torch.nn.Module, validate: Validate) -> ValidationResult:
        """Return how good the network is on validation, each process having looked at its part."""
        if self.lost or not isinstance(validate, InParts) or self._work is None or self._work.validate is None:
            return validate(network)
        with self.together(), self._out_of_step_if_it_fails():
            self._say(EVALUATE)
            self.fabric.broadcast(copied(network))
            mine = validate.outputs(network, self.part)
            every: list[Any] = [None] * self.part.world
            torch.distributed.gather_object(mine, every)
        return validate.result(every)

    def end(self) -> None:
        """Let the followers end; a second call does nothing."""
        if self._ended:
            return
        self._ended = True
        if self.leads and not self.lost:
            with contextlib.suppress(RuntimeError):
                self.fabric.broadcast(None)
        self._end()

    def _take_part_in_evaluation(self) -> None:
        state = self.fabric.broadcast(None)
        work = self._work
        if work is None or work.validate is None:
            raise RuntimeError("Told to evaluate, with nothing to evaluate on.")
        with lent(work.network, state):
            torch.distributed.gather_object(work.validate.outputs(work.network, self.part))
        work.network.train()

    def _say(self, signal: int | None) -> Any:
        return self.fabric.broadcast(signal)

    @contextlib.contextmanager
    def _in_step(self) -> Iterator[None]:
        """Tell the others that a fit has ended, where they wait for it: not after an error between two steps."""
        try:
            yield
        except GeneratorExit:  # between two steps: whoever asked for events has enough of them
            raise
        except BaseException:
            self.lost = True
            raise
        finally:
            if not self.lost:
                with contextlib.suppress(RuntimeError):  # whoever is gone needs not be told
                    self._say(STOP)

    @contextlib.contextmanager
    def _out_of_step_if_it_fails(self) -> Iterator[None]:
        """Abandon the others where the leader fails: they compute on, and are out of step from then on."""
        try:
            yield
        except BaseException:
            self.lost = True
            raise

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Name a process that is gone where what was done with it failed."""
        try:
            yield
        except RuntimeError as error:
            if not (said := self._why_gone(error)):
                raise
            self.lost = True
            raise ProcessLost(
                f"A process that trains together with this one has ended ({said}). Give the same command again: the "
                "fit goes on from its last checkpoint."
            ) from error

    def _why_gone(self, error: RuntimeError) -> str:
        until = time.monotonic() + SECONDS_TO_DIE
        while not (said := self._gone()) and time.monotonic() < until:
            time.sleep(0.05)
        broken = ("Connection closed", "Connection reset", "Broken pipe", "Socket", "NCCL")
        return said or (str(error).splitlines()[0] if any(one in str(error) for one in broken) else "")
