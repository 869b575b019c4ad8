"""Which images belong together: frames of one series, photos of one patient. They stay in one split and one fold."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

import numpy as np

from goldenrule.core.errors import OptionError
from goldenrule.core.findings import Finding
from goldenrule.data.table import ImageTable
from goldenrule.data.units import alike_group

PRESETS = {"gtsrb": r"^(\d+)_\d+$"}


def with_groups(table: ImageTable, group_by: str = "auto") -> ImageTable:
    """Return the images with their groups, read from their names; a finding says what was found.

    `group_by` is a regular expression to find in the file name without extension; its first group (else the
    whole match) names the group within the image's folder; or "gtsrb" (track_frame); or "none". "auto" groups nothing
    yet: names propose groups (`named_groups`), and a fit asks the images whether they are alike in them.

    Raises `OptionError` for what is no regular expression, or fits no image.
    """
    if group_by in ("auto", "none"):
        return table
    groups = _groups(table.uris, _compiled(PRESETS.get(group_by, group_by), group_by))
    if not any(groups):
        raise OptionError(f"--group-by {group_by}: fits no name, for example {PurePosixPath(table.uris[0]).stem!r}.")
    grouped = table.with_groups(groups)
    return grouped.with_findings(_finding(table, groups))


def with_given_groups(table: ImageTable, groups: Sequence[str | None], column: str) -> ImageTable:
    """Return the images with the groups (n) of a table's column; findings say how many, and which in several splits.

    The splits of `table` are those that its images were given.
    """
    splits_of: dict[str, set[str]] = defaultdict(set)
    for group, split in zip(groups, table.splits, strict=True):
        if group is not None:
            splits_of[group] |= {split} if split is not None else set()
    named = sum(group is not None for group in groups)
    torn = [f"{group}: {' and '.join(sorted(value))}" for group, value in sorted(splits_of.items()) if len(value) > 1]
    found = []
    if named:
        found.append(
            Finding(
                severity="note",
                code="groups",
                fields={"column": column, "images": named, "groups": len(splits_of)},
            )
        )
    if torn:
        found.append(
            Finding(severity="warning", code="group-in-several-splits", fields={"n": len(torn)}, evidence=tuple(torn))
        )
    return table.with_groups(groups).with_findings(*found)


def with_alike(table: ImageTable, pairs: Iterable[tuple[int, int]]) -> ImageTable:
    """Return the images with these pairs of rows, and all that is of a group with one of them, in one group."""
    from scipy.sparse import coo_array  # not at the top: most commands do without
    from scipy.sparse.csgraph import connected_components

    pairs = list(pairs)
    groups = table.rows["group"].to_pylist()
    numbers: dict[str, int] = {}  # each group is a node beside the rows
    members = [(row, numbers.setdefault(name, len(numbers))) for row, name in enumerate(groups) if name is not None]
    edges = np.array([*pairs, *((row, len(table) + number) for row, number in members)], np.int64).reshape(-1, 2)
    nodes = len(table) + len(numbers)
    graph = coo_array((np.ones(len(edges), np.int8), (edges[:, 0], edges[:, 1])), shape=(nodes, nodes))
    _, component = connected_components(graph, directed=False)
    joined = {int(component[row]) for pair in pairs for row in pair}
    names: dict[int, str] = {}
    for component_of, uri in zip(component[: len(table)].tolist(), table.uris, strict=True):
        names.setdefault(component_of, alike_group(uri))
    return table.with_groups(
        [
            names[component_of] if component_of in joined else group
            for component_of, group in zip(component.tolist(), groups, strict=False)
        ]
    )


def _compiled(pattern: str, given: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise OptionError(
            f"--group-by {given}: no regular expression ({error}). Wanted auto, none, {', '.join(PRESETS)}, or one "
            r"whose first group names the group, for example '(\w+)_\d+'."
        ) from error


def _groups(uris: list[str], pattern: re.Pattern[str]) -> list[str | None]:
    groups: list[str | None] = []
    for uri in uris:
        path = PurePosixPath(uri)
        match = pattern.search(path.stem)
        name = match[1 if pattern.groups else 0] if match else None
        groups.append(str(path.parent / name) if name else None)
    return groups


def _finding(table: ImageTable, groups: list[str | None]) -> Finding:
    members: dict[str, list[str]] = defaultdict(list)
    for uri, group in zip(table.uris, groups, strict=True):
        if group is not None:
            members[group].append(uri)
    first = min(members)
    shown = f"{first}: {', '.join(PurePosixPath(uri).name for uri in members[first][:3])}, ..."
    about = {"images": sum(map(len, members.values())), "groups": len(members)}
    return Finding(severity="note", code="series", fields=about, evidence=(shown,))
