import io

import pytest
from rich.console import Console

from goldenrule.core.progress import Bars, Silent


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
    assert "8/8" in screen.getvalue()
    assert "images" in screen.getvalue()


def test_an_exception_passes_through_a_bar():
    with pytest.raises(ValueError, match="stop"), Bars(Console(file=io.StringIO())).task("read", 3, "files"):
        raise ValueError("stop")


def test_a_picture_stands_above_the_bars_while_they_run() -> None:
    shown = io.StringIO()
    bars = Bars(Console(file=shown, force_terminal=True, width=80))
    bars.picture("a drawing\nof two lines")
    with bars.task("train", 3, "batches") as task:
        task.advance()
    assert "of two lines" in shown.getvalue()
    bars.picture("")
    before = len(shown.getvalue())
    with bars.task("train", 3, "batches") as task:
        task.advance()
    assert "of two lines" not in shown.getvalue()[before:]
