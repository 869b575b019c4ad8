"""Samples as WebDataset packs them: `key.jpg` beside what is known of it, `key.cls`, `key.json` or `key.txt`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from goldenrule.core.errors import OptionError, SourceError
from goldenrule.core.findings import Finding
from goldenrule.data.containers.inside import contents_of, reading
from goldenrule.data.containers.members import Contents
from goldenrule.data.sources.picture_files import IMAGE_EXTENSIONS
from goldenrule.data.sources.system_files import is_system_file

Cell = tuple[str, ...]
"""The labels of one image, as they are written; () where it has none."""
CLS, TXT, JSON = "cls", "txt", "json"
JSON_FIELDS = ("label", "labels", "cls", "class", "class_name")
LARGEST_SIDECAR_BYTES = 1 << 20


@dataclass(slots=True)
class Samples:
    """Images in shards, by the names they have in these, and all that may be their labels, a cell for each image.

    `findings` say what could not be read. A column that may be a caption, and not a class, is in `captions`.
    """

    names: list[str] = field(default_factory=list)
    columns: dict[str, list[Cell]] = field(default_factory=dict)
    captions: frozenset[str] = frozenset()
    findings: list[Finding] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)

    def add(self, name: str, cells: Mapping[str, Cell]) -> None:
        """Add an image, with what is known of it."""
        for column, cell in cells.items():
            known = self.columns.setdefault(column, [()] * len(self.names))
            known.append(cell)
        self.names.append(name)
        for known in self.columns.values():
            if len(known) < len(self.names):
                known.append(())


def is_packed_as_samples(archive: Path) -> bool:
    """Return whether most images of an archive have a file of the same key beside them that may say their label."""
    keys, beside = _keys(archive, contents_of(archive), None)
    return bool(keys) and sum(bool(beside.get(key)) for key in keys) * 2 > len(keys)


def read_samples(archive: Path, samples: Samples, *, prefix: str, image: str | None, label: str | None) -> None:
    """Add the images of an archive, each as `prefix` and its name, and what stands beside it.

    `image` is the ending of those that are meant, where a key has several; `label` a field of the JSON files that is
    read beside the usual ones.
    """
    contents = contents_of(archive)
    samples.findings += contents.findings(str(archive))
    keys, beside = _keys(archive, contents, image)
    fields = dict.fromkeys((*JSON_FIELDS, *([label] if label else [])))
    with reading(archive, most_bytes=LARGEST_SIDECAR_BYTES) as read:
        for key, names in keys.items():
            if len(names) > 1:
                endings = sorted(name[len(key) + 1 :] for name in names)
                raise SourceError(
                    f"{archive}: the key {key} has several images, {' and '.join(endings)}. Say which is meant: --id "
                    f"{endings[0]} takes those with that ending."
                )
            cells: dict[str, Cell] = {}
            for kind, name in beside.get(key, {}).items():
                try:
                    cells |= _cells(kind, read(name), fields)
                except (OSError, ValueError, RecursionError) as error:
                    samples.damaged.append(f"{prefix}{name}: {getattr(error, 'strerror', None) or error}")
            samples.add(f"{prefix}{names[0]}", cells)


def _keys(
    archive: Path, contents: Contents, image: str | None
) -> tuple[dict[str, list[str]], dict[str, dict[str, str]]]:
    """Return the names of the images of each key, and those of what stands beside, by kind."""
    images: dict[str, list[str]] = {}
    beside: dict[str, dict[str, str]] = {}
    for name in contents.files:
        folder, _, own = name.rpartition("/")
        if is_system_file(own):
            continue
        stem, _, ending = own.partition(".")
        key, ending = f"{folder}/{stem}" if folder else stem, ending.lower()
        if ending in (CLS, TXT, JSON):
            beside.setdefault(key, {})[ending] = name
        elif f".{ending.rpartition('.')[2]}" in IMAGE_EXTENSIONS and image in (None, ending):
            images.setdefault(key, []).append(name)
    if image is not None and not images:
        raise OptionError(f"--id {image}: {archive} has no image with that ending.")
    return images, beside


def _cells(kind: str, content: bytes, fields: Mapping[str, Any]) -> dict[str, Cell]:
    text = content.decode("utf-8-sig").strip()
    if kind != JSON:
        return {kind: (text,) if text else ()}
    value = json.loads(text)
    if not isinstance(value, dict):
        return {JSON: cell_of_value(value)}
    return {name: cell_of_value(value[name]) for name in fields if name in value}


def cell_of_value(value: Any, name_of: Callable[[Any], str] = str) -> Cell:
    """Return the labels that a value stands for: a name, a whole number, or a list of such.

    Raises `ValueError` for anything else.

    >>> cell_of_value(3), cell_of_value(["sea", "sky"]), cell_of_value(None)
    (('3',), ('sea', 'sky'), ())
    """
    if value is None or value == "":
        return ()
    if isinstance(value, list | tuple):
        return tuple(dict.fromkeys(name for one in value for name in cell_of_value(one, name_of)))
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool | str | int):
        return (name_of(value),)
    raise ValueError(f"a label is a name or a whole number, and this is {type(value).__name__}")
