"""Which images train, which choose, which evaluate: pure functions of labels, units and a seed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from goldenrule.core.errors import OptionError, TooFewImages, UnreadableImage
from goldenrule.core.randomness import key
from goldenrule.data.pictures.file_digests import with_digests
from goldenrule.data.pictures.header import header
from goldenrule.data.splits.evaluated_classes import evaluable_splits, missing_classes, traits
from goldenrule.data.splits.few_groups import dealt_out, with_few_groups
from goldenrule.data.splits.stretches import stretch_splits
from goldenrule.data.table import ImageTable, Split
from goldenrule.data.units import duplicate_units

Place = TypeVar("Place", bound=Hashable)
FEWEST_UNITS = 3
"""So many units a class needs to be split into train, valid and test."""
COARSE = 2.0
"""A class is coarse where its smallest unit is more than so many times its share of a split."""
FEWEST_TOGETHER = 10
"""Coarse classes are dealt out together only where each split gets about so many units: fewer say little."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """The share of the images that validate and test; the rest trains. 8:1:1 by default."""

    valid: float = 0.1
    test: float = 0.1

    def __post_init__(self) -> None:
        if not (0 <= self.valid < 1 and 0 <= self.test < 1 and self.valid + self.test < 1):
            raise OptionError(f"Shares of valid={self.valid} and test={self.test} leave nothing to train on.")


def with_split(
    table: ImageTable,
    *,
    seed: int = 0,
    shares: Shares | None = None,
    before: Mapping[bytes, Split] | None = None,
) -> ImageTable:
    """Return the table with a split for every image.

    Splits that the folder itself has stay as they are. Class folders alone are split by `shares`; where only
    the validation split is missing it is carved from train. Images with equal bytes or of one group stay
    together, and where neighbours are alike (`ImageTable.places`) splits take whole stretches of their order. `before`
    (digest to split) is an earlier split of these images: it never changes again, only
    new images are assigned.
    """
    shares = shares or Shares()
    splits = table.splits
    if "valid" in splits:
        return table
    if all(file_digest is None for file_digest in table.digests):
        table = with_digests(table)  # without them equal files could not be kept together
    wanted: dict[Split, float] = {"valid": shares.valid}
    if "test" not in splits:
        wanted["test"] = shares.test
    units = duplicate_units(table)
    drawn = _drawn(table, units, wanted, seed=seed, before=before or {})
    new = tuple(split for split, share in wanted.items() if share > 0)
    if not before and (lacking := _lacking(table, drawn, new, wanted, seed)):
        drawn = with_few_groups(table, units, wanted, lacking, seed=seed)
        return drawn.with_findings(*dealt_out(drawn, units), *missing_classes(drawn, new))
    return drawn.with_findings(*missing_classes(drawn, new))


def _drawn(
    table: ImageTable,
    units: Sequence[bytes],
    wanted: Mapping[Split, float],
    *,
    seed: int,
    before: Mapping[bytes, Split],
) -> ImageTable:
    """Return the images with drawn splits instead of none and train; those without a label train, and teach nothing.

    An unlabelled image goes with its copies and its group.
    """
    splits, digests, places = table.splits, table.digests, table.places
    labels = table.rows["labels"].to_pylist()
    movable = [row for row, split in enumerate(splits) if split in (None, "train") and labels[row]]
    unit_of = [units[row] for row in movable]
    shown = [labels[row] for row in movable]
    if before:
        known = _known_units(table, units, movable, before)
    else:  # whole stretches where neighbours are alike
        known = stretch_splits(shown, [places[row] for row in movable], unit_of, wanted, task=table.task, seed=seed)
    if table.task == "multi":
        assigned = stratified_label_sets(shown, unit_of, wanted, seed=seed, known=known)
    else:
        classes = [one[0] for one in shown]
        assigned = stratified_splits(classes, unit_of, wanted, seed=seed, known=known)
    if before:  # even of images that are known to belong together now
        kept = [before.get(digests[row] or b"", split) for row, split in zip(movable, assigned, strict=True)]
        single = [digests[row] or units[row] for row in movable]
        traits_ = traits(shown, task=table.task)
        assigned = evaluable_splits(kept, traits_, single, train="train", drawn=range(len(movable)))
    drawn = dict(zip(movable, assigned, strict=True))
    of_unit = {units[row]: split for row, split in drawn.items()}
    new = [
        drawn.get(row) or (of_unit.get(units[row], "train") if split in (None, "train") else split)
        for row, split in enumerate(splits)
    ]
    return table.with_splits(new)


def _lacking(
    table: ImageTable, drawn: ImageTable, new: Sequence[Split], wanted: Mapping[Split, float], seed: int
) -> str:
    """Return in words what groups leave that would be more without them, "" where all is well.

    That is a drawn split without two classes, and one group alone to train on.
    """
    groups = table.rows["group"].to_pylist()
    if all(group is None for group in groups) or table.task == "multi":
        return ""
    train = drawn.split("train").only_labelled()
    if new and len(set(duplicate_units(train))) == 1 and len(set(groups)) > 1:
        return "one of them alone to train on"
    alone = table.with_groups([None] * len(table))
    without = _drawn(alone, duplicate_units(alone), wanted, seed=seed, before={}).counts()
    for split in new:
        there, could = (
            {name for name, count in counts.get(split, {}).items() if name and count}
            for counts in (drawn.counts(), without)
        )
        if len(there) < 2 <= len(could):
            return f"the {split} split without two classes"
    return ""


def stratified_splits(
    labels: Sequence[int],
    units: Sequence[bytes],
    wanted: Mapping[Split, float],
    *,
    seed: int,
    known: Mapping[bytes, Split] | None = None,
) -> list[Split]:
    """Return a split for each image: of each class, `wanted` shares leave train, whole units at a time.

    A unit is drawn by the hash of (seed, unit), so neither the order of the images nor the rest of the set
    matters. Each split gets at least one image of a class that has three units or more, and train is never left
    without a class. A unit with images of several classes counts for its most frequent one.

    Where one unit is more than `COARSE` times the share of its class, such as a film of 15 frames of the 45 that
    there are, the shares are those of all such classes together: some classes give a unit, others none. Where these
    are few, each class of three units gives one to each split, and one of two units trains.

    Where units have images of several classes, train keeps a unit of each class that another split evaluates.
    """
    members, by_class = _by_class(labels, units)
    splits: dict[bytes, Split] = dict(known or {})
    for units_of in by_class.values():
        units_of.sort(key=lambda unit: key(seed, "split", unit))
    most = max(wanted.values(), default=0.0)
    coarse = _coarse(by_class, members, most)
    together = coarse if _are_many([by_class[label] for label in coarse], most) else set[int]()
    _split_together([by_class[label] for label in together], members, wanted, splits, seed)
    for label, units_of in ((label, value) for label, value in by_class.items() if label not in together):
        if label in coarse and len(units_of) < FEWEST_UNITS:
            splits.update((unit, "train") for unit in units_of if unit not in splits)
            continue
        images = sum(len(members[unit]) for unit in units_of)
        free = [unit for unit in units_of if unit not in splits]
        waiting = [*(split for split, share in wanted.items() if share > 0), "train"]
        for split, share in wanted.items():
            waiting = [other for other in waiting if other != split]
            taken = {splits[unit] for unit in units_of if unit in splits}
            kept = (
                sum(other not in taken for other in waiting)
                if len(units_of) >= FEWEST_UNITS
                else int("train" not in taken)
            )
            quota = max(round(share * images), int(share > 0 and len(units_of) >= FEWEST_UNITS))
            have = sum(len(members[unit]) for unit in units_of if splits.get(unit) == split)
            while len(free) > kept and have < quota:
                unit = _fitting(free, members, quota)
                free.remove(unit)
                splits[unit] = split
                have += len(members[unit])
        splits.update(dict.fromkeys(free, "train"))
    shown = traits([[label] if label >= 0 else [] for label in labels], task="single")
    return evaluable_splits([splits[unit] for unit in units], shown, units, train="train", drawn=range(len(units)))


def stratified_label_sets(
    labels: Sequence[Sequence[int]],
    units: Sequence[bytes],
    wanted: Mapping[Split, float],
    *,
    seed: int,
    known: Mapping[bytes, Split] | None = None,
) -> list[Split]:
    """Return a split for each image of several labels: of each label, about `wanted` shares leave train.

    Iterative stratification (Sechidis, Tsoumakas, Vlahavas 2011, "On the stratification of multi-label data"), by
    whole units: the rarest label that is left is dealt out first, each unit to the split that lacks most of it.
    Among equals the hash of (seed, unit) decides. Images without a label are dealt out last.
    """
    shares: dict[Split, float] = {**wanted, "train": 1 - sum(wanted.values())}
    splits = label_sets_dealt(labels, units, shares, draw=lambda unit: key(seed, "split", unit), known=known)
    return evaluable_splits(splits, traits(labels, task="multi"), units, train="train", drawn=range(len(units)))


def label_sets_dealt(
    labels: Sequence[Sequence[int]],
    units: Sequence[bytes],
    shares: Mapping[Place, float],
    *,
    draw: Callable[[bytes], bytes],
    known: Mapping[bytes, Place] | None = None,
) -> list[Place]:
    """Return each image of several labels one of the places that `shares` names, by iterative stratification.

    Among equals the unit with the lowest `draw` is dealt out first. Of places with equal shares none stays empty
    where there are as many units.
    """
    members: dict[bytes, list[int]] = defaultdict(list)
    for row, unit in enumerate(units):
        members[unit].append(row)
    counts = {unit: Counter(label for row in rows for label in labels[row]) for unit, rows in members.items()}
    total = sum(counts.values(), Counter())
    lacking = {place: {label: share * count for label, count in total.items()} for place, share in shares.items()}
    room = {place: share * len(units) for place, share in shares.items()}
    places: dict[bytes, Place] = {}

    def put(unit: bytes, place: Place) -> None:
        places[unit] = place
        room[place] -= len(members[unit])
        for label, count in counts[unit].items():
            lacking[place][label] -= count
            total[label] -= count

    for unit in members:
        if unit in (known or {}):
            put(unit, (known or {})[unit])
    order = sorted((unit for unit in members if unit not in places), key=draw)
    holders: dict[int, list[bytes]] = defaultdict(list)
    for unit in order:
        for label in counts[unit]:
            holders[label].append(unit)
    while any(count > 0 for count in total.values()):
        rarest = min((label for label, count in total.items() if count > 0), key=lambda label: (total[label], label))
        for unit in holders[rarest]:
            if unit not in places:
                put(unit, max(shares, key=lambda place: (lacking[place][rarest], room[place])))
    for unit in order:
        if unit not in places:
            put(unit, max(shares, key=room.__getitem__))
    return [places[unit] for unit in units]


def _by_class(labels: Sequence[int], units: Sequence[bytes]) -> tuple[dict[bytes, list[int]], dict[int, list[bytes]]]:
    """Return the rows of each unit, and the units of each class: that of most of their images."""
    members: dict[bytes, list[int]] = defaultdict(list)
    for row, unit in enumerate(units):
        members[unit].append(row)
    by_class: dict[int, list[bytes]] = defaultdict(list)
    for unit, rows in members.items():
        by_class[most_frequent([labels[row] for row in rows])].append(unit)
    return members, by_class


def _coarse(by_class: Mapping[int, Sequence[bytes]], members: Mapping[bytes, Sequence[int]], share: float) -> set[int]:
    return {label for label, value in by_class.items() if _is_coarse([len(members[unit]) for unit in value], share)}


def _fitting(free: Sequence[bytes], members: Mapping[bytes, Sequence[int]], quota: int) -> bytes:
    """Return the first unit that is not far above what is wanted, else the smallest."""
    for unit in free:
        if len(members[unit]) <= COARSE * quota:
            return unit
    return min(free, key=lambda unit: len(members[unit]))


def _are_many(classes: Sequence[Sequence[bytes]], share: float) -> bool:
    """Return whether a split gets enough units where these classes are split together."""
    return share * sum(map(len, classes)) >= FEWEST_TOGETHER


def _is_coarse(sizes: Sequence[int], share: float) -> bool:
    return len(sizes) >= 2 and min(sizes) > COARSE * max(1, round(share * sum(sizes)))


def _split_together(
    classes: Sequence[list[bytes]],
    members: Mapping[bytes, Sequence[int]],
    wanted: Mapping[Split, float],
    splits: dict[bytes, Split],
    seed: int,
) -> None:
    """Assign the units of these classes to `splits`: class after class gives one, while train keeps one of it."""
    images = sum(len(members[unit]) for label in classes for unit in label)
    turns = sorted(classes, key=lambda units_of: key(seed, "class", units_of[0]))
    given = dict.fromkeys(range(len(turns)), 0)
    for split, share in wanted.items():
        have = sum(len(members[unit]) for turn in turns for unit in turn if splits.get(unit) == split)
        for number in sorted(given, key=given.__getitem__):
            turn = turns[number]
            free = [unit for unit in turn if unit not in splits]
            if share * images <= have or len(free) <= int("train" not in {splits.get(unit) for unit in turn}):
                continue
            splits[free[0]] = split
            have += len(members[free[0]])
            given[number] += 1
    for turn in turns:
        for unit in turn:
            splits.setdefault(unit, "train")


def sample_per_class(table: ImageTable, count: int, *, seed: int = 0) -> ImageTable:
    """Return at most `count` images of each class and split, drawn by the hash of (seed, uri)."""
    if count < 1:
        raise OptionError(f"--sample {count}: wanted a number of images per class, at least 1.")
    uris = table.uris
    order = sorted(range(len(table)), key=lambda row: key(seed, "sample", uris[row]))
    taken: Counter[tuple[object, ...]] = Counter()
    mask = np.zeros(len(table), dtype=bool)
    labels, splits = table.rows["labels"].to_pylist(), table.splits
    for row in order:
        stratum = (splits[row], *labels[row])
        if taken[stratum] < count:
            taken[stratum] += 1
            mask[row] = True
    return table.where(mask)


def check_enough(table: ImageTable, *, min_per_class: int) -> None:
    """Raise `TooFewImages` unless there are two classes, each with `min_per_class` images to learn from."""
    if len(table.classes) < 2:
        raise TooFewImages(_one_class(table))
    counts = table.counts()
    learnable = counts.get("train") or counts["all"]
    split = "all" in counts
    few = {name: n for name, n in learnable.items() if name and 0 < n < min_per_class}
    if few:
        name, number = next(iter(few.items()))
        others = f" ({len(few) - 1} more like it)" if len(few) > 1 else ""
        unread = _unread(table, name)
        if unread:
            raise TooFewImages(
                f"{name!r} has {number} image{'s' * (number != 1)}, of which {len(unread)} can't be read "
                f"({'; '.join(unread[:3])}): replace {'it' if len(unread) == 1 else 'them'}, or leave out the class "
                "with --exclude."
            )
        purpose = "a split into train, valid and test" if split else "cross-validation on the training split"
        raise TooFewImages(
            f"{name!r} has {number} image{'s' * (number != 1)}{others}, {purpose} needs {min_per_class}: add images, "
            f"merge the class with another, or pass --min-per-class {min(few.values())}."
        )


def _one_class(table: ImageTable) -> str:
    """Return what is wrong with images of one class, and what to do where a table has labelled them so."""
    said = f"one class only ({table.classes[0]!r}): a classifier tells two or more apart."
    if not table.labels_table:
        return f"{table.root} has {said} Add a folder with images of something else."
    left = next((finding.sentence for finding in table.findings if finding.code == "images-unlisted"), "")
    also = (
        f" {left[0].upper()}{left[1:]}: add lines for them, or omit --csv where folders name the classes."
        if left
        else ""
    )
    return f"{table.labels_table} has {said}{also or ' Add lines of another class.'}"


def _unread(table: ImageTable, name: str) -> list[str]:
    """Return the images of a class that can't be read, each with the reason."""
    found = []
    label = table.classes.index(name)
    for uri, indices in zip(table.uris, table.rows["labels"].to_pylist(), strict=True):
        if label in indices:
            try:
                header(table.read(uri))
            except FileNotFoundError:
                continue  # named by who looked for it
            except OSError as error:
                found.append(f"{uri}: {error.strerror or error}")
            except UnreadableImage as error:
                found.append(f"{uri}: {error}")
    return found


def most_frequent(labels: Sequence[int]) -> int:
    """Return the label that most have, the smallest of several."""
    return min(Counter(labels).items(), key=lambda item: (-item[1], item[0]))[0]


def torn_groups(table: ImageTable, before: Mapping[bytes, Split]) -> list[str]:
    """Return the groups of these images that an earlier split (digest to split) has in several splits, with these."""
    splits: dict[str, set[str]] = defaultdict(set)
    for group, file_digest in zip(table.rows["group"].to_pylist(), table.digests, strict=True):
        if group is not None and file_digest is not None and file_digest in before:
            splits[group].add(before[file_digest])
    return [f"{group}: {' and '.join(sorted(split))}" for group, split in sorted(splits.items()) if len(split) > 1]


def _known_units(
    table: ImageTable, units: Sequence[bytes], movable: Sequence[int], before: Mapping[bytes, Split]
) -> dict[bytes, Split]:
    digests = table.digests
    known: dict[bytes, Split] = {}
    for row in movable:
        file_digest = digests[row]
        if file_digest is not None and file_digest in before:
            known.setdefault(units[row], before[file_digest])
    return known
