"""Which images belong together: frames of one series, photos of one patient. They stay in one part and one fold."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

import numpy as np

from goldenrule.foundation.errors import OptionError
from goldenrule.foundation.findings import Finding, plural
from goldenrule.images.split import FEWEST_UNITS, split_together, stratified_parts
from goldenrule.images.table import ImageTable, Part

SERIES = r"^(.+)[_-]\d+$"
"""A file name that ends in a number: what stands before it may name a series."""
ALIKE = "alike: "
"""What the group of near duplicates is called, with the first of them."""
PRESETS = {"gtsrb": r"^(\d+)_\d+$"}
FEWEST_FRAMES, MATCHING_SHARE, MOST_OFF = 3, 0.9, 2
"""Names are taken for those of series where there are so many images per series, so many names fit, and no drawn part
is more than so many times as large, or as small, as without series.
"""


def with_groups(table: ImageTable, group_by: str = "auto") -> ImageTable:
    """Give the images with their groups, read from their names; a finding says what was found.

    `group_by` is a regular expression to find in the file name without extension; its first group (else the
    whole match) names the group within the image's folder; or "gtsrb" (track_frame); or "none". "auto" groups by
    what stands before the last number where the names look like those of series: nearly all end in a number,
    a series has three images or more on average, and every class has three series or more among the images that
    train. It does not where that would cost a part one of its classes, or much of its share.

    Raises `OptionError` for what is no regular expression, or fits no image.
    """
    if group_by == "none":
        return table
    groups = _groups(table.uris, _compiled(SERIES if group_by == "auto" else PRESETS.get(group_by, group_by), group_by))
    if group_by == "auto" and not _are_series(table, groups):
        return table
    if not any(groups):
        raise OptionError(f"--group-by {group_by}: fits no name, for example {PurePosixPath(table.uris[0]).stem!r}.")
    grouped = table.with_groups(groups)
    return grouped.with_findings(_finding(table, groups, guessed=group_by == "auto"))


def with_given_groups(table: ImageTable, groups: Sequence[str | None], column: str) -> ImageTable:
    """Give the images with the groups (n) of a table's column; findings say how many, and which are in several parts.

    The parts of `table` are those that its images were given.
    """
    parts_of: dict[str, set[str]] = defaultdict(set)
    for group, part in zip(groups, table.parts, strict=True):
        if group is not None:
            parts_of[group] |= {part} if part is not None else set()
    named = sum(group is not None for group in groups)
    torn = [f"{group}: {' and '.join(sorted(own))}" for group, own in sorted(parts_of.items()) if len(own) > 1]
    found = []
    if named:
        sentence = f"the column {column} puts {plural(named, 'image')} in {plural(len(parts_of), 'group')}"
        advice = "A group stays in one part and in one fold, where goldenrule draws them."
        found.append(Finding(severity="note", code="groups", sentence=sentence, advice=advice))
    if torn:
        sentence = f"{plural(len(torn), 'group has', 'groups have')} images in several of the given parts"
        advice = "There a part asks for what another has taught: its numbers will be too good for new groups."
        found.append(
            Finding(
                severity="warning",
                code="group-in-several-parts",
                sentence=sentence,
                evidence=tuple(torn),
                advice=advice,
            )
        )
    return table.with_groups(groups).with_findings(*found)


def with_alike(table: ImageTable, pairs: Iterable[tuple[int, int]]) -> ImageTable:
    """Give the images with these pairs of rows, and all that is of a group with one of them, in one group."""
    from scipy.sparse import coo_array  # not at the top: most commands do without
    from scipy.sparse.csgraph import connected_components

    pairs = list(pairs)
    groups = table.rows["group"].to_pylist()
    numbers: dict[str, int] = {}  # each group is a node beside the rows
    members = [(row, numbers.setdefault(own, len(numbers))) for row, own in enumerate(groups) if own is not None]
    edges = np.array([*pairs, *((row, len(table) + number) for row, number in members)], np.int64).reshape(-1, 2)
    nodes = len(table) + len(numbers)
    graph = coo_array((np.ones(len(edges), np.int8), (edges[:, 0], edges[:, 1])), shape=(nodes, nodes))
    _, component = connected_components(graph, directed=False)
    joined = {int(component[row]) for pair in pairs for row in pair}
    names: dict[int, str] = {}
    for own, uri in zip(component[: len(table)].tolist(), table.uris, strict=True):
        names.setdefault(own, f"{ALIKE}{uri}")
    return table.with_groups(
        [names[own] if own in joined else group for own, group in zip(component.tolist(), groups, strict=False)]
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


def _are_series(table: ImageTable, groups: list[str | None]) -> bool:
    """Judge by the labelled images that train."""
    series: dict[int, set[str]] = defaultdict(set)
    every = zip(groups, table.rows["labels"].to_pylist(), table.parts, strict=True)
    labelled = [(group, labels[0]) for group, labels, part in every if labels and part in (None, "train")]
    for group, label in labelled:
        if group is not None:
            series[label].add(group)
    fitting = sum(group is not None for group, _ in labelled)
    count = len(set.union(*series.values())) if series else 0
    return (
        fitting >= MATCHING_SHARE * len(labelled)
        and fitting >= FEWEST_FRAMES * count
        and len(series) == len({label for _, label in labelled})
        and min(map(len, series.values()), default=0) >= FEWEST_UNITS
        and ("valid" in table.parts or _splits_alike(table, groups))
    )


def _splits_alike(table: ImageTable, groups: Sequence[str | None]) -> bool:
    """Say whether a split that keeps these groups whole has parts like those of a split of single images.

    No part much larger or smaller, and no class lost; but where many coarse classes are split together a part has
    some of them.
    """
    rows = [row for row, part in enumerate(table.parts) if part in (None, "train")]
    labels = table.rows["labels"].to_pylist()
    classes = [labels[row][0] if labels[row] else -1 for row in rows]
    alone = [b"u%d" % row for row in rows]
    units = [b"g" + own.encode() if (own := groups[row]) is not None else b"u%d" % row for row in rows]
    wanted: dict[Part, float] = {"valid": 0.1, "test": 0.1} if "test" not in table.parts else {"valid": 0.1}
    single, whole = (
        Counter(zip(stratified_parts(classes, own, wanted, seed=0), classes, strict=True)) for own in (alone, units)
    )
    few = not split_together(classes, units, wanted)
    for part in wanted:
        before, after = (sum(n for (own, _), n in counts.items() if own == part) for counts in (single, whole))
        if not before / MOST_OFF <= after <= before * MOST_OFF:
            return False
        if few and {label for own, label in single if own == part} - {label for own, label in whole if own == part}:
            return False
    return True


def _finding(table: ImageTable, groups: list[str | None], *, guessed: bool) -> Finding:
    members: dict[str, list[str]] = defaultdict(list)
    for uri, group in zip(table.uris, groups, strict=True):
        if group is not None:
            members[group].append(uri)
    first = min(members)
    sentence = f"{sum(map(len, members.values())):,} images are taken for {len(members):,} series by their names"
    advice = "A series stays in one part and in one fold: else validation would only ask for what was learned by heart."
    if guessed:
        sentence = f"{sentence}: a guess, which changes the split and the folds"
        advice += " --group-by none turns this off, --group-by REGEX names other groups."
    shown = f"{first}: {', '.join(PurePosixPath(uri).name for uri in members[first][:3])}, ..."
    return Finding(
        severity="warning" if guessed else "note", code="series", sentence=sentence, evidence=(shown,), advice=advice
    )
