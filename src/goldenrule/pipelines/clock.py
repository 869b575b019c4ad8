"""The clock of `--minutes`: every decision it makes is written down before it is obeyed (law 6)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from goldenrule.core.progress import time_text
from goldenrule.core.schema import as_json, as_type
from goldenrule.features.speed_record import remember_training_speed
from goldenrule.pipelines.context import FitContext
from goldenrule.pipelines.finalize import finished
from goldenrule.runs.history import EpochRow
from goldenrule.runs.verified_files import LeftOut, was_written
from goldenrule.storage.manifest import Sealed
from goldenrule.training.plan import LiveStep

JOURNAL = "steps/clock.json"
CALLED_BEFORE = {
    "train the head": LiveStep.HEAD,
    "train the late layers": LiveStep.LATE_LAYERS,
    "train the whole network": LiveStep.NETWORK,
}
PROBE_SECONDS = 10.0
"""With less time left than this nothing is measured before it is decided."""


class Budget(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The most minutes that a run was given, None without an end, and which steps were begun within them."""

    minutes: float | None
    decided: dict[str, bool]


class Clock:
    """Says whether there is time for a step; without `--minutes` there always is.

    With more minutes than a run had before, what they left out is decided anew. What was begun once is never left out:
    fewer minutes take nothing back.
    """

    def __init__(self, context: FitContext) -> None:
        self._work = context
        minutes, whole = context.options.minutes, finished(context) == "whole"
        kept = kept_budget(context.run.folder)
        if kept is None and whole:
            minutes = None  # all of it is replayed
        self._end = None if minutes is None else context.state.began + 60 * minutes
        self._given, self._decided = minutes, dict(kept.decided) if kept else {}
        self._left_out: dict[str, float] = {}
        if kept and _longer(minutes, kept.minutes):
            self._decided = {step: begun for step, begun in kept.decided.items() if begun}
            context.run.forget_stops()
            self._write()
            if whole:
                context.progress.say(
                    f"{context.run.folder} was fitted within {kept.minutes:g} minutes. It stays usable: going on from "
                    "there."
                )
        elif kept:
            self._given = kept.minutes

    @property
    def limited(self) -> bool:
        """Whether there is an end, and time left to measure how fast this machine is now."""
        return self._end is not None and not self._decided and time.monotonic() + PROBE_SECONDS < self._end

    def measures(self, step: str) -> bool:
        """Return whether a step that comes last is measured before it is decided: where there is an end, and time."""
        undecided = step not in self._decided and not self.left_out
        return undecided and self._end is not None and time.monotonic() + PROBE_SECONDS < self._end

    @property
    def left_out(self) -> bool:
        """Whether there was no time for a step so far."""
        return bool(self._work.state.left_out)

    def allows(self, step: str, seconds: float, *, wanted: bool = True) -> bool:
        """Return whether a step that takes about so many seconds is begun; decided once for so many minutes.

        One that is not `wanted` any more, for want of the steps that it builds on, is left out too.
        """
        if step not in self._decided:
            enough = self._end is None or time.monotonic() + seconds <= self._end
            self._decided[step] = enough and wanted
            self._write()
        if not self._decided[step]:
            self._left_out[step] = seconds
            self._work.state.left_out.append(LeftOut(step=step))
        return self._decided[step]

    def _write(self) -> None:
        self._work.run.write_json(JOURNAL, as_json(Budget(minutes=self._given, decided=self._decided)))

    def out_of_time(self, *, times_faster: float = 1.0) -> Callable[[EpochRow], bool]:
        """Return what says, after each epoch of a fit, whether another one would end too late.

        How long an epoch takes is kept; `times_faster` than the whole network is what this fit trains.
        """
        ended: list[float] = []

        def out_of_time(_: EpochRow) -> bool:
            ended.append(time.monotonic())
            last = ended[-1] - ended[-2] if len(ended) > 1 else 0.0
            if last:
                remember_training_speed(
                    self._work.backbone.spec, int(self._work.table.teaching.sum()), last * times_faster
                )
            return self._end is not None and ended[-1] + last > self._end

        return out_of_time

    def cut_short(self, step: str, epochs: int) -> None:
        """Note that a fit was ended before its last epoch to keep the time."""
        self._work.state.left_out.append(LeftOut(step=step, after_epoch=epochs))

    def say_left_out(self) -> str:
        """Say what was left out, in one line; return it, "" where that is nothing."""
        left_out = self._work.state.left_out
        said = [
            str(one) if one.after_epoch else f"{one} (about {time_text(self._left_out[one.step])})" for one in left_out
        ]
        if not said:
            return ""
        within = f" to end within {self._given:g} minutes" if self._given is not None else ""
        self._work.progress.say(f"Left out{within}: {', '.join(said)}.")
        return f"Left out{within}: {', '.join(map(str, left_out))}."


def kept_budget(folder: Path) -> Budget | None:
    """Return the minutes that a run was given, and what was decided; None where no clock has decided anything."""
    if not was_written(folder, JOURNAL):
        return None
    what, value = str(folder / JOURNAL), Sealed(folder).json(JOURNAL)
    if "decided" not in value:  # of an earlier version, which did not keep the minutes
        before = as_type(value, dict[str, bool], what=what)
        return Budget(minutes=0.0, decided={CALLED_BEFORE.get(step, step): begun for step, begun in before.items()})
    return as_type(value, Budget, what=what)


def _longer(minutes: float | None, than: float | None) -> bool:
    """Return whether one budget is longer than another, None being endless.

    >>> _longer(None, 3), _longer(4, 3), _longer(3, 3.0), _longer(2, None)
    (True, True, False, False)
    """
    return (math.inf if minutes is None else minutes) > (math.inf if than is None else than)
