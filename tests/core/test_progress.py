import io
import time

import pytest
from rich.console import Console

from goldenrule.core import progress
from goldenrule.core.progress import Bars, Silent, bars_if_seen


def test_silence_is_silent(capfd):
    with Silent().task("read", 3, "files") as task:
        task.advance()
    Silent().say("something")
    assert capfd.readouterr() == ("", "")


def test_bars_say_what_is_done_of_what_and_in_which_unit():
    screen = io.StringIO()
    bars = Bars(Console(file=screen, force_terminal=True, width=120))
    bars.say("Preparing")
    with bars.task("precompute", 8, "images") as task:
        for _ in range(4):
            task.advance(2)
    assert "Preparing" in screen.getvalue()
    assert "8 of 8 images" in screen.getvalue()


def test_where_no_bar_can_be_drawn_a_line_says_how_far_it_is_from_time_to_time(monkeypatch) -> None:
    monkeypatch.setattr(progress, "LINE_AFTER_SECONDS", 0.0)
    monkeypatch.setattr(progress, "LINE_EVERY_SECONDS", 0.001)
    log = io.StringIO()
    bars = Bars(Console(file=log, width=120))
    bars.expect("all steps", 3600.0)
    with bars.task("precompute", 8, "images") as task:
        task.advance(2)
        while log.getvalue().count("precompute: 2 of 8 images, ") < 2:
            time.sleep(0.001)
    line = log.getvalue().splitlines()[-1]
    assert " left, about 60 min left in all" in line or " left, about 1 h 0 min left in all" in line
    assert "/s, " in line or " s each, " in line


def test_a_step_that_takes_no_time_has_no_line_in_a_log() -> None:
    log = io.StringIO()
    with Bars(Console(file=log)).task("read", 3, "files") as task:
        task.advance(3)
    assert log.getvalue() == ""


def test_an_exception_passes_through_a_bar():
    with pytest.raises(ValueError, match="stop"), Bars(Console(file=io.StringIO())).task("read", 3, "files"):
        raise ValueError("stop")


def test_a_picture_stands_above_the_bars_while_they_run() -> None:
    shown = io.StringIO()
    bars = Bars(Console(file=shown, force_terminal=True, width=80))
    bars.picture(lambda: "a drawing\nof two lines")
    with bars.task("train", 3, "batches") as task:
        task.advance()
    assert "of two lines" in shown.getvalue()
    bars.picture(None)
    before = len(shown.getvalue())
    with bars.task("train", 3, "batches") as task:
        task.advance()
    assert "of two lines" not in shown.getvalue()[before:]


def test_all_steps_have_a_bar_of_their_own_below_that_of_the_step() -> None:
    screen = io.StringIO()
    bars = Bars(Console(file=screen, force_terminal=True, width=120))
    bars.expect("all steps", 3600.0)
    with bars.task("train", 3, "batches") as task:
        task.advance()
    assert "all steps" in screen.getvalue()
    assert "about 60 min left" in screen.getvalue() or "about 1 h 0 min left" in screen.getvalue()
    bars.expect("all steps", 0.0)
    before = len(screen.getvalue())
    with bars.task("train", 3, "batches") as task:
        task.advance()
    assert "all steps" not in screen.getvalue()[before:]


def test_all_steps_take_no_less_than_the_one_that_runs() -> None:
    screen = io.StringIO()
    bars = Bars(Console(file=screen, force_terminal=True, width=120))
    bars.expect("all steps", 0.001)
    with bars.task("train", 1_000_000_000, "batches") as task:
        for _ in range(3):
            task.advance()
    last = screen.getvalue().rpartition("all steps")[2]
    assert "about" in last
    assert "h " in last


def test_python_shows_bars_where_somebody_looks_and_nothing_else() -> None:
    assert isinstance(bars_if_seen(), Silent), "the tests have no terminal"
