"""Progress that work reports and that somebody may show; work never knows who is looking."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Protocol


class Task(Protocol):
    """One piece of work with a known number of steps."""

    def advance(self, steps: int = 1) -> None:
        """Report that `steps` more are done."""


class Progress(Protocol):
    """Shows tasks; `Silent` shows nothing, `Bars` draws them in a terminal or notebook."""

    def task(self, name: str, total: int, unit: str) -> contextlib.AbstractContextManager[Task]:
        """Open a task of `total` steps, counted in `unit` ("images")."""

    def say(self, message: str) -> None:
        """Show one line."""

    def detail(self, message: str) -> None:
        """Show a line that most have no need of, such as that of an epoch, to those who asked for everything."""

    def picture(self, text: str) -> None:
        """Show a drawing of several lines above the tasks, in place of the one before; "" takes it away."""


class Silent:
    """Shows nothing."""

    @contextlib.contextmanager
    def task(self, name: str, total: int, unit: str) -> Iterator[Task]:  # noqa: ARG002
        """Return a task nobody looks at."""
        yield _Unseen()

    def say(self, message: str) -> None:
        """Keep quiet."""

    def detail(self, message: str) -> None:
        """Take it for one line more."""
        self.say(message)

    def picture(self, text: str) -> None:
        """Show nothing."""


class _Unseen:
    def advance(self, steps: int = 1) -> None:
        """Do nothing."""


class Bars:
    """Draws a bar with rate and time left for every task, by Rich; `verbose` shows details and pictures too."""

    def __init__(self, console: Any = None, *, verbose: bool = False) -> None:
        from goldenrule.core.console import Console

        self._console = console or Console(stderr=True)
        self._verbose = verbose
        self._picture = ""

    def say(self, message: str) -> None:
        """Print a line above the bars."""
        self._console.print(message, highlight=False)

    def detail(self, message: str) -> None:
        """Print a line above the bars if everything is to be shown."""
        if self._verbose:
            self.say(message)

    def picture(self, text: str) -> None:
        """Draw it above the bars while they run."""
        self._picture = text

    @contextlib.contextmanager
    def task(self, name: str, total: int, unit: str) -> Iterator[Task]:
        """Draw one bar while the block runs."""
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress
        from rich.text import Text

        columns = (
            TextColumn("{task.description:<12}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}"),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(compact=True),
        )
        owner = self

        class WithPicture(RichProgress):
            """Bars with the picture above them."""

            def get_renderables(self) -> Iterator[Any]:
                if owner._picture:
                    yield Text(owner._picture)
                yield from super().get_renderables()

        seen = self._console.is_terminal or self._console.is_jupyter  # into a file they would be empty lines
        with WithPicture(*columns, console=self._console, transient=True, disable=not seen) as bars:
            identity = bars.add_task(name, total=total, unit=unit, rate="")
            yield _Bar(bars, identity, unit)


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


class _Bar:
    def __init__(self, bars: Any, identity: Any, unit: str) -> None:
        self._bars, self._identity, self._unit = bars, identity, unit

    def advance(self, steps: int = 1) -> None:
        """Move the bar on by `steps`."""
        self._bars.update(self._identity, advance=steps, rate=rate_text(self._bars.tasks[0].speed))
