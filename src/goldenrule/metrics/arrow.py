"""`Predictions` as an Arrow table and back: one row per image, all the rest in the schema's metadata."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from goldenrule.core.errors import FormatError
from goldenrule.core.schema import Name, as_type, check_schema, parse_json
from goldenrule.metrics.estimate import Basis
from goldenrule.metrics.predictions import Predictions, Task

SCHEMA_VERSION = 2
_KEY = b"goldenrule.predictions"


def to_arrow(predictions: Predictions) -> pa.Table:
    """Return the columns id, status, truth and logits (views x C a row, views outermost).

    Fold, group, thresholds and distance follow where there are such.
    """
    n = len(predictions)
    columns: dict[str, Any] = {
        "id": pa.array(predictions.ids, pa.string()),
        "status": pa.array(predictions.status.tolist(), pa.string()).dictionary_encode(),
        "truth": _column(predictions.truth),
        "logits": _column(predictions.logits.reshape(n, predictions.views * len(predictions.classes))),
    }
    if predictions.fold is not None:
        columns["fold"] = pa.array(predictions.fold)
    if predictions.group is not None:
        columns["group"] = pa.array(predictions.group)
    if predictions.thresholds is not None:
        columns["thresholds"] = _column(predictions.thresholds)
    if predictions.distance is not None:
        columns["distance"] = pa.array(predictions.distance)
    about = {
        "schema_version": SCHEMA_VERSION,
        "task": predictions.task,
        "classes": predictions.classes,
        "views": predictions.views,
        "basis": predictions.basis,
    }
    return pa.table(columns).replace_schema_metadata({_KEY: json.dumps(about)})


def from_arrow(table: pa.Table) -> Predictions:
    """Return the predictions of a table that `to_arrow` wrote, also after it was a parquet or Arrow file."""
    about = _about(table)
    n, views, classes = table.num_rows, about.views, about.classes
    try:
        table.validate(full=True)  # offsets that point outside would be read otherwise
        truth = _array(table["truth"])
        return Predictions(
            task=about.task,
            classes=classes,
            ids=tuple(table["id"].to_pylist()),
            status=np.array(table["status"].to_pylist(), dtype=np.str_),
            truth=truth.reshape(n, len(classes)) if about.task == "multi" else truth,
            logits=_array(table["logits"]).reshape(n, views, len(classes)),
            fold=_array(table["fold"]) if "fold" in table.column_names else None,
            group=_array(table["group"]) if "group" in table.column_names else None,
            thresholds=(
                _array(table["thresholds"]).reshape(n, len(classes)) if "thresholds" in table.column_names else None
            ),
            distance=_array(table["distance"]) if "distance" in table.column_names else None,
            basis=about.basis,
        )
    except (pa.ArrowException, KeyError, TypeError, ValueError, OverflowError) as error:
        raise FormatError(f"not a table of predictions: {error}") from error


class _About(msgspec.Struct, forbid_unknown_fields=True):
    """What stands beside the rows."""

    schema_version: Literal[2]
    task: Task
    classes: tuple[Name, ...]
    views: Annotated[int, msgspec.Meta(ge=1, le=100_000)]
    basis: Basis


def _about(table: pa.Table) -> _About:
    """Return the metadata, if this program can read it."""
    metadata = table.schema.metadata or {}
    if _KEY not in metadata:
        raise FormatError(f"not a table of predictions: its columns are {table.column_names}; wanted one of to_arrow()")
    try:
        about = parse_json(metadata[_KEY])
    except ValueError as error:
        raise FormatError(f"not a table of predictions: {error}") from error
    check_schema(about.get("schema_version") if isinstance(about, dict) else None, SCHEMA_VERSION, "this table")
    return as_type(about, _About, what="the description of predictions")


def _column(rows: NDArray[Any]) -> pa.Array:
    """Return a column of numbers (n,) or of lists of one length (n, length)."""
    flat = pa.array(np.ascontiguousarray(rows).reshape(-1))
    return flat if rows.ndim == 1 else pa.FixedSizeListArray.from_arrays(flat, rows.shape[1])


def _array(column: pa.ChunkedArray) -> NDArray[Any]:
    """All numbers of a column in one flat array; nan stays nan."""
    values = column.combine_chunks()
    if isinstance(values, pa.ChunkedArray):
        values = pa.concat_arrays(values.chunks)
    flat = values.flatten() if isinstance(values, pa.FixedSizeListArray) else values
    return np.asarray(flat.to_numpy(zero_copy_only=False))
