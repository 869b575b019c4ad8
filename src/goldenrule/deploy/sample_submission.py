"""A competition's sample submission: the columns that it asks for, and the images that its ids stand for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal, get_args

from goldenrule.core.errors import OptionError, SourceError
from goldenrule.core.findings import plural
from goldenrule.data.sources.label_files import read_columns
from goldenrule.metrics import Task

Asked = Literal["probability", "probabilities", "class", "labels"]
Fill = Literal["auto", "class", "probability"]
"""What the one column of a sample asks for: told by its cells, or said."""
NAMED = 5
_ASKED: Mapping[Asked, str] = {
    "probability": "one probability",
    "probabilities": "the probability of every class",
    "class": "the name of a class",
    "labels": "the names of labels",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What a sample asks for: its `id` column, then one probability, one per class, the name of a class, or of several.

    `columns` are the columns after the first, `labels` the class number that each stands for (none for a name).
    """

    kind: Asked
    id_column: str
    ids: tuple[str, ...]
    columns: tuple[str, ...]
    labels: tuple[int, ...]

    @property
    def asks_for(self) -> str:
        """What it asks for, in words."""
        return _ASKED[self.kind]


def layout_of(
    sample: Path,
    classes: Sequence[str],
    *,
    positive: str | None = None,
    task: Task = "single",
    fill: Fill = "auto",
) -> Layout:
    """Read what a sample submission asks for.

    Raises `SourceError`, with both sides, where its columns do not fit, `OptionError` for what has no effect on them.
    """
    if fill not in get_args(Fill):
        raise OptionError(f"--fill {fill}: wanted one of {', '.join(get_args(Fill))}.")
    found = _layout_of(sample, classes, positive=positive, task=task, fill=fill)
    if fill != "auto" and found.kind not in ("class", "probability"):
        raise OptionError(f"--fill {fill} has no effect: {sample} asks for {found.asks_for}. Omit it.")
    if positive is not None and found.kind != "probability":
        raise OptionError(
            f"--positive {positive} has no effect: {sample} asks for {found.asks_for}, not for the probability of "
            "one class. Omit it" + (", or omit --fill class." if fill == "class" else ".")
        )
    return found


def _layout_of(sample: Path, classes: Sequence[str], *, positive: str | None, task: Task, fill: Fill) -> Layout:
    table = read_columns(sample)
    id_column, *columns = table
    ids = tuple(table[id_column])
    if twice := [name for name, count in Counter(ids).items() if count > 1]:
        raise SourceError(f"{sample} has the id {twice[0]!r} more than once ({plural(len(twice), 'such id')}).")
    if len(columns) > 1:
        labels = _labels_of(sample, columns, classes)
        return Layout(kind="probabilities", id_column=id_column, ids=ids, columns=tuple(columns), labels=labels)
    if task == "multi":
        return Layout(kind="labels", id_column=id_column, ids=ids, columns=tuple(columns), labels=())
    asks = _asks(table[columns[0]], classes, positive) if fill == "auto" else fill
    if asks == "class":
        return Layout(kind="class", id_column=id_column, ids=ids, columns=tuple(columns), labels=())
    label = _positive(sample, columns[0], classes, positive)
    return Layout(kind="probability", id_column=id_column, ids=ids, columns=tuple(columns), labels=(label,))


def files_of(
    ids: Sequence[str], found: Sequence[tuple[str, Path]], *, images: Path
) -> tuple[list[tuple[str, Path]], tuple[str, ...]]:
    """Return the file of every id, in their order, and the names of images that no id stands for.

    An id is a path below the folder, a file's name, or that without its extension. Raises `SourceError` where an id
    has no image, or several.
    """
    by_name: dict[str, list[int]] = {}
    for number, (name, _) in enumerate(found):
        path = PurePosixPath(name)
        for known in {name, path.name, path.stem, str(path.with_suffix(""))}:
            by_name.setdefault(known, []).append(number)
    if missing := [uri for uri in ids if uri not in by_name]:
        raise SourceError(
            f"{plural(len(missing), 'id')} of the sample {'has' if len(missing) == 1 else 'have'} no image in {images} "
            f"({_some(missing)}); its {plural(len(found), 'image')} begin with {_some([name for name, _ in found])}. "
            "Give the folder of this competition's test images."
        )
    if several := [uri for uri in ids if len(by_name[uri]) > 1]:
        names = [found[number][0] for number in by_name[several[0]]]
        raise SourceError(f"The id {several[0]!r} of the sample stands for several images in {images}: {_some(names)}.")
    taken = [by_name[uri][0] for uri in ids]
    left_out = sorted(set(range(len(found))) - set(taken))
    return [found[number] for number in taken], tuple(found[number][0] for number in left_out)


def _labels_of(sample: Path, columns: Sequence[str], classes: Sequence[str]) -> tuple[int, ...]:
    number = {label: place for place, label in enumerate(classes)}
    strange, missing = (
        [name for name in columns if name not in number],
        [name for name in classes if name not in columns],
    )
    if strange or missing:
        raise SourceError(
            f"{sample} has {plural(len(columns), 'column')} of probabilities, the classifier "
            f"{plural(len(classes), 'class', 'classes')}. Only in the sample: {_some(strange)}; "
            f"only in the classifier: {_some(missing)}. Fit with the competition's names (--rename OLD=NEW)."
        )
    return tuple(number[name] for name in columns)


def _positive(sample: Path, column: str, classes: Sequence[str], wanted: str | None) -> int:
    """Return the class whose probability a single column of numbers asks for."""
    if len(classes) != 2:
        raise SourceError(
            f"{sample} has one column of numbers, {column!r}: the probability of one of two classes; this classifier "
            f"has {len(classes)}: {_some(classes)}."
        )
    if wanted is not None:
        if wanted not in classes:
            raise OptionError(f"--positive {wanted}: wanted one of {', '.join(classes)}.")
        return list(classes).index(wanted)
    return list(classes).index(column) if column in classes else 1


def _asks(cells: Sequence[str], classes: Sequence[str], positive: str | None) -> Fill:
    """Return what a column of a sample asks for: numbers stand for a probability, names for a class.

    Where the two classes are called by numbers, such as 0 and 1, a column that has the same number everywhere only
    holds the place of a probability; one that has both shows classes.

    >>> _asks(["0", "0"], ["0", "1"], None), _asks(["0", "1"], ["0", "1"], None), _asks(["0", "0"], list("0123"), None)
    ('probability', 'class', 'class')
    """
    if not all(map(_is_number, cells)):
        return "class"
    if not set(cells) <= set(classes):
        return "probability"
    return "probability" if len(classes) == 2 and (positive is not None or len(set(cells)) == 1) else "class"


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (", ..." if len(names) > NAMED else "") or "none"
