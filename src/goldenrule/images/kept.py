"""An `ImageTable` as one Arrow file, so that a later command finds the images of a story again."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa

from goldenrule.foundation.errors import FormatError
from goldenrule.foundation.files import write_atomic
from goldenrule.images.table import SCHEMA, ImageTable

SCHEMA_VERSION = 2


def keep_table(path: Path, table: ImageTable) -> None:
    """Write a table, its classes and where its images lie, atomically; findings are not kept."""
    about = {
        "schema_version": SCHEMA_VERSION,
        "root": str(table.root.resolve()),
        "classes": table.classes,
        "task": table.task,
    }
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, SCHEMA.with_metadata({"goldenrule": json.dumps(about)})) as writer:
        writer.write_table(table.rows)
    write_atomic(path, sink.getvalue().to_pybytes())


def kept_table(path: Path) -> ImageTable:
    """Give the table that `keep_table` wrote. Raises `FormatError` where the file is none, or of a newer version."""
    try:
        rows = pa.ipc.open_file(pa.BufferReader(path.read_bytes())).read_all()
        about = json.loads(rows.schema.metadata[b"goldenrule"])
        if about["schema_version"] > SCHEMA_VERSION:
            raise FormatError(f"{path} was written by a newer goldenrule. Update: pip install -U goldenrule.")
        if about["schema_version"] < SCHEMA_VERSION:
            raise FormatError(f"{path} was written by an older goldenrule, which knew less of the images. Fit again.")
        rows = rows.replace_schema_metadata(None)
        return ImageTable(Path(about["root"]), tuple(about["classes"]), rows, task=about["task"])
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise FormatError(f"{path} is no list of images: {error}. Fit again.") from error
