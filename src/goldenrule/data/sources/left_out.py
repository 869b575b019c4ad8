"""What is left out of a folder, and classes that lose all of their images: findings that name them."""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from goldenrule.core.findings import Finding, Severity, plural
from goldenrule.data.sources.label_files import KNOWN_FILES
from goldenrule.data.sources.listing import Listing
from goldenrule.data.sources.picture_files import OTHERS, by_name, ending_of
from goldenrule.data.sources.system_files import may_be_class
from goldenrule.data.table import ImageTable, one_form

OURS = ("run.json", "result.json", "audit.json", "split.json")
"""What folders that goldenrule writes hold: no class is missing there."""
MOST_LOOKED_AT = 1_000
"""Files of a system's folder among which a picture is looked for."""


def left_out(files: Listing, images: int, *, tables: bool = False) -> Iterator[Finding]:
    """Return what lies below a folder beside its images, a finding for each kind; `images` is how many are taken.

    With `tables` what lies there to be read is not mentioned: tables of labels, a README in the folder itself.
    """
    yield from files.findings
    several: tuple[tuple[Severity, str, Sequence[str], tuple[str, ...]], ...] = (
        ("warning", "link-loop", files.loops, files.loops),
        ("warning", "link-often", files.often, files.often),
        ("warning", "link-broken", files.broken, files.broken),
        ("warning", "folder-closed", tuple(files.closed), _with_reasons(files.closed.items())),
        ("warning", "names-not-utf-8", files.no_text, files.no_text),
        ("warning", "special-files", tuple(files.special), _with_reasons(files.special.items())),
        ("note", "by-content", files.by_content, files.by_content),
    )
    for severity, code, paths, evidence in several:
        if paths:
            yield Finding(severity=severity, code=code, fields={"n": len(paths)}, evidence=evidence)
    others = [path for path in files.others if not (tables and _is_usual(path))]
    if others:
        yield Finding(
            severity="note",
            code="not-images",
            fields={"n": len(others), "images": images},
            evidence=kinds(others),
        )
    if files.system:
        yield Finding(
            severity="note",
            code="system-files",
            fields={"n": len(files.system)},
            evidence=_by_their_names(files.system),
        )
    if files.excluded:
        yield Finding(severity="note", code="excluded", fields={"n": len(files.excluded)}, evidence=files.excluded)
    if files.idle:
        patterns = tuple(map(repr, files.idle))
        yield Finding(severity="warning", code="exclude-idle", fields={"patterns": patterns})


def lost_folders(files: Listing, places: Sequence[str], classes: Collection[str]) -> Iterator[Finding]:
    """Return a finding that names the class folders from which no image comes; `places` are the folders they lie in.

    What goldenrule wrote itself, and a folder that can't be read and is named so, are no such classes.
    """
    lost: dict[str, str] = {}
    excluded: set[str] = set()
    for place in places:
        for name in files.folders_in(place):
            path = f"{place}/{name}" if place else name
            if one_form(name) in classes or path in files.closed or files.pictures_below(path):
                continue
            others = files.others_below(path)
            if not any(PurePosixPath(other).name in OURS for other in others):
                why = ", ".join(kinds(others)) or _why_empty(files, path)
                if why == "excluded":
                    excluded.add(one_form(name))
                else:
                    lost.setdefault(one_form(name), why)
        for text in files.excluded:
            parent, _, name = text.rstrip("/").rpartition("/")
            if text.endswith("/") and parent == place and one_form(name) not in classes:
                excluded.add(one_form(name))
    if gone := excluded - lost.keys():
        yield Finding(
            severity="note",
            code="excluded-classes",
            fields={"n": len(gone)},
            evidence=tuple(sorted(gone)),
        )
    yield from lost_classes(lost)
    yield from _system_classes(files, places)


def _system_classes(files: Listing, places: Sequence[str]) -> Iterator[Finding]:
    """Return a finding that names the folders among the classes that hold pictures but are called as a system's."""
    named = [name.rstrip("/") for name in files.system if name.endswith("/")]
    found = [
        f"{name}/"
        for name in named
        if name.rpartition("/")[0] in places
        and may_be_class(name.rpartition("/")[2])
        and _holds_picture(files.root / name)
    ]
    if found:
        yield Finding(severity="warning", code="system-classes", fields={"n": len(found)}, evidence=tuple(found))


