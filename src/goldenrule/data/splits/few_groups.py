"""How a few whole groups are dealt out where shares of each class can't be: every way is tried, the fairest taken."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from goldenrule.core.errors import TooFewImages
from goldenrule.core.findings import Finding, plural
from goldenrule.core.randomness import key
from goldenrule.data.table import ImageTable, Split

MOST_IN_PAIRS, MOST_UNITS = 12, 60
"""Of so many groups a split may take two, of so many one; where there are more, shares of each class work."""


def with_few_groups(
    table: ImageTable, units: Sequence[bytes], wanted: Mapping[Split, float], lacking: str, *, seed: int
) -> ImageTable:
    """Return the images with whole groups dealt out one by one.

    Raises `TooFewImages`, naming the groups of each class, where no validation can be made of them.
    """
    labels = table.rows["labels"].to_pylist()
    movable = [row for row, split in enumerate(table.splits) if split in (None, "train") and labels[row]]
    found = few_groups([labels[row][0] for row in movable], [units[row] for row in movable], wanted, seed=seed)
    if found is None:
        raise TooFewImages(
            f"The groups leave {lacking}: {_groups_of_classes(table, table.classes)}. Groups stay whole, so two "
            "classes need three groups each, two to train and one to validate, and a fourth for a test split: add "
            "groups; or give --folds 2, where each validates for the others; or do without groups (omit --group, or "
            "give --group-by none), and the numbers flatter."
        )
    of_row = dict(zip(movable, found, strict=True))
    of_unit = {units[row]: split for row, split in of_row.items()}
    return table.with_splits(
        [
            of_row.get(row) or (of_unit.get(units[row], "train") if split in (None, "train") else split)
            for row, split in enumerate(table.splits)
        ]
    )


def few_groups(
    labels: Sequence[int], units: Sequence[bytes], wanted: Mapping[Split, float], *, seed: int
) -> list[Split] | None:
    """Return a split for each image that keeps units whole: each drawn one has two classes, all of them learned.

    What trains has two classes of two units each, so that settings can be chosen out-of-fold. Of all ways the one whose
    splits have sizes nearest to `wanted`; where not every drawn split can be had, the first alone. None where that
    can't be either, and where there are so many units that no way need be looked for.

    >>> wanted = {"valid": 0.1, "test": 0.1}
    >>> few_groups([0, 1, 0, 1, 0, 1, 1], [b"a", b"a", b"b", b"b", b"c", b"c", b"c"], wanted, seed=0)
    ['train', 'train', 'valid', 'valid', 'train', 'train', 'train']
    >>> few_groups([0, 1, 0, 1], [b"a", b"a", b"b", b"b"], wanted, seed=0) is None
    True
    """
    members: dict[bytes, list[int]] = defaultdict(list)
    for unit, label in zip(units, labels, strict=True):
        members[unit].append(label)
    if len(members) > MOST_UNITS:
        return None
    order = sorted(members, key=lambda unit: (-len(members[unit]), key(seed, "split", unit)))
    splits = [split for split, share in wanted.items() if share > 0]
    for some in (splits, splits[:1]):
        shares = {split: wanted[split] * len(labels) for split in some}
        ways = (way for way in _ways(order, some) if _can_be_evaluated(way, members))
        best = min(ways, key=lambda way: _unfairness(way, members, shares), default=None)
        if best is not None:
            of_unit = {unit: split for split, taken in best.items() for unit in taken}
            return [of_unit.get(unit, "train") for unit in units]
    return None


def dealt_out(table: ImageTable, units: Sequence[bytes]) -> Iterator[Finding]:
    """Return a finding that says which group is in which split."""
    names: dict[str, dict[bytes, str]] = defaultdict(dict)
    for split, unit, group, uri in zip(table.splits, units, table.rows["group"].to_pylist(), table.uris, strict=True):
        if split is not None:
            names[split].setdefault(unit, group or uri)
    yield Finding(
        severity="warning",
        code="few-groups",
        variant="" if "test" in names else "no-test",
        fields={"n": len(set(units))},
        evidence=tuple(
            f"{split}: {', '.join(sorted(groups.values())[:3])}{', ...' if len(groups) > 3 else ''}"
            for split, groups in names.items()
        ),
    )


def _groups_of_classes(table: ImageTable, names: Sequence[str]) -> str:
    """Return which groups the first of these classes have."""
    groups: dict[str, set[str]] = defaultdict(set)
    for group, labels in zip(table.rows["group"].to_pylist(), table.rows["labels"].to_pylist(), strict=True):
        for label in labels:
            groups[table.classes[label]].add(group or "(none)")
    said = (
        f"{name} is of {plural(len(groups[name]), 'group')} ({', '.join(sorted(groups[name])[:4])}"
        f"{', ...' if len(groups[name]) > 4 else ''})"
        for name in names[:3]
    )
    return "; ".join(said)


def _ways(units: Sequence[bytes], splits: Sequence[Split]) -> Iterator[dict[Split, tuple[bytes, ...]]]:
    """Return every way to give each of these splits one unit, or two where there are few, and leave one to train."""
    if not splits:
        yield {}
        return
    for count in (1, 2) if len(units) <= MOST_IN_PAIRS else (1,):
        for taken in combinations(reversed(units), count):
            left = [unit for unit in units if unit not in taken]
            if left:
                for way in _ways(left, splits[1:]):
                    yield {splits[0]: taken, **way}


def _can_be_evaluated(way: Mapping[Split, Sequence[bytes]], members: Mapping[bytes, Sequence[int]]) -> bool:
    """Return whether each drawn split has two classes, what is left has them all, and two of them in two units."""
    drawn = {unit for taken in way.values() for unit in taken}
    learned = Counter(label for unit, labels in members.items() if unit not in drawn for label in {*labels})
    if sum(count > 1 for count in learned.values()) < 2:
        return False
    classes = [{label for unit in taken for label in members[unit]} for taken in way.values()]
    return all(len(shown) > 1 and shown <= learned.keys() for shown in classes)


def _unfairness(
    way: Mapping[Split, Sequence[bytes]], members: Mapping[bytes, Sequence[int]], shares: Mapping[Split, float]
) -> float:
    """Return how many images the splits have too many or too few."""
    return sum(abs(sum(len(members[unit]) for unit in way[split]) - share) for split, share in shares.items())
