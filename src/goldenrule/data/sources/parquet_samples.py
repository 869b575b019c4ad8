"""Samples in Parquet files: which column holds the pictures, and which their labels, as Hugging Face writes them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from goldenrule.core.errors import OptionError, SourceError
from goldenrule.core.extras import Late
from goldenrule.data.containers.in_parquet import LARGEST_GROUP_BYTES, row_name
from goldenrule.data.containers.inside import opened
from goldenrule.data.sources.label_columns import LABEL_NAMES
from goldenrule.data.sources.tar_samples import Cell, Samples, cell_of_value

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq
else:
    pa, pq = Late("pyarrow"), Late("pyarrow.parquet")

ROWS_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """The column of the pictures, those that may be labels, and the names of classes that are kept as numbers."""

    image: str
    labels: tuple[str, ...]
    classes: dict[str, tuple[str, ...]]


def read_rows(path: Path, samples: Samples, *, prefix: str, image: str | None, label: str | None) -> None:
    """Add the pictures in the rows of a Parquet file, each by `prefix` and its name, and what may be their labels.

    Pictures themselves are not read. Raises `SourceError` for a file that is none, or holds no pictures, and where
    several columns hold some.
    """
    with opened(path) as source:
        file = _read(path, source)
        columns = _columns(path, file, image, label)
        _check_groups(path, file.metadata, columns.image)
        row = 0
        for found in _batches(file, columns):
            for name, cells in _cells(found, columns):
                samples.add(f"{prefix}{row_name(columns.image, row, name)}", cells)
                row += 1


def pictures_in_rows(path: Path) -> Iterator[str]:
    """Yield the names of the pictures in a Parquet file."""
    with opened(path) as source:
        file = _read(path, source)
        columns = _columns(path, file, None, None)
        row = 0
        for found in _batches(file, Columns(image=columns.image, labels=(), classes={})):
            for name, _ in _cells(found, Columns(image=columns.image, labels=(), classes={})):
                yield row_name(columns.image, row, name)
                row += 1


def _read(path: Path, source: BinaryIO) -> Any:
    try:
        return pq.ParquetFile(source)
    except pa.ArrowException as error:
        raise SourceError(f"{path} is no Parquet file that can be read ({str(error).splitlines()[0]}).") from error


def _columns(path: Path, file: Any, image: str | None, label: str | None) -> Columns:
    schema = file.schema_arrow
    features = _features(schema.metadata or {})
    held = [one.name for one in schema if _holds_bytes(one.type)]
    if image is not None and image not in held:
        raise OptionError(f"--id {image}: {path} has no such column of bytes, only {', '.join(held) or 'none'}.")
    pictured = [name for name in held if features.get(name, {}).get("_type") == "Image"] or held
    if image is None and len(pictured) != 1:
        if pictured:
            raise SourceError(
                f"{path}: the columns {', '.join(pictured)} hold bytes. Say which holds the images: --id {pictured[0]}."
            )
        raise SourceError(
            f"{path} has no column with the bytes of images, only {', '.join(schema.names)}. A table of paths and "
            "labels is given as a CSV file."
        )
    taken = image or pictured[0]
    classes = {name: names for name, feature in features.items() if (names := _class_names(feature))}
    known = [name for name in classes if name in schema.names]
    usual = [name for name in schema.names if name.lower() in LABEL_NAMES and _is_label(schema.field(name).type)]
    labels = (label,) if label is not None else tuple(known or usual)
    if label is not None and label not in schema.names:
        others = [name for name in schema.names if name != taken]
        raise OptionError(f"--label {label}: {path} has no such column, only {', '.join(others)}.")
    if label is not None and not _is_label(kind := schema.field(label).type):
        raise OptionError(f"--label {label}: {path} has {kind} there; wanted names, whole numbers, or lists of such.")
    return Columns(image=taken, labels=labels, classes=classes)


def _features(metadata: dict[bytes, bytes]) -> dict[str, Any]:
    """Return what Hugging Face's `datasets` has written of each column; {} where it has written nothing."""
    try:
        found = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
        return {name: one if isinstance(one, dict) else {} for name, one in found.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _class_names(feature: dict[str, Any]) -> tuple[str, ...]:
    inner = feature.get("feature", feature)
    names = inner.get("names") if isinstance(inner, dict) and inner.get("_type") == "ClassLabel" else None
    return tuple(map(str, names)) if isinstance(names, list) else ()


def _holds_bytes(kind: Any) -> bool:
    if pa.types.is_struct(kind):
        return any(
            kind.field(at).name == "bytes" and _holds_bytes(kind.field(at).type) for at in range(kind.num_fields)
        )
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _is_label(kind: Any) -> bool:
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _is_label(kind.value_type)
    if pa.types.is_dictionary(kind):
        return _is_label(kind.value_type)
    return bool(pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _check_groups(path: Path, metadata: Any, image: str) -> None:
    """Raise `SourceError` where a row group is too large to be read as one."""
    for group in range(metadata.num_row_groups):
        about = metadata.row_group(group)
        for number in range(about.num_columns):
            one = about.column(number)
            if one.path_in_schema in (image, f"{image}.bytes") and one.total_uncompressed_size > LARGEST_GROUP_BYTES:
                raise SourceError(
                    f"{path}: a row group holds {one.total_uncompressed_size / 1e9:.1f} GB of images, and is read as "
                    "one. Write the file anew with smaller ones, such as row_group_size=100."
                )


def _batches(file: Any, columns: Columns) -> Iterator[Any]:
    """Yield the rows without the pictures' bytes."""
    kind = file.schema_arrow.field(columns.image).type
    named = pa.types.is_struct(kind) and kind.get_field_index("path") >= 0
    wanted = [*([f"{columns.image}.path"] if named else []), *columns.labels]
    if wanted:
        yield from file.iter_batches(ROWS_AT_ONCE, columns=wanted)
    else:
        yield from (range(file.metadata.row_group(at).num_rows) for at in range(file.metadata.num_row_groups))


def _cells(found: Any, columns: Columns) -> Iterator[tuple[str | None, dict[str, Cell]]]:
    if isinstance(found, range):
        yield from ((None, {}) for _ in found)
        return
    for row in found.to_pylist():
        path = (row.get(columns.image) or {}).get("path")
        yield path, {name: _cell(row[name], columns.classes.get(name)) for name in columns.labels}


def _cell(value: Any, names: tuple[str, ...] | None) -> Cell:
    """Return the labels of a row; a number of a class is its name, and one that names none is no label."""
    if names is None:
        return cell_of_value(value)
    numbers = value if isinstance(value, list) else [value]
    return tuple(names[one] for one in numbers if isinstance(one, int) and 0 <= one < len(names))
