"""Where labelled files are found: folders whose sub-folders are classes, with or without splits."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import replace as replaced
from pathlib import Path, PurePosixPath
from typing import Literal, get_args

from goldenrule.core.errors import OptionError, SourceError, system_errors
from goldenrule.core.findings import Finding, plural
from goldenrule.data.containers.inside import divided, is_file, is_folder
from goldenrule.data.containers.objects import is_address
from goldenrule.data.grouping import with_groups
from goldenrule.data.sources.archive_listing import check_not_packed, listing_of, whole_of
from goldenrule.data.sources.left_out import left_out, lost_folders
from goldenrule.data.sources.listing import Listing
from goldenrule.data.sources.picture_files import IMAGE_EXTENSIONS, by_name
from goldenrule.data.sources.split_folders import SPLIT_NAMES, says_nothing, split_called, split_like
from goldenrule.data.splits.evaluated_classes import missing_classes
from goldenrule.data.table import ImageTable, Split, image_table, one_form
from goldenrule.storage.regular_files import FileKind, what_it_is

LabelsFrom = Literal["auto", "folder", "parent"]
"""What names the class of an image: its class folder ("auto" asks where something else could be meant, "folder" does
not), or the folder that it lies in, however deep.
"""

TABLE_ENDINGS = (".csv", ".tsv", ".jsonl")
SHARED = 0.8
"""Sub-folders are those of every class where so large a share of the classes has them."""


@system_errors()
def from_folder(
    path: str | os.PathLike[str],
    *,
    train: str | None = None,
    valid: str | None = None,
    test: str | None = None,
    group_by: str = "auto",
    labels_from: LabelsFrom = "auto",
    exclude: Sequence[str] = (),
) -> ImageTable:
    """Return the images of a folder, or of an archive (.zip, .tar), labelled by the names of their class folders.

    Known layouts: `train/CLASS/`, with `valid/CLASS/` and `test/CLASS/` where there are (also val,
    validation, training, test1, testing, or with words that say nothing more: train_images, training_set; or the
    names given as `train`, `valid`, `test`); a flat `test/` is unlabelled; `CLASS/` folders alone have no splits yet,
    or have them inside (`CLASS/train/`). The class map is the union over all splits, sorted by name: a class
    that a split lacks, or that only one split knows, is a finding. Names are compared in one normal form of Unicode.
    `group_by` says what in a name makes images belong together (`with_groups`); `labels_from` which folder names the
    class. `exclude` are patterns of names, or of paths below the folder, that are left out. What is left out, and a
    class folder without an image, are findings (`goldenrule.data.sources.left_out`).

    Raises `SourceError` where the folder is missing, unreadable, empty or laid out otherwise, and where its class
    folders all have the same sub-folders: which of them are the classes is asked for.
    """
    if labels_from not in get_args(LabelsFrom):
        raise OptionError(f"--labels-from {labels_from}: wanted {', '.join(get_args(LabelsFrom))}.")
    root = Path(path).expanduser()
    _check_folder(root)
    root = whole_of(root) if labels_from == "auto" else root
    files = listing_of(root, exclude)
    folders = files.folders_in()
    splits = _split_folders(root, folders, {"train": train, "valid": valid, "test": test})
    notes: list[Finding] = []
    if tuple(splits) == ("train",) and train is None and _train_is_a_class(files, folders):
        splits = {}
        notes.append(_TRAIN_IS_A_CLASS)
    usual = {name for names in SPLIT_NAMES.values() for name in names}
    named = tuple(f"{folder} = {split}" for split, folder in splits.items() if folder.lower() not in usual)
    if named and not (train or valid or test):
        notes.append(Finding(severity="note", code="splits-by-name", fields={"folders": named}))
    found: list[tuple[Split | None, str | None, str]]
    if splits:
        splits = {split: _unwrapped(files, folder) for split, folder in splits.items()}
        found = [
            (split, *row) for split, folder in splits.items() for row in _split_files(files, folder, split, labels_from)
        ]
    else:
        found = [(None, label, uri) for name in folders for label, uri in _class_files(files, name, labels_from)]
    if labels_from == "auto":
        found = _asked_of_sub_folders(root, found, splits)
    labelled = sorted({label for _, label, _ in found if label is not None})
    if len(labelled) < 2 and files.closed:
        closed, reason = next(iter(files.closed.items()))
        raise SourceError(f"{root / closed} can't be read: {reason}. Ask its owner for read access.")
    if not labelled:
        raise SourceError(_no_classes(files))
    found.sort(key=lambda row: row[2])
    index = {name: number for number, name in enumerate(labelled)}
    table = image_table(
        root,
        labelled,
        uris=[uri for _, _, uri in found],
        splits=[split for split, _, _ in found],
        labels=[[] if label is None else [index[label]] for _, label, _ in found],
    )
    used = {uri for _, _, uri in found}
    taken = {PurePosixPath(folder).parts[0] for folder in splits.values()}
    beside = [name for name in folders if splits and name not in taken]
    table = replaced(table, exclude=files.exclude, labels_table="")
    return with_groups(table, group_by).with_findings(
        *notes,
        *missing_classes(table),
        *lost_folders(files, tuple(splits.values()) or ("",), labelled),
        *(_inner_folders(found, splits) if labels_from == "auto" else ()),
        *_ignored_folders(beside),
        *_images_without_class(files, splits, used),
        *left_out(files, len(used), tables=True),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesOf:
    """The files of one argument, as (name to show, path): of millions there is a short text each in memory.

    `names` are below `folder`; of an argument that is a file itself, `folder` is None and the name its path. `by_path`
    shows the path instead of the name.
    """

    names: Sequence[str]
    folder: Path | None = None
    by_path: bool = False

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[tuple[str, Path]]:
        for name in self.names:
            path = self.folder / name if self.folder else Path(name).expanduser()
            yield str(path) if self.by_path else name, path


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFiles:
    """Files to predict, those of each argument in turn, and what was left out beside them."""

    arguments: tuple[FilesOf, ...]
    findings: tuple[Finding, ...] = ()

    @property
    def files(self) -> list[tuple[str, Path]]:
        """All of them, as (name to show, path)."""
        return [each for files in self.arguments for each in files]


def image_files(paths: Iterable[str | os.PathLike[str]], *, exclude: Sequence[str] = ()) -> list[tuple[str, Path]]:
    """Return (name to show, path) for every file named and every image below every folder named.

    The name is relative to the argument it came from, or begins with it where two would be the same; a file
    stands for itself whatever its extension. A link that has an image's name and leads nowhere has its row too.
    """
    return files_to_predict(paths, exclude=exclude).files


def files_to_predict(paths: Iterable[str | os.PathLike[str]], *, exclude: Sequence[str] = ()) -> ImageFiles:
    """Return what `image_files` does, with findings on what was left out.

    Raises `SourceError` for a path that leads to nothing, or to a pipe or device, and for a folder without an image.
    """
    found: list[FilesOf] = []
    findings: list[Finding] = []
    patterns = (exclude,) if isinstance(exclude, str) else tuple(exclude)
    idle: list[set[str]] = []
    for argument in paths:
        path = Path(argument).expanduser()
        kind = _kind_of(path)
        if kind is FileKind.FOLDER:
            files = listing_of(path, patterns)
            idle.append(set(files.idle))
            lost = [link for link in (*files.broken, *files.loops) if by_name(link.rpartition("/")[2]) == "picture"]
            below = sorted((*files.pictures, *lost), key=lambda uri: uri.replace("/", "\0"))  # folder by folder
            if not below:
                raise no_images(files)
            found.append(FilesOf(names=below, folder=path))
            findings += left_out(replaced(files, idle=()), len(below))
        elif kind is FileKind.FILE:
            found.append(FilesOf(names=(str(argument),)))
        else:
            raise SourceError(f"{path} {_said_of(kind)}: wanted an image or a folder of images.")
    unused = tuple(pattern for pattern in patterns if all(pattern in one for one in idle))
    if unused:
        findings += left_out(Listing(root=Path(), idle=unused), sum(map(len, found)))
    if len(found) > 1 and len({name for files in found for name in files.names}) < sum(map(len, found)):
        found = [replaced(files, by_path=True) for files in found]
    return ImageFiles(arguments=tuple(found), findings=tuple(findings))


def all_files(root: Path, exclude: Sequence[str] = ()) -> list[str]:
    """Return every regular file below a folder that is neither hidden, nor a system's, nor excluded, in order."""
    files = listing_of(root, exclude)
    return sorted((*files.pictures, *files.others))


