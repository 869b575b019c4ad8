"""Labels that stand in a table beside the images: CSV files as competitions have them, and data frames."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from goldenrule.core.errors import OptionError, SourceError, system_errors
from goldenrule.core.findings import Finding, Severity, plural
from goldenrule.data.containers.inside import PARQUET, is_file, is_folder
from goldenrule.data.grouping import with_given_groups, with_groups
from goldenrule.data.sources.archive_listing import whole_of
from goldenrule.data.sources.folders import LabelsFrom, from_folder
from goldenrule.data.sources.label_columns import Wanted, completed, id_column, labels_of, lacks_header, splits_of
from goldenrule.data.sources.label_files import (
    ID_OF_SPLITS,
    UNNAMED_FIRST,
    Columns,
    cell_of,
    common_folder,
    joined,
    labels_file,
    read_columns,
    tables_of_splits,
    without_header,
)
from goldenrule.data.sources.left_out import left_out, lost_classes
from goldenrule.data.sources.listing import Exclusions, Listing
from goldenrule.data.sources.named_files import NamedFiles, is_absolute, of_absolute_paths
from goldenrule.data.sources.shards import are_samples, check_samples, from_shards, shards_at
from goldenrule.data.sources.split_folders import split_of
from goldenrule.data.sources.tables_beside import only_table, other_labels
from goldenrule.data.splits.folds import fold_name
from goldenrule.data.table import ImageTable, image_table, one_form


def from_source(
    folder: str | os.PathLike[str],
    *,
    train: str | None = None,
    valid: str | None = None,
    test: str | None = None,
    group_by: str = "auto",
    labels_from: LabelsFrom = "auto",
    exclude: Sequence[str] = (),
    label: str | None = None,
    id: str | None = None,  # noqa: A002
) -> ImageTable:
    """Return the images of class folders (`from_folder`), or of a folder whose labels stand in a table beside them.

    An archive is a folder too. Shards, which hold labels beside their images, are read by `from_shards`; `label` and
    `id` are about these alone.

    The table counts where there are no two class folders: a single one (`images`) is no class. It is one of
    `KNOWN_FILES`, or the only one that names the images. A Hugging Face image folder may have its metadata in each
    split's folder. With `labels_from` other than "auto" tables are not looked at.

    Raises `SourceError` where class folders and a table label the same images otherwise, or several tables do: which
    one is meant is asked for, with the option that says so.
    """
    root = Path(folder).expanduser()
    if labels_from != "auto":
        return from_folder(
            folder, train=train, valid=valid, test=test, group_by=group_by, labels_from=labels_from, exclude=exclude
        )
    named, shards = root, partial(from_shards, root, label=label, id=id, group_by=group_by, exclude=exclude)
    if label is not None or id is not None:
        return shards()
    if root.name.lower().endswith(PARQUET) and is_file(root):
        return shards()
    root = folder = whole_of(root)
    failed: SourceError | None = None
    table: ImageTable | None = None
    try:
        table = from_folder(folder, train=train, valid=valid, test=test, group_by=group_by, exclude=exclude)
    except SourceError as error:
        failed = error
    if table is not None and len(table.classes) > 1:
        check_samples(named, table)
        return table.with_findings(*other_labels(root, table))
    files = shards_at(named) if table is None else []
    if files and (named not in files or are_samples(files)):
        return shards()
    file = labels_file(folder)
    in_splits = {} if file else tables_of_splits(root)
    if file is None and in_splits:
        wanted = Wanted(id=ID_OF_SPLITS)
        return _labelled(joined(in_splits), root, wanted, group_by=group_by, said="metadata", exclude=exclude)
    if file is None and is_folder(root):
        file = only_table(root, exclude)
    if file is not None:
        return from_csv(file, images=root, group_by=group_by, exclude=exclude)
    if table is not None:
        _check_not_wrapped(root, table)
        return table
    assert failed is not None
    raise failed


def _check_not_wrapped(root: Path, table: ImageTable) -> None:
    """Raise `SourceError` where the only class folder holds folders of images: they may be the classes."""
    if any(split is not None for split in table.splits):
        return
    folders = [PurePosixPath(uri).parent for uri in table.uris]
    inner = PurePosixPath(os.path.commonpath(folders))
    names = sorted({folder.relative_to(inner).parts[0] for folder in folders if folder != inner})
    if len(names) < 2 or inner in folders:
        return
    if split_of(f"{inner.name}/x"):  # its splits lie beside it
        inner = inner.parent
    name = PurePosixPath(table.uris[0]).parts[0]
    raise SourceError(
        f"{root} has one folder, {name}, in which {inner} holds folders of images ({', '.join(names[:4])}). If they "
        f"are the classes, or splits, give that folder: {root / inner}. If {name} is a class: --labels-from folder."
    )


@system_errors()
def from_csv(
    path: str | os.PathLike[str],
    *,
    images: str | os.PathLike[str] | None = None,
    id: str | None = None,  # noqa: A002 - what competitions call it
    label: str | None = None,
    separator: str | None = None,
    split: str | None = None,
    group: str | None = None,
    fold: str | None = None,
    group_by: str = "auto",
    exclude: Sequence[str] = (),
) -> ImageTable:
    """Return the images below a folder (by default the file's own) with the labels of a CSV file.

    `id` is the column that names the image: its path below the folder or its file name, with or without the
    extension, or an absolute path; by default the column that names the most files. `label` is the column of labels:
    one class per image, or several between `separator` ("" for none; by default what the cells prove: a comma,
    semicolon or bar whose pieces stand alone in other cells, a space between numbers or in columns called tags or
    labels). Without `label`: the only other column, all others where they hold 0 and 1 or True and False (one-hot), or
    the one with a usual name. `split`, `group` and `fold` are columns too, by
    default those of that name: train, valid or test; what stays together; and the fold in which an image validates
    (`k_fold`). An empty cell says nothing of its image. Images in a test folder that the file does not name are the
    unlabelled test split. Images that are missing, named twice or not at all are findings, as is a class without an
    image. `exclude` are patterns of names, or of paths below the folder, that are left out whatever the file says.

    Raises `SourceError` for a file that can't be read so, `OptionError` for a column that it does not have.
    """
    file = Path(path).expanduser()
    root = Path(images).expanduser() if images is not None else None
    wanted = Wanted(id=id, label=label, separator=separator, split=split, group=group, fold=fold)
    columns = read_columns(file)
    return _labelled(columns, root, wanted, group_by=group_by, said=str(file), beside=file.parent, exclude=exclude)


@system_errors()
def from_dataframe(
    frame: Any,
    *,
    images: str | os.PathLike[str] | None = None,
    id: str | None = None,  # noqa: A002
    label: str | None = None,
    separator: str | None = None,
    split: str | None = None,
    group: str | None = None,
    fold: str | None = None,
    group_by: str = "auto",
    exclude: Sequence[str] = (),
) -> ImageTable:
    """Return the images below a folder with the labels of a table that speaks Arrow: pandas, polars, pyarrow.

    The arguments are those of `from_csv`; paths that are absolute, or lead to files from where the program runs, need
    no folder. A cell may be a list of labels.
    """
    import pyarrow as pa

    try:
        table = pa.table(frame)
    except (TypeError, ValueError) as error:
        raise OptionError(
            f"{type(frame).__name__}: wanted a data frame of pandas, polars or pyarrow ({error})."
        ) from error
    if not (table.num_rows and table.num_columns):
        raise SourceError("The data frame has no rows: wanted one for every image, and a column that names it.")
    columns: Columns = {str(name): [cell_of(value) for value in table[name].to_pylist()] for name in table.column_names}
    wanted = Wanted(id=id, label=label, separator=separator, split=split, group=group, fold=fold)
    root = Path(images).expanduser() if images is not None else None
    columns = columns if root else _from_here(columns, wanted)
    return _labelled(columns, root, wanted, group_by=group_by, said="the data frame", exclude=exclude)


def _labelled(
    columns: Columns,
    root: Path | None,
    wanted: Wanted,
    *,
    group_by: str,
    said: str,
    beside: Path | None = None,
    exclude: Sequence[str] = (),
) -> ImageTable:
    """Return the images that a table names, below `root`; None: those of its absolute paths, else below `beside`."""
    files = of_absolute_paths(_cells_of_paths(columns, wanted)) if root in (None, Path("/")) else None
    if files and beside and files.root.resolve().is_relative_to(beside.resolve()):
        files = None  # all that lies beside the table is looked at, not only what it names
    try:
        files = files or NamedFiles.below(_known(root or beside, said), exclude)
    except SourceError:
        if root is None and (paths := _cells_of_paths(columns, wanted)) and (gone := _gone(paths, said)):
            raise gone from None
        raise
    exclusions = Exclusions(exclude, files.root)
    notes: list[Finding] = []
    if lacks_header(columns, files):
        columns = without_header(columns)
    if UNNAMED_FIRST in columns:
        notes.append(_no_header(columns, said))
    for name in wanted.columns:
        if name not in columns:
            raise OptionError(f"{said} has no column {name!r}, only {', '.join(columns)}.")
    if wanted.group is not None and group_by not in ("auto", "none"):
        raise OptionError(
            f"The column {wanted.group} and --group-by {group_by} both say what stays together: give one."
        )
    id_name, more = id_column(columns, wanted, files, said)
    grouped = wanted.group is not None or group_by == "auto"  # else a column called group is not what was meant
    wanted = completed(wanted, columns, id_name)
    read = labels_of(columns, wanted, files, said)
    labels = read.lines
    rows: dict[str, int] = {}  # which line of the table an image has
    missing: list[str] = []
    excluded: list[str] = []
    unclear: list[str] = []
    twice: list[str] = []
    for row, identity in enumerate(columns[id_name]):
        found = files.named(identity)
        if exclusions.match_or_above(found[0] if len(found) == 1 else files.relative(identity)):
            excluded.append(identity)
        elif len(found) != 1:
            (unclear if found else missing).append(f"{identity}: {', '.join(found[:3])}" if found else identity)
        elif found[0] in rows and labels[row] != labels[rows[found[0]]]:
            twice.append(f"{identity}: {' '.join(labels[rows[found[0]]])}, then {' '.join(labels[row])}")
        else:
            rows.setdefault(found[0], row)
    if not rows:
        raise _none_found(columns[id_name], id_name, files, said)
    unlisted = [uri for uri in files.uris if uri not in rows and not exclusions.match_or_above(uri)]
    tested = [uri for uri in unlisted if split_of(uri) == "test"]
    uris = sorted([*rows, *tested])
    classes = sorted({label for row in rows.values() for label in labels[row]})
    index = {name: number for number, name in enumerate(classes)}
    lost = Counter(label for names_of in labels for label in set(names_of) if label not in index)
    named = None if wanted.split is None else list(splits_of(columns[wanted.split], wanted.split))
    table = image_table(
        files.root,
        classes,
        uris=uris,
        splits=[split_of(uri) if named is None or uri not in rows else named[rows[uri]] for uri in uris],
        labels=[sorted(index[label] for label in labels[rows[uri]]) if uri in rows else [] for uri in uris],
    )
    unlabelled = [uri for uri in uris if uri in rows and not labels[rows[uri]]]
    others = [uri for uri in unlisted if split_of(uri) != "test"]
    missing, no_pictures = _without_pictures(missing, files)
    column = f", column {wanted.label}" if wanted.label is not None else ""
    table = replace(table, exclude=exclusions.given, labels_table=f"{said}{column}").with_findings(
        *notes,
        *more,
        *read.findings,
        *_findings(said, missing, no_pictures, excluded, unclear, twice, unlabelled, others),
        *_against_folders(said, table),
        *lost_classes({label: f"{plural(count, 'line')}, none of an image" for label, count in lost.items()}),
        *left_out(files.listing or Listing(root=files.root, idle=exclusions.unused), len(uris), tables=True),
    )
    if wanted.fold is not None:
        folds = [fold_name(cell) for cell in columns[wanted.fold]]
        table = table.with_folds([folds[rows[uri]] if uri in rows else None for uri in uris])
    if wanted.group is None or not grouped:
        return with_groups(table, group_by)
    given = [cell.strip() or None for cell in columns[wanted.group]]
    return with_given_groups(table, [given[rows[uri]] if uri in rows else None for uri in uris], wanted.group)


def _against_folders(said: str, table: ImageTable) -> Iterator[Finding]:
    """Return a finding on images that lie in a folder called after another class than the table says."""
    classes = set(table.classes)
    found = []
    for uri, labels in zip(table.uris, table.rows["labels"].to_pylist(), strict=True):
        names = {table.classes[label] for label in labels}
        folders = classes.intersection(map(one_form, uri.split("/")[:-1]))
        if names and folders and not names & folders:
            found.append(f"{uri}: {' '.join(sorted(names))}")
    if found:
        yield Finding(
            severity="warning",
            code="table-against-folders",
            fields={"table": said, "n": len(found)},
            evidence=tuple(found),
        )


def _known(root: Path | None, said: str) -> Path:
    if root is None:
        raise OptionError(
            f"{said} names its images by relative paths: say which folder they are in, images=FOLDER. "
            "(Absolute paths need none.)"
        )
    return root


def _cells_of_paths(columns: Columns, wanted: Wanted) -> Sequence[str]:
    """Return the cells of the first column that holds absolute paths."""
    names = [wanted.id] if wanted.id in columns else list(columns)
    return next((columns[name] for name in names if name and _absolute(columns[name])), [])


def _none_found(cells: Sequence[str], column: str, files: NamedFiles, said: str) -> SourceError:
    """Return the error of a table of which no image was found, with what to do."""
    if gone := _gone(cells, f"{said}, column {column}"):
        return gone
    elsewhere = common_folder(cells)
    do = (
        f"They lie in {elsewhere}: give that folder."
        if elsewhere
        else "Give the folder of the images or the column that names them (--id NAME)."
    )
    return SourceError(
        f"{said}: none of the {len(cells):,} images in its column {column} is below {files.root}, for example "
        f"{cells[0]!r}; there is, for example, {files.uris[0]!r}. {do}"
    )


def _gone(cells: Sequence[str], said: str) -> SourceError | None:
    """Return the error of whole paths that lead to no file; None where the cells are none such, or all are there."""
    if common_folder(cells) is None:
        return None
    gone = [cell for cell in cells if cell and not Path(cell).is_file()]
    if not gone:
        return None
    of = f"{len(gone):,} of the {len(cells):,} paths lead to no file"
    return SourceError(f"{said}: {of}, for example {gone[0]!r}. Correct them, or leave their rows out.")


def _from_here(columns: Columns, wanted: Wanted) -> Columns:
    """Return the columns with the relative paths of one made absolute, where most of them are files from here."""
    for name in [wanted.id] if wanted.id is not None and wanted.id in columns else columns:
        cells = columns[name]
        if cells and sum(map(os.path.isfile, cells)) > len(cells) / 2:  # a Path for each takes ten times as long
            return {**columns, name: [str(Path(cell).absolute()) if cell else cell for cell in cells]}
    return columns


def _absolute(cells: Sequence[str]) -> bool:
    return sum(map(is_absolute, cells)) > len(cells) / 2


def _no_header(columns: Columns, said: str) -> Finding:
    line = ", ".join(cells[0] for cells in columns.values())
    return Finding(
        severity="warning",
        code="table-without-header",
        fields={"table": said, "line": line, "columns": tuple(columns)},
    )


def _without_pictures(missing: list[str], files: NamedFiles) -> tuple[list[str], list[str]]:
    """Return names without a file, and names of files that are no pictures."""
    if not missing or not files.listing or not files.listing.others:
        return missing, []
    others = NamedFiles(files.root, files.listing.others)
    there = {name for name in missing if len(others.named(name)) == 1}
    return [name for name in missing if name not in there], [name for name in missing if name in there]


def _findings(
    said: str,
    missing: list[str],
    no_pictures: list[str],
    excluded: list[str],
    unclear: list[str],
    twice: list[str],
    unlabelled: list[str],
    others: list[str],
) -> Iterator[Finding]:
    """Return a finding per way in which table and folder do not fit together."""
    kinds: tuple[tuple[Severity, str, list[str]], ...] = (
        ("warning", "images-missing", missing),
        ("warning", "named-no-picture", no_pictures),
        ("note", "named-and-excluded", excluded),
        ("warning", "names-unclear", unclear),
        ("warning", "labelled-twice", twice),
        ("warning", "label-empty", unlabelled),
        ("note", "images-unlisted", others),
    )
    for severity, code, evidence in kinds:
        if evidence:
            yield Finding(
                severity=severity, code=code, fields={"table": said, "n": len(evidence)}, evidence=tuple(evidence)
            )
