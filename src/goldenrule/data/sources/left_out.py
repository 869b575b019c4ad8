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

from goldenrule.core.findings import Finding, plural
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
    links = (
        (files.loops, "link-loop", "leads back to a folder it lies in, or round in a circle", "not followed."),
        (files.often, "link-often", "leads to a folder that very many links lead to", "not followed."),
        (files.broken, "link-broken", "leads nowhere", ""),
    )
    for paths, code, what, advice in links:
        if paths:
            sentence = f"{plural(len(paths), 'link')}: each {what}" if len(paths) > 1 else f"1 link {what}"
            it, is_ = ("they", "are") if len(paths) > 1 else ("it", "is")
            cure = f"Remove {'them' if len(paths) > 1 else 'it'}, or bring back what {it} led to."
            advice = f"{it.capitalize()} {is_} {advice}" if advice else cure
            yield Finding(severity="warning", code=code, sentence=sentence, evidence=paths, advice=advice)
    if files.closed:
        yield Finding(
            severity="warning",
            code="folder-closed",
            sentence=f"{plural(len(files.closed), 'folder')} can't be read",
            evidence=_with_reasons(files.closed.items()),
            advice="What is in there is left out: ask its owner for read access, or say so with --exclude.",
        )
    if files.no_text:
        several = len(files.no_text) > 1
        yield Finding(
            severity="warning",
            code="names-not-utf-8",
            sentence=f"{plural(len(files.no_text), 'entry has a name', 'entries have names')} that "
            f"{'are' if several else 'is'} not UTF-8",
            evidence=files.no_text,
            advice=f"{'They are' if several else 'It is'} left out: rename {'them' if several else 'it'}, or say so "
            "with --exclude.",
        )
    if files.special:
        yield Finding(
            severity="warning",
            code="special-files",
            sentence=f"{plural(len(files.special), 'entry is no file', 'entries are no files')}, and not opened",
            evidence=_with_reasons(files.special.items()),
            advice="Pipes, sockets and devices hold no picture: remove them.",
        )
    if files.by_content:
        several = len(files.by_content) > 1
        yield Finding(
            severity="note",
            code="by-content",
            sentence=f"{plural(len(files.by_content), 'image has', 'images have')} "
            f"{'names that do' if several else 'a name that does'} not end like a picture's",
            evidence=files.by_content,
            advice=f"{'They are' if several else 'It is'} taken by content; --exclude PATTERN leaves "
            f"{'them' if several else 'it'} out.",
        )
    others = [path for path in files.others if not (tables and _is_usual(path))]
    if others:
        is_are = "is" if len(others) == 1 else "are"
        yield Finding(
            severity="note",
            code="not-images",
            sentence=f"beside the {plural(images, 'image')} there {is_are} {plural(len(others), 'file')} that "
            f"{is_are} no picture",
            evidence=kinds(others),
            advice="It is left alone." if len(others) == 1 else "They are left alone.",
        )
    if files.system:
        yield Finding(
            severity="note",
            code="system-files",
            sentence=f"{plural(len(files.system), 'entry', 'entries')} that systems make, or that "
            f"{'is' if len(files.system) == 1 else 'are'} hidden: left out",
            evidence=_by_their_names(files.system),
            advice="To learn from such a folder, give it another name.",
        )
    if files.excluded:
        yield Finding(
            severity="note",
            code="excluded",
            sentence=f"{plural(len(files.excluded), 'entry is', 'entries are')} excluded",
            evidence=files.excluded,
            advice="As was asked.",
        )
    if files.idle:
        yield Finding(
            severity="warning",
            code="exclude-idle",
            sentence=f"nothing is called {' or '.join(map(repr, files.idle))}: --exclude leaves nothing out by that",
            advice="Patterns are names, or paths below the folder, such as thumbs, '*_small.jpg', train/bad.",
        )


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
        for own in files.excluded:
            parent, _, name = own.rstrip("/").rpartition("/")
            if own.endswith("/") and parent == place and one_form(name) not in classes:
                excluded.add(one_form(name))
    if gone := excluded - lost.keys():
        yield Finding(
            severity="note",
            code="excluded-classes",
            sentence=f"{plural(len(gone), 'class is', 'classes are')} excluded",
            evidence=tuple(sorted(gone)),
        )
    yield from lost_classes(lost)
    yield from _system_classes(files, places)


