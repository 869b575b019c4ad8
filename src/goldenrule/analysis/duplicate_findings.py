"""Findings on images that are there more than once: as equal files, or nearly so."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from goldenrule.core.findings import Finding, Severity
from goldenrule.data.duplicates.likeness import NearDuplicate
from goldenrule.data.table import ImageTable


def equal_files(table: ImageTable) -> list[list[int]]:
    """Return the groups of rows whose files have equal bytes."""
    places: dict[bytes, list[int]] = defaultdict(list)
    for row, digest in enumerate(table.digests):
        if digest is not None:
            places[digest].append(row)
    return [rows for rows in places.values() if len(rows) > 1]


def duplicates(table: ImageTable) -> Iterator[Finding]:
    """Return findings for files with equal bytes in different splits, or under different labels.

    `table` holds the images that can be read: two empty files are no copies of an image.
    """
    uris, splits, labels = table.uris, table.splits, table.rows["labels"].to_pylist()
    same = equal_files(table)
    leaks = [rows for rows in same if len({splits[row] for row in rows}) > 1]
    torn = [rows for rows in same if len({tuple(labels[row]) for row in rows if labels[row]}) > 1]

    if leaks:
        yield Finding(
            severity="warning",
            code="leak",
            fields={"n": len(leaks)},
            evidence=_equal(uris, leaks),
            images=_named(uris, leaks),
        )
    if torn:
        yield Finding(
            severity="warning",
            code="two-labels",
            fields={"n": len(torn)},
            evidence=_equal(uris, torn),
            images=_named(uris, torn),
        )


def repeated(table: ImageTable) -> Iterator[Finding]:
    """Return a finding for files with equal bytes in one split and under one label; `table` as for `duplicates`."""
    uris, splits, labels = table.uris, table.splits, table.rows["labels"].to_pylist()
    plain = [rows for rows in equal_files(table) if len({(splits[row], tuple(labels[row])) for row in rows}) == 1]
    if plain:
        yield Finding(
            severity="note",
            code="duplicate",
            fields={"n": len(plain)},
            evidence=_equal(uris, plain),
            images=_named(uris, plain),
        )


def near_duplicates(table: ImageTable, pairs: Sequence[NearDuplicate]) -> Iterator[Finding]:
    """Return findings for near duplicates in different splits, under different labels, and all others."""
    uris, splits, labels = table.uris, table.splits, table.rows["labels"].to_pylist()

    def evidence(some: Sequence[NearDuplicate]) -> tuple[str, ...]:
        mark = {True: " (mirrored)", False: ""}
        return tuple(f"{uris[pair.first]} ~ {uris[pair.second]}{mark[pair.mirrored]}" for pair in some)

    leaks = [pair for pair in pairs if splits[pair.first] != splits[pair.second]]
    torn = [
        pair
        for pair in pairs
        if labels[pair.first] and labels[pair.second] and labels[pair.first] != labels[pair.second]
    ]
    told = {*leaks, *torn}
    others = [pair for pair in pairs if pair not in told]
    kinds: tuple[tuple[Severity, str, list[NearDuplicate]], ...] = (
        ("warning", "leak-near", leaks),
        ("warning", "two-labels-near", torn),
        ("note", "near-duplicate", others),
    )
    for severity, code, pairs_of_kind in kinds:
        if pairs_of_kind:
            yield Finding(
                severity=severity,
                code=code,
                fields={"n": len(pairs_of_kind)},
                evidence=evidence(pairs_of_kind),
                images=tuple((uris[pair.first], uris[pair.second]) for pair in pairs_of_kind),
            )


def _named(uris: Sequence[str], groups: Sequence[Sequence[int]]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(uris[row] for row in rows) for rows in groups)


def _equal(uris: Sequence[str], groups: Sequence[Sequence[int]]) -> tuple[str, ...]:
    return tuple(map(" = ".join, _named(uris, groups)))
