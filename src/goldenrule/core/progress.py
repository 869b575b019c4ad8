"""Progress that work reports and that somebody may show; work never knows who is looking."""

from __future__ import annotations

import contextlib
import functools
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from goldenrule.core.alive import shown
from goldenrule.core.errors import is_installed
from goldenrule.core.interrupts import raise_if_told

LINE_AFTER_SECONDS, LINE_EVERY_SECONDS = 3.0, 30.0
"""Where no bars can be drawn: when a step's first line comes, and each further one."""


class Task(Protocol):
    """One piece of work with a known number of steps."""

    def advance(self, steps: int = 1) -> None:
        """Report that `steps` more are done."""


class Progress(Protocol):
    """Shows tasks; `Silent` shows nothing, `Bars` draws them in a terminal or notebook."""

    def task(self, name: str, total: int, unit: str) -> contextlib.AbstractContextManager[Task]:
        """Open a task of `total` steps, counted in `unit` ("images"); 0 where nobody knows how many."""

    def say(self, message: str) -> None:
        """Show one line."""

    def detail(self, message: str) -> None:
        """Show a line that most have no need of, such as that of an epoch, to those who asked for everything."""

    def picture(self, drawn: Callable[[], str] | None) -> None:
        """Show what a function draws, several lines, above the tasks in place of the one before; None takes it away.

        It is called where it is looked at alone, once.
        """

    def expect(self, name: str, seconds: float) -> None:
        """Say how long all that follows takes, as far as is known; 0 where that is not."""


class Silent:
    """Shows nothing."""

    @contextlib.contextmanager
    def task(self, name: str, total: int, unit: str) -> Iterator[Task]:  # noqa: ARG002
        """Return a task nobody looks at."""
        raise_if_told()
        yield _Unseen()

    def say(self, message: str) -> None:
        """Keep quiet."""

    def detail(self, message: str) -> None:
        """Take it for one line more."""
        self.say(message)

    def picture(self, drawn: Callable[[], str] | None) -> None:
        """Draw nothing."""

    def expect(self, name: str, seconds: float) -> None:
        """Keep quiet."""


class _Unseen:
    def advance(self, steps: int = 1) -> None:  # noqa: ARG002
        """Show nothing."""
        raise_if_told()


class Bars:
    """Draws a bar with rate and time left for every task, by Rich; `verbose` shows details and pictures too."""

    def __init__(self, console: Any = None, *, verbose: bool = False) -> None:
        from goldenrule.core.console import Console

        self._console = console or Console(stderr=True)
        self._verbose = verbose
        self._picture: Callable[[], str] | None = None
        self._whole: _Whole | None = None

    def say(self, message: str) -> None:
        """Print a line above the bars."""
        self._console.print(message, highlight=False)

    def detail(self, message: str) -> None:
        """Print a line above the bars if everything is to be shown."""
        if self._verbose:
            self.say(message)

    def picture(self, drawn: Callable[[], str] | None) -> None:
        """Draw it above the bars while they run."""
        self._picture = functools.cache(drawn) if drawn else None

    @contextlib.contextmanager
    def task(self, name: str, total: int, unit: str) -> Iterator[Task]:
        """Draw one bar while the block runs."""
        raise_if_told()
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as RichProgress
        from rich.text import Text

        columns = (
            TextColumn("{task.description:<12}"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[count]}"),
            TextColumn("{task.fields[rate]}"),
            TextColumn("{task.fields[left]}"),
        )
        owner = self

        class WithPicture(RichProgress):
            """Bars with the picture above them."""

            def get_renderables(self) -> Iterator[Any]:
                if drawn := owner._picture:  # once: another thread may take it away
                    yield Text(drawn())
                yield from super().get_renderables()

        live = not self._console.is_jupyter or is_installed("ipywidgets")  # without it Rich warns, and draws nothing
        if not (live and (self._console.is_terminal or self._console.is_jupyter)):
            with _lines(self, name, total, unit) as lines:
                yield lines
            return
        with shown(), WithPicture(*columns, console=self._console, transient=True) as bars:
            identity = bars.add_task(name, total=total or None, count="", rate="", left="")
            bar = _Bar(bars, identity, total, unit)
            bar.advance(0)
            if self._whole is None:
                yield bar
                return
            whole = bars.add_task(self._whole.name, total=self._whole.seconds, count="", rate="", left="")
            yield _WithWhole(bar, bars, whole, self._whole)

    def whole_left(self, step: float = 0.0) -> str:
        """About how long all steps still take, in words, "" where nobody knows; no less than the step that is on."""
        left = max(self._whole.began + self._whole.seconds - time.monotonic(), step) if self._whole else 0.0
        return f"about {time_text(left)} left in all" if left > 0 else ""

    def expect(self, name: str, seconds: float) -> None:
        """Draw a second bar below each task: how far all steps are, by the seconds that are left as far as is known."""
        now = time.monotonic()
        began = self._whole.began if self._whole else now
        self._whole = _Whole(name, began, now - began + seconds) if seconds > 0 else None


