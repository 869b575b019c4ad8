"""What may be evaluated: no class by a classifier that has not learned it. Pure functions of labels and units.

A unit is what stays together: a group, or all files with equal bytes. A class of one unit can't be learned by what
leaves that unit out, so it trains always, is evaluated nowhere, and is named.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from goldenrule.core.findings import Finding, plural
from goldenrule.data.table import SPLITS, ImageTable, Split, Task

NOT_EVALUATED = -1
"""The fold of an image that always trains and is never evaluated."""
MOST_NAMED = 20
Place = TypeVar("Place")


def traits(labels: Sequence[Sequence[int]], *, task: Task) -> list[tuple[int, ...]]:
    """Return what each image shows of the classes, as numbers: what is evaluated must have been learned.

    One label: the label. Several: each label, and -1 - label for a label that most images have and this one lacks.
    An unlabelled image shows nothing.

    >>> traits([[0], [], [1]], task="single")
    [(0,), (), (1,)]
    >>> traits([[0, 1], [0], [0, 2], []], task="multi")
    [(0, 1), (0,), (0, 2), ()]
    >>> traits([[0, 1], [0], [1]], task="multi")
    [(0, 1), (0, -2), (1, -1)]
    """
    if task == "single":
        return [tuple(indices[:1]) for indices in labels]
    counts = Counter(label for indices in labels for label in indices)
    labelled = sum(bool(indices) for indices in labels)
    usual = [label for label, count in counts.items() if labelled / 2 < count < labelled]
    return [
        (*indices, *(-1 - label for label in usual if label not in indices)) if indices else () for indices in labels
    ]


def evaluable_folds(
    folds: npt.NDArray[np.int64], shown: Sequence[Sequence[int]], units: Sequence[bytes], *, count: int
) -> npt.NDArray[np.int64]:
    """Return the folds (n,) with as few units moved as it takes: each trait is learned elsewhere than it is evaluated.

    `shown` are the `traits` of the images, `count` the number of folds. A unit that alone shows a trait gets
    `NOT_EVALUATED`, as does one of those that no other fold can take without taking a trait from another.
    """
    members: dict[bytes, list[int]] = defaultdict(list)
    of_unit: dict[bytes, set[int]] = defaultdict(set)
    holders: dict[int, set[bytes]] = defaultdict(set)
    for row, (unit, traits_of) in enumerate(zip(units, shown, strict=True)):
        members[unit].append(row)
        of_unit[unit].update(traits_of)
        for trait in traits_of:
            holders[trait].add(unit)
    place = {unit: int(folds[rows[0]]) for unit, rows in members.items()}

    def learned(trait: int, without: bytes | None = None, then: int | None = None) -> bool:
        """Whether a trait is learned wherever it is evaluated, after moving a unit into the fold `then`."""
        places = {then if unit == without else place[unit] for unit in holders[trait]}
        return NOT_EVALUATED in places or len(places) > 1

    for trait in sorted(holders, key=lambda number: (len(holders[number]), number)):
        if learned(trait):
            continue
        shows = sorted(holders[trait], key=lambda unit: (len(members[unit]), unit))
        if len(shows) == 1:
            place[shows[0]] = NOT_EVALUATED
            continue
        load = Counter(place.values())
        others = sorted((fold for fold in range(count) if fold != place[shows[0]]), key=lambda fold: (load[fold], fold))
        place |= next(
            (
                {unit: fold}
                for unit in shows
                for fold in others
                if all(learned(held, unit, fold) for held in of_unit[unit] if held == trait or learned(held))
            ),
            {shows[0]: NOT_EVALUATED},
        )
    return np.array([place[unit] for unit in units], dtype=np.int64)


def evaluable_splits(
    splits: Sequence[Place],
    shown: Sequence[Sequence[int]],
    units: Sequence[bytes],
    *,
    train: Place,
    drawn: Sequence[int],
) -> list[Place]:
    """Return the splits with those drawn units back in `train` without which it would lack a trait that is evaluated.

    `drawn` are the rows that may move. Of several units the smallest one goes back.
    """
    learned = {trait for split, traits_of in zip(splits, shown, strict=True) if split == train for trait in traits_of}
    members: dict[bytes, list[int]] = defaultdict(list)
    holders: dict[int, set[bytes]] = defaultdict(set)
    for row in drawn:
        if splits[row] != train:
            members[units[row]].append(row)
            for trait in shown[row]:
                holders[trait].add(units[row])
    new = list(splits)
    for trait in sorted(holders, key=lambda number: (len(holders[number]), number)):
        if trait in learned:
            continue
        unit = min(holders[trait], key=lambda digest: (len(members[digest]), digest))
        for row in members[unit]:
            new[row] = train
            learned.update(shown[row])
    return new


def missing_classes(table: ImageTable, splits: Collection[Split] = SPLITS) -> Iterator[Finding]:
    """Yield a finding for each of these parts that lacks a class; one without labelled images evaluates nothing."""
    counts = table.counts()
    for split in splits:
        row = counts.get(split, {})
        if row.get("", 0) == sum(row.values()):
            continue
        missing = tuple(name for name in table.classes if not row[name])
        if missing:
            yield Finding(
                severity="warning",
                code="class-missing",
                variant="train" if split == "train" else "",
                fields={"split": split, "missing": len(missing), "classes": len(table.classes)},
                evidence=missing,
            )


def not_evaluated(table: ImageTable, evaluated_uris: Collection[str]) -> Iterator[Finding]:
    """Return a finding that names the classes without an image among those that are evaluated, by their uris."""
    images: Counter[int] = Counter()
    groups: dict[int, set[str]] = defaultdict(set)
    evaluated: set[int] = set()
    every = zip(table.rows["labels"].to_pylist(), table.rows["group"].to_pylist(), table.uris, strict=True)
    for indices, group, uri in every:
        for label in indices:
            images[label] += 1
            groups[label] |= {group} if group is not None else set()
            if uri in evaluated_uris:
                evaluated.add(label)
    missing = sorted(set(images) - evaluated)
    if missing:
        named = [
            f"{table.classes[label]}: {plural(images[label], 'image')}"
            + (f", {' and '.join(sorted(groups[label])[:3])}" if groups[label] else "")
            for label in missing
        ]
        yield Finding(
            severity="warning",
            code="class-not-judged",
            fields={"n": len(missing)},
            evidence=tuple(named),
        )