def _system_classes(files: Listing, places: Sequence[str]) -> Iterator[Finding]:
    """Return a finding that names the folders among the classes that hold pictures but are called as a system's."""
    named = [own.rstrip("/") for own in files.system if own.endswith("/")]
    found = [
        f"{own}/"
        for own in named
        if own.rpartition("/")[0] in places
        and may_be_class(own.rpartition("/")[2])
        and _holds_picture(files.root / own)
    ]
    if found:
        several = len(found) > 1
        yield Finding(
            severity="warning",
            code="system-classes",
            sentence=f"{plural(len(found), 'folder')} among the classes {'hold' if several else 'holds'} pictures but "
            f"{'have the names' if several else 'has the name'} of what systems make: left out",
            evidence=tuple(found),
            advice=("If they are classes, give them other names" if several else "If it is one, give it another name")
            + "; else say so with --exclude.",
        )


def _holds_picture(folder: Path) -> bool:
    names = (name for _, _, own in os.walk(folder) for name in own)
    return any(by_name(name) == "picture" for name in islice(names, MOST_LOOKED_AT))


def lost_classes(lost: dict[str, str]) -> Iterator[Finding]:
    """Return a finding that names classes without an image that can be used, each with the reason; none for none."""
    if lost:
        yield Finding(
            severity="warning",
            code="class-without-images",
            sentence=f"{plural(len(lost), 'class has', 'classes have')} no image that can be used",
            evidence=tuple(f"{name}: {why}" for name, why in sorted(lost.items())),
            advice="Nothing is learned or known of it. Bring its images, or remove it."
            if len(lost) == 1
            else "Nothing is learned or known of them. Bring their images, or remove them.",
        )


def unusable_classes(
    table: ImageTable, usable: Sequence[bool] | npt.NDArray[np.bool_], why: str = "none can be read"
) -> Iterator[Finding]:
    """Return a finding that names the classes of a table none of whose images are `usable` (n,)."""
    every: Counter[int] = Counter()
    left: set[int] = set()
    for own, good in zip(table.rows["labels"].to_pylist(), usable, strict=True):
        every.update(own)
        if good:
            left.update(own)
    lost = {
        table.classes[label]: f"{plural(count, 'image')}, {why}" for label, count in every.items() if label not in left
    }
    yield from lost_classes(lost)


def kinds(paths: Sequence[str]) -> tuple[str, ...]:
    """Return how many files there are of each ending, and the first of them.

    >>> kinds(["a/1.xml", "a/2.xml", "a/notes"])
    ('1 (no extension): a/notes', '2 .xml: a/1.xml, ...')
    """
    own: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        own[ending_of(path.rpartition("/")[2]) or "(no extension)"].append(path)
    return tuple(
        f"{len(same):,} {ending}: {same[0]}{', ...' if len(same) > 1 else ''}" for ending, same in sorted(own.items())
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
    own: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        name = path.rstrip("/").rpartition("/")[2]
        own["._*" if name.startswith("._") else name].append(path)
    return tuple(
        (f"{len(same):,} {name}" if len(same) > 1 else f"{name}: {same[0]}" if name == "._*" else same[0])
        for name, same in sorted(own.items())
    )


def alike_classes(table: ImageTable) -> Iterator[Finding]:
    """Return a finding on classes whose names differ in capitals or blanks alone: likely meant as one, kept apart."""
    same: dict[str, list[str]] = defaultdict(list)
    for name in table.classes:
        same[" ".join(re.split(r"[\s_-]+", name.casefold())).strip()].append(name)
    alike = [names for key, names in same.items() if len(names) > 1 and len(key) > 1]  # A and a may be two letters
    if found := [" and ".join(map(repr, names)) for names in alike]:
        yield Finding(
            severity="warning",
            code="classes-alike",
            sentence="classes have names that differ in capitals, blanks or hyphens alone",
            evidence=tuple(found),
            advice="They are learned as classes of their own. If they are one, bring their images together, or give "
            "--rename OLD=NEW.",
        )
