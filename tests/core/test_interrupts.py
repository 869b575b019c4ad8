"""Ctrl-C and SIGTERM wait until what is half done is finished; asked twice, they don't."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from goldenrule.core.interrupts import Interrupted, held_back

BOTH = [signal.SIGINT, signal.SIGTERM]


@pytest.fixture(autouse=True)
def told() -> Iterator[list[int]]:
    """Which signals reached the handlers of the world outside, which raise nothing."""
    came: list[int] = []
    before = {number: signal.signal(number, lambda value, _: came.append(value)) for number in BOTH}
    yield came
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", BOTH)
def test_a_signal_waits_until_it_is_delivered(told: list[int], number: signal.Signals) -> None:
    with held_back() as held:
        assert not held
        signal.raise_signal(number)
        assert held
        assert told == []
        held.deliver()
        assert told == [number]
        assert not held
    assert told == [number]


@pytest.mark.parametrize("number", BOTH)
def test_a_signal_acts_at_the_end_of_the_block(told: list[int], number: signal.Signals) -> None:
    with held_back():
        signal.raise_signal(number)
        assert told == []
    assert told == [number]


def test_a_second_signal_does_not_wait(told: list[int]) -> None:
    with held_back():
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
        assert told == [signal.SIGINT]
    assert told == [signal.SIGINT]


def test_where_nothing_is_half_done_the_signal_raises_and_waits_no_longer(told: list[int]) -> None:
    with held_back() as held:
        with pytest.raises(Interrupted), held.at_once():
            signal.raise_signal(signal.SIGINT)
        assert held
        held.deliver()
        with held.at_once():
            signal.raise_signal(signal.SIGINT)
    assert told == [signal.SIGINT] * 2


def test_one_that_came_before_raises_where_nothing_is_half_done() -> None:
    with held_back() as held:
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(Interrupted), held.at_once():
            pytest.fail("the block was entered")


def test_blocks_within_blocks_hand_it_outwards(told: list[int]) -> None:
    with held_back() as outer:
        with held_back():
            signal.raise_signal(signal.SIGINT)
        assert outer
        assert told == []
    assert told == [signal.SIGINT]


def test_after_an_error_the_handlers_are_those_of_before(told: list[int]) -> None:
    with pytest.raises(ValueError, match="mine"), held_back():
        raise ValueError("mine")
    signal.raise_signal(signal.SIGINT)
    assert told == [signal.SIGINT]


def test_what_is_ignored_stays_ignored(told: list[int]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with held_back() as held:
        signal.raise_signal(signal.SIGINT)
        assert not held
    assert told == []


def test_another_thread_holds_nothing_back() -> None:
    found: list[bool] = []

    def work() -> None:
        with held_back() as held:
            found.append(bool(held))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [False]


SCRIPT = """
import signal
from goldenrule.core.interrupts import held_back
with held_back():
    signal.raise_signal(signal.{name})
    print("saved", flush=True)
print("not reached")
"""


@pytest.mark.parametrize(("name", "code"), [("SIGINT", -signal.SIGINT), ("SIGTERM", -signal.SIGTERM)])
def test_a_script_without_handlers_ends_by_the_signal_after_the_block(name: str, code: int) -> None:
    found = subprocess.run([sys.executable, "-c", SCRIPT.format(name=name)], capture_output=True, text=True)
    assert found.stdout == "saved\n"
    assert found.returncode == code


LOST = """
import contextlib
import signal
from goldenrule.core.interrupts import asked, raise_when_told
from goldenrule.core.progress import Silent
raise_when_told({{signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: SystemExit}})
with Silent().task("work", 2, "images") as task:
    task.advance()
    assert asked() is None
    with contextlib.suppress(BaseException):
        signal.raise_signal(signal.{name})
    assert asked() == signal.{name}
    print("lost", flush=True)
    task.advance()
    print("not reached")
"""


@pytest.mark.parametrize(("name", "error"), [("SIGINT", "KeyboardInterrupt"), ("SIGTERM", "")])
def test_a_signal_whose_error_a_library_ate_ends_the_work_at_its_next_step(name: str, error: str) -> None:
    found = subprocess.run([sys.executable, "-c", LOST.format(name=name)], capture_output=True, text=True)
    assert found.stdout == "lost\n"
    assert error in found.stderr


def test_python_says_nothing_of_an_error_that_a_destructor_loses() -> None:
    script = """if True:
        import signal
        from goldenrule.core.interrupts import asked, raise_when_told
        raise_when_told({signal.SIGINT: KeyboardInterrupt})
        class Ends:
            def __del__(self):
                signal.raise_signal(signal.SIGINT)
        class Fails:
            def __del__(self):
                raise ValueError("of another kind")
        Ends()
        Fails()
        print(asked())"""
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout == "2\n"
    assert "KeyboardInterrupt" not in found.stderr
    assert "ValueError: of another kind" in found.stderr


def test_what_is_ignored_under_nohup_stays_ignored() -> None:
    script = """if True:
        import signal
        from goldenrule.core.interrupts import raise_when_told
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise_when_told({signal.SIGINT: KeyboardInterrupt})
        signal.raise_signal(signal.SIGINT)
        print("goes on")"""
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout == "goes on\n"
