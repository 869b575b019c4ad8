"""A sign of life comes where nothing else is shown, and gives way to what is."""

from __future__ import annotations

import io
import time
from collections.abc import Callable

from rich.console import Console

from goldenrule.core.alive import SignOfLife, alive, shown

PATIENCE = 20.0
"""Seconds until a test gives up: a thread has to come to its turn."""


def until(so: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not so():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_it_comes_while_nothing_is_shown_and_gives_way() -> None:
    screen = io.StringIO()
    sign = SignOfLife(0.01, Console(file=screen, force_terminal=True, width=80))
    sign.start()
    until(lambda: "working" in screen.getvalue())
    with sign.paused():
        before = screen.getvalue()
        time.sleep(0.1)
        assert screen.getvalue() == before, "nothing is drawn over what is shown"
    until(lambda: "working" in screen.getvalue()[len(before) :])
    sign.stop()
    before = screen.getvalue()
    time.sleep(0.1)
    assert screen.getvalue() == before


def test_where_nobody_looks_there_is_none() -> None:
    with alive(wanted=False), shown():
        pass
