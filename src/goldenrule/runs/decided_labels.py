"""Images with the labels that were decided: those that a journal removes are left out, the others get its labels."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from goldenrule.core.errors import OptionError, nearest
from goldenrule.core.findings import Finding, plural
from goldenrule.data.table import ImageTable
from goldenrule.runs.review_journal import DecidedImage, Decision, read_journal, standing

SHOWN = 3
DECIDED = "decided"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """Images with other labels, how many of them changed, and how many are left out."""

    table: ImageTable
    relabelled: int
    removed: int


def with_journal(table: ImageTable, journal: Path) -> ImageTable:
    """Return images with the decisions of a journal, and a finding that says what was done.

    Raises `OptionError` for a journal of other images, or of such as were changed since.
    """
    decisions, sha256 = read_journal(journal)
    held = standing(decisions)
    if table.task == "multi":
        raise OptionError("These images have several labels each, and decisions are about one label an image.")
    if not held:
        raise OptionError(f"{journal} holds no decision: give one that goldenrule review has written.")
    changes = checked_changes(table, held, journal)
    found = with_labels(table, changes)
    note = Finding(
        severity="note",
        code=DECIDED,
        fields={
            "relabelled": found.relabelled,
            "removed": found.removed,
            "journal": journal.name,
            "sha256": sha256,
        },
    )
    return found.table.with_findings(note)


def about_decisions(table: ImageTable) -> dict[str, Any]:
    """Return by which journal labels of these images were decided, and how many changed; empty where none was."""
    found = next((one.fields for one in table.findings if one.code == DECIDED), None)
    return {} if found is None else {"journal": {name: found[name] for name in ("sha256", "relabelled", "removed")}}


def with_labels(table: ImageTable, changes: Mapping[str, str | None]) -> Decided:
    """Return images with other labels, by their paths; those of None are left out.

    Raises `OptionError` for a label that is no class.
    """
    index = {name: number for number, name in enumerate(table.classes)}
    for name in changes.values():
        if name is not None and name not in index:
            guess = nearest(name, table.classes, most=1)
            raise OptionError(
                f"{name!r} is no class of these images: wanted one of {', '.join(table.classes[:8])}"
                f"{', ...' if table.classes[8:] else ''}.{f' Did you mean {guess[0]}?' if guess else ''}"
            )
    before = table.rows["labels"].to_pylist()
    stays = np.array([changes.get(uri, "") is not None for uri in table.uris], dtype=bool)
    after = [
        [index[name]] if (name := changes.get(uri)) else labels for uri, labels in zip(table.uris, before, strict=True)
    ]
    relabelled = sum(bool(old != new and left) for old, new, left in zip(before, after, stays, strict=True))
    return Decided(
        table=table.with_labels(after).where(stays),
        relabelled=relabelled,
        removed=int((~stays).sum()),
    )


def checked_changes(
    table: ImageTable, held: Mapping[str, tuple[Decision, DecidedImage]], journal: Path
) -> dict[str, str | None]:
    """Return the labels that decisions change, by path, when each of them is about an image as it is here.

    An image that is to be removed and is gone needs nothing more; nor does one that has its new label already.
    """
    labels = {
        uri: table.classes[row[0]] if row else ""
        for uri, row in zip(table.uris, table.rows["labels"].to_pylist(), strict=True)
    }
    if not labels.keys() & held.keys():
        raise OptionError(
            f"{journal} is about other images: {next(iter(held))} and the others are not in {table.root}. Give the "
            "folder that the reviewed run was fitted on."
        )
    changes: dict[str, str | None] = {}
    wrong: list[str] = []
    for uri, (decision, image) in held.items():
        if decision.verdict not in ("relabel", "remove"):
            continue
        if uri not in labels:
            if decision.verdict == "relabel":
                wrong.append(f"{uri} is not there")
        elif sha256_of(table, uri) != image.sha256:
            wrong.append(f"{uri} holds other bytes")
        elif decision.verdict == "remove":
            changes[uri] = None
        elif labels[uri] in (image.label, decision.to):
            changes[uri] = decision.to
        else:
            wrong.append(f"{uri} is labelled {labels[uri] or 'nothing'} instead of {image.label}")
    if wrong:
        raise OptionError(
            f"{journal}: {plural(len(wrong), 'decision')} can't be applied: {'; '.join(wrong[:SHOWN])}"
            f"{'; ...' if wrong[SHOWN:] else ''}. The images were changed since: put them back, or review again."
        )
    return changes


def sha256_of(table: ImageTable, uri: str) -> str:
    """Return the hexadecimal sha256 of an image's bytes, "" where it can't be read."""
    try:
        return hashlib.sha256(table.read(uri)).hexdigest()
    except OSError:
        return ""
