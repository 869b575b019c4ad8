"""Copies of predicted images in a folder per class: nothing is overwritten, and the same command goes on.

An image that an earlier command, or its user, has put into another folder there stays in that one alone.
"""

from __future__ import annotations

import contextlib
import filecmp
import os
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from goldenrule.core.errors import FormatError, OptionError, StorageError, is_installed
from goldenrule.data.containers.inside import is_file
from goldenrule.data.sources.picture_files import read_picture
from goldenrule.metrics.predictions_csv import OUT, UNSURE
from goldenrule.storage.files import make_folder, storage_errors
from goldenrule.storage.unfinished import remove_leftovers, unfinished_file

if TYPE_CHECKING:
    from goldenrule.data.table import ImageTable
    from goldenrule.models.classifier import Classifier

APART = {UNSURE: "_unsure", OUT: "_out-of-distribution", "ok": "_no-label"}
"""Where images without a prediction go, by their status; those that can't be read stay where they are."""
_LONGEST_NAME = 200
_FORBIDDEN = str.maketrans(dict.fromkeys('/\\:*?"<>|\0', "_"))


def folder_names(classes: Sequence[str]) -> dict[str, str]:
    """Return a folder's name for each class: its own where a file system takes it, and each another one.

    >>> folder_names(["cat", "and/or", "..", "CAT"])
    {'cat': 'cat', 'and/or': 'and_or', '..': '_..', 'CAT': 'CAT-2'}
    """
    taken = {name.casefold() for name in APART.values()}
    names = {}
    for label in classes:
        plain = label.translate(_FORBIDDEN).strip()
        plain = "".join(mark if mark.isprintable() else "_" for mark in plain)
        plain = f"_{plain}" if plain.startswith(".") or not plain else plain
        while len(os.fsencode(plain)) > _LONGEST_NAME:
            plain = plain[:-1]
        name, number = plain, 1
        while name.casefold() in taken:
            number += 1
            name = f"{plain}-{number}"
        taken.add(name.casefold())
        names[label] = name
    return names


@dataclass(slots=True, kw_only=True)
class ClassFolders:
    """The folders that images are copied into; `copied` and `there` (equal before) count files by folder.

    `elsewhere` are images that lie in another folder there, with that folder and the one they would come into now.
    """

    folder: Path
    names: Mapping[str, str]
    copied: Counter[str] = field(default_factory=Counter)
    there: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    elsewhere: list[tuple[str, str, str]] = field(default_factory=list)
    _before: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        folder: Path,
        classes: Sequence[str],
        images: Sequence[str | Path],
        *,
        learned: ImageTable | None = None,
    ) -> ClassFolders:
        """Return the folders for these classes.

        Raises `OptionError` where they would lie among the images, or among those that were `learned` from: the next
        fit would take predictions for labels.
        """
        place = folder.resolve()
        if learned is not None:
            _check_apart(folder, learned)
        for source in (Path(one).expanduser() for one in images):
            if source.is_dir() and (place == source.resolve() or source.resolve() in place.parents):
                raise OptionError(
                    f"--sort-into {folder} lies in {source}, where the next prediction would find the copies. Give a "
                    "folder beside it."
                )
        if folder.exists() and not folder.is_dir():
            raise OptionError(f"--sort-into {folder} is a file; wanted a folder.")
        before = sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
        return cls(folder=folder, names=folder_names(classes), _before=tuple(before))

    def put(self, image: Path, status: str, labels: Sequence[str]) -> None:
        """Copy an image into the folder of each of its labels, or of its status where it has none."""
        folders = [self.names[label] for label in labels] or ([APART[status]] if status in APART else [])
        if folders and (other := self._other(image, folders)):
            self.elsewhere.append((str(image), other, folders[0]))
            return
        for name in folders:
            place = self.folder / name
            if place.is_symlink():
                raise StorageError(f"{place} is a symbolic link, and is not followed. Remove it, or sort elsewhere.")
            try:
                new = _copied(image, make_folder(place))
            except FileNotFoundError:
                self.failed.append(str(image))
                continue
            (self.copied if new else self.there)[name] += 1

    def _other(self, image: Path, folders: Sequence[str]) -> str | None:
        """Return the folder of before, none of these, in which this very image lies."""
        for name in self._before:
            place = self.folder / name
            try:
                if name not in folders and not place.is_symlink() and _free_name(image, place) is None:
                    return name
            except FileNotFoundError:  # it is gone, as is told when it is copied
                return None
        return None

    def clear_leftovers(self) -> None:
        """Remove what a killed command left half copied."""
        for name in (*self.names.values(), *APART.values()):
            if (self.folder / name).is_dir():
                remove_leftovers(self.folder / name)


def learned_from(classifier: Classifier) -> ImageTable | None:
    """Return the images of the run that a classifier lies in; None where nothing is known of them."""
    if classifier.folder is None or not is_installed("pyarrow"):  # in an install for prediction alone no fit follows
        return None
    from goldenrule.runs.verified_files import IMAGES, is_run, run_images, was_written

    run = classifier.folder.resolve().parent
    with contextlib.suppress(FormatError, StorageError):  # a damaged run is told by who needs it
        if is_run(run) and was_written(run, IMAGES):
            return run_images(run)
    return None


def _check_apart(folder: Path, learned: ImageTable) -> None:
    """Raise `OptionError` where a folder is or holds one with images that a run learned from, or is a class there."""
    place, root = folder.resolve(), learned.place
    paths = [Path(uri) for uri in learned.uris]
    holding = {root / one.parent for one in paths}
    every = zip(paths, learned.rows["labels"].to_pylist(), strict=True)
    by_folder = any(learned.classes[label] in path.parts for path, labels in every for label in labels)
    if by_folder and root.name:  # a new folder among the class folders is a new class
        holding.add(root)
    if any(place == one or place in one.parents or one in place.parents for one in holding):
        images = root if root.name else min(holding)
        raise OptionError(
            f"--sort-into {folder} is, holds or lies in the folder of images that the classifier learned from "
            f"({images}): the next fit would take predictions for labels. Nothing was copied: give a new folder "
            f"elsewhere, such as {Path('sorted') / learned.name}."
        )


def _copied(image: Path, place: Path) -> bool:
    """Copy a file under its own name, numbered where another file has it; return False where it is there already."""
    if (target := _free_name(image, place)) is None:
        return False
    with storage_errors(place), unfinished_file(place) as temporary:
        if image.is_file():
            shutil.copyfile(image, temporary)
            shutil.copystat(image, temporary)
        else:
            temporary.write_bytes(read_picture(image))
        while target is not None:
            try:
                os.link(temporary, target)  # never replaces what is there
            except FileExistsError:  # another process was first
                target = _free_name(image, place)
            except OSError:  # a file system without hard links
                temporary.rename(target)
                return True
            else:
                return True
    return False


def _free_name(image: Path, place: Path) -> Path | None:
    """Return the first name that no file has; None where one of them is this very image."""
    target, number = place / image.name, 1
    while target.exists() or target.is_symlink():
        if target.is_file() and _is_same(image, target):
            return None
        number += 1
        target = place / f"{image.stem}-{number}{image.suffix}"
    if not is_file(image):
        raise FileNotFoundError(image)
    return target


def _is_same(image: Path, target: Path) -> bool:
    if image.is_file():
        return filecmp.cmp(image, target, shallow=False)
    return read_picture(image) == read_picture(target)
