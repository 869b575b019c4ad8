"""What lies in an archive, sorted as `listing` sorts a folder; and the folder in it that holds everything."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from goldenrule.core.errors import SourceError
from goldenrule.core.findings import Finding
from goldenrule.data.containers.inside import PACKED_ENDINGS, PARQUET, contents_of, divided, members_of
from goldenrule.data.containers.members import Contents
from goldenrule.data.containers.objects import is_address
from goldenrule.data.sources.listing import Exclusions, Listing, is_utf8, listing
from goldenrule.data.sources.picture_files import by_name_or_content
from goldenrule.data.sources.split_folders import split_called
from goldenrule.data.sources.system_files import is_bin, is_system_file, is_system_folder, may_be_bin


def listing_of(root: Path, exclude: Sequence[str] = ()) -> Listing:
    """Return what lies below a folder, or in an archive or a folder of one. Raises as `listing` does."""
    if root.is_dir() or ((found := divided(root)) is None and not is_address(root)):
        return listing(root, exclude)
    archive, inner = found or (root, "")
    if archive.name.lower().endswith(PARQUET):
        raise SourceError(f"{archive} holds rows and no folders: give it alone, or gr.from_shards({str(archive)!r}).")
    contents = contents_of(archive)
    return _Sorted(root, Exclusions(exclude, root), contents, inner).listing(contents.findings(str(archive)))


def check_not_packed(path: Path) -> None:
    """Raise `SourceError` for a packed tar file: to read one picture, all before it would have to be unpacked."""
    ending = next((one for one in PACKED_ENDINGS if path.name.lower().endswith(one)), None)
    if ending and path.is_file():
        plain = path.name[: -len(ending)] + ".tar"
        raise SourceError(
            f"{path} is packed as a whole, so that no image in it can be read without all before it. Make it a plain "
            f"tar file, which is read in place (images are packed already): gunzip, bunzip2, unxz or unzstd make "
            f"{path.with_name(plain)}."
        )


def whole_of(root: Path) -> Path:
    """Return the folder of an archive that holds all of its images: where there is but one folder, and no more.

    Archives wrap what they hold once more (`photos.zip/photos/cats`). A folder that is called as a split is none such,
    nor is one without folders in it. A path that is no archive's, or leads to a folder in one, stays.
    """
    if (found := divided(root)) is None or found[1]:
        return root
    archive = found[0]
    layout, inner = members_of(archive).layout, ""
    while True:
        folders = [name for name in layout.folders if _lies_in(name, inner) and not _is_systems(name)]
        tables = any(_lies_in(name, inner) for name in layout.tables)
        if len(folders) != 1 or tables or inner in layout.holding or split_called(folders[0].rpartition("/")[2]):
            return archive / inner
        if not any(_lies_in(name, folders[0]) for name in layout.folders):
            return archive / inner
        (inner,) = folders


class _Sorted:
    """The names in an archive, sorted by what they are."""

    def __init__(self, root: Path, exclusions: Exclusions, contents: Contents, inner: str) -> None:
        self._root, self._exclusions = root, exclusions
        below = f"{inner}/" if inner else ""
        self._files = sorted(name[len(below) :] for name in contents.files if name.startswith(below))
        self._folders = sorted(name[len(below) :] for name in contents.folders if name.startswith(below))
        self._beside: dict[str, set[str]] = defaultdict(set)
        for name in (*self._files, *self._folders):
            parent, _, own = name.rpartition("/")
            self._beside[parent].add(own)
        self._found: dict[str, list[str]] = defaultdict(list)

    def listing(self, findings: tuple[Finding, ...]) -> Listing:
        """Return them as those of a folder."""
        left: set[str] = set()  # folders that are left out, with all below them
        for folder in self._folders:  # each after the one that it lies in
            if folder.rpartition("/")[0] in left or self._is_left_out(folder, folder=True):
                left.add(folder)
            else:
                self._found["folders"].append(folder)
        for name in self._files:
            if name.rpartition("/")[0] not in left and not self._is_left_out(name, folder=False):
                self._sort(name)
        found: dict[str, Any] = {kind: tuple(names) for kind, names in self._found.items()}
        exclude, idle = self._exclusions.given, self._exclusions.unused
        return Listing(root=self._root, exclude=exclude, idle=idle, findings=findings, **found)

    def _is_left_out(self, path: str, *, folder: bool) -> bool:
        parent, _, name = path.rpartition("/")
        mark = path + "/" * folder
        if folder:
            above = parent.rpartition("/")[2] or self._root.name
            of_system = is_system_folder(name, above, self._beside[parent]) or (
                may_be_bin(name) and is_bin(self._beside[path])
            )
        else:
            of_system = is_system_file(name)
        if of_system:
            self._found["system"].append(mark)
        elif self._exclusions.given and self._exclusions.match(path):
            self._found["excluded"].append(mark)
        elif not is_utf8(name):
            self._found["no_text"].append(mark)
        else:
            return False
        return True

    def _sort(self, path: str) -> None:
        told = by_name_or_content(self._root, path)
        self._found["others" if told in ("unknown", "other") else "pictures"].append(path)
        if told == "variant":
            self._found["by_content"].append(path)


def _lies_in(name: str, folder: str) -> bool:
    return name.rpartition("/")[0] == folder


def _is_systems(name: str) -> bool:
    return is_system_folder(name.rpartition("/")[2], "", ())