def _kind_of(path: Path) -> FileKind | str:
    """Return what a path leads to, or in words why it leads to nothing."""
    if is_address(path) and not (is_folder(path) or is_file(path)):
        return "has no objects"
    if is_address(path) or (divided(path) is not None and (is_folder(path) or is_file(path))):
        return FileKind.FOLDER if is_folder(path) else FileKind.FILE
    try:
        return what_it_is(path.stat().st_mode)
    except FileNotFoundError:
        return "leads nowhere" if path.is_symlink() else "does not exist"
    except PermissionError:
        return FileKind.FILE  # it has its row, with the reason
    except OSError as error:
        return f"can't be read ({error.strerror})"


def _said_of(kind: FileKind | str) -> str:
    return f"is {kind}" if isinstance(kind, FileKind) else kind


def _check_folder(root: Path) -> None:
    check_not_packed(root)
    if is_folder(root):
        return
    kind = _kind_of(root)
    if kind is not FileKind.FOLDER:
        raise SourceError(f"{root} {_said_of(kind)}. Give a folder that has one sub-folder of images per class.")


def _split_folders(root: Path, folders: list[str], named: dict[Split, str | None]) -> dict[Split, str]:
    splits: dict[Split, str] = {}
    for split, given in named.items():
        matches = [name for name in folders if name.lower() in SPLIT_NAMES[split]]
        if given is not None:
            if given not in folders:
                raise OptionError(f"{split}={given!r}: {root} has no such folder, only {', '.join(folders) or 'none'}.")
            matches = [given]
        if len(matches) > 1:
            raise SourceError(
                f"{root} has {' and '.join(matches)}: which one is the {split} split? Say it with {split}=NAME."
            )
        if matches:
            splits[split] = matches[0]
    if "train" not in splits and not any(named.values()):
        like = split_like(folders)
        for split, value in like.items():
            if len(value) > 1:
                raise SourceError(
                    f"{root} has {' and '.join(value)}: which one is the {split} split? Say it with {split}=NAME "
                    f"(--{split}-name NAME)."
                )
        splits = {split: value[0] for split, value in like.items()} or splits
    if splits and "train" not in splits:
        names = " and ".join(f"{name}/" for name in splits.values())
        raise SourceError(
            f"{root} has {names} but no train/. Name the training folder (train=NAME), or rename {names} "
            "if that is a class."
        )
    if len(set(splits.values())) < len(splits):
        raise OptionError(
            f"{', '.join(f'{split}={name!r}' for split, name in splits.items())}: one folder is one split."
        )
    return splits


