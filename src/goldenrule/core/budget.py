"""A budget that threads share: who wants more than is left waits for the others."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Budget:
    """So much of something for all threads together, handed out in the order of asking.

    Who wants more than there is at all waits until nobody has any, and goes alone. A thread that has some gets more
    without waiting: it can't wait for itself, so nobody waits for ever.
    """

    def __init__(self, size: Callable[[], int]) -> None:
        self._size = size
        self._used = 0
        self._waiting: deque[object] = deque()
        self._changed = threading.Condition()
        self._thread = threading.local()

    @contextmanager
    def taken(self, amount: int) -> Iterator[None]:
        """Hold `amount` while the block runs."""
        if getattr(self._thread, "holds", False):
            yield
            return
        size = self._size()
        amount = min(amount, size)
        ticket = object()
        with self._changed:
            self._waiting.append(ticket)
            try:
                self._changed.wait_for(
                    lambda: self._waiting[0] is ticket and (not self._used or self._used + amount <= size)
                )
                self._used += amount
            finally:
                self._waiting.remove(ticket)  # Ctrl-C while it waits must not leave the others waiting for it
                self._changed.notify_all()
        self._thread.holds = True
        try:
            yield
        finally:
            self._thread.holds = False
            with self._changed:
                self._used -= amount
                self._changed.notify_all()
