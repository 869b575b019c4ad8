"""`Reason`: why a file can't be read."""

from __future__ import annotations

from dataclasses import dataclass


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