def _holds_picture(folder: Path) -> bool:
    names = (name for _, _, files in os.walk(folder) for name in files)
    return any(by_name(name) == "picture" for name in islice(names, MOST_LOOKED_AT))


def lost_classes(lost: dict[str, str]) -> Iterator[Finding]:
    """Return a finding that names classes without an image that can be used, each with the reason; none for none."""
    if lost:
        yield Finding(
            severity="warning",
            code="class-without-images",
            fields={"n": len(lost)},
            evidence=tuple(f"{name}: {why}" for name, why in sorted(lost.items())),
        )


def unusable_classes(
    table: ImageTable, usable: Sequence[bool] | npt.NDArray[np.bool_], why: str = "none can be read"
) -> Iterator[Finding]:
    """Return a finding that names the classes of a table none of whose images are `usable` (n,)."""
    every: Counter[int] = Counter()
    left: set[int] = set()
    for indices, good in zip(table.rows["labels"].to_pylist(), usable, strict=True):
        every.update(indices)
        if good:
            left.update(indices)
    lost = {
        table.classes[label]: f"{plural(count, 'image')}, {why}" for label, count in every.items() if label not in left
    }
    yield from lost_classes(lost)


def kinds(paths: Sequence[str]) -> tuple[str, ...]:
    """Return how many files there are of each ending, and the first of them.

    >>> kinds(["a/1.xml", "a/2.xml", "a/notes"])
    ('1 (no extension): a/notes', '2 .xml: a/1.xml, ...')
    """
    reasons: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        reasons[ending_of(path.rpartition("/")[2]) or "(no extension)"].append(path)
    return tuple(
        f"{len(same):,} {ending}: {same[0]}{', ...' if len(same) > 1 else ''}"
        for ending, same in sorted(reasons.items())
    )


def _is_usual(path: str) -> bool:
    return ending_of(path) in OTHERS if "/" not in path else path.rpartition("/")[2] in KNOWN_FILES


def _why_empty(files: Listing, folder: str) -> str:
    """Return why a folder has no file that could be one of its class's."""
    inside = f"{folder}/"
    reasons = (
        (files.excluded, "excluded"),
        (files.no_text, "names that are not UTF-8"),
        (tuple(files.closed), "can't be read"),
        (files.broken, "links that lead nowhere"),
        (files.loops, "links round in a circle"),
        (tuple(files.special), "no regular files"),
        (files.system, "hidden or system files"),
    )
    return next((why for paths, why in reasons if any(path.startswith(inside) for path in paths)), "an empty folder")


def _with_reasons(pairs: Collection[tuple[str, str]]) -> tuple[str, ...]:
    return tuple(f"{path}: {reason}" for path, reason in pairs)


def _by_their_names(paths: Sequence[str]) -> tuple[str, ...]:
    """Return system folders and files by name, those that are there often with how often.

    >>> _by_their_names(["a/@eaDir/", "b/@eaDir/", "a/._1.jpg", "a/.2.jpg"])
    ('a/.2.jpg', '._*: a/._1.jpg', '2 @eaDir')
    """
    reasons: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        name = path.rstrip("/").rpartition("/")[2]
        reasons["._*" if name.startswith("._") else name].append(path)
    return tuple(
        (f"{len(same):,} {name}" if len(same) > 1 else f"{name}: {same[0]}" if name == "._*" else same[0])
        for name, same in sorted(reasons.items())
    )


def alike_classes(table: ImageTable) -> Iterator[Finding]:
    """Return a finding on classes whose names differ in capitals or blanks alone: likely meant as one, kept apart."""
    same: dict[str, list[str]] = defaultdict(list)
    for name in table.classes:
        same[" ".join(re.split(r"[\s_-]+", name.casefold())).strip()].append(name)
    alike = [names for key, names in same.items() if len(names) > 1 and len(key) > 1]  # A and a may be two letters
    if found := [" and ".join(map(repr, names)) for names in alike]:
        yield Finding(severity="warning", code="classes-alike", evidence=tuple(found))
