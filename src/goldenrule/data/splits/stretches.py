"""Folds and splits that take whole stretches of an order in which neighbours are alike.

Random folds of such images put neighbours on both sides, and measure how well each is remembered. Contiguous blocks do
not: Roberts et al. (2017), "Cross-validation strategies for data with temporal, spatial, hierarchical, or phylogenetic
structure", Ecography 40:913-929.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from goldenrule.core.randomness import key
from goldenrule.data.splits.evaluated_classes import evaluable_folds, traits
from goldenrule.data.table import ImageTable, Split, Task
from goldenrule.data.units import duplicate_units, is_named
from goldenrule.metrics import Predictions
from goldenrule.metrics.grouped.clusters import group_numbers

Integers = npt.NDArray[np.int64]

FEWEST = 8
"""Kinds of fewer images are too few to tell whether neighbours are alike."""
STRETCHES = 3
"""A drawn split takes so many separated stretches of each kind, so that it is not all of one place."""
SHORTEST = 3
"""A drawn stretch has so many images at least: of shorter ones each image would have a neighbour in train."""
BLOCKS, FEWEST_BLOCKS = 12, 5
"""Intervals resample so many blocks in all, or so many of each kind: whichever is more. Shorter ones would be alike."""
REST = -1


def kinds(labels: Sequence[Sequence[int]], units: Sequence[bytes], *, task: Task) -> Integers:
    """Return the kind (n,) of each image: what it shows. Images are alike or not within a kind, and it is cut in folds.

    One label: the label. Several: the set of labels; rare sets are together `REST`, and so are unlabelled images.
    """
    sets = [tuple(sorted(label)) for label in labels]
    if task == "single":
        return np.array([indices[0] if indices else REST for indices in sets], np.int64)
    members: dict[tuple[int, ...], set[bytes]] = defaultdict(set)
    for indices, unit in zip(sets, units, strict=True):
        members[indices].add(unit)
    frequent = sorted(indices for indices, holding in members.items() if indices and len(holding) >= FEWEST)
    number = {indices: place for place, indices in enumerate(frequent)}
    return np.array([number.get(indices, REST) for indices in sets], np.int64)


def stretch_folds(
    labels: Sequence[Sequence[int]], places: Sequence[int], units: Sequence[bytes], *, task: Task, folds: int
) -> Integers:
    """Return a fold (n,) for each image: each fold takes one stretch of the order `places` (n,) of every kind.

    It is the same stretch of all kinds, for what was taken together has near places in all of them. Units are kept
    whole, and stand where the first of their images stands. A kind of few units is cut in halves, so that each fold
    still trains on it. `NOT_EVALUATED` are images of a class that no other fold could teach.
    """
    kind_of = kinds(labels, units, task=task)
    dealt = np.empty(len(units), np.int64)
    load = np.zeros(folds, np.int64)
    queues = _queues(kind_of, places, units)
    for _, queue in sorted(queues.items(), key=lambda item: -len(item[1])):
        count = folds if len(queue) >= max(FEWEST, folds) else 2
        chosen = range(folds) if count == folds else np.sort(np.argsort(load, kind="stable")[:count])
        for fold, stretch in zip(chosen, _cut([rows for _, rows in queue], count), strict=True):
            for rows in stretch:
                dealt[rows] = fold
                load[fold] += len(rows)
    return evaluable_folds(dealt, traits(labels, task=task), units, count=folds)


def stretch_splits(
    labels: Sequence[Sequence[int]],
    places: Sequence[int | None],
    units: Sequence[bytes],
    wanted: Mapping[Split, float],
    *,
    task: Task,
    seed: int,
) -> dict[bytes, Split]:
    """Return the part of each unit: of every kind each split but train takes `STRETCHES` separated stretches.

    Where each begins is drawn by the hash of (seed, split, number), at the same share of the way for every kind: what
    was taken together (a wall with and without a crack) has near places in both. Left out are images without a place,
    and kinds that are too small for stretches of `SHORTEST` units: those are drawn one by one.
    """
    drawn: dict[bytes, Split] = {}
    splits = [split for split, share in wanted.items() if share > 0]
    rows = [row for row, place in enumerate(places) if place is not None]
    if not rows or not splits:
        return drawn
    row_units = [units[row] for row in rows]
    kind_of = kinds([labels[row] for row in rows], row_units, task=task)
    for kind, queue in _queues(kind_of, [places[row] or 0 for row in rows], row_units).items():
        if kind == REST or len(queue) * min(wanted[split] for split in splits) < STRETCHES * SHORTEST:
            continue
        drawn.update((unit, "train") for unit, _ in queue)
        bounds = np.linspace(0, len(queue), STRETCHES + 1).astype(int).tolist()
        for number, (low, high) in enumerate(itertools.pairwise(bounds)):
            lengths = [round(wanted[split] * (high - low)) for split in splits]
            gap = (high - low - sum(lengths)) // len(splits)  # train lies between the stretches, wherever they begin
            start = low
            for split, length in zip(splits, lengths, strict=True):
                drawn_at = int.from_bytes(key(seed, "stretch", split, number)[:8], "little") / 2**64
                first = start + int(drawn_at * gap)
                drawn.update((unit, split) for unit, _ in queue[first : first + length])
                start += gap + length
    return drawn


def blocks(table: ImageTable) -> list[str | None] | None:
    """Return the block (n) of each image, for intervals and resampling: groups, or pieces of the order; None for none.

    An image without a place is a block of its own (None). Pieces hold whole units. Near duplicates alone are no blocks.
    """
    places = table.places
    if all(place is None for place in places):
        groups = list(table.rows["group"].to_pylist())
        return groups if any(map(is_named, groups)) else None
    units, labels = duplicate_units(table), table.rows["labels"].to_pylist()
    rows = [row for row, place in enumerate(places) if place is not None]
    kind_of = kinds([labels[row] for row in rows], [units[row] for row in rows], task=table.task)
    queues = _queues(kind_of, [places[row] or 0 for row in rows], [units[row] for row in rows])
    found: list[str | None] = [None] * len(table)
    per_kind = max(FEWEST_BLOCKS, -(-BLOCKS // len(queues)))
    for kind, queue in queues.items():
        for number, stretch in enumerate(_cut([unit_rows for _, unit_rows in queue], min(per_kind, len(queue)))):
            for members in stretch:
                for row in members:
                    found[rows[row]] = f"{kind}/{number}"
    return found


def with_blocks(predictions: Predictions, table: ImageTable) -> Predictions:
    """Return predictions, whose ids are files of `table`, with what belongs together there: intervals resample it."""
    if (named := blocks(table)) is None:
        return predictions
    of_image = dict(zip(table.uris, named, strict=True))
    return replace(predictions, group=group_numbers([of_image.get(name) for name in predictions.ids]))


def torn(table: ImageTable, split: Split) -> bool:
    """Return whether a split is mixed with train: most of its groups train, or most neighbours in the order do."""
    places, splits, groups = table.places, table.splits, table.rows["group"].to_pylist()
    named = [(group, given) for group, given in zip(groups, splits, strict=True) if group and is_named(group)]
    taught = {group for group, given in named if given == "train"}
    of_split = [group in taught for group, given in named if given == split]
    if sum(of_split) * 2 > len(of_split):
        return True
    kind_of = kinds(table.rows["labels"].to_pylist(), duplicate_units(table), task=table.task)
    sides: Counter[bool] = Counter()
    ordered: dict[int, list[int]] = defaultdict(list)
    for row, place in enumerate(places):
        if place is not None and splits[row] in (split, "train"):
            ordered[int(kind_of[row])].append(row)
    for rows in ordered.values():
        rows.sort(key=lambda row: places[row] or 0)
        for one, other in itertools.pairwise(rows):
            for before, near in ((one, other), (other, one)):
                if splits[before] == split:
                    sides[splits[near] == "train"] += 1
    return sides[True] > sides[False]


def _queues(
    kind_of: Integers, places: Sequence[int], units: Sequence[bytes]
) -> dict[int, list[tuple[bytes, list[int]]]]:
    """Return, for each kind, its units in their order with their rows; a unit is of the kind of its first image."""
    members: dict[bytes, list[int]] = defaultdict(list)
    for row in np.argsort(np.asarray(places), kind="stable").tolist():
        members[units[row]].append(row)
    queues: dict[int, list[tuple[bytes, list[int]]]] = defaultdict(list)
    for unit, rows in members.items():
        queues[int(kind_of[rows[0]])].append((unit, rows))
    return queues


def _cut(queue: Sequence[list[int]], count: int) -> list[list[list[int]]]:
    """Return `count` stretches of units with about equally many images, none empty where there are enough units."""
    total, passed = sum(map(len, queue)), 0
    stretches: list[list[list[int]]] = [[] for _ in range(count)]
    latest = 0
    for number, rows in enumerate(queue):
        wanted = int((passed + len(rows) / 2) * count / total)
        least = count - (len(queue) - number)  # as many units are left as stretches are empty
        latest = min(max(wanted, latest, least), latest + 1 if stretches[latest] else latest, count - 1)
        stretches[latest].append(rows)
        passed += len(rows)
    return stretches
