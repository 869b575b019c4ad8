"""`Finding`: the one value that every audit, hint and warning ends in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from goldenrule.core.visible import encodable, visible

Severity = Literal["error", "warning", "note"]


def plural(count: int, noun: str, several: str | None = None) -> str:
    """Give a count with its noun; `several` where that is not the noun with an s.

    >>> plural(1, "file"), plural(1200, "file"), plural(2, "class", "classes")
    ('1 file', '1,200 files', '2 classes')
    """
    return f"{count:,} {noun if count == 1 else several or noun + 's'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something the user should know, with what to do about it.

    `code` is a stable short name for programs, `evidence` names the files or numbers it rests on. What `leads` puts the
    numbers of a run in doubt, and is told before them.

    >>> print(Finding(severity="warning", code="unreadable", sentence="1 file can't be read",
    ...               evidence=("cats/3.jpg: truncated",), advice="Replace it."))
    warning: 1 file can't be read (cats/3.jpg: truncated). Replace it.
    """

    severity: Severity
    code: str
    sentence: str
    evidence: tuple[str, ...] = ()
    advice: str = ""
    leads: bool = False

    def __post_init__(self) -> None:
        """See that every finding can be written, whatever the names of files in it."""
        object.__setattr__(self, "sentence", encodable(self.sentence))
        object.__setattr__(self, "evidence", tuple(map(encodable, self.evidence)))
        object.__setattr__(self, "advice", encodable(self.advice))

    def __str__(self) -> str:
        shown = ", ".join(self.evidence[:5]) + (", ..." if len(self.evidence) > 5 else "")
        return visible(f"{self.severity}: {self.sentence}{f' ({shown})' if shown else ''}. {self.advice}".rstrip())
