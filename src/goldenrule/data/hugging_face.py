"""Data sets of Hugging Face's `datasets`: their pictures are written as files once, so that all else works as usual."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from pathlib import Path, PurePosixPath
from typing import Any

from goldenrule.core.errors import MissingExtra, OptionError, UnreadableImage
from goldenrule.data.arrays import LabelledFile, from_files
from goldenrule.data.pictures.formats import opened_picture
from goldenrule.data.sources.left_out import lost_classes
from goldenrule.data.sources.picture_files import IMAGE_EXTENSIONS, read_picture
from goldenrule.data.sources.split_folders import split_called
from goldenrule.data.table import ImageTable, Split
from goldenrule.storage.cache_folder import cache_folder

WANTED = "wanted a datasets.Dataset or DatasetDict, as load_dataset gives it without streaming"
USUAL_LABELS = ("label", "labels")
ENDINGS = {"JPEG": ".jpg", "PNG": ".png", "TIFF": ".tif", "WEBP": ".webp", "BMP": ".bmp", "GIF": ".gif"}
FOLDER_DIGITS = 16


def from_hf(
    dataset: Any,
    *,
    image: str | None = None,
    label: str | None = None,
    folder: str | os.PathLike[str] | None = None,
) -> ImageTable:
    """Return the images of a `datasets.Dataset`, or of a `DatasetDict` with its splits.

    `image` and `label` name columns; by default the only one with the feature Image, and the only one with the feature
    ClassLabel (or lists of it: several labels an image). Encoded pictures are taken as they are, byte for byte. They
    are written below `folder` beside a labels.csv, by default to a place of their own in goldenrule's cache. A class
    label of -1, or None, is no label. Nothing is downloaded.

    Raises `MissingExtra` without the package `datasets`, `OptionError` for what is no such data set, for a column that
    it does not have, and for a split that is neither train, valid nor test.
    """
    splits = _splits(dataset)
    columns = _Columns.of(splits[0][1], image, label)
    pictures = [picture for split, rows in splits for picture in columns.pictures(split, rows)]
    root = Path(folder).expanduser() if folder is not None else _place(splits[0][1], pictures)
    table = from_files(pictures, folder=root, several=columns.several)
    lost = dict.fromkeys([name for name in columns.names if name not in table.classes], "no image has it")
    return table.with_findings(*lost_classes(lost))


def _splits(dataset: Any) -> list[tuple[Split | None, Any]]:
    """Return the data sets with the splits they are."""
    try:
        import datasets
    except ImportError as error:
        raise MissingExtra("gr.from_hf needs the package datasets: pip install 'goldenrule[hf]'.") from error
    if isinstance(dataset, datasets.Dataset):
        found: list[tuple[Split | None, Any]] = [(None, dataset)]
    elif isinstance(dataset, datasets.DatasetDict):
        named = {name: split_called(str(name)) for name in dataset}
        known = [split for split in named.values() if split]
        if len(known) < len(named) or len(set(known)) < len(known):
            other = next((name for name, split in named.items() if split is None), next(iter(named), ""))
            raise OptionError(
                f"The data set has the splits {', '.join(map(str, named))}: wanted train, valid or test, each once. "
                f"Give one of them (dataset[{other!r}]), which is then split, or rename them."
            )
        found = [(split, dataset[name]) for name, split in named.items()]
    else:
        raise OptionError(f"from_hf got {type(dataset).__name__}: {WANTED}.")
    if not sum(len(rows) for _, rows in found):
        raise OptionError(f"The data set has no rows: {WANTED}.")
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Columns:
    """Which columns hold pictures and labels, and how a label is called."""

    image: str
    label: str
    several: bool
    names: tuple[str, ...] = ()

    @classmethod
    def of(cls, rows: Any, image: str | None, label: str | None) -> _Columns:
        import datasets

        features = rows.features
        found = _only(features, image, datasets.Image, option="image", what="images")
        kind = features.get(label)
        if label is None:
            names = [name for name, one in features.items() if isinstance(_inner(one), datasets.ClassLabel)]
            names = names or [name for name in USUAL_LABELS if name in features]
            if len(names) != 1:
                raise OptionError(_columns_say(features, "label", "class labels"))
            label, kind = names[0], features[names[0]]
        if kind is None:
            raise OptionError(f"The data set has no column {label!r}, only {', '.join(features)}.")
        inner = _inner(kind)
        if not isinstance(inner, datasets.ClassLabel | datasets.Value):
            raise OptionError(f"The column {label!r} holds no labels but {type(inner).__name__}.")
        names_of = tuple(inner.names) if isinstance(inner, datasets.ClassLabel) else ()
        return cls(image=found, label=label, several=inner is not kind, names=names_of)

    def pictures(self, split: Split | None, rows: Any) -> Iterator[LabelledFile]:
        """Yield the pictures of a split, as they are encoded."""
        import datasets

        encoded = rows.select_columns([self.image, self.label]).cast_column(self.image, datasets.Image(decode=False))
        for number, row in enumerate(encoded):
            labels = row[self.label] if self.several else [row[self.label]]
            names = [name for name in map(self._name, labels or ()) if name]
            read = partial(_content_of, encoded, number, self.image)
            yield LabelledFile(read, _ending(row[self.image]), names, split=split)

    def _name(self, value: Any) -> str:
        if value is None or (self.names and value < 0):
            return ""
        return self.names[value] if self.names else str(value).strip()


def _only(features: Any, name: str | None, kind: type, *, option: str, what: str) -> str:
    """Return the column that was named, or the only one of its kind."""
    if name is None:
        names = [one for one, feature in features.items() if isinstance(feature, kind)]
        if len(names) != 1:
            raise OptionError(_columns_say(dict.fromkeys(names) or features, option, what))
        return str(names[0])
    if name not in features:
        raise OptionError(f"The data set has no column {name!r}, only {', '.join(features)}.")
    if not isinstance(features[name], kind):
        raise OptionError(f"The column {name!r} holds no {what} (it is of the feature {features[name]}).")
    return name


def _columns_say(names: Any, option: str, what: str) -> str:
    return f"Which of the columns {', '.join(names)} holds the {what}? Name it: from_hf(dataset, {option}=NAME)."


def _inner(feature: Any) -> Any:
    """Return the feature of the items where it is one of lists."""
    return getattr(feature, "feature", feature)


def _content_of(encoded: Any, number: int, column: str) -> bytes:
    return _content(encoded[number][column])


def _content(value: Any) -> bytes:
    """Return the encoded picture of a row; b"" where there is none, which is found to be unreadable."""
    if isinstance(value, dict):
        if value.get("bytes"):
            return bytes(value["bytes"])
        if value.get("path"):
            try:
                return read_picture(Path(value["path"]))
            except OSError:
                return b""
    return b""


def _ending(value: Any) -> str:
    """Return the ending of a picture's file: its own, or that of its format."""
    own = PurePosixPath((value or {}).get("path") or "").suffix.lower()
    if own in IMAGE_EXTENSIONS:
        return own
    try:
        with opened_picture(_content(value)) as picture:
            return ENDINGS.get(picture.format or "", ".png")
    except UnreadableImage:
        return ".png"


def _place(rows: Any, pictures: Sequence[LabelledFile]) -> Path:
    """Return a folder in the cache that is these pictures' own: the same data set lies in the same one."""
    whole = blake2b(digest_size=FOLDER_DIGITS // 2)
    for picture in pictures:
        whole.update(blake2b(picture.read()).digest())
        whole.update(repr((picture.split, picture.labels)).encode())
    name = re.sub(r"[^\w.-]+", "-", str(rows.info.dataset_name or rows.info.builder_name or "")).strip("-.")
    return cache_folder() / "hf" / whole.hexdigest() / (name or "dataset")
