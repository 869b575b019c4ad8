"""The clock of `--minutes`: every decision it makes is written down before it is obeyed (law 6)."""

from __future__ import annotations

import time
from collections.abc import Callable

from goldenrule.core.schema import as_type
from goldenrule.features.speed_record import remember_training_speed
from goldenrule.pipelines.context import FitContext
from goldenrule.runs.history import EpochRow
from goldenrule.runs.verified_files import was_written
from goldenrule.storage.manifest import Sealed

JOURNAL = "steps/clock.json"
PROBE_SECONDS = 10.0
"""With less time left than this nothing is measured before it is decided."""


class Clock:
    """Says whether there is time for a step; without `--minutes` there always is."""

    def __init__(self, context: FitContext) -> None:
        self._work = context
        minutes = context.options.minutes
        self._end = None if minutes is None else context.state.began + 60 * minutes

    @property
    def limited(self) -> bool:
        """Whether there is an end, and time left to measure how fast this machine is now."""
        return self._end is not None and not self._decided() and time.monotonic() + PROBE_SECONDS < self._end

    def allows(self, step: str, seconds: float) -> bool:
        """Return whether a step that takes about so many seconds is begun; decided once per run."""
        decided = self._decided()
        if step not in decided:
            enough = self._end is None or time.monotonic() + seconds <= self._end
            decided[step] = enough
            if self._end is not None:
                self._work.run.write_json(JOURNAL, decided)
            if not enough:
                minutes = self._work.options.minutes
                self._work.progress.say(f"{step}: about {seconds:.0f} s, left out to end within {minutes:g} minutes.")
        return bool(decided[step])

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

    def _decided(self) -> dict[str, bool]:
        folder = self._work.run.folder
        if not was_written(folder, JOURNAL):
            return {}
        return as_type(Sealed(folder).json(JOURNAL), dict[str, bool], what=str(folder / JOURNAL))
