"""Folders that are parts, by their names: train, valid and test, as people and competitions write them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from goldenrule.data.table import Part

PART_NAMES: dict[Part, tuple[str, ...]] = {
    "train": ("train", "training"),
    "valid": ("valid", "val", "validation"),
    "test": ("test", "test1", "testing"),
}
WORDS: dict[str, Part] = {name: part for part, names in PART_NAMES.items() for name in names} | {
    "dev": "valid",
    "eval": "test",
    "evaluation": "test",
    "holdout": "test",
}
NEUTRAL = frozenset(
    (
        *("image", "images", "img", "imgs", "photo", "photos", "picture", "pictures", "pic", "pics"),
        *("set", "sets", "data", "dataset", "datasets", "file", "files", "folder", "folders", "split", "part"),
        *("jpg", "jpeg", "jpgs", "png", "small", "large", "resized", "crop", "crops", "cropped", "raw"),
    )
)
"""Words that say nothing of a class."""
_PIECES = re.compile(r"[a-z]+|[0-9]+")
_TOGETHER = re.compile(rf"^({'|'.join(sorted(WORDS, key=len, reverse=True))})({'|'.join(sorted(NEUTRAL))})$")


def part_of(uri: str) -> Part | None:
    """Return the part that an image's first folder names.

    >>> part_of("train/7.jpg"), part_of("test_images/7.jpg"), part_of("images/7.jpg")
    ('train', 'test', None)
    """
    pieces = PurePosixPath(uri).parts
    return part_called(pieces[0]) or (neutral_part(pieces[0]) if len(pieces) > 1 else None)


def part_called(name: str) -> Part | None:
    """Return the part that a name means, None where it means none."""
    return next((part for part, names in PART_NAMES.items() if name.lower() in names), None)


def neutral_part(name: str) -> Part | None:
    """Return the part of a name that says nothing else, None of any other.

    >>> neutral_part("training_set"), neutral_part("TestImages"), neutral_part("test_tube"), neutral_part("images")
    ('train', 'test', None, None)
    """
    part, rest = _taken_apart(name)
    return part if part and _neutral(rest) else None


def says_nothing(name: str) -> bool:
    """Return whether a folder's name is none of a class: "images", "data_set".

    >>> says_nothing("images"), says_nothing("jpg_files_2"), says_nothing("cats"), says_nothing("train")
    (True, True, False, False)
    """
    part, rest = _taken_apart(name)
    return part is None and bool(rest) and _neutral(rest) and not name.isdigit()


def _neutral(words: Sequence[str]) -> bool:
    return all(word in NEUTRAL or word.isdigit() for word in words)


def part_like(names: Sequence[str]) -> dict[Part, list[str]]:
    """Return the folders that are parts although they are called otherwise, by part; {} where there is no train.

    They say nothing but the part ("train_images"), or the same beside it ("seg_train", "seg_test").

    >>> part_like(["seg_train", "seg_test", "seg_pred"]), part_like(["test_tube", "train_station"])
    ({'train': ['seg_train'], 'test': ['seg_test']}, {})
    """
    apart = {name: _taken_apart(name) for name in names}
    found: dict[Part, list[str]] = {}
    for name, (part, rest) in apart.items():
        like = [other for other, (its, words) in apart.items() if its and its != part and words == rest]
        if part and (neutral_part(name) or like):
            found.setdefault(part, []).append(name)
    return found if "train" in found and len(found) > 1 else {}


def _taken_apart(name: str) -> tuple[Part | None, tuple[str, ...]]:
    """Return the part that one of a name's words means, and the other words; None where none or several do."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()
    words: list[str] = []
    for word in _PIECES.findall(spaced):
        together = _TOGETHER.match(word)
        words += [together[1], together[2]] if together else [word]
    meant = [word for word in words if word in WORDS]
    if len(meant) != 1:
        return None, tuple(words)
    return WORDS[meant[0]], tuple(word for word in words if word != meant[0])
