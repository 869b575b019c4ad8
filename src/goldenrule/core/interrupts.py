"""Ctrl-C and SIGTERM, held back until it is safe: what is half done is finished and saved first."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

STOPPING = (signal.SIGINT, signal.SIGTERM)


class Interrupted(BaseException):
    """Raised inside `HeldBack.at_once`: save what there is, then `deliver`."""


class HeldBack:
    """The signals that were held back: true once one came. A second one is not held back any more."""

    def __init__(self) -> None:
        self._came: int | None = None
        self._raising = False
        self._before = {
            number: handler
            for number in STOPPING
            if threading.current_thread() is threading.main_thread()  # no other thread may handle signals
            and (handler := signal.getsignal(number)) not in (signal.SIG_IGN, None)
        }
        for number in self._before:
            signal.signal(number, self._hold)

    def __bool__(self) -> bool:
        return self._came is not None

    def deliver(self) -> None:
        """Restore what the signal does without us: `KeyboardInterrupt`, or the end of the process."""
        self.restore()
        if self._came is not None:
            came, self._came = self._came, None
            signal.raise_signal(came)

    def restore(self) -> None:
        """Hold nothing back any more."""
        while self._before:
            signal.signal(*self._before.popitem())

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Raise `Interrupted` as soon as a signal comes while the block runs: it changes nothing that is saved."""
        self._raising = True
        try:
            if self:
                raise Interrupted
            yield
        finally:
            self._raising = False

    def _hold(self, number: int, _: FrameType | None) -> None:
        second, self._came = self._came is not None, number
        if second:
            self.deliver()
        elif self._raising:
            raise Interrupted


@contextlib.contextmanager
def held_back() -> Iterator[HeldBack]:
    """Hold Ctrl-C and SIGTERM back while the block runs; it looks whether one came, and saves. Then they act."""
    held = HeldBack()
    try:
        yield held
    finally:
        held.restore()
    held.deliver()
