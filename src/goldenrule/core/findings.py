"""`Finding`: the one value that every audit, hint and warning ends in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from goldenrule.core.errors import FormatError
from goldenrule.core.messages import Field, field_of, known, say
from goldenrule.core.schema import as_json, as_type, reads
from goldenrule.core.visible import encodable, visible

Severity = Literal["error", "warning", "note"]


def plural(count: int, noun: str, several: str | None = None) -> str:
    """Return a count with its noun; `several` where that is not the noun with an s.

    >>> plural(1, "file"), plural(1200, "file"), plural(2, "class", "classes")
    ('1 file', '1,200 files', '2 classes')
    """
    return f"{count:,} {noun if count == 1 else several or noun + 's'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something the user should know, with what to do about it.

    `code` is a stable short name for programs. With `fields`, and `variant` where one code has several texts, it gives
    `sentence` and `advice` in the language that is spoken (core/languages); of a code without texts there the
    fields `sentence` and `advice` themselves are told. `evidence` names the files or numbers it rests on, `images` the
    images of each piece of it, where a piece says more than the name of one. What `leads` puts the numbers of a run in
    doubt, and is told before them.

    >>> print(Finding(severity="warning", code="unreadable", fields={"n": 1}, evidence=("cats/3.jpg: truncated",)))
    warning: 1 file can't be read (cats/3.jpg: truncated). It is left out of training and scores; replace or remove it.
    """

    severity: Severity
    code: str
    variant: str = ""
    fields: Mapping[str, Field] = field(default_factory=dict, hash=False)
    evidence: tuple[str, ...] = ()
    images: tuple[tuple[str, ...], ...] = field(default=(), compare=False, repr=False)
    leads: bool = False

    def __post_init__(self) -> None:
        """See that every finding can be written, whatever the names of files in it."""
        object.__setattr__(self, "evidence", tuple(map(encodable, self.evidence)))

    @property
    def sentence(self) -> str:
        """What was found."""
        return self._text("sentence") or self.code

    @property
    def advice(self) -> str:
        """What to do about it; "" where there is nothing to do."""
        return self._text("advice")

    def _text(self, kind: str) -> str:
        for message in (f"finding.{self.code}.{self.variant}.{kind}", f"finding.{self.code}.{kind}"):
            if known(message):
                return encodable(say(message, **self.fields))
        return encodable(str(self.fields.get(kind, "")))

    def __str__(self) -> str:
        shown = ", ".join(self.evidence[:5]) + (", ..." if len(self.evidence) > 5 else "")
        return visible(f"{self.severity}: {self.sentence}{f' ({shown})' if shown else ''}. {self.advice}".rstrip())


@as_json.register
def _finding_json(finding: Finding) -> dict[str, Any]:
    """Return a finding as a JSON object, with its texts; without `images`, which its evidence names."""
    return {
        "severity": finding.severity,
        "code": finding.code,
        "variant": finding.variant,
        "sentence": finding.sentence,
        "fields": as_json(finding.fields),
        "evidence": list(finding.evidence),
        "advice": finding.advice,
        "leads": finding.leads,
    }


class _FindingJson(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A finding in a file."""

    severity: Severity
    code: str
    variant: str
    sentence: str
    fields: dict[str, Any]
    evidence: list[str]
    advice: str
    leads: bool


@reads(Finding)
def _finding(value: Any) -> Finding:
    """Return the finding that stands in JSON; its texts are said anew, where its code has any."""
    read = as_type(value, _FindingJson, what="this finding")
    said = known(f"finding.{read.code}.{read.variant}.sentence") or known(f"finding.{read.code}.sentence")
    texts = {} if said else {"sentence": read.sentence, "advice": read.advice}
    found = Finding(
        severity=read.severity,
        code=read.code,
        variant=read.variant,
        fields={name: field_of(text) for name, text in (read.fields | texts).items()},
        evidence=tuple(read.evidence),
        leads=read.leads,
    )
    try:
        str(found)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise FormatError(f"The finding {read.code!r} lacks what its texts ask for ({error}).") from error
    return found
