"""Folders that are splits, by their names: train, valid and test, as people and competitions write them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from goldenrule.data.table import Split

SPLIT_NAMES: dict[Split, tuple[str, ...]] = {
    "train": ("train", "training"),
    "valid": ("valid", "val", "validation"),
    "test": ("test", "test1", "testing"),
}
WORDS: dict[str, Split] = {name: split for split, names in SPLIT_NAMES.items() for name in names} | {
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


def split_of(uri: str) -> Split | None:
    """Return the split that an image's first folder names.

    >>> split_of("train/7.jpg"), split_of("test_images/7.jpg"), split_of("images/7.jpg")
    ('train', 'test', None)
    """
    pieces = PurePosixPath(uri).parts
    return split_called(pieces[0]) or (neutral_split(pieces[0]) if len(pieces) > 1 else None)


def split_called(name: str) -> Split | None:
    """Return the split that a name means, None where it means none."""
    return next((split for split, names in SPLIT_NAMES.items() if name.lower() in names), None)


def split_in(name: str) -> Split | None:
    """Return the split that one of a name's words means; None where none does, or several do.

    >>> split_in("imagenet-train-000012"), split_in("shard_3"), split_in("train_and_test")
    ('train', None, None)
    """
    return _taken_apart(name)[0]


def neutral_split(name: str) -> Split | None:
    """Return the part of a name that says nothing else, None of any other.

    >>> neutral_split("training_set"), neutral_split("TestImages"), neutral_split("test_tube"), neutral_split("images")
    ('train', 'test', None, None)
    """
    split, rest = _taken_apart(name)
    return split if split and _neutral(rest) else None


def says_nothing(name: str) -> bool:
    """Return whether a folder's name is none of a class: "images", "data_set".

    >>> says_nothing("images"), says_nothing("jpg_files_2"), says_nothing("cats"), says_nothing("train")
    (True, True, False, False)
    """
    split, rest = _taken_apart(name)
    return split is None and bool(rest) and _neutral(rest) and not name.isdigit()


def _neutral(words: Sequence[str]) -> bool:
    return all(word in NEUTRAL or word.isdigit() for word in words)


def split_like(names: Sequence[str]) -> dict[Split, list[str]]:
    """Return the folders that are splits although they are called otherwise, by split; {} where there is no train.

    They say nothing but the split ("train_images"), or the same beside it ("seg_train", "seg_test").

    >>> split_like(["seg_train", "seg_test", "seg_pred"]), split_like(["test_tube", "train_station"])
    ({'train': ['seg_train'], 'test': ['seg_test']}, {})
    """
    apart = {name: _taken_apart(name) for name in names}
    found: dict[Split, list[str]] = {}
    for name, (split, rest) in apart.items():
        like = [other for other, (its, words) in apart.items() if its and its != split and words == rest]
        if split and (neutral_split(name) or like):
            found.setdefault(split, []).append(name)
    return found if "train" in found and len(found) > 1 else {}


def _taken_apart(name: str) -> tuple[Split | None, tuple[str, ...]]:
    """Return the split that one of a name's words means, and the other words; None where none or several do."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()
    words: list[str] = []
    for word in _PIECES.findall(spaced):
        together = _TOGETHER.match(word)
        words += [together[1], together[2]] if together else [word]
    meant = [word for word in words if word in WORDS]
    if len(meant) != 1:
        return None, tuple(words)
    return WORDS[meant[0]], tuple(word for word in words if word != meant[0])
