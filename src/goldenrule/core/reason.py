"""What messages are made of: why a file can't be read, and options as the reader writes them."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

KEYWORDS = {"at-most": "top", "backbone": "backbone", "from": "start_from", "metric": "metrics", "on": "split"}
"""What Python calls an option whose name is not that of the command line."""
FLAGS = {"all-steps", "anew", "live", "near-duplicates", "quick", "skip-unknown", "unfreeze-first", "verbose"}
_COMMAND = r"(?:goldenrule|pip|tensorboard|mlflow) [a-z-]+(?:(?![.;:,)] |[.)]$).)*"
_GOES_ON = (
    "a alone and are asks beside both by can copies deals does for gives had has have if in instead is it keeps "
    "leaves may name names needs of on only or out removes says so takes that the then this to too turns where which "
    "with without"
).replace(" ", "|")
"""Words after an option that are no value of it."""
_VALUE = rf"(?P<value>'[^']*'|(?!(?:{_GOES_ON})\b)\S+?(?=[.,:;)]*(?:\s|$)))"
_OPTION = re.compile(rf"(?P<command>{_COMMAND})|(?<![\w-])--(?P<name>[a-z][a-z-]*[a-z])(?: {_VALUE})?")
_ONE_SLASH = re.compile(r"(?<![\w/])s3:/(?!/)")
"""What a path makes of an address."""
_reader = threading.local()


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a file can't be read: what was found in it, and what is wanted instead, "" where nothing can be said of that.

    >>> print(Reason("a PDF", "JPEG or PNG"), Reason("the file is empty"), sep=", ")
    a PDF; wanted JPEG or PNG, the file is empty
    """

    found: str
    wanted: str = ""

    def __str__(self) -> str:
        return f"{self.found}; wanted {self.wanted}" if self.wanted else self.found


@contextmanager
def on_the_command_line() -> Iterator[None]:
    """Let messages name options as a command line spells them, while the block runs."""
    before = getattr(_reader, "on_command_line", False)
    _reader.on_command_line = True
    try:
        yield
    finally:
        _reader.on_command_line = before


def in_readers_words(message: str) -> str:
    """Return a message with its options as whoever called writes them: Python's keywords, but on the command line.

    A command that is quoted stays as it is.

    >>> in_readers_words("--id and --label name columns of a CSV file: give --csv FILE too.")
    'id= and label= name columns of a CSV file: give csv=FILE too.'
    >>> in_readers_words("--at-most 0: wanted 1 or more. Omit --quick, or run: goldenrule labels RUN --at-most 5")
    'top=0: wanted 1 or more. Omit quick=True, or run: goldenrule labels RUN --at-most 5'
    >>> in_readers_words("s3:/bucket/photos has no objects.")
    's3://bucket/photos has no objects.'
    >>> with on_the_command_line():
    ...     in_readers_words("--at-most 0: wanted 1 or more.")
    '--at-most 0: wanted 1 or more.'
    """
    message = _ONE_SLASH.sub("s3://", message)
    return message if getattr(_reader, "on_command_line", False) else _OPTION.sub(_keyword, message)


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
