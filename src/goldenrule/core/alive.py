"""A sign of life: where a command shows nothing for more than a second, a line says that it works, and how long."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

AFTER_SECONDS = 1.2


class SignOfLife:
    """Draws a spinner with seconds on standard error while nothing else is shown there.

    Whoever shows something does it inside `paused`; afterwards the waiting begins anew.
    """

    def __init__(self, after: float = AFTER_SECONDS, console: Any = None) -> None:
        self._after, self._console = after, console
        self._lock = threading.RLock()
        self._timer: threading.Timer | None = None
        self._spinner: Any = None
        self._pauses = 0
        self._active = False

    def start(self) -> None:
        """Begin to wait."""
        with self._lock:
            self._active = True
            self._wait()

    def stop(self) -> None:
        """End it, and take the spinner away."""
        with self._lock:
            self._active = False
            self._clear()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Show nothing while the block runs."""
        with self._lock:
            self._pauses += 1
            self._clear()
        try:
            yield
        finally:
            with self._lock:
                self._pauses -= 1
                self._wait()

    def _wait(self) -> None:
        if not self._active or self._pauses:
            return
        self._timer = threading.Timer(self._after, self._show)
        self._timer.daemon = True
        self._timer.start()

    def _clear(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self._spinner:
            self._spinner.stop()
            self._spinner = None

    def _show(self) -> None:
        from rich.console import Console
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        with self._lock:
            if not self._active or self._pauses or self._spinner:
                return
            columns = (SpinnerColumn(), TextColumn("working"), TimeElapsedColumn())
            self._spinner = Progress(*columns, console=self._console or Console(stderr=True), transient=True)
            self._spinner.add_task("", total=None)
            self._spinner.start()


_current: SignOfLife | None = None


@contextlib.contextmanager
def alive(*, wanted: bool) -> Iterator[None]:
    """Give a sign of life while the block runs, where it is `wanted`."""
    global _current
    if not wanted:
        yield
        return
    _current = SignOfLife()
    _current.start()
    try:
        yield
    finally:
        _current.stop()
        _current = None


@contextlib.contextmanager
def shown() -> Iterator[None]:
    """Keep the sign of life away while the block shows something."""
    if _current is None:
        yield
        return
    with _current.paused():
        yield
