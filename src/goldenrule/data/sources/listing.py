"""One walk through a folder: what is a picture there, what is left out, and why."""

from __future__ import annotations

import contextlib
import errno
import os
from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any

from goldenrule.core.errors import OptionError, SourceError
from goldenrule.core.findings import Finding
from goldenrule.data.sources.picture_files import by_name_or_content
from goldenrule.data.sources.system_files import is_bin, is_system_file, is_system_folder, may_be_bin
from goldenrule.data.table import one_form
from goldenrule.storage.regular_files import what_it_is

MOST_VISITS = 1_000
"""Links to folders that were entered before are followed so often in all: those that link to each other have no end."""
_LAST = chr(0x10FFFF)
Identity = tuple[int, int]
"""Device and inode: what a folder is, whatever path leads to it."""


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What lies below a folder, as paths with forward slashes, in order. What is left out is named with the reason.

    `pictures` are regular files that are pictures by their names, or by content where the name does not tell
    (`by_content`). `others` are the regular files that are none.
    """

    root: Path
    exclude: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()  # all that were looked into, but the root
    pictures: tuple[str, ...] = ()
    by_content: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    system: tuple[str, ...] = ()  # what systems make, and what is hidden; folders end in a slash
    no_text: tuple[str, ...] = ()  # names that are not UTF-8; folders end in a slash
    excluded: tuple[str, ...] = ()  # as was asked; folders end in a slash
    idle: tuple[str, ...] = ()  # patterns that nothing is excluded by
    loops: tuple[str, ...] = ()  # links that lead back, or round in a circle
    often: tuple[str, ...] = ()  # links to folders that so many others led to that these are not followed
    broken: tuple[str, ...] = ()  # links that lead nowhere
    special: Mapping[str, str] = field(default_factory=dict)  # pipes, sockets, devices: what each is
    closed: Mapping[str, str] = field(default_factory=dict)  # what may not be looked into, and why
    findings: tuple[Finding, ...] = ()  # of an archive: what in it is damaged, or refused

    def folders_in(self, folder: str = "") -> list[str]:
        """Return the names of the folders in a folder."""
        return self._folders_by_parent.get(folder, [])

    def pictures_in(self, folder: str = "") -> list[str]:
        """Return the names of the pictures that lie in a folder itself."""
        return self._pictures_by_parent.get(folder, [])

    def others_in(self, folder: str = "") -> list[str]:
        """Return the names of the other files that lie in a folder itself."""
        return self._others_by_parent.get(folder, [])

    def pictures_below(self, folder: str) -> Sequence[str]:
        """Return the pictures in a folder and all below it."""
        return _below(self.pictures, folder)

    def others_below(self, folder: str) -> Sequence[str]:
        """Return the other files in a folder and all below it."""
        return _below(self.others, folder)

    @cached_property
    def _folders_by_parent(self) -> dict[str, list[str]]:
        return _by_parent(self.folders)

    @cached_property
    def _pictures_by_parent(self) -> dict[str, list[str]]:
        return _by_parent(self.pictures)

    @cached_property
    def _others_by_parent(self) -> dict[str, list[str]]:
        return _by_parent(self.others)


def listing(root: Path, exclude: Sequence[str] = ()) -> Listing:
    """Return what lies below a folder; links are followed, but not round in circles.

    `exclude` are patterns of names, or of paths below the folder, that are left out (`*_small.jpg`, `train/bad`).
    Only where a file's name does not tell what it is are its first bytes read. Raises `SourceError` where the folder
    itself can't be read, `OptionError` for an empty pattern.
    """
    return _Walk(root, Exclusions(exclude, root)).listing()


class Exclusions:
    """Patterns of what is left out, and which of them have matched something."""

    def __init__(self, patterns: Sequence[str], root: Path) -> None:
        self.given = (patterns,) if isinstance(patterns, str) else tuple(patterns)
        self.used: set[str] = set()
        self._forms = {name: _forms(name, root) for name in self.given}

    @property
    def unused(self) -> tuple[str, ...]:
        """The patterns that nothing was left out by."""
        return tuple(name for name in self.given if name not in self.used)

    def match(self, path: str) -> bool:
        """Return whether a path below the root is left out, by itself or by its name."""
        path = one_form(path)
        name = path.rpartition("/")[2]
        found = [
            text
            for text, forms in self._forms.items()
            if any(form in (name, path) or fnmatchcase(name, form) or fnmatchcase(path, form) for form in forms)
        ]
        self.used.update(found)
        return bool(found)

    def match_or_above(self, path: str) -> bool:
        """Return whether a path, or a folder that it lies in, is left out."""
        return bool(self.given) and any(
            self.match(path[:end]) for end in (*(at for at, sign in enumerate(path) if sign == "/"), len(path)) if end
        )


def _forms(pattern: str, root: Path) -> set[str]:
    """Return a pattern as it is compared; a path of this system within the root counts as the one below it too."""
    plain = pattern.replace(os.sep, "/").strip().rstrip("/")
    plain = plain.removeprefix("./").removeprefix("**/")
    if not plain:
        raise OptionError(
            f"--exclude {pattern!r}: wanted the name of a file or folder, or a pattern such as '*_small*'."
        )
    forms = {plain}
    if "/" in plain:
        with contextlib.suppress(OSError, ValueError, RuntimeError):
            forms.add(Path(pattern).expanduser().resolve().relative_to(root.resolve()).as_posix())
    return set(map(one_form, forms))


@dataclass(frozen=True, slots=True)
class _Closed:
    """An entry that may not be looked into, and why."""

    reason: str


class _Walk:
    """The walk, and what it has found so far."""

    def __init__(self, root: Path, exclusions: Exclusions) -> None:
        self._root, self._exclusions = root, exclusions
        self._found: dict[str, list[str]] = defaultdict(list)
        self._special: dict[str, str] = {}
        self._closed: dict[str, str] = {}
        self._entered_by_link: set[Identity] = set()
        self._again = 0

    def listing(self) -> Listing:
        above = tuple(_identity(folder) for folder in (self._root.resolve(), *self._root.resolve().parents))
        waiting = deque([("", above)])
        while waiting:
            folder, above = waiting.popleft()
            for path, linked in self._folders(folder):
                inside = self._entered(path, linked, above)
                if inside is not None:
                    self._found["folders"].append(path)
                    waiting.append((path, inside))
        found: dict[str, Any] = {name: tuple(sorted(paths)) for name, paths in self._found.items()}
        return Listing(
            root=self._root,
            exclude=self._exclusions.given,
            idle=self._exclusions.unused,
            special=dict(sorted(self._special.items())),
            closed=dict(sorted(self._closed.items())),
            **found,
        )

    def _folders(self, folder: str) -> Iterator[tuple[str, bool]]:
        """Sort the files of a folder, and yield the folders in it, each with whether it is a link."""
        entries = self._scanned(folder)
        beside = (
            {entry.name for entry in entries}
            if any(dir_entry.name.casefold() == "originals" for dir_entry in entries)
            else ()
        )
        for entry in entries:
            path = f"{folder}/{entry.name}" if folder else entry.name
            kind = self._kind(entry, path)
            if kind is None:
                continue
            mark = path + "/" * (kind == "folder")
            above = folder.rpartition("/")[2] or self._root.name
            if (
                self._is_bin(entry.name, path) or is_system_folder(entry.name, above, beside)
                if kind == "folder"
                else is_system_file(entry.name)
            ):
                self._found["system"].append(mark)
            elif self._exclusions.given and self._exclusions.match(path):
                self._found["excluded"].append(mark)
            elif not is_utf8(entry.name):
                self._found["no_text"].append(mark)
            elif kind == "folder":
                yield path, entry.is_symlink()
            elif kind == "file":
                self._sort(path)
            elif kind in ("loops", "broken"):
                self._found[kind].append(path)
            elif isinstance(kind, _Closed):
                self._closed[path] = kind.reason
            else:
                self._special[path] = kind

    def _scanned(self, folder: str) -> list[os.DirEntry[str]]:
        place = self._root / folder
        try:
            with os.scandir(place) as entries:
                return sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            reason = error.strerror or str(error)
            if not folder:
                raise SourceError(f"{place} can't be read: {reason}. Ask its owner for read access.") from error
            self._closed[folder] = reason
            return []

    def _kind(self, entry: os.DirEntry[str], path: str) -> str | _Closed | None:
        """Return "folder", "file", "loops", "broken", `_Closed`, or what else it is; None where it is gone."""
        try:
            if entry.is_dir():
                return "folder"
            if entry.is_file():
                return "file"
            return what_it_is(os.stat(self._root / path).st_mode)  # noqa: PTH116 - what DirEntry lacks
        except OSError as error:
            if error.errno == errno.ELOOP:
                return "loops"
            if error.errno in (errno.EACCES, errno.EPERM):
                return _Closed(error.strerror or str(error))
            return "broken" if entry.is_symlink() else None

    def _is_bin(self, name: str, path: str) -> bool:
        if not may_be_bin(name):
            return False
        try:
            return is_bin(os.listdir(self._root / path))  # noqa: PTH208 - names alone
        except OSError:
            return False

    def _sort(self, path: str) -> None:
        told = by_name_or_content(self._root, path)
        self._found["others" if told in ("unknown", "other") else "pictures"].append(path)
        if told == "variant":
            self._found["by_content"].append(path)

    def _entered(self, path: str, linked: bool, above: tuple[Identity, ...]) -> tuple[Identity, ...] | None:
        """Return a folder and all that it lies in; None where a link leads back to one of these."""
        if not linked:
            return (_identity(self._root / path), *above)
        identity = _identity(self._root / path)
        if identity in above:
            self._found["loops"].append(path)
            return None
        self._again += identity in self._entered_by_link
        if identity in self._entered_by_link and self._again > MOST_VISITS:
            self._found["often"].append(path)
            return None
        self._entered_by_link.add(identity)
        return (identity, *above)


def _identity(folder: Path) -> Identity:
    try:
        found = os.stat(folder)  # noqa: PTH116 - called for every folder
    except OSError:
        return 0, 0
    return found.st_dev, found.st_ino


def is_utf8(name: str) -> bool:
    """Return whether a name is text in UTF-8."""
    return name.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in name)  # how Python keeps other bytes


def _by_parent(paths: Sequence[str]) -> dict[str, list[str]]:
    names: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        parent, _, name = path.rpartition("/")
        names[parent].append(name)
    return names


def _below(paths: Sequence[str], folder: str) -> Sequence[str]:
    return paths[bisect_left(paths, f"{folder}/") : bisect_left(paths, f"{folder}/{_LAST}")] if folder else paths
