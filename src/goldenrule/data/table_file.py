"""An `ImageTable` as one Arrow file, so that a later command finds the images of a run again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from goldenrule.core.errors import FormatError
from goldenrule.core.schema import Name, as_type, check_schema
from goldenrule.data.containers.objects import written
from goldenrule.data.table import ImageTable, table_schema

SCHEMA_VERSION = 3


def table_content(table: ImageTable) -> bytes:
    """Return a table, its classes and where its images lie as an Arrow file; findings are not kept."""
    about = {
        "schema_version": SCHEMA_VERSION,
        "root": written(table.place),
        "classes": table.classes,
        "task": table.task,
    }
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table_schema().with_metadata({"goldenrule": json.dumps(about)})) as writer:
        writer.write_table(table.rows)
    return bytes(sink.getvalue().to_pybytes())


def table_of(content: bytes, path: Path) -> ImageTable:
    """Return the table that `table_content` made, in the file `path`.

    Raises `FormatError` where it is none, is damaged, or of another version.
    """
    try:
        rows = pa.ipc.open_file(pa.BufferReader(content)).read_all()
        rows.validate(full=True)  # offsets that point outside would be read otherwise
        about = json.loads(rows.schema.metadata[b"goldenrule"])  # a root may hold bytes that are no text
        check_schema(about["schema_version"], SCHEMA_VERSION, path)
        said = as_type(about, _About, what=str(path))
        rows = rows.replace_schema_metadata(None)
        if rows.schema != table_schema():
            raise ValueError(f"its columns are {', '.join(rows.column_names)}")
        labels = rows["labels"].combine_chunks().flatten()
        if len(labels) and not 0 <= pc.min(labels).as_py() <= pc.max(labels).as_py() < len(said.classes):
            raise ValueError("it has labels that are no classes")
        return ImageTable(Path(said.root), said.classes, rows, task=said.task)
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise FormatError(f"{path} is no list of images: {error}. Fit again.") from error


class _About(msgspec.Struct, forbid_unknown_fields=True):
    """What stands beside the rows."""

    schema_version: Literal[3]
    root: Name
    classes: tuple[Name, ...]
    task: Literal["single", "multi"]
