"""Orders in which images may stand near those like them, and groups that their names may stand for.

All are proposals: names are no evidence. Whether images near each other are alike is asked of the images themselves
(`goldenrule.analysis.dependence`).
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from goldenrule.core.messages import say
from goldenrule.data.in_order import in_order
from goldenrule.data.pictures.header import taken
from goldenrule.data.table import ImageTable, one_form

SERIES = r"^(.+)[_-]\d+$"
"""A file name that ends in a number: what stands before it may name a series."""
NEARLY_ALL = 0.9
"""So many images must have a time, or a name like a hash."""
FEWEST_PER_GROUP, FEWEST_GROUPS, LARGEST_SHARE = 1.5, 3, 0.4
"""Names propose groups where these hold so many images on average, nearly every class has so many, and the largest
ones are no more than this share of their classes.
"""
MOST = 0.75
"""So many images must fit a pattern, and be of classes of three groups or more."""
PROBED = 64
"""So many files are looked at first: where few of them have a time, the others are not read for it."""
_HASH = re.compile(r"[0-9a-f]{12,}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_NUMBERS = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Proposal:
    """A reason to think that some images belong together.

    `name` is one of the ids of "alike" (core/languages), `where` completes "the nearest neighbour is ...".
    `groups` (n,) name the groups, None for an image alone; without them `places` (n,) are the images' places in an
    order, from 0.
    """

    name: str
    where: str
    places: tuple[int, ...] = ()
    groups: tuple[str | None, ...] | None = None


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Return what sorts names as people do: by the numbers in them.

    >>> sorted(["b10", "b9", "A1"], key=natural_key)
    ['A1', 'b9', 'b10']
    """
    pieces = re.findall(r"[0-9]+|[^0-9]+", one_form(name).casefold())
    return tuple(
        (0, int(piece), "") if piece[0].isascii() and piece[0].isdigit() else (1, 0, piece) for piece in pieces
    )


def are_hashes(names: Sequence[str]) -> bool:
    """Return whether nearly all of these names (without extension) are hashes, which stand in no order.

    >>> are_hashes(["00272aeb7f86b691c47ca02c0f1cc1b2", "006b3daa7afe4585b4e397e3710c3ae7"])
    True
    >>> are_hashes(["20261128123456", "20261128123457"])  # numbers alone: a time, or a counter
    False
    """
    hashed = sum(
        _HASH.fullmatch(name.casefold()) is not None and not _NUMBERS.fullmatch(name) for name in map(one_form, names)
    )
    return bool(names) and hashed >= NEARLY_ALL * len(names)


def by_name(table: ImageTable) -> Proposal | None:
    """Return the natural order of the names; None where they are hashes.

    Folders that name given splits do not count: train/cat/9.jpg is followed by valid/cat/10.jpg.
    """
    paths = _without_splits(table)
    if are_hashes([path.stem for path in paths]):
        return None
    keys = [(natural_key(str(path.parent)), natural_key(path.name)) for path in paths]
    return Proposal("name", "nearby in the order of names", places=_ranks(keys))


