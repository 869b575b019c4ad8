"""The terminal as all commands write to it: names are shown as they are, and can't steer it.

Text is no markup: a class called "[red]" has that name. What can't be seen is spelled out (`visible`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import rich.console
import rich.text
from rich.console import RenderableType, RenderResult

from goldenrule.core.alive import shown
from goldenrule.core.visible import visible

_LINES = "\n\t"
_asked: ContextVar[dict[str, bool]] = ContextVar("asked", default={})  # noqa: B039 - never changed in place


@contextlib.contextmanager
def printing(*, quiet: bool = False, on_stderr: bool = False) -> Iterator[None]:
    """Let consoles that are made inside be quiet, or write to standard error, where numbers have standard output."""
    token = _asked.set({name: True for name, wanted in (("quiet", quiet), ("stderr", on_stderr)) if wanted})
    try:
        yield
    finally:
        _asked.reset(token)


class Text(rich.text.Text):
    """A line of text in which a line break in a name is spelled out; with `lines` it breaks the line."""

    def __init__(self, text: object = "", style: Any = "", *, lines: bool = False, **options: Any) -> None:
        super().__init__(visible(text, keep=_LINES if lines else ""), style, **options)


class Console(rich.console.Console):
    """Rich's console without markup, which spells out what would steer the terminal.

    Inside `printing` it is quiet, or writes to standard error, as was asked for there; what goes to a `file` goes there
    all the same, and `always` is for errors.
    """

    def __init__(self, *, always: bool = False, **options: Any) -> None:
        asked = {} if always or "file" in options else _asked.get()
        super().__init__(**{"markup": False, "emoji": False, **options, **asked})

    def print(self, *objects: Any, **options: Any) -> None:
        """Print as Rich does; a sign of life gives way."""
        with shown():
            super().print(*objects, **options)

    def render(self, renderable: RenderableType, options: rich.console.ConsoleOptions | None = None) -> Any:
        """Render anything; texts are made safe first."""
        drawn: Any = renderable
        if isinstance(drawn, str):
            drawn = self.render_str(drawn, highlight=(options or self.options).highlight)
        if isinstance(drawn, rich.text.Text):
            drawn = _safe(drawn)
        return super().render(drawn, options)


def _safe(text: rich.text.Text) -> rich.text.Text:
    """Return the text with what can't be seen spelled out, its styles as they were."""
    plain = text.plain
    if visible(plain, keep=_LINES) == plain:
        return text
    safe = text.blank_copy()
    for piece in text.divide(range(1, len(plain))):
        spelled = visible(piece.plain, keep=_LINES)
        safe.append_text(piece if spelled == piece.plain else rich.text.Text(spelled, piece.style))
    return safe


__all__ = ["Console", "RenderResult", "Text"]
