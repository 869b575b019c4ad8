"""CSV files, and names as their cells: a spreadsheet runs none of them, and several in one cell can be told apart.

A name that begins as a formula does (= + - @, a tab, a line's return) has an apostrophe before it, which spreadsheets
take for "this is text"; a plain number has none. `from_cell` takes it away again. Several names stand in one cell with
a bar between them; in a name that has a bar itself each bar and backslash has a backslash before it.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Any

BETWEEN = " | "
"""What stands between several names."""
_FORMULA = re.compile(r"'*[=+\-@\t\r\uff1d\uff0b\uff0d\uff20]")


def csv_text(rows: Iterable[Sequence[Any]]) -> str:
    r"""Return rows as the text of a CSV file, their cells in quotes where that is needed; None is an empty one.

    A row with a carriage return has all its cells in quotes: Python's writer before 3.13 has none around it, and its
    reader then sees two rows.

    >>> csv_text([["path", "label"], ["a,b.jpg", None]]), csv_text([["a\rb", 1]])
    ('path,label\n"a,b.jpg",\n', '"a\rb","1"\n')
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    careful = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    for row in rows:
        (careful if any(isinstance(cell, str) and "\r" in cell for cell in row) else writer).writerow(row)
    return text.getvalue()


def to_cell(name: str) -> str:
    """Return a name as a cell that no spreadsheet takes for a formula.

    >>> to_cell("=1+1"), to_cell("cat"), to_cell("-5"), to_cell("'=1")
    ("'=1+1", 'cat', '-5', "''=1")
    """
    return f"'{name}" if _FORMULA.match(name) and not _is_number(name) else name


def from_cell(cell: str) -> str:
    """Return the name that `to_cell` wrote.

    >>> from_cell("'=1+1"), from_cell("'tis"), from_cell("''=1")
    ('=1+1', "'tis", "'=1")
    """
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def joined(names: Iterable[str], between: str = BETWEEN) -> str:
    r"""Return several names as one text; with a bar between them, one in a name is told from it.

    >>> print(joined(["a | b", "c"]), joined(["sea", "trees"], " "), sep=", ")
    a \| b | c, sea trees
    """
    return between.join(map(_escaped, names) if between == BETWEEN else names)


def separated(text: str, between: str = BETWEEN) -> list[str]:
    r"""Return the names that `joined` put together; none of an empty text.

    >>> separated(r"a \| b | c"), separated("")
    (['a | b', 'c'], [])
    """
    if not text:
        return []
    return [_unescaped(piece) for piece in text.split(BETWEEN)] if between == BETWEEN else text.split(between)


def between_labels(classes: Sequence[str]) -> str:
    """Return what stands between several labels: a space, or a bar where a name has spaces.

    >>> between_labels(["sea", "trees"]), between_labels(["sea", "blow down"])
    (' ', ' | ')
    """
    return BETWEEN if any(" " in name for name in classes) else " "


def _escaped(name: str) -> str:
    return name.replace("\\", "\\\\").replace("|", "\\|") if "|" in name else name


def _unescaped(text: str) -> str:
    return re.sub(r"\\([\\|])", r"\1", text) if "\\|" in text else text


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text, re.ASCII) is not None
