"""Where labelled files are found: folders whose sub-folders are classes, with or without parts."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Literal, get_args

from goldenrule.foundation.errors import OptionError, SourceError
from goldenrule.foundation.findings import Finding, plural
from goldenrule.images.formats import is_picture
from goldenrule.images.grouping import with_groups
from goldenrule.images.judged import missing_classes
from goldenrule.images.part_folders import PART_NAMES, part_called, part_like, says_nothing
from goldenrule.images.table import ImageTable, Part, image_table, one_form

LabelsFrom = Literal["auto", "folder", "parent"]
"""What names the class of an image: its class folder ("auto" asks where something else could be meant, "folder" does
not), or the folder that it lies in, however deep.
"""

TABLE_ENDINGS = (".csv", ".tsv", ".jsonl")
SHARED = 0.8
"""Sub-folders are those of every class where so large a share of the classes has them."""
IMAGE_EXTENSIONS = frozenset(
    [
        ".avif",
        ".bmp",
        ".dib",
        ".gif",
        ".heic",
        ".heif",
        ".j2k",
        ".jfif",
        ".jp2",
        ".jpe",
        ".jpeg",
        ".jpg",
        ".pbm",
        ".pgm",
        ".png",
        ".pnm",
        ".ppm",
        ".tga",
        ".tif",
        ".tiff",
        ".webp",
    ]
)


def from_folder(
    path: str | os.PathLike[str],
    *,
    train: str | None = None,
    valid: str | None = None,
    test: str | None = None,
    group_by: str = "auto",
    labels_from: LabelsFrom = "auto",
) -> ImageTable:
    """Give the images of a folder, labelled by the names of their class folders.

    Known layouts: `train/CLASS/`, with `valid/CLASS/` and `test/CLASS/` where there are (also val,
    validation, training, test1, testing, or with words that say nothing more: train_images, training_set; or the
    names given as `train`, `valid`, `test`); a flat `test/` is unlabelled; `CLASS/` folders alone have no parts yet, or
    have them inside (`CLASS/train/`). The class map is the union over all parts, sorted by name (law 2): a class that a
    part lacks, or that only one part knows, is a finding. Names are compared in one normal form of Unicode.
    `group_by` says what in a name makes images belong together (`with_groups`); `labels_from` which folder names the
    class.

    Raises `SourceError` where the folder is missing, unreadable, empty or laid out otherwise, and where its class
    folders all have the same sub-folders: which of them are the classes is asked for.
    """
    if labels_from not in get_args(LabelsFrom):
        raise OptionError(f"--labels-from {labels_from}: wanted {', '.join(get_args(LabelsFrom))}.")
    root = Path(path).expanduser()
    folders = _folders(root)
    parts = _part_folders(root, folders, {"train": train, "valid": valid, "test": test})
    notes: list[Finding] = []
    if tuple(parts) == ("train",) and train is None and _train_is_a_class(root, folders):
        parts = {}
        notes.append(_TRAIN_IS_A_CLASS)
    usual = {name for names in PART_NAMES.values() for name in names}
    named = [f"{folder} = {part}" for part, folder in parts.items() if folder.lower() not in usual]
    if named and not (train or valid or test):
        sentence = f"parts by the names of their folders: {', '.join(named)}"
        advice = "--train-name NAME (--valid-name, --test-name) says otherwise."
        notes.append(Finding(severity="note", code="parts-by-name", sentence=sentence, advice=advice))
    found: list[tuple[Part | None, str | None, str]]
    if parts:
        parts = {part: _unwrapped(root, folder) for part, folder in parts.items()}
        found = [(part, *row) for part, folder in parts.items() for row in _part_files(root, folder, part, labels_from)]
    else:
        found = [(None, label, uri) for folder in folders for label, uri in _class_files(root, folder, labels_from)]
    if labels_from == "auto":
        found = _asked_of_sub_folders(root, found, parts)
    labelled = sorted({label for _, label, _ in found if label is not None})
    if not labelled:
        raise SourceError(_no_classes(root, folders))
    found.sort(key=lambda row: row[2])
    index = {name: number for number, name in enumerate(labelled)}
    table = image_table(
        root,
        labelled,
        uris=[uri for _, _, uri in found],
        parts=[part for part, _, _ in found],
        labels=[[] if label is None else [index[label]] for _, label, _ in found],
    )
    used = {uri for _, _, uri in found}
    taken = {PurePosixPath(folder).parts[0] for folder in parts.values()}
    beside = [name for name in folders if parts and name not in taken]
    return with_groups(table, group_by).with_findings(
        *notes,
        *missing_classes(table),
        *_ignored_folders(beside),
        *_images_without_class(root, parts, used),
        *_ignored_files(root, used),
    )


def image_files(paths: Iterable[str | os.PathLike[str]]) -> list[tuple[str, Path]]:
    """Give (name to show, path) for every file named and every image below every folder named.

    The name is relative to the argument it came from, or begins with it where two would be the same; a file
    stands for itself whatever its extension.
    """
    found: list[tuple[str, Path]] = []
    for argument in paths:
        path = Path(argument).expanduser()
        if path.is_dir():
            below = [(str(uri), path / uri) for uri in sorted(_images_below(path, PurePosixPath()))]
            if not below:
                raise SourceError(f"{path} holds no images (known: {_extensions()}).")
            found += below
        elif path.exists():
            found.append((str(argument), path))
        else:
            raise SourceError(f"{path} does not exist: wanted an image or a folder of images.")
    if len({name for name, _ in found}) < len(found):
        return [(str(path), path) for _, path in found]
    return found


def _folders(root: Path) -> list[str]:
    if not root.exists():
        raise SourceError(f"{root} does not exist. Give a folder that has one sub-folder of images per class.")
    if not root.is_dir():
        raise SourceError(f"{root} is a file. Give a folder that has one sub-folder of images per class.")
    return [entry.name for entry in _entries(root) if entry.is_dir()]


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            found = sorted((e for e in entries if not e.name.startswith(".")), key=lambda entry: entry.name)
    except PermissionError as error:
        raise SourceError(f"{folder} can't be read: {error.strerror}. Ask its owner for read access.") from error
    if strange := [os.fsencode(entry.name) for entry in found if not _is_utf8(entry.name)]:
        raise SourceError(f"{folder} holds a name that is not UTF-8: {strange[0]!r}. Rename it.")
    return found


def _is_utf8(name: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in name)  # how Python keeps other bytes


def _part_folders(root: Path, folders: list[str], named: dict[Part, str | None]) -> dict[Part, str]:
    parts: dict[Part, str] = {}
    for part, given in named.items():
        matches = [name for name in folders if name.lower() in PART_NAMES[part]]
        if given is not None:
            if given not in folders:
                raise OptionError(f"{part}={given!r}: {root} has no such folder, only {', '.join(folders) or 'none'}.")
            matches = [given]
        if len(matches) > 1:
            raise SourceError(
                f"{root} has {' and '.join(matches)}: which one is the {part} part? Say it with {part}=NAME."
            )
        if matches:
            parts[part] = matches[0]
    if "train" not in parts and not any(named.values()):
        like = part_like(folders)
        for part, own in like.items():
            if len(own) > 1:
                raise SourceError(
                    f"{root} has {' and '.join(own)}: which one is the {part} part? Say it with {part}=NAME "
                    f"(--{part}-name NAME)."
                )
        parts = {part: own[0] for part, own in like.items()} or parts
    if parts and "train" not in parts:
        names = " and ".join(f"{name}/" for name in parts.values())
        raise SourceError(
            f"{root} has {names} but no train/. Name the training folder (train=NAME), or rename {names} "
            "if that is a class."
        )
    if len(set(parts.values())) < len(parts):
        raise OptionError(f"{', '.join(f'{part}={name!r}' for part, name in parts.items())}: one folder is one part.")
    return parts


def _unwrapped(root: Path, folder: str) -> str:
    """Give the folder of a part's classes: archives wrap it once more (`training_set/training_set/cats`).

    That is so where a part's folder holds nothing but one folder, which is called the same, or a part, or nothing in
    particular (`train/images`, unless a table beside the parts may label them); and which holds folders and no images.
    """
    entries = _entries(root / folder)
    if len(entries) != 1 or not entries[0].is_dir():
        return folder
    inner = _entries(root / folder / entries[0].name)
    images = any(entry.is_file() and _is_image(Path(entry.path).parent, PurePosixPath(entry.name)) for entry in inner)
    name = entries[0].name
    alike = part_called(name) or name == PurePosixPath(folder).name or (says_nothing(name) and not _has_table(root))
    return f"{folder}/{name}" if alike and not images and any(entry.is_dir() for entry in inner) else folder


def _train_is_a_class(root: Path, folders: Sequence[str]) -> bool:
    """Say whether a folder called train is a class beside others: all hold images, and no table could label them."""
    if _has_table(root):
        return False
    return len(folders) > 1 and all(_holds_images_alone(root / name) for name in folders)


def _has_table(root: Path) -> bool:
    return any(entry.is_file() and entry.name.lower().endswith(TABLE_ENDINGS) for entry in _entries(root))


def _holds_images_alone(folder: Path) -> bool:
    entries = _entries(folder)
    return not any(entry.is_dir() for entry in entries) and any(
        entry.is_file() and _is_image(folder, PurePosixPath(entry.name)) for entry in entries
    )


_TRAIN_IS_A_CLASS = Finding(
    severity="warning",
    code="train-is-a-class",
    sentence="the folder train is taken for a class: it holds images and no class folders, as the others do",
    advice="If it is the training part, put its images into class folders.",
)


def _asked_of_sub_folders(
    root: Path, found: list[tuple[Part | None, str | None, str]], parts: Mapping[Part, str]
) -> list[tuple[Part | None, str | None, str]]:
    """Give the rows, with parts where every class folder has them inside.

    Raises `SourceError` where all class folders have the same sub-folders otherwise: these may be the classes.
    """
    below: dict[str, Counter[str]] = defaultdict(Counter)  # images of each class by sub-folder, "" for none
    for part, label, uri in found:
        if label is not None:
            inner = PurePosixPath(uri).relative_to(parts[part]) if part else PurePosixPath(uri)
            below[label][inner.parts[1] if len(inner.parts) > 2 else ""] += 1
    if len(below) < 2 or any("" in own for own in below.values()):
        return found
    holders = Counter(name for own in below.values() for name in own)
    shared = sorted(name for name, count in holders.items() if count >= SHARED * len(below))
    if not parts and shared and all(map(part_called, holders)) and "train" in map(part_called, shared):
        return [(part_called(PurePosixPath(uri).parts[1]), label, uri) for _, label, uri in found]
    if len(shared) < 2:
        return found
    some, names = " and ".join(sorted(below)[:3]), ", ".join(shared[:4])
    raise SourceError(
        f"{root}: the folders {some}{' ...' if len(below) > 3 else ''} all hold the same folders ({names}). Are those "
        f"the classes? Say it: --labels-from parent takes {shared[0]} and so on for the classes, --labels-from folder "
        f"{sorted(below)[0]} and so on."
    )


def _part_files(root: Path, folder: str, part: Part, labels_from: LabelsFrom) -> Iterator[tuple[str | None, str]]:
    entries = _entries(root / folder)
    classes = [entry.name for entry in entries if entry.is_dir()]
    flat = [entry.name for entry in entries if entry.is_file() and _is_image(root / folder, PurePosixPath(entry.name))]
    if classes:
        for name in classes:
            for label, uri in _class_files(root / folder, name, labels_from):
                yield label, f"{folder}/{uri}"
    elif part == "test":
        for name in flat:
            yield None, f"{folder}/{name}"
    elif flat:
        raise SourceError(
            f"{root / folder} holds {len(flat):,} images but no class folders. Wanted {folder}/CLASS/image.jpg: "
            "put the images of each class into a sub-folder named after it."
        )


def _class_files(root: Path, name: str, labels_from: LabelsFrom) -> Iterator[tuple[str, str]]:
    for uri in _images_below(root, PurePosixPath(name)):
        yield one_form(uri.parent.name if labels_from == "parent" else name), str(uri)


def _images_below(root: Path, relative: PurePosixPath) -> Iterator[PurePosixPath]:
    return (path for path, kind in _walk(root, relative) if kind == "file" and _is_image(root, path))


def all_files(root: Path) -> list[str]:
    """Give every file below a folder that is not hidden, in order; links are followed, but not round in circles."""
    return sorted(str(path) for path, kind in _walk(root, PurePosixPath()) if kind == "file")


def _walk(
    root: Path, relative: PurePosixPath, above: tuple[Path, ...] = ()
) -> Iterator[tuple[PurePosixPath, Literal["file", "loop", "broken"]]]:
    """Give everything below a folder; a link back to a folder it lies in is a loop, one to nothing is broken."""
    here = (root / relative).resolve()
    above = above or tuple(here.parents)
    for entry in _entries(root / relative):
        path = relative / entry.name
        if entry.is_symlink() and not entry.is_file() and not entry.is_dir():
            yield path, "broken"
        elif entry.is_symlink() and entry.is_dir() and Path(entry.path).resolve() in (here, *above):
            yield path, "loop"
        elif entry.is_dir():
            yield from _walk(root, path, (here, *above))
        elif entry.is_file():
            yield path, "file"


def _is_image(root: Path, path: PurePosixPath) -> bool:
    """Judge by the extension; a file without any by its first bytes."""
    if path.suffix:
        return path.suffix.lower() in IMAGE_EXTENSIONS
    return is_picture(root / path)


def _extensions() -> str:
    return ", ".join(sorted(extension[1:] for extension in IMAGE_EXTENSIONS))


def _no_classes(root: Path, folders: list[str]) -> str:
    files = [entry.name for entry in _entries(root) if entry.is_file()]
    tables = [name for name in files if name.lower().endswith(".csv")]
    images = sum(_is_image(root, PurePosixPath(name)) for name in files)
    if not folders and not files:
        found = "it is empty"
    else:
        found = f"found {len(folders)} sub-folder{'s' * (len(folders) != 1)} without images"
        found += f" and {images:,} images beside them" if images else ""
        found += f" ({', '.join(tables)} may name labels; put each image into its class's folder)" if tables else ""
    wanted = f"Wanted {root.name}/CLASS/image.jpg, or train/CLASS/image.jpg."
    return f"{root} has no class folders with images: {found}. {wanted}"


def _ignored_folders(names: list[str]) -> Iterator[Finding]:
    if names:
        yield Finding(
            severity="warning",
            code="folders-ignored",
            sentence=f"{plural(len(names), 'folder')} beside the parts {'is' if len(names) == 1 else 'are'} ignored",
            evidence=tuple(names),
            advice="Name it as a part (train=, valid=, test=) if it should be.",
        )


def _images_without_class(root: Path, parts: dict[Part, str], used: set[str]) -> Iterator[Finding]:
    """Give a finding for images that lie beside class folders instead of in one."""
    places = [(root, ""), *((root / folder, f"{folder}/") for folder in parts.values())]
    names = [prefix + entry.name for place, prefix in places for entry in _entries(place) if entry.is_file()]
    left = tuple(name for name in names if name not in used and _is_image(root, PurePosixPath(name)))
    if left:
        yield Finding(
            severity="warning",
            code="images-without-class",
            sentence=f"{plural(len(left), 'image')} {'lies' if len(left) == 1 else 'lie'} beside the class folders",
            evidence=left,
            advice="They are not used: put each into the folder of its class.",
        )


def _ignored_files(root: Path, used: set[str]) -> Iterator[Finding]:
    others: Counter[str] = Counter()
    links: dict[str, list[str]] = {"loop": [], "broken": []}
    for path, kind in _walk(root, PurePosixPath()):
        if kind != "file":
            links[kind].append(str(path))
        elif len(path.parts) > 1 and str(path) not in used and not _is_image(root, path):
            others[path.suffix.lower() or "(no extension)"] += 1
    for kind, what, advice in (
        ("loop", "leads back to a folder it lies in", "It is not followed."),
        ("broken", "leads nowhere", "Remove it, or bring back what it led to."),
    ):
        if links[kind]:
            sentence = f"{plural(len(links[kind]), 'link')}: each {what}"
            yield Finding(
                severity="warning", code=f"link-{kind}", sentence=sentence, evidence=tuple(links[kind]), advice=advice
            )
    if others:
        yield Finding(
            severity="note",
            code="not-images",
            sentence=f"beside the {plural(len(used), 'image')} there {'is' if others.total() == 1 else 'are'} "
            f"{plural(others.total(), 'file')} without an image's name",
            evidence=tuple(f"{count:,} {suffix}" for suffix, count in sorted(others.items())),
            advice="They are left alone.",
        )