def _unwrapped(files: Listing, folder: str) -> str:
    """Return the folder of a split's classes: archives wrap it once more (`training_set/training_set/cats`).

    That is so where a split's folder holds nothing but one folder, which is called the same, or a split, or nothing in
    particular (`train/images`, unless a table beside the splits may label them); and which holds folders and no images.
    """
    inner = files.folders_in(folder)
    if len(inner) != 1 or files.pictures_in(folder) or files.others_in(folder):
        return folder
    name = inner[0]
    whole = f"{folder}/{name}"
    alike = split_called(name) or name == PurePosixPath(folder).name or (says_nothing(name) and not _has_table(files))
    return whole if alike and files.folders_in(whole) and not files.pictures_in(whole) else folder


def _train_is_a_class(files: Listing, folders: Sequence[str]) -> bool:
    """Return whether a folder called train is a class beside others: all hold images, and no table could label them."""
    if _has_table(files):
        return False
    return len(folders) > 1 and all(files.pictures_in(name) and not files.folders_in(name) for name in folders)


def _has_table(files: Listing) -> bool:
    return any(name.lower().endswith(TABLE_ENDINGS) for name in files.others_in())


_TRAIN_IS_A_CLASS = Finding(severity="warning", code="train-is-a-class")


def _asked_of_sub_folders(
    root: Path, found: list[tuple[Split | None, str | None, str]], splits: Mapping[Split, str]
) -> list[tuple[Split | None, str | None, str]]:
    """Return the rows, with splits where every class folder has them inside.

    Raises `SourceError` where all class folders have the same sub-folders otherwise: these may be the classes.
    """
    below: dict[str, Counter[str]] = defaultdict(Counter)  # images of each class by sub-folder, "" for none
    for split, label, uri in found:
        if label is not None:
            inner = PurePosixPath(uri).relative_to(splits[split]) if split else PurePosixPath(uri)
            below[label][inner.parts[1] if len(inner.parts) > 2 else ""] += 1
    if len(below) < 2 or any("" in counts for counts in below.values()):
        return found
    holders = Counter(name for counts in below.values() for name in counts)
    shared = sorted(name for name, count in holders.items() if count >= SHARED * len(below))
    if not splits and shared and all(map(split_called, holders)) and "train" in map(split_called, shared):
        return [(split_called(PurePosixPath(uri).parts[1]), label, uri) for _, label, uri in found]
    if len(shared) < 2:
        return found
    some, names = " and ".join(sorted(below)[:3]), ", ".join(shared[:4])
    raise SourceError(
        f"{root}: the folders {some}{' ...' if len(below) > 3 else ''} all hold the same folders ({names}). Are those "
        f"the classes? Say it: --labels-from parent takes {shared[0]} and so on for the classes, --labels-from folder "
        f"{sorted(below)[0]} and so on."
    )


