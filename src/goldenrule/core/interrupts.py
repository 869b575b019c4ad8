"""Ctrl-C and SIGTERM, held back until it is safe: what is half done is finished and saved first."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from types import FrameType

STOPPING = (signal.SIGINT, signal.SIGTERM)


class _Asked:
    """What the process was asked to end by, if it was, and the error that says so."""

    number: int | None = None
    error: type[BaseException] = KeyboardInterrupt


def raise_when_told(errors: Mapping[int, type[BaseException]]) -> None:
    """Raise the signal's error where the code is when it comes; a signal that is ignored, as by `nohup`, stays ignored.

    Such an error can get lost: a library's bare `except` while it is imported, a destructor, a callback of C. `asked`
    then still knows, and `raise_if_told` raises it once more. Where one is lost, Python says nothing of it.
    """
    tell_of_lost = sys.unraisablehook

    def lost(what: sys.UnraisableHookArgs) -> None:
        if not isinstance(what.exc_value, tuple(errors.values())):
            tell_of_lost(what)

    def tell(number: int, _: FrameType | None) -> None:
        _Asked.number, _Asked.error = number, errors[number]
        raise errors[number]

    sys.unraisablehook = lost
    for number in errors:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, tell)


def asked() -> int | None:
    """Return the signal that came, whatever became of its error."""
    return _Asked.number


def raise_if_told() -> None:
    """Raise the error of a signal that came before, if one did: where work goes on, it was lost."""
    if _Asked.number is not None and threading.current_thread() is threading.main_thread():
        raise _Asked.error


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
