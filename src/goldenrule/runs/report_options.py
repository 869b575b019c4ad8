"""What people may add to the report of a finished run, and their notes as they are read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from goldenrule.core.errors import OptionError
from goldenrule.core.option import check_options, option
from goldenrule.core.visible import visible
from goldenrule.storage.regular_files import read_regular

MOST_NOTES_BYTES = 1 << 20
MOST_LETTERS = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportOptions:
    """What people add to a report of their own; it is no part of the run."""

    title: str = option("", "A title of your own.", unset="the name of the images' folder", metavar="TEXT")
    team: str = option("", "Who made it.", metavar="TEXT")
    goal: str = option("", "What the classifier is for, in a sentence or two.", metavar="TEXT")
    notes: Path | None = option(
        None,
        "A Markdown file with your own text: method, problems, improvements.",
        metavar="FILE",
    )

    def __post_init__(self) -> None:
        """Raise `OptionError` for a value out of bounds."""
        check_options(self)
        for name in ("title", "team", "goal"):
            if len(getattr(self, name)) > MOST_LETTERS:
                raise OptionError(
                    f"--{name}: {len(getattr(self, name)):,} letters; wanted {MOST_LETTERS:,} or less. A longer text "
                    "goes into a file: --notes FILE."
                )


def read_notes(path: Path | None) -> str:
    """Return the text of notes, "" for none; raises `OptionError` where the file can't be read as UTF-8 text."""
    if path is None:
        return ""
    try:
        return read_regular(path, most_bytes=MOST_NOTES_BYTES).decode("utf-8-sig")
    except OSError as error:
        why = visible(error.strerror or str(error))
        raise OptionError(f"--notes {path} can't be read: {why}. Wanted a Markdown or text file.") from error
    except UnicodeDecodeError as error:
        raise OptionError(f"--notes {path} is no UTF-8 text (byte {error.start:,}). Save it as UTF-8.") from error
