"""Files that can't be read as pictures: each with what was found, and once for all what is wanted."""

from __future__ import annotations

from collections.abc import Mapping

from goldenrule.core.findings import Finding
from goldenrule.core.reason import Reason


def wanted_once(reasons: Mapping[str, Reason]) -> tuple[list[str], str]:
    """Return what was found in each file, by its uri, and what is wanted of all of them, each wish once.

    >>> pdf = Reason("a PDF", "JPEG or PNG")
    >>> wanted_once({"a.pdf": pdf, "b.pdf": pdf, "c.jpg": Reason("truncated")})
    (['a.pdf: a PDF', 'b.pdf: a PDF', 'c.jpg: truncated'], 'JPEG or PNG')
    """
    ordered = sorted(reasons.items(), key=lambda item: f"{item[0]}: {item[1]}")
    wishes = dict.fromkeys(reason.wanted for _, reason in ordered if reason.wanted)
    return [f"{uri}: {reason.found}" for uri, reason in ordered], "; ".join(wishes)


def unreadable(reasons: Mapping[str, Reason]) -> Finding:
    """Return the finding for files that are no pictures, from why each is none, by its uri."""
    found, wanted = wanted_once(reasons)
    return Finding(
        severity="warning",
        code="unreadable",
        variant="wanted" if wanted else "",
        fields={"n": len(reasons), "wanted": wanted},
        evidence=tuple(found),
    )
