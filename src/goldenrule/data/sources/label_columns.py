"""Which column of a table says what: the one that names the images, the labels, splits, groups and folds.

A guess that would change a label is proved by the table itself or by the files, or asked for.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from goldenrule.core.errors import OptionError
from goldenrule.core.findings import Finding
from goldenrule.data.sources.label_files import LISTED, Columns
from goldenrule.data.sources.named_files import MOSTLY, NamedFiles
from goldenrule.data.sources.split_folders import split_called
from goldenrule.data.table import one_form

LABEL_NAMES = ("label", "labels", "tags", "class", "class_name", "category", "breed", "species")
ID_NAMES = ("id", "image", "image_id", "image_name", "filename", "filenames", "file_name", "file", "path", "name")
SEPARATORS = (",", ";", "|")
SPACED_NAMES = ("tags", "labels")
"""Columns whose cells usually hold several labels between spaces; in others a space belongs to a name."""
SPLIT_COLUMNS = ("part", "split", "set", "subset", "partition", "phase", "usage", "dataset")
"""What people call the column that says train, valid or test."""
TRUE, FALSE = ("1", "1.0", "true"), ("0", "0.0", "false", "")
"""What one-hot columns hold, in any case of letters; an empty cell is no label."""
ROW_NUMBERS = re.compile(r"^(unnamed: \d+|index|)$", re.IGNORECASE)
"""What data frames call the column that counts their rows."""
MOST = 0.8
"""The share of pieces, or cells, that proves what a separator is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The columns that were asked for, or are taken; None where it was not said."""

    id: str | None = None
    label: str | None = None
    separator: str | None = None
    split: str | None = None
    group: str | None = None
    fold: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The names that were asked for."""
        return tuple(name for name in (self.id, self.label, self.split, self.group, self.fold) if name is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """The labels of every line, without repetition, and what should be known of how they were read."""

    lines: list[list[str]]
    findings: tuple[Finding, ...] = ()


def lacks_header(columns: Columns, files: NamedFiles) -> bool:
    """Return whether the names of the columns are those of an image and of its label: then they are the first row.

    An image is named where the other cells name images, and another column's name stands among its own cells.
    """
    lines = len(next(iter(columns.values())))
    named = [
        name for name, cells in columns.items() if len(files.named(name)) == 1 and files.counted(cells) > MOSTLY * lines
    ]
    return any(any(other in columns[other] for other in columns if other != name) for name in named)


def id_column(columns: Columns, wanted: Wanted, files: NamedFiles, said: str) -> tuple[str, tuple[Finding, ...]]:
    """Return the column that names the images: the one that names the most files; of several the one with a usual name.

    A finding says where another one names images too, and other ones. Raises `OptionError` where two columns name as
    many and disagree, and no name tells which is meant.
    """
    if wanted.id is not None:
        return wanted.id, ()
    free = [name for name in columns if name not in wanted.columns]
    counts = {name: files.counted(columns[name]) for name in free}
    usual = [name for name in free if name.lower() in ID_NAMES]
    order = sorted(free, key=lambda name: (-counts[name], name not in usual, free.index(name)))
    if not order or counts[order[0]] == 0:
        return next(iter(usual or columns)), ()
    taken, lines = order[0], len(columns[order[0]])
    rivals = [
        name for name in order[1:] if counts[name] > MOSTLY * lines and not _agree(columns[taken], columns[name], files)
    ]
    if not rivals:
        return taken, ()
    rival = rivals[0]
    if counts[rival] == counts[taken] and (taken in usual) == (rival in usual):
        raise OptionError(
            f"{said}: its columns {taken} and {rival} both name images, and not the same ones "
            f"({counts[taken]:,} each). Say which one names them: --id {taken} or --id {rival}."
        )
    finding = Finding(
        severity="warning",
        code="two-columns-name-images",
        fields={
            "table": said,
            "taken": taken,
            "rival": rival,
            "named": counts[taken],
            "lines": lines,
            "others": counts[rival],
        },
    )
    return taken, (finding,)


def _agree(one: Sequence[str], other: Sequence[str], files: NamedFiles) -> bool:
    """Return whether two columns name the same image wherever both name one."""
    for a, b in zip(one, other, strict=True):
        first, second = files.named(a), files.named(b)
        if len(first) == len(second) == 1 and first != second:
            return False
    return True


def completed(wanted: Wanted, columns: Columns, id_name: str) -> Wanted:
    """Complete what was asked: a column that names splits and nothing else, and those called group and fold.

    But only if a column is left for labels, unless it is called split or part.
    """
    free = [name for name in columns if name not in (id_name, *wanted.columns)]
    splits = (
        name
        for name in free
        if name.lower() in SPLIT_COLUMNS[: 2 if len(free) < 2 else None] and all(map(_names_split, set(columns[name])))
    )
    split = wanted.split or next(splits, None)
    labelled = wanted.label is not None or bool(set(free) - {split, "group", "fold"})
    group = "group" if "group" in free and labelled else None
    fold = "fold" if "fold" in free and labelled else None
    return replace(wanted, id=id_name, split=split, group=wanted.group or group, fold=wanted.fold or fold)


def labels_of(columns: Columns, wanted: Wanted, files: NamedFiles, said: str) -> Labels:
    """Return the labels of every line.

    The column that was asked for; else the only one left beside row numbers and other names of the images; else all
    that are left where they hold 0 and 1 (one-hot); else the one with a usual name. Raises `OptionError` where that
    leaves more than one.
    """
    if wanted.label is not None:
        return _split(columns[wanted.label], wanted.label, wanted.separator, said)
    others = [name for name in columns if name not in (wanted.id, wanted.split, wanted.group, wanted.fold)]
    lines = len(next(iter(columns.values())))
    more = [name for name in others if not (ROW_NUMBERS.match(name.strip()) and _counts_rows(columns[name]))]
    named = [
        name
        for name in more
        if len(more) > 1
        and not all(map(_is_mark, set(columns[name])))
        and files.counted(columns[name]) > MOSTLY * lines
    ]
    others = [name for name in more if name not in named] or more
    if len(others) == 1:
        return _split(columns[others[0]], others[0], wanted.separator, said)
    cells = {cell for name in others for cell in set(columns[name])}
    if others and all(map(_is_mark, cells)):
        true = {cell for cell in cells if cell.strip().lower() in TRUE}
        names = [one_form(name.strip()) for name in others]
        rows = zip(*(columns[name] for name in others), strict=True)
        return Labels(lines=[[name for name, cell in zip(names, row, strict=True) if cell in true] for row in rows])
    usual = [name for name in others if name.lower() in LABEL_NAMES]
    if len(usual) > 1 and _say_the_same([columns[name] for name in usual]):
        usual = [next((name for name in usual if not all(map(_is_number, columns[name]))), usual[0])]
    if len(usual) == 1:
        return _split(columns[usual[0]], usual[0], wanted.separator, said)
    raise OptionError(_unclear(columns, others, said))


def _names_split(cell: str) -> bool:
    return split_called(cell.strip()) is not None


def _unclear(columns: Columns, others: Sequence[str], said: str) -> str:
    odd = [(name, cell) for name in others for cell in columns[name] if not _is_mark(cell)]
    marked = [name for name in others if all(map(_is_mark, set(columns[name])))]
    text = f"{said} has the columns {', '.join(columns)}: say which one holds the label (--label NAME)."
    if len(marked) > 1 and odd:
        text += (
            f" A column per class (one-hot) wants 0 and 1, or True and False, in all of them: {odd[0][0]} holds "
            f"{odd[0][1]!r}."
        )
    return text


def _counts_rows(cells: Sequence[str]) -> bool:
    """Return whether cells count the rows: whole numbers, no two the same."""
    return len(set(cells)) == len(cells) and all(cell.strip().isdigit() for cell in cells)


def _is_mark(cell: str) -> bool:
    return cell.strip().lower() in (*TRUE, *FALSE)


def _is_number(cell: str) -> bool:
    return re.fullmatch(r"\s*-?\d+(\.0+)?\s*", cell) is not None


def _say_the_same(columns: Sequence[Sequence[str]]) -> bool:
    """Return whether columns are names for one another: equal here where equal there."""
    first = columns[0]
    return all(len({*zip(first, column, strict=True)}) == len({*first}) == len({*column}) for column in columns[1:])


def _split(cells: Sequence[str], name: str, separator: str | None, said: str) -> Labels:
    """Return the labels of cells: whole, or split at a separator that was given or that the cells prove."""
    whole = _whole_numbers([one_form(cell.strip()) for cell in cells])
    if any(LISTED in cell for cell in whole):
        return Labels(lines=[_pieces(cell, LISTED) for cell in whole])
    if separator is not None:
        return Labels(lines=[_pieces(cell, separator) for cell in whole])
    findings: list[Finding] = []
    for mark in (*SEPARATORS, " "):
        marked = [cell for cell in dict.fromkeys(whole) if mark in cell]
        if not marked:
            continue
        verdict = decided_separator(whole, mark, usual=mark == " " and name.lower() in SPACED_NAMES)
        if verdict == "ask":
            raise OptionError(
                f"{said}, column {name}: is {marked[0]!r} one label or several? The other cells do not tell. Say it: "
                f"--separator {mark!r} splits such cells, --separator '' keeps them whole."
            )
        if verdict == "split":
            several = [cell for cell in whole if len(_pieces(cell, mark)) > 1]
            if several:
                findings.append(_was_split(name, mark, several, len(whole), said))
            return Labels(lines=[_pieces(cell, mark) for cell in whole], findings=tuple(findings))
        if mark != " ":
            findings.append(_was_kept(name, mark, marked, said))
    return Labels(lines=[[cell] if cell else [] for cell in whole], findings=tuple(findings))


def _whole_numbers(cells: list[str]) -> list[str]:
    """Return 2 for 2.0 where all cells are such: data frames write whole numbers so beside gaps.

    >>> _whole_numbers(["1.0", "", "2.0"]), _whole_numbers(["1.0", "1.5"])
    (['1', '', '2'], ['1.0', '1.5'])
    """
    if not all(re.fullmatch(r"-?[0-9]+[.]0+", cell) for cell in cells if cell):
        return cells
    return [cell.partition(".")[0] for cell in cells]


def decided_separator(cells: Sequence[str], mark: str, *, usual: bool = False) -> Literal["split", "whole", "ask"]:
    """Evaluate whether a mark stands between labels or within one: do its pieces stand alone in other cells.

    Marks other than spaces split where half of the marked cells have a piece that is a cell of its own, and are asked
    for where only some have, or none but the same pieces come in ever new company. Spaces belong to names: they split
    numbers, and cells all of whose pieces are cells too. `usual` is a column that usually holds labels between spaces.

    >>> decided_separator(["cat,dog", "cat", "dog"], ","), decided_separator(["Shepherd, German", "Pug"], ",")
    ('split', 'whole')
    >>> decided_separator(["red, car", "red, bus", "blue, car", "blue, bus"], ",")
    'ask'
    >>> decided_separator(["16 0", "5"], " "), decided_separator(["great dane", "pug"], " ")
    ('split', 'whole')
    """
    counts = Counter(cell for cell in cells if cell)
    several = {cell: words for cell in counts if len(words := _pieces(cell, mark)) > 1}
    if not several:
        return "split"  # at most empty pieces and repetitions
    pieces = {piece for words in several.values() for piece in words}
    alone = pieces & counts.keys()
    holders: dict[str, int] = Counter(piece for cell in counts for piece in _pieces(cell, mark))
    recurring = sum(holders[piece] > 1 for piece in pieces) / len(pieces)
    if mark == " ":
        if all(piece.isdigit() for cell in counts for piece in _pieces(cell, mark)):
            return "split"
        proved = sum(counts[cell] for cell, value in several.items() if alone.issuperset(value))
        if proved >= MOST * sum(counts[cell] for cell in several):
            return "split"
        if not usual:
            return "whole"
        if recurring >= MOST or all(counts[cell] == 1 for cell in several):
            return "split"
        return "ask" if recurring > MOSTLY else "whole"
    proved = sum(not alone.isdisjoint(words) for words in several.values())
    if proved >= MOSTLY * len(several):
        return "split"
    return "ask" if proved > (1 - MOST) * len(several) or recurring >= MOST else "whole"


def _pieces(cell: str, mark: str) -> list[str]:
    pieces = cell.split(mark) if mark else [cell]
    return list(dict.fromkeys(piece.strip() for piece in pieces if piece.strip()))


def _was_split(name: str, mark: str, several: Sequence[str], lines: int, said: str) -> Finding:
    called = {" ": "spaces", ",": "commas", ";": "semicolons", "|": "bars"}[mark]
    example = several[0]
    rare = len(several) < lines / 20
    return Finding(
        severity="warning" if rare else "note",
        code="labels-split",
        fields={
            "table": said,
            "column": name,
            "n": len(several),
            "lines": lines,
            "mark": called,
            "example": example,
            "pieces": tuple(_pieces(example, mark)),
        },
    )


def _was_kept(name: str, mark: str, marked: Sequence[str], said: str) -> Finding:
    return Finding(
        severity="note",
        code="labels-whole",
        fields={"table": said, "column": name, "example": marked[0], "mark": mark},
    )


def splits_of(cells: Sequence[str], column: str) -> Iterator[str | None]:
    """Return the split that each cell names, None where it is empty. Raises `OptionError` for another word."""
    for cell in cells:
        named = cell.strip()
        split = split_called(named)
        if named and split is None:
            raise OptionError(f"The column {column} says {named!r}: wanted train, valid, test, or nothing.")
        yield split
