"""Files that can't be read as pictures: each with what was found, and once for all what is wanted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from goldenrule.core.findings import Finding, plural

WANTED = "; wanted "
"""What stands in a reason between what was found in one file and what is wanted of every file."""


def wanted_once(reasons: Iterable[str]) -> tuple[list[str], str]:
    """Return what was found in each file, and what is wanted of all of them, each wish once.

    >>> wanted_once(["a.pdf: a PDF; wanted JPEG or PNG", "b.pdf: a PDF; wanted JPEG or PNG", "c.jpg: truncated"])
    (['a.pdf: a PDF', 'b.pdf: a PDF', 'c.jpg: truncated'], 'JPEG or PNG')
    """
    found, wishes = [], dict[str, None]()
    for reason in reasons:
        before, between, wish = reason.rpartition(WANTED)
        found.append(before if between else reason)
        if between:
            wishes[wish] = None
    return found, "; ".join(wishes)


def unreadable(reasons: Sequence[str]) -> Finding:
    """Return the finding for files that are no pictures, from "uri: reason" lines."""
    found, wanted = wanted_once(sorted(reasons))
    one = len(reasons) == 1
    return Finding(
        severity="warning",
        code="unreadable",
        sentence=f"{plural(len(reasons), 'file')} can't be read",
        evidence=tuple(found),
        advice=(f"Wanted: {wanted}. " if wanted else "")
        + f"{'It is' if one else 'They are'} left out of training and scores; replace or remove "
        f"{'it' if one else 'them'}.",
    )