def by_time(table: ImageTable, *, threads: int = 4) -> Proposal | None:
    """Return the order in which the pictures were taken, by their EXIF; None where not nearly all of them say.

    Those that do not say come last. A few files are asked first, so that most sets cost nothing.
    """
    uris = table.uris
    step = max(1, len(uris) // PROBED)
    if not _tell_times([_time(table, uri) for uri in uris[::step]]):
        return None
    times = list(in_order(lambda uri: _time(table, uri), uris, threads=threads))
    if not _tell_times(times):
        return None
    places = _ranks([time or "~" for time in times])
    return Proposal("time", "nearby in the order of their times", places=places)


def named_groups(table: ImageTable, classes: Sequence[int]) -> list[Proposal]:
    """Return the groups that names may stand for: what stands before the last number, a folder, a part of the name.

    `classes` (n,): the class of each image, -1 where it does not count. Left out is what would be of no use: where
    few names fit, groups are hardly larger than an image, many classes have less than three, or one is nearly all.
    Images of classes of less than three groups have none.
    """
    paths = _without_splits(table)
    folders = [str(path.parent) for path in paths]
    pieces = [re.split(r"[_\-. ]+", path.stem) for path in paths]
    series = [re.search(SERIES, path.stem) for path in paths]
    every: list[tuple[str, list[str | None]]] = [
        ("series", [match[1] if match else None for match in series]),
        ("folder", ["" for _ in paths]),
        ("first", [words[0] if words[1:] else None for words in pieces]),
        ("last", [words[-1] if words[1:] else None for words in pieces]),
    ]
    found: dict[tuple[int, ...], Proposal] = {}
    for name, proposed in every:
        groups = [
            None if piece is None else f"{folder}/{piece}" if piece else folder
            for folder, piece in zip(folders, proposed, strict=True)
        ]
        groups = _where_many(groups, classes)
        if _may_be_groups(groups, classes):
            numbers: dict[str | None, int] = {}
            found.setdefault(
                tuple(numbers.setdefault(group, len(numbers)) for group in groups),
                Proposal(name, f"among those {say(f'alike.{name}')}", groups=tuple(groups)),
            )
    return list(found.values())


def _where_many(groups: Sequence[str | None], classes: Sequence[int]) -> list[str | None]:
    """Return no group for the images of classes of one or two: kept whole, they could not be evaluated."""
    of_class = _of_classes(zip(groups, classes, strict=True))
    few = {label for label, value in of_class.items() if len(value) < FEWEST_GROUPS}
    return [None if label in few else group for group, label in zip(groups, classes, strict=True)]


def _may_be_groups(groups: Sequence[str | None], classes: Sequence[int]) -> bool:
    counted = [(group, label) for group, label in zip(groups, classes, strict=True) if label >= 0]
    fitting = [group for group, _ in counted if group is not None]
    many = [of_class for of_class in _of_classes(counted).values() if len(of_class) >= FEWEST_GROUPS]
    return (
        len(fitting) >= MOST * len(counted)
        and len(fitting) >= FEWEST_PER_GROUP * len(set(fitting))
        and sum(counts.total() for counts in many) >= MOST * len(counted)
        and sum(max(counts.values()) for counts in many) <= LARGEST_SHARE * sum(counts.total() for counts in many)
    )


def _of_classes(counted: Iterable[tuple[str | None, int]]) -> dict[int, Counter[str]]:
    """Return how many images each group of each class has."""
    found: dict[int, Counter[str]] = defaultdict(Counter)
    for group, label in counted:
        if group is not None and label >= 0:
            found[label][group] += 1
    return found


def _without_splits(table: ImageTable) -> list[PurePosixPath]:
    """Return the files without the folder that names their split, where each split is a folder of its own."""
    paths = [PurePosixPath(uri) for uri in table.uris]
    firsts: dict[str | None, set[str]] = defaultdict(set)
    for path, split in zip(paths, table.splits, strict=True):
        firsts[split].add(path.parts[0] if len(path.parts) > 1 else "")
    single = [next(iter(first)) for first in firsts.values() if len(first) == 1]
    if len(single) < 2 or len(single) != len(firsts) or len(set(single)) != len(single):
        return paths
    return [PurePosixPath(*path.parts[1:]) for path in paths]


def _ranks(keys: Sequence[Any]) -> tuple[int, ...]:
    order = sorted(range(len(keys)), key=keys.__getitem__)
    places = [0] * len(keys)
    for place, row in enumerate(order):
        places[row] = place
    return tuple(places)


def _tell_times(times: Sequence[str | None]) -> bool:
    told = [time for time in times if time]
    return bool(times) and len(told) >= NEARLY_ALL * len(times) and len(set(told)) > len(told) / 2


def _time(table: ImageTable, uri: str) -> str | None:
    try:
        return taken(table.read(uri))
    except OSError:
        return None
