"""Folds: each validates once while the others train; drawn class by class, or named by a table's own column."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from goldenrule.core.errors import OptionError, TooFewImages
from goldenrule.core.findings import Finding, plural
from goldenrule.core.randomness import key
from goldenrule.data.pictures.file_digests import with_digests
from goldenrule.data.splits.evaluated_classes import (
    NOT_EVALUATED,
    evaluable_folds,
    evaluable_splits,
    not_evaluated,
    traits,
)
from goldenrule.data.splits.splitting import label_sets_dealt, most_frequent
from goldenrule.data.splits.stretches import stretch_folds
from goldenrule.data.table import ImageTable, Task
from goldenrule.data.units import duplicate_units


def k_fold(images: ImageTable, folds: int | None = None, *, seed: int = 0) -> tuple[ImageTable, ...]:
    """Return a table per fold, in which that fold is `valid` and all else `train`: each image validates once.

    Test images stay test; train and valid images are dealt out alike. So many `folds` are drawn by `seed`: classes
    spread evenly, groups and equal files kept whole. Without a number they are those that the images have
    (`from_csv(..., fold=COLUMN)`), in the order of their names; an image of none always trains.

    Raises `OptionError` for less than two folds, `TooFewImages` where one would stay empty.
    """
    merged = without_valid(images)
    dealt = merged if folds is None else with_folds(merged, folds, seed=seed)
    names = fold_names(dealt)
    if len(names) < 2:
        had = f"one fold only, {names[0]!r}" if names else "no folds of their own"
        raise OptionError(f"These images have {had}: say how many to draw, such as k_fold(images, 5).")
    dealt = dealt.with_findings(*_uneven(dealt, names))
    return tuple(_validating(dealt, name, names) for name in names)


def fold_called(images: ImageTable, name: str) -> ImageTable:
    """Return the table of one of the folds that the images have: it validates, all else trains, test stays.

    Raises `OptionError` for a name that no such image has, or where nothing is left to train on.
    """
    merged = without_valid(images)
    names = fold_names(merged)
    if name not in names:
        there = ", ".join(names[:20]) + (", ..." if names[20:] else "") or "none"
        raise OptionError(f"No image outside of test is of the fold {name!r}; the folds there are: {there}.")
    return _validating(merged.with_findings(*_uneven(merged, names)), name, names)


def fold_drawn(images: ImageTable, fold: str, *, seed: int = 0) -> ImageTable:
    """Return the table of one drawn fold, `fold` being as `number_of_folds` reads it."""
    number, folds = number_of_folds(fold)
    return k_fold(images, folds, seed=seed)[number - 1]


def number_of_folds(fold: str) -> tuple[int, int]:
    """Read which fold validates, and of how many.

    >>> number_of_folds("2/5")
    (2, 5)
    """
    read = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", fold.strip())
    number, folds = (int(read[1]), int(read[2])) if read else (0, 0)
    if not (folds >= 2 and 1 <= number <= folds):
        raise OptionError(
            f"--fold {fold}: wanted NUMBER/FOLDS, from 1/5 to 5/5 for five folds. A column of a table: --fold-column."
        )
    return number, folds


def with_folds(images: ImageTable, folds: int, *, seed: int = 0) -> ImageTable:
    """Return the images with drawn folds, named from 1; those of the test split are of none.

    Nor are those of a class that only one fold could hold: they always train, and a finding names the class.
    """
    if folds < 2:
        raise OptionError(f"{plural(folds, 'fold')}: wanted two or more, one validates while the others train.")
    if all(file_digest is None for file_digest in images.digests):
        images = with_digests(images)  # without them equal files could not be kept together
    rows = [row for row, split in enumerate(images.splits) if split != "test"]
    every, labels = duplicate_units(images), images.rows["labels"].to_pylist()
    units = [every[row] for row in rows]
    if len(set(units)) < folds:
        raise TooFewImages(
            f"{folds} folds want as many images or groups, there {'is' if len(set(units)) == 1 else 'are'} "
            f"{len(set(units)):,}: take fewer folds, or add images."
        )
    places = images.places
    stretches = [places[row] for row in rows]
    numbers = _dealt([labels[row] for row in rows], units, stretches, images.task, folds=folds, seed=seed).tolist()
    if len(set(numbers) - {NOT_EVALUATED}) < folds:
        raise TooFewImages(
            f"{folds} folds want as many images or groups that others of their class can teach; the only one of a "
            "class always trains. Take fewer folds, or add images."
        )
    names: list[str | None] = [None] * len(images)
    for row, number in zip(rows, numbers, strict=True):
        names[row] = str(number + 1) if number != NOT_EVALUATED else None
    dealt = images.with_folds(names)
    table = images.where(np.array([split != "test" for split in images.splits], dtype=bool))
    evaluated = {uri for uri, name in zip(images.uris, names, strict=True) if name is not None}
    return dealt.with_findings(*not_evaluated(table, evaluated))


def evaluation_folds(images: ImageTable, most: int, *, seed: int) -> npt.NDArray[np.int64]:
    """Return a fold (n,) for each image, from 0: at most so many as the largest class has images, two at least.

    Labels are spread evenly; equal files and groups stay together, and where neighbours are alike each fold is a
    stretch of their order (`stretch_folds`). `NOT_EVALUATED` is an image that always trains,
    because no other fold could teach its class.
    """
    counts = Counter(label for indices in images.rows["labels"].to_pylist() for label in indices)
    labels = images.rows["labels"].to_pylist()
    folds = min(most, max(2, *counts.values()))
    return _dealt(labels, duplicate_units(images), images.places, images.task, folds=folds, seed=seed)


def dealt_folds(images: ImageTable, folds: int, *, seed: int) -> npt.NDArray[np.int64]:
    """Return a fold (n,) for each image, from 0 to `folds` - 1 or `NOT_EVALUATED`, spread as in `evaluation_folds`.

    Raises `TooFewImages` where some would stay empty.
    """
    units = duplicate_units(images)
    if len(set(units)) < folds:
        raise TooFewImages(
            f"{folds} folds want as many images that are no duplicates of each other, nor of one group; there are "
            f"{len(set(units)):,}: take fewer folds, or add images."
        )
    return _dealt(images.rows["labels"].to_pylist(), units, images.places, images.task, folds=folds, seed=seed)


def _dealt(
    labels: Sequence[Sequence[int]],
    units: Sequence[bytes],
    places: Sequence[int | None],
    task: Task,
    *,
    folds: int,
    seed: int,
) -> npt.NDArray[np.int64]:
    if known := [place for place in places if place is not None]:
        last = max(known) + 1  # what has no place comes after what has one
        every = [last if place is None else place for place in places]
        return stretch_folds(labels, every, units, task=task, folds=folds)
    if task == "multi":
        shares = dict.fromkeys(range(folds), 1 / folds)
        assigned = label_sets_dealt(labels, units, shares, draw=lambda unit: key(seed, "fold", unit))
        dealt = np.array(assigned, dtype=np.int64)
        return evaluable_folds(dealt, traits(labels, task="multi"), units, count=folds)
    classes = [label[0] if label else -1 for label in labels]
    return stratified_folds(classes, units, folds=folds, seed=seed)


def stratified_folds(
    labels: Sequence[int] | npt.NDArray[np.int64], units: Sequence[bytes], *, folds: int, seed: int
) -> npt.NDArray[np.int64]:
    """Return a fold (0..folds-1) for each image (n,): classes spread evenly, units kept whole.

    `NOT_EVALUATED` are units that always train: the only one of a class, which no other fold could teach.
    """
    members: dict[bytes, list[int]] = defaultdict(list)
    for row, unit in enumerate(units):
        members[unit].append(row)
    assigned = np.empty(len(units), dtype=np.int64)
    load: dict[Hashable, int] = defaultdict(int)  # images per (class, fold) and per fold
    ordered = sorted(members, key=lambda unit: (-len(members[unit]), key(seed, "fold", unit)))
    for unit in ordered:
        label = most_frequent([int(labels[row]) for row in members[unit]])
        fold = min(range(folds), key=lambda number: (load[label, number], load[number], number))
        assigned[members[unit]] = fold
        load[label, fold] += len(members[unit])
        load[fold] += len(members[unit])
    shown = traits([[int(label)] if label >= 0 else [] for label in labels], task="single")
    return evaluable_folds(assigned, shown, units, count=folds)


def without_valid(images: ImageTable) -> ImageTable:
    """Return the images with none but test splits; where there was a valid split, a finding says that it is no more."""
    splits = images.splits
    merged = images.with_splits(["test" if split == "test" else None for split in splits])
    if "valid" not in splits:
        return merged
    finding = Finding(
        severity="note",
        code="valid-merged",
    )
    return merged.with_findings(finding)


def all_in_train(images: ImageTable) -> ImageTable:
    """Return the images with all but the test split in train; a finding says so where there was a valid split."""
    merged = without_valid(images)
    return merged.with_splits([split or "train" for split in merged.splits])


def fold_name(cell: str) -> str | None:
    """Return the fold that a cell of a table names, None where it is empty; data frames write 2 beside gaps as 2.0.

    >>> fold_name(" 2.0 "), fold_name("north"), fold_name("")
    ('2', 'north', None)
    """
    name = cell.strip()
    return re.sub(r"^(-?[0-9]+)[.]0+$", r"\1", name) or None


def fold_names(images: ImageTable) -> list[str]:
    """Return the names of the folds that hold more than test images, numbers in their order."""
    names = {
        fold for fold, split in zip(images.folds, images.splits, strict=True) if fold is not None and split != "test"
    }
    return sorted(names, key=lambda name: (not _is_number(name), float(name) if _is_number(name) else 0.0, name))


def _is_number(name: str) -> bool:
    return re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", name) is not None


def _validating(images: ImageTable, name: str, names: Sequence[str]) -> ImageTable:
    every = zip(images.folds, images.splits, strict=True)
    splits = ["test" if split == "test" else "valid" if fold == name else "train" for fold, split in every]
    if "train" not in splits:
        raise OptionError(f"All images are of the fold {name!r}: nothing is left to train on.")
    note = Finding(severity="note", code="fold", fields={"folds": len(names), "name": name})
    labels = images.rows["labels"].to_pylist()
    shown = traits(
        [[] if split == "test" else label for split, label in zip(splits, labels, strict=True)], task=images.task
    )
    drawn = [row for row, split in enumerate(splits) if split == "valid"]
    evaluated = evaluable_splits(splits, shown, duplicate_units(images), train="train", drawn=drawn)
    back = [uri for uri, split, text in zip(images.uris, splits, evaluated, strict=True) if split != text]
    return images.with_splits(evaluated).with_findings(note, *_kept_in_train(back, name))


def _kept_in_train(uris: Sequence[str], name: str) -> Iterator[Finding]:
    if uris:
        yield Finding(
            severity="warning",
            code="class-of-one-fold",
            fields={"n": len(uris), "name": name},
            evidence=tuple(uris[:20]),
        )


def _uneven(images: ImageTable, names: Sequence[str]) -> Iterator[Finding]:
    """Return findings for classes that some folds lack, and for groups that are of several."""
    folds_of: dict[int, set[str]] = defaultdict(set)
    sides_of: dict[str, set[str | None]] = defaultdict(set)
    groups, labels = images.rows["group"].to_pylist(), images.rows["labels"].to_pylist()
    for fold, split, group, indices in zip(images.folds, images.splits, groups, labels, strict=True):
        if split == "test":
            continue
        if group is not None:
            sides_of[group].add(fold)
        for label in indices:
            folds_of[label] |= {fold} if fold is not None else set()
    lacking = [
        f"{images.classes[label]}: in {len(value)} of {len(names)}"
        for label, value in sorted(folds_of.items())
        if len(value) < len(names)
    ]
    torn = sorted(group for group, sides in sides_of.items() if len(sides) > 1)
    if lacking:
        yield Finding(
            severity="warning",
            code="class-in-few-folds",
            fields={"n": len(lacking)},
            evidence=tuple(lacking),
        )
    if torn:
        yield Finding(
            severity="warning",
            code="group-in-several-folds",
            fields={"n": len(torn)},
            evidence=tuple(torn),
        )
