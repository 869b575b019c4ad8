"""The images that a command is about: a folder, or a CSV file with a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from goldenrule.foundation.errors import OptionError

if TYPE_CHECKING:
    from goldenrule.images.table import ImageTable


def source_of(
    folder: Path, csv: Path | None, id_column: str | None, label_column: str | None, *, group_by: str
) -> Path | ImageTable:
    """Give the images of a CSV file where one is named, else the folder."""
    if csv is None:
        if id_column or label_column:
            raise OptionError("--id and --label name columns of a CSV file: give --csv FILE too.")
        return folder
    from goldenrule.images.labels import from_csv

    return from_csv(csv, images=folder, id=id_column, label=label_column, group_by=group_by)
