"""Parquet files whose rows hold pictures: `x.parquet/image/0000012-cat.jpg` is what the column image has in row 12.

A row group is read as one, and the last few of them are kept: rows that are asked for in their order cost one reading.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import quote, unquote

import numpy as np

from goldenrule.core.extras import Late
from goldenrule.core.memory import readable_bytes
from goldenrule.data.containers.members import Contents, Layout, no_such_file, too_large, unusable

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq
else:
    pa, pq = Late("pyarrow"), Late("pyarrow.parquet")  # predicting files needs neither

KEPT_BYTES = 256_000_000
"""So many bytes of row groups are kept, those of all Parquet files together; the last one in any case."""
LARGEST_GROUP_BYTES = 1 << 30
_NAME = re.compile(r"([^/]+)/(\d+)(?:[-.][^/]*)?")
_STRANGE = re.compile(r"[^\w.-]+")
_kept: OrderedDict[tuple[int, int, str], Any] = OrderedDict()
_reading = threading.Lock()


class ParquetMembers:
    """The pictures in the rows of a Parquet file."""

    def __init__(self, metadata: Any) -> None:
        self.layout = Layout.of(Contents())
        self.metadata = metadata
        rows = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
        self._starts = np.concatenate([[0], np.cumsum(rows, dtype=np.int64)])

    def has(self, name: str) -> bool:
        """Return whether the file has that row, and that column."""
        found = _NAME.fullmatch(name)
        return found is not None and int(found[2]) < self._starts[-1] and self._column(unquote(found[1])) is not None

    def read(self, file: BinaryIO, name: str, *, most_bytes: int) -> bytes:
        """Return the picture of a row. Raises `OSError` where there is none."""
        if (found := _NAME.fullmatch(name)) is None or not self.has(name):
            raise no_such_file(name)
        row, column = int(found[2]), unquote(found[1])
        group = int(np.searchsorted(self._starts, row, side="right")) - 1
        value = self._group(file, group, column)[row - int(self._starts[group])]
        if not value.is_valid:
            raise unusable(name, "its row holds no bytes")
        if value.as_buffer().size > most_bytes:
            raise too_large(name)
        return bytes(value.as_py())

    def _column(self, name: str) -> int | None:
        """Return the number of the column that holds the bytes: itself, or the field `bytes` of its values."""
        paths = {self.metadata.schema.column(number).path: number for number in range(self.metadata.num_columns)}
        return paths.get(f"{name}.bytes", paths.get(name))

    def _group(self, file: BinaryIO, group: int, column: str) -> Any:
        key = id(self), group, column
        with _reading:  # one thread reads a row group, the others wait for it
            if key not in _kept:
                _kept[key] = self, self._read(file, group, column)
                while len(_kept) > 1 and sum(one.nbytes for _, one in _kept.values()) > KEPT_BYTES:
                    _kept.popitem(last=False)
            _kept.move_to_end(key)
            return _kept[key][1]

    def _read(self, file: BinaryIO, group: int, column: str) -> Any:
        number = self._column(column)
        about = self.metadata.row_group(group).column(number)
        if about.total_uncompressed_size > LARGEST_GROUP_BYTES:
            raise unusable(
                column,
                f"its row group has {readable_bytes(about.total_uncompressed_size)}, which are read as one: write the "
                "file anew with smaller ones (row_group_size=100)",
            )
        try:
            with pq.ParquetFile(file, metadata=self.metadata) as opened:
                found = opened.read_row_group(group, columns=[about.path_in_schema]).column(0)
            found = found.combine_chunks()
            return found.field("bytes") if pa.types.is_struct(found.type) else found
        except (pa.ArrowException, OSError) as error:
            raise unusable(column, f"its row group can't be read: {str(error).splitlines()[0]}") from error


def scanned_parquet(file: BinaryIO) -> tuple[Contents, ParquetMembers]:
    """Return the rows of a Parquet file; they have no names. Raises `ValueError` where it is none."""
    try:
        return Contents(), ParquetMembers(pq.read_metadata(file))
    except (pa.ArrowException, OSError) as error:
        raise ValueError(str(error).splitlines()[0] if str(error) else "it is empty") from error


def row_name(column: str, row: int, path: str | None) -> str:
    """Return the name of the picture in a row; `path` is what the row says of its file.

    >>> row_name("image", 12, "photos/cat 1.jpg"), row_name("image", 3, None)
    ('image/0000012-cat_1.jpg', 'image/0000003')
    """
    own = _STRANGE.sub("_", (path or "").replace("\\", "/").rpartition("/")[2])[-80:]
    return f"{quote(column, safe='')}/{row:07d}{f'-{own}' if own else ''}"
