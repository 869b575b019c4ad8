"""The images below a folder, found by what a table may call them: paths of any system, names, names without ending."""

from __future__ import annotations

import os
import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from goldenrule.core.errors import SourceError
from goldenrule.data.containers.inside import is_folder
from goldenrule.data.sources.archive_listing import listing_of
from goldenrule.data.sources.folders import no_images
from goldenrule.data.sources.listing import Listing
from goldenrule.data.sources.split_folders import split_of
from goldenrule.data.table import one_form

_DRIVE = re.compile(r"^(?:[A-Za-z]:)?/")
MOSTLY = 0.5


class NamedFiles:
    """The images below `root`; `named` finds what a table calls one of them.

    What is tried first counts: the path below the root, then the name alone, each with and without its ending, then
    the same whatever the case of the letters; last the end of a path of another place or machine.
    """

    def __init__(self, root: Path, uris: Iterable[str], below: Listing | None = None) -> None:
        self.root = root
        self.listing = below  # all that lies there, where it was looked at
        self.uris = list(uris)
        self._roots = {file.as_posix().rstrip("/") + "/" for file in (root.resolve(), root.absolute())}
        self._looked_up: dict[str, list[str]] = {}
        self._by_path: dict[str, list[str]] = defaultdict(list)
        self._by_name: dict[str, list[str]] = defaultdict(list)
        self._any_case: tuple[dict[str, list[str]], dict[str, list[str]]] | None = None
        for uri in self.uris:
            path = PurePosixPath(one_form(uri))
            for known, keys in (
                (self._by_path, (str(path), str(path.with_suffix("")))),
                (self._by_name, (path.name, path.stem)),
            ):
                for key in dict.fromkeys(keys):
                    known[key].append(uri)

    @classmethod
    def below(cls, root: Path, exclude: Sequence[str] = ()) -> NamedFiles:
        """Return the images below a folder. Raises `SourceError` where it is none, or holds no image."""
        if not is_folder(root):
            raise SourceError(f"{root} is no folder. Give the folder of the images.")
        found = listing_of(root, exclude)
        if not found.pictures:
            raise no_images(found)
        return cls(root, sorted(found.pictures, key=lambda uri: uri.split("/")), found)

    def relative(self, identity: str) -> str:
        """Return what a table calls an image as a path below the root, in one normal form."""
        return self._relative(identity)

    def named(self, identity: str) -> list[str]:
        """Return all images of that name, those outside of a test split where there are any."""
        if identity not in self._looked_up:
            found = self._found(self._relative(identity))
            if len(found) > 1:
                found = [uri for uri in found if split_of(uri) != "test"] or found
            self._looked_up[identity] = found
        return self._looked_up[identity]

    def counted(self, identities: Sequence[str]) -> int:
        """Return how many of the images these names tell, each image once."""
        return len({found[0] for name in set(identities) if len(found := self.named(name)) == 1})

    def _relative(self, identity: str) -> str:
        key = one_form(identity.strip().replace("\\", "/"))
        if inside := next((root for root in self._roots if key.startswith(root)), None):
            key = posixpath.normpath(key[len(inside) :])
        elif not _DRIVE.match(key) and key:
            key = posixpath.normpath(key)
        return key.removeprefix("./")

    def _found(self, key: str) -> list[str]:
        if not key:
            return []
        name = key.rpartition("/")[2]
        paths, names = self._by_path, self._by_name
        exact = paths.get(key) or (names.get(key) if name == key else None)
        if exact:
            return exact
        lower_paths, lower_names = self._lower()
        folded = any_case(key)
        other = lower_paths.get(folded) or (lower_names.get(folded) if name == key else None)
        return other or (self._by_its_end(key) if name != key else [])

    def _by_its_end(self, key: str) -> list[str]:
        """Return the images whose path is what a path ends in, the longest first; its name alone at last."""
        pieces = [piece for piece in posixpath.normpath(key).split("/") if piece]
        lower_paths, lower_names = self._lower()
        for start in range(1, len(pieces)):
            end = "/".join(pieces[start:])
            if found := self._by_path.get(end) or lower_paths.get(any_case(end)):
                return found
        return (self._by_name.get(pieces[-1]) or lower_names.get(any_case(pieces[-1]), [])) if pieces else []

    def _lower(self) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
        """Return the same keys in lower case; made only where a table writes names otherwise."""
        if self._any_case is None:
            both: list[dict[str, list[str]]] = []
            for known in (self._by_path, self._by_name):
                folded: dict[str, list[str]] = defaultdict(list)
                for key, uris in known.items():
                    spellings = folded[any_case(key)]
                    spellings += [uri for uri in uris if uri not in spellings]
                both.append(folded)
            self._any_case = both[0], both[1]
        return self._any_case


def any_case(text: str) -> str:
    r"""Return a name as it compares whatever the case of its letters, in one normal form before and after.

    >>> any_case("IMG.JPG") == any_case("img.jpg"), any_case("\u1fd2") == any_case("\u1fd2".upper())
    (True, True)
    """
    return one_form(one_form(text).casefold())


def is_absolute(cell: str) -> bool:
    """Return whether a cell holds an absolute path of this system."""
    return os.path.isabs(cell.strip())  # noqa: PTH117 - a Path for every cell of a table takes ten times as long


def of_absolute_paths(identities: Sequence[str]) -> NamedFiles | None:
    """Return the images that absolute paths name, below the folder that they have in common; no folder is walked.

    None where most names are no absolute paths of files that exist.
    """
    paths = [Path(name.strip()) for name in identities if is_absolute(name)]
    if len(paths) <= MOSTLY * len(identities):
        return None
    there = [path for path in paths if path.is_file()]
    if len(there) <= MOSTLY * len(identities):
        return None
    resolved = [Path(os.path.normpath(path)) for path in there]
    root = Path(os.path.commonpath([path.parent for path in resolved]))
    return NamedFiles(root, sorted({path.relative_to(root).as_posix() for path in resolved}))
