"""Options in a message, as its reader writes them: `--csv FILE` on the command line is `csv=FILE` in Python."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

KEYWORDS = {"at-most": "top", "backbone": "backbone", "from": "start_from", "metric": "metrics", "on": "split"}
"""What Python calls an option whose name is not that of the command line."""
FLAGS = {"anew", "live", "near-duplicates", "quick", "skip-unknown", "unfreeze-first", "verbose"}
_COMMAND = r"(?:goldenrule|pip|tensorboard|mlflow) [a-z-]+(?:(?![.;:,)] |[.)]$).)*"
_GOES_ON = (
    "a alone and are asks beside both by can copies deals does for gives had has have if in instead is it keeps "
    "leaves may name names needs of on only or out removes says so takes that the then this to too turns where which "
    "with without"
).replace(" ", "|")
"""Words after an option that are no value of it."""
_VALUE = rf"(?P<value>'[^']*'|(?!(?:{_GOES_ON})\b)\S+?(?=[.,:;)]*(?:\s|$)))"
_OPTION = re.compile(rf"(?P<command>{_COMMAND})|(?<![\w-])--(?P<name>[a-z][a-z-]*[a-z])(?: {_VALUE})?")
_on_command_line: ContextVar[bool] = ContextVar("on_command_line", default=False)


@contextmanager
def on_the_command_line() -> Iterator[None]:
    """Let messages name options as a command line spells them, while the block runs."""
    token = _on_command_line.set(True)
    try:
        yield
    finally:
        _on_command_line.reset(token)


def in_readers_words(message: str) -> str:
    """Return a message with its options as whoever called writes them: Python's keywords, but on the command line.

    A command that is quoted stays as it is.

    >>> in_readers_words("--id and --label name columns of a CSV file: give --csv FILE too.")
    'id= and label= name columns of a CSV file: give csv=FILE too.'
    >>> in_readers_words("--at-most 0: wanted 1 or more. Omit --quick, or run: goldenrule labels RUN --at-most 5")
    'top=0: wanted 1 or more. Omit quick=True, or run: goldenrule labels RUN --at-most 5'
    >>> with on_the_command_line():
    ...     in_readers_words("--at-most 0: wanted 1 or more.")
    '--at-most 0: wanted 1 or more.'
    """
    return message if _on_command_line.get() else _OPTION.sub(_keyword, message)


def _keyword(found: re.Match[str]) -> str:
    if found["command"]:
        return found["command"]
    name, value = found["name"], found["value"]
    keyword = KEYWORDS.get(name, name.replace("-", "_"))
    if name in FLAGS:
        return f"{keyword}=True" + (f" {value}" if value else "")
    if value and "=" in value and not value.isupper() and not value.startswith("'"):
        value = f"'{value}'"
    return f"{keyword}={value or ''}"