@dataclass(frozen=True, slots=True)
class _Whole:
    """All steps together: when they began, and how many seconds they take, as far as is known."""

    name: str
    began: float
    seconds: float


class _Lines:
    """A task where no bar can be drawn, as in a log: a line when it has begun, and one every half a minute."""

    def __init__(self, bars: Bars, name: str, total: int, unit: str) -> None:
        self._bars, self._name, self._total, self._unit = bars, name, total, unit
        self._began, self._done = time.monotonic(), 0

    def advance(self, steps: int = 1) -> None:
        """Count; the line comes by the clock."""
        raise_if_told()
        self._done += steps

    def say_until(self, ended: threading.Event) -> None:
        """Say how far it is: first after a moment, as most steps take none, then from time to time."""
        wait = LINE_AFTER_SECONDS
        while not ended.wait(wait):
            self._bars.say(self.line())
            wait = LINE_EVERY_SECONDS

    def line(self) -> str:
        """Return how far it is, at which rate, and how long it and all steps still take."""
        per_second = self._done / max(time.monotonic() - self._began, 1e-9)
        left = (self._total - self._done) / per_second if self._done and self._total else 0.0
        count = f"{self._done:,} of {self._total:,} {self._unit}" if self._total else f"{self._done:,} {self._unit}"
        step = f"{time_text(left)} left" if left > 0 else ""
        parts = (count, rate_text(per_second), step, self._bars.whole_left(left))
        return f"{self._name}: {', '.join(part for part in parts if part)}"


@contextlib.contextmanager
def _lines(bars: Bars, name: str, total: int, unit: str) -> Iterator[_Lines]:
    """Say how a task goes on, in lines, while the block runs."""
    lines, ended = _Lines(bars, name, total, unit), threading.Event()
    clock = threading.Thread(target=lines.say_until, args=(ended,), daemon=True)
    clock.start()
    try:
        yield lines
    finally:
        ended.set()
        clock.join()


def rate_text(per_second: float | None) -> str:
    """Return a rate for people: how many a second, or how long one takes.

    >>> rate_text(1840.0), rate_text(3.2), rate_text(0.42), rate_text(None)
    ('1,840/s', '3.2/s', '2.4 s each', '')
    """
    if not per_second:
        return ""
    if per_second < 1:
        return f"{1 / per_second:.1f} s each"
    return f"{per_second:,.0f}/s" if per_second >= 10 else f"{per_second:.1f}/s"


def bars_if_seen() -> Progress:
    """Return bars where somebody can look at them, a terminal or a notebook; else nothing is shown."""
    from goldenrule.core.console import Console

    console = Console(stderr=True)
    return Bars(console) if console.is_terminal or console.is_jupyter else Silent()


class _Bar:
    """One task's bar with its count, its rate and the time left."""

    def __init__(self, bars: Any, identity: Any, total: int, unit: str) -> None:
        self._bars, self._identity, self._total, self._unit = bars, identity, total, unit
        self._done = 0
        self.seconds_left = 0.0

    def advance(self, steps: int = 1) -> None:
        """Move the bar on by `steps`."""
        raise_if_told()
        self._done += steps
        [task] = [one for one in self._bars.tasks if one.id == self._identity]
        self.seconds_left = (task.time_remaining or 0.0) if self._done < self._total else 0.0
        left = f"{time_text(self.seconds_left)} left" if self.seconds_left else ""
        count = f"{self._done:,} of {self._total:,} {self._unit}" if self._total else f"{self._done:,} {self._unit}"
        self._bars.update(self._identity, advance=steps, count=count, rate=rate_text(task.speed), left=left)


class _WithWhole:
    """A task's bar above that of all steps."""

    def __init__(self, bar: _Bar, bars: Any, identity: Any, whole: _Whole) -> None:
        self._bar, self._bars, self._identity, self._whole = bar, bars, identity, whole
        self.advance(0)

    def advance(self, steps: int = 1) -> None:
        """Move both on."""
        self._bar.advance(steps)
        passed = time.monotonic() - self._whole.began
        ahead = max(self._whole.seconds - passed, self._bar.seconds_left)  # all takes no less than its part
        left = f"about {time_text(ahead)} left" if ahead > 0 else ""
        self._bars.update(self._identity, completed=passed, total=passed + ahead, left=left)


def time_text(seconds: float) -> str:
    """Return a time for people, as coarse as it is known.

    >>> time_text(4.2), time_text(75), time_text(3700)
    ('4 s', '1 min 15 s', '1 h 1 min')
    """
    whole = max(1, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole < 600 else f"{round(whole / 60)} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
