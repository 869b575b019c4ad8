import io

import pytest
from rich.console import Console

from goldenrule.foundation.progress import Bars, Silent


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
