"""Findings on images that are there more than once: as equal files, or nearly so."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from goldenrule.core.findings import Finding, plural
from goldenrule.data.duplicates.likeness import Alike
from goldenrule.data.table import ImageTable


def equal_files(table: ImageTable) -> list[list[int]]:
    """Give the groups of rows whose files have equal bytes."""
    places: dict[bytes, list[int]] = defaultdict(list)
    for row, digest in enumerate(table.digests):
        if digest is not None:
            places[digest].append(row)
    return [rows for rows in places.values() if len(rows) > 1]


def duplicates(table: ImageTable) -> Iterator[Finding]:
    """Give findings for files with equal bytes in different parts, or under different labels."""
    uris, parts, labels = table.uris, table.parts, table.rows["labels"].to_pylist()
    same = equal_files(table)
    leaks = [rows for rows in same if len({parts[row] for row in rows}) > 1]
    torn = [rows for rows in same if len({tuple(labels[row]) for row in rows if labels[row]}) > 1]

    def evidence(groups: list[list[int]]) -> tuple[str, ...]:
        return tuple(" = ".join(uris[row] for row in rows) for rows in groups)

    if leaks:
        yield Finding(
            severity="warning",
            code="leak",
            sentence=f"{len(leaks):,} image{'s are' if len(leaks) > 1 else ' is'} in more than one part",
            evidence=evidence(leaks),
            advice="The scores of those parts flatter: keep one copy of each.",
        )
    if torn:
        yield Finding(
            severity="warning",
            code="two-labels",
            sentence=f"{len(torn):,} image{'s have' if len(torn) > 1 else ' has'} more than one label",
            evidence=evidence(torn),
            advice="Keep the right one of each.",
        )


def repeated(table: ImageTable) -> Iterator[Finding]:
    """Give a finding for files with equal bytes in one part and under one label."""
    uris, parts, labels = table.uris, table.parts, table.rows["labels"].to_pylist()
    plain = [rows for rows in equal_files(table) if len({(parts[row], tuple(labels[row])) for row in rows}) == 1]
    if plain:
        yield Finding(
            severity="note",
            code="duplicate",
            sentence=f"{plural(len(plain), 'image')} {'are' if len(plain) > 1 else 'is'} there more than once",
            evidence=tuple(" = ".join(uris[row] for row in rows) for rows in plain),
            advice="They stay in one part and one fold; a copy adds nothing to learn from.",
        )


def near_duplicates(table: ImageTable, pairs: Sequence[Alike]) -> Iterator[Finding]:
    """Give findings for near duplicates in different parts, under different labels, and all others."""
    uris, parts, labels = table.uris, table.parts, table.rows["labels"].to_pylist()

    def evidence(own: Sequence[Alike]) -> tuple[str, ...]:
        mark = {True: " (mirrored)", False: ""}
        return tuple(f"{uris[pair.first]} ~ {uris[pair.second]}{mark[pair.mirrored]}" for pair in own)

    leaks = [pair for pair in pairs if parts[pair.first] != parts[pair.second]]
    torn = [
        pair
        for pair in pairs
        if labels[pair.first] and labels[pair.second] and labels[pair.first] != labels[pair.second]
    ]
    told = {*leaks, *torn}
    others = [pair for pair in pairs if pair not in told]
    kinds = (
        ("warning", "leak-near", leaks, "in two parts", "The scores of those parts flatter: keep one of each."),
        ("warning", "two-labels-near", torn, "under two labels", "Look at them: one of the labels may be wrong."),
        ("note", "near-duplicate", others, "in one part", "A split keeps them in one part, a fit in one fold."),
    )
    for severity, code, own, where, advice in kinds:
        if own:
            yield Finding(
                severity=severity,  # type: ignore[arg-type]  # mypy widens literals in tuples
                code=code,
                sentence=f"{plural(len(own), 'pair')} of near duplicates {'are' if len(own) > 1 else 'is'} {where}",
                evidence=evidence(own),
                advice=advice,
            )