def _inner_folders(found: list[tuple[Split | None, str | None, str]], splits: Mapping[Split, str]) -> Iterator[Finding]:
    """Yield a note where images lie deeper than their class folders: a folder put there by mistake looks like that."""
    inner: Counter[str] = Counter()
    for split, label, uri in found:
        folder = PurePosixPath(uri).parent
        if label is None or (split and not splits):  # of no class, or the inner folder is a split
            continue
        below = folder.relative_to(splits[split]) if split else folder
        if len(below.parts) > 1:
            inner[str(folder)] += 1
    if inner:
        yield Finding(severity="note", code="inner-folders", fields={"n": inner.total()}, evidence=tuple(sorted(inner)))


def _split_files(
    files: Listing, folder: str, split: Split, labels_from: LabelsFrom
) -> Iterator[tuple[str | None, str]]:
    classes, flat = files.folders_in(folder), files.pictures_in(folder)
    if classes:
        for name in classes:
            yield from _class_files(files, f"{folder}/{name}", labels_from)
    elif split == "test":
        for name in flat:
            yield None, f"{folder}/{name}"
    elif flat:
        raise SourceError(
            f"{files.root / folder} holds {len(flat):,} images but no class folders. Wanted {folder}/CLASS/image.jpg: "
            "put the images of each class into a sub-folder named after it."
        )


def _class_files(files: Listing, folder: str, labels_from: LabelsFrom) -> Iterator[tuple[str, str]]:
    name = one_form(folder.rpartition("/")[2])
    for uri in files.pictures_below(folder):
        yield one_form(uri.split("/")[-2]) if labels_from == "parent" else name, uri


def _extensions() -> str:
    return ", ".join(sorted(extension[1:] for extension in IMAGE_EXTENSIONS))


def no_images(files: Listing) -> SourceError:
    """Return the error for a folder without an image."""
    return SourceError(f"{files.root} holds no images (known: {_extensions()}).{_why_none(files)}")


def _why_none(files: Listing) -> str:
    """Return what lies in a folder instead of images, where something does."""
    said = [
        *([f"{plural(len(files.others), 'other file')}, such as {files.others[0]}"] if files.others else []),
        *(f"{path} can't be read ({reason})" for path, reason in list(files.closed.items())[:1]),
        *([f"{plural(len(files.no_text), 'name')} not in UTF-8: rename them"] if files.no_text else []),
    ]
    left = plural(len(files.excluded), "entry is", "entries are")
    there = f" There is: {'; '.join(said)}." if said else ""
    return there + (f" {left} left out by --exclude." if files.excluded else "")


def _no_classes(files: Listing) -> str:
    root, folders = files.root, files.folders_in()
    images, others = len(files.pictures_in()), files.others_in()
    tables = [name for name in others if name.lower().endswith(".csv")]
    if not folders and not images and not others:
        found = "it is empty"
    else:
        found = f"found {len(folders)} sub-folder{'s' * (len(folders) != 1)} without images"
        found += f" and {images:,} images beside them" if images else ""
        found += f" ({', '.join(tables)} may name labels; put each image into its class's folder)" if tables else ""
    wanted = f"Wanted {root.name}/CLASS/image.jpg, or train/CLASS/image.jpg."
    inside = "" if images else _why_none(files)
    return f"{root} has no class folders with images: {found}. {wanted}{inside}"


def _ignored_folders(names: list[str]) -> Iterator[Finding]:
    if names:
        yield Finding(severity="warning", code="folders-ignored", fields={"n": len(names)}, evidence=tuple(names))


def _images_without_class(files: Listing, splits: dict[Split, str], used: set[str]) -> Iterator[Finding]:
    """Return a finding for images that lie beside class folders instead of in one."""
    places = [("", ""), *((folder, f"{folder}/") for folder in splits.values())]
    names = [prefix + name for place, prefix in places for name in files.pictures_in(place)]
    left = tuple(name for name in names if name not in used)
    if left:
        yield Finding(severity="warning", code="images-without-class", fields={"n": len(left)}, evidence=left)
