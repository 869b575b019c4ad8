"""Class names set right: renamed, merged under one name, left out."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from goldenrule.core.errors import OptionError, SourceError, nearest
from goldenrule.core.findings import Finding
from goldenrule.data.table import ImageTable, Task, table_schema
from goldenrule.storage.files import in_shell
from goldenrule.storage.regular_files import LARGEST_TABLE_BYTES, read_regular

Renaming = Mapping[str, str | None]
"""Old name to new one; None leaves the class out."""


def with_classes(table: ImageTable, renaming: Renaming) -> ImageTable:
    """Return the images with other class names; classes that get one name are merged, those of None left out.

    Images whose only class is left out are left out too; of several labels only that one goes. The map is sorted by
    the new names, and a finding says what was done. Raises `OptionError` for a class that there is not.
    """
    unknown = [name for name in renaming if name not in table.classes]
    if unknown:
        close = nearest(unknown[0], table.classes) or sorted(table.classes)[:5]
        raise OptionError(f"There is no class {unknown[0]!r} to rename; there is {', '.join(map(repr, close))}.")
    named = {name: renaming.get(name, name) for name in table.classes}
    classes = tuple(sorted({name for name in named.values() if name is not None}))
    index = {name: number for number, name in enumerate(classes)}
    new = [index[renamed] if (renamed := named[name]) is not None else None for name in table.classes]
    return _relabelled(table, classes, new, named)


def with_class_map(
    table: ImageTable, classes: Sequence[str], *, task: Task = "single", skip_unknown: bool = False
) -> ImageTable:
    """Return the images with the class map of a classifier: labels are matched by name, never by number.

    Images may be of some of the classes only. With `skip_unknown` labels that the classifier does not know are left
    out, and images that have no other, with a finding. `task` "multi" takes images of one label each as well. Raises
    `OptionError` for an unknown class, naming it, and for images of several labels where the classifier knows one.
    """
    if table.task == "multi" and task == "single":
        raise OptionError(f"{table.root} has several labels an image, and the classifier gives one class to each.")
    if table.classes == tuple(classes) and table.task == task:
        return table
    used = {label for indices in table.rows["labels"].to_pylist() for label in indices}
    unknown = [name for label, name in enumerate(table.classes) if label in used and name not in classes]
    if unknown and not skip_unknown:
        raise OptionError(_unknown(table, unknown, classes))
    index = {name: number for number, name in enumerate(classes)}
    new = [index.get(name) for name in table.classes]
    named = {name: None if name in unknown else name for name in table.classes}
    return _relabelled(replace(table, task=task), tuple(classes), new, named)


def _unknown(table: ImageTable, unknown: Sequence[str], classes: Sequence[str]) -> str:
    """Return which classes of images a classifier does not know, and what can be done."""
    listed = ", ".join(map(repr, unknown[:10])) + (f" and {len(unknown) - 10} more" if len(unknown) > 10 else "")
    knows = ", ".join(map(repr, classes[:10])) + (f" and {len(classes) - 10} more" if len(classes) > 10 else "")
    pairs = _guessed_pairs(unknown, classes) or {unknown[0]: "NAME"}  # none is called alike: a guess would be wrong
    renamed = " ".join(f"--rename {in_shell(f'{theirs}={ours}')}" for theirs, ours in pairs.items())
    return (
        f"{table.root}: the classifier does not know {listed}. It knows {knows}. Say what each is called there "
        f"({renamed}), leave a class out (--rename {in_shell(unknown[0] + '=')}), or all that are "
        "unknown (--skip-unknown)."
    )


def _guessed_pairs(unknown: Sequence[str], classes: Sequence[str]) -> dict[str, str]:
    """Return for each unknown class the one that is called nearly the same, each taken once; to be looked at.

    >>> _guessed_pairs(["Dress", "hats", "x"], ["dress", "hat", "shoe"])
    {'Dress': 'dress', 'hats': 'hat'}
    """
    free, pairs = list(classes), {}
    folded = {name: name.casefold() for name in classes}
    for name in unknown:
        close = nearest(name.casefold(), [folded[one] for one in free], most=1)
        if close:
            pairs[name] = next(one for one in free if folded[one] == close[0])
            free.remove(pairs[name])
    return pairs


def _relabelled(
    table: ImageTable, classes: tuple[str, ...], new: Sequence[int | None], named: Mapping[str, str | None]
) -> ImageTable:
    """Return the images with new labels (`new` by old class); what has none left is left out."""
    import pyarrow as pa

    before = table.rows["labels"].to_pylist()
    after = [sorted({number for label in indices if (number := new[label]) is not None}) for indices in before]
    schema = table_schema()
    column = schema.get_field_index("labels")
    rows = table.rows.set_column(column, schema.field(column), pa.array(after, schema.field(column).type))
    kept = np.array([bool(now) or not indices for indices, now in zip(before, after, strict=True)], dtype=bool)
    return replace(table, classes=classes, rows=rows).where(kept).with_findings(*_findings(named, int((~kept).sum())))


def renaming_of(pairs: Iterable[str], file: str | os.PathLike[str] | None = None) -> dict[str, str | None]:
    """Read renamings: `OLD=NEW`, from a command line and from the lines of a file; nothing after = leaves out.

    Empty lines of the file and what follows a # are ignored; names may have spaces around them.

    >>> renaming_of(["cane=dog", "scoiattolo="])
    {'cane': 'dog', 'scoiattolo': None}
    """
    lines = [(pair, f"--rename {pair}") for pair in pairs]
    if file is not None:
        path = Path(file).expanduser()
        try:
            text = read_regular(path, most_bytes=LARGEST_TABLE_BYTES).decode("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
            raise SourceError(f"{path} can't be read ({why}). Wanted a text file with lines OLD = NEW.") from error
        numbered = enumerate(text.splitlines(), start=1)
        bare = ((line.partition("#")[0].strip(), f"{path}, line {number}") for number, line in numbered)
        lines = [*((line, where) for line, where in bare if line), *lines]
    renaming: dict[str, str | None] = {}
    for line, where in lines:
        old, sign, new = (piece.strip() for piece in line.partition("="))
        if not sign or not old:
            raise OptionError(f"{where}: wanted OLD=NEW, or OLD= to leave a class out.")
        renaming[old] = new or None
    return renaming


def _findings(named: Mapping[str, str | None], images: int) -> Iterable[Finding]:
    changed = [f"{old} = {new}" for old, new in named.items() if new is not None and new != old]
    gone = [old for old, new in named.items() if new is None]
    if changed:
        yield Finding(severity="note", code="classes-renamed", fields={"n": len(changed)}, evidence=tuple(changed))
    if gone:
        yield Finding(
            severity="note",
            code="classes-left-out",
            fields={"n": len(gone), "images": images},
            evidence=tuple(gone),
        )
