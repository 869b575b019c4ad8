"""Rows of predictions as CSV, JSON lines or Parquet: what a block of them is in bytes, and how blocks become a file."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from goldenrule.core.cells import csv_text, from_cell
from goldenrule.core.errors import OptionError
from goldenrule.core.extras import need
from goldenrule.data.sources.picture_files import IMAGE_EXTENSIONS
from goldenrule.metrics.predictions_csv import classes_in
from goldenrule.storage.outputs import Kind, csv_like, written_into

Row = Mapping[str, str]
MARK = b"goldenrule"
NUMBERS = ("probability", "distance")


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFormat:
    """`encode` makes bytes of a block of rows with these columns, `finish` writes a file of encoded blocks."""

    name: str
    kind: Kind
    encode: Callable[[Sequence[Row], Sequence[str]], bytes]
    finish: Callable[[Iterator[bytes], Sequence[str], BinaryIO], None]


def format_of(out: Path) -> RowFormat:
    """Return the format that a name asks for; CSV where it is no regular file, or an image, which stays.

    Raises `OptionError` for another name.
    """
    ending = out.suffix.lower()
    if ending in FORMATS:
        if ending == ".parquet":
            need("fit", what="A Parquet file")
        return FORMATS[ending]
    if ending in IMAGE_EXTENSIONS or written_into(out) is not None or not ending or ending in (".txt", ".tsv"):
        return FORMATS[".csv"]
    raise OptionError(f"-o {out}: wanted a name that ends in {', '.join(FORMATS)}.")


def header(columns: Sequence[str]) -> bytes:
    """Return the first line of a CSV file."""
    return _csv([dict(zip(columns, columns, strict=True))], columns)


def _csv(rows: Sequence[Row], columns: Sequence[str]) -> bytes:
    return csv_text([row.get(name, "") for name in columns] for row in rows).encode("utf-8", "surrogateescape")


def _csv_file(parts: Iterator[bytes], columns: Sequence[str], file: BinaryIO) -> None:
    file.write(header(columns))
    for part in parts:
        file.write(part)


def _json_lines(rows: Sequence[Row], columns: Sequence[str]) -> bytes:
    lines = (json.dumps(values_of(row, columns), ensure_ascii=False, allow_nan=False) for row in rows)
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace")


def _plain_file(parts: Iterator[bytes], _: Sequence[str], file: BinaryIO) -> None:
    for part in parts:
        file.write(part)


def values_of(row: Row, columns: Sequence[str]) -> dict[str, Any]:
    """Return a row with numbers as numbers, the set as a list, and the probabilities by class.

    Only one that can't be read has a `reason`.
    """
    value: dict[str, Any] = {}
    for name in columns:
        if name.startswith("p:") or name == "reason":
            continue
        cell = row[name]
        if name in NUMBERS or name.startswith("probability_"):
            value[name] = float(cell) if cell else None
        elif name == "set":
            value[name] = classes_in(cell) if cell else []
        elif name == "ood":
            value[name] = bool(cell)
        else:
            value[name] = from_cell(cell) if name in ("path", "prediction") or name.startswith("class_") else cell
    chosen = {name.removeprefix("p:"): row[name] for name in columns if name.startswith("p:")}
    value["probabilities"] = {name: float(cell) for name, cell in chosen.items() if cell} or None
    return value | ({"reason": from_cell(row["reason"])} if row.get("reason") else {})


def _arrow(rows: Sequence[Row], columns: Sequence[str]) -> bytes:
    import pyarrow as pa

    schema = _schema(columns)
    values = [values_of(row, columns) for row in rows]
    every = [
        value | {f"p:{label}": probability for label, probability in (value.pop("probabilities") or {}).items()}
        for value in values
    ]
    stream = io.BytesIO()
    with pa.ipc.new_stream(stream, schema) as writer:
        writer.write_table(pa.Table.from_pylist(every, schema=schema))
    return stream.getvalue()


def _parquet_file(parts: Iterator[bytes], columns: Sequence[str], file: BinaryIO) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetWriter(file, _schema(columns)) as writer:
        for part in parts:
            writer.write_table(pa.ipc.open_stream(part).read_all())


def _schema(columns: Sequence[str]) -> Any:
    import pyarrow as pa

    kinds = {"probability": pa.float64(), "distance": pa.float32(), "set": pa.list_(pa.string()), "ood": pa.bool_()}
    number = ("p:", "probability_")
    fields = [
        pa.field(name, pa.float64() if name.startswith(number) else kinds.get(name, pa.string())) for name in columns
    ]
    return pa.schema(fields, metadata={MARK: b"predictions"})


def copied(paths: Sequence[Path]) -> Iterator[bytes]:
    """Yield the content of each file."""
    for path in paths:
        with path.open("rb") as file:
            yield file.read()


def _is_json_lines(content: bytes) -> bool:
    try:
        first = json.loads(content.partition(b"\n")[0])
    except ValueError:
        return False
    return isinstance(first, dict) and {"path", "status", "prediction", "probability"} <= first.keys()


FORMATS: Mapping[str, RowFormat] = {
    ".csv": RowFormat(
        name="csv",
        kind=Kind(
            name="a CSV file", example="predictions.csv", ours=csv_like("path", "status", "prediction", "probability")
        ),
        encode=_csv,
        finish=_csv_file,
    ),
    ".jsonl": RowFormat(
        name="jsonl",
        kind=Kind(name="a file of JSON lines", example="predictions.jsonl", ours=_is_json_lines),
        encode=_json_lines,
        finish=_plain_file,
    ),
    ".parquet": RowFormat(
        name="parquet",
        kind=Kind(
            name="a Parquet file",
            example="predictions.parquet",
            ours=lambda content: content[:4] == b"PAR1" and MARK in content[-65_536:],
        ),
        encode=_arrow,
        finish=_parquet_file,
    ),
}
