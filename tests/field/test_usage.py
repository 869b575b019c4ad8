"""Words on the command line that would steer a terminal, in the messages that Typer makes of them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest

ESCAPE = "\x1b]0;pwned\x07\x9b31m\u202e"
WORDS = (
    (f"--{ESCAPE}",),
    ("fit", "a", f"b{ESCAPE}"),
    ("fit", "a", f"--{ESCAPE}"),
    ("cache", f"--{ESCAPE}"),
    ("audit", ESCAPE, ESCAPE),
)


@pytest.mark.parametrize("words", WORDS, ids=ascii)
def test_no_word_of_the_command_line_steers_the_terminal(
    command: Callable[..., subprocess.CompletedProcess[str]], words: tuple[str, ...]
) -> None:
    said = command(*words)
    assert said.returncode == 2
    text = said.stdout + said.stderr
    assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(text), ascii(text)
