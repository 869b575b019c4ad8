"""Labelled images in shards: WebDataset's tar files, Parquet files. A label that is not proved is asked for."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from itertools import takewhile
from pathlib import Path

from goldenrule.core.errors import OptionError, SourceError, system_errors
from goldenrule.core.findings import Finding
from goldenrule.core.messages import Field
from goldenrule.data.containers.inside import ENDINGS, PARQUET, contents_of, divided, is_file, is_folder
from goldenrule.data.containers.objects import is_address
from goldenrule.data.grouping import with_groups
from goldenrule.data.sources.archive_listing import listing_of
from goldenrule.data.sources.listing import Exclusions
from goldenrule.data.sources.parquet_samples import read_rows
from goldenrule.data.sources.split_folders import split_in, split_of
from goldenrule.data.sources.tar_samples import TXT, Cell, Samples, is_packed_as_samples, read_samples
from goldenrule.data.table import ImageTable, Split, image_table, one_form

SHARD_ENDINGS = ENDINGS
LONGEST_LABEL = 100
_WILD = "*?["
_Files = Sequence[Path]


@system_errors()
def from_shards(
    path: str | os.PathLike[str],
    *,
    label: str | None = None,
    id: str | None = None,  # noqa: A002 - what tables call it
    group_by: str = "auto",
    exclude: Sequence[str] = (),
) -> ImageTable:
    """Return the images of shards: tar files as WebDataset writes them, `key.jpg` beside `key.cls`; Parquet files.

    `path` is a shard, a folder of shards, or a pattern (`'shards/*.tar'`). The label stands in `key.cls`, in `key.json`
    (its field `label`, `cls` or a list of such), or in `key.txt`; `label` says which: `cls`, `txt`, or a field of the
    JSON files. Without it that is taken which is proved: the only one, or one of several that say the same. A text that
    may be a caption is none. `id` is the ending of the images that are meant where a key has several. Names of
    shards such as `train-0001.tar` say their splits.

    Of Parquet files `id` is the column that holds the images, and `label` that of the labels: by default the only
    column of bytes, and the only ClassLabel as Hugging Face writes it, or one with a usual name.

    Raises `SourceError` where no label is found, or several that differ: which one is meant is asked for.
    """
    root = Path(path).expanduser()
    files = shards_at(root)
    if not files:
        raise SourceError(
            f"{root} names no shards: wanted a .tar or .parquet file, a folder of such, or a pattern: 'shards/*.tar'."
        )
    place = _common(files)
    samples = Samples(captions=frozenset({TXT}))
    for file in files:
        prefix = "" if file == place else f"{file.relative_to(place).as_posix()}/"
        read = read_rows if _is_parquet(file) else read_samples
        read(file, samples, prefix=prefix, image=id, label=label)
    return table_of_samples(place, samples, label=label, said=str(root), group_by=group_by, exclude=exclude)


def shards_at(root: Path) -> _Files:
    """Return the archives that a path names, in order: itself, those that a pattern names, those below a folder.

    A folder in which pictures lie is none of shards, whatever else is there.
    """
    if is_file(root):
        return [root] if root.name.lower().endswith(SHARD_ENDINGS) else []
    if is_folder(root) and divided(root) is None:
        found = listing_of(root)
        return [] if found.pictures else [root / name for name in found.others if name.lower().endswith(SHARD_ENDINGS)]
    if not any(mark in str(root) for mark in _WILD):
        return []
    if is_address(root):
        above = Path(*takewhile(lambda piece: not any(mark in piece for mark in _WILD), root.parts))
        named = [above / name for name in sorted(contents_of(above).files) if fnmatchcase(str(above / name), str(root))]
    else:
        named = [Path(name) for name in sorted(glob.glob(str(root), recursive=True))]  # noqa: PTH207 - ** of any root
    return [
        path for path in named if (is_address(path) or path.is_file()) and path.name.lower().endswith(SHARD_ENDINGS)
    ]


def may_be_shards(root: Path) -> bool:
    """Return whether a path may name shards, so that an option about their labels has a meaning; nothing is read."""
    path = root.expanduser()
    return (
        is_address(path) or not path.is_dir() or any(one.name.lower().endswith(SHARD_ENDINGS) for one in path.iterdir())
    )


def are_samples(files: _Files) -> bool:
    """Return whether archives are packed as samples: asked of the first one."""
    return bool(files) and (_is_parquet(files[0]) or is_packed_as_samples(files[0]))


def _is_parquet(path: Path) -> bool:
    return path.name.lower().endswith(PARQUET)


def check_samples(root: Path, table: ImageTable) -> None:
    """Raise `SourceError` where the images of an archive lie in class folders, and have other labels beside them."""
    if (found := divided(root)) is None or found[1] or not are_samples([root]):
        return
    beside, said = Samples(captions=frozenset({TXT})), str(root)
    read_samples(root, beside, prefix="", image=None, label=None)
    known = dict(zip(table.uris, table.rows["labels"].to_pylist(), strict=True))
    folders = [tuple(map(str, known.get(name, ()))) for name in beside.names]
    for name, cells in beside.columns.items():
        if name not in beside.captions and not _say_the_same(cells, folders):
            raise SourceError(
                f"{said}: its images lie in class folders, and {name} beside them says otherwise what they are "
                f"({_example(cells)}). Say which labels are meant: --label {name}, or --labels-from folder."
            )


def table_of_samples(
    root: Path, samples: Samples, *, label: str | None, said: str, group_by: str, exclude: Sequence[str]
) -> ImageTable:
    """Return the images of samples, labelled by the column that is asked for, or proved."""
    exclusions = Exclusions(exclude, root)
    taken = chosen_column(samples, label, said)
    stays = [not exclusions.match_or_above(name) for name in samples.names]
    names = [name for name, good in zip(samples.names, stays, strict=True) if good]
    cells = [cell for cell, good in zip(samples.columns[taken], stays, strict=True) if good]
    order = sorted(range(len(names)), key=names.__getitem__)
    uris = [names[row] for row in order]
    labels = [tuple(map(one_form, cells[row])) for row in order]
    classes = sorted({one for cell in labels for one in cell})
    index = {name: number for number, name in enumerate(classes)}
    table = image_table(
        root,
        classes,
        uris=uris,
        splits=_splits(uris, said),
        labels=[sorted(index[one] for one in cell) for cell in labels],
    )
    table = replace(table, exclude=exclusions.given, labels_table=f"{taken} in {said}")
    found = list(samples.findings)
    for code, evidence in (
        ("sidecars-damaged", samples.damaged),
        ("label-empty", [uri for uri, cell in zip(uris, labels, strict=True) if not cell]),
        ("excluded", sorted({*samples.names} - {*names})),
    ):
        if evidence:
            fields: dict[str, Field] = {"table": said, "n": len(evidence)}
            severity = "note" if code == "excluded" else "warning"
            found.append(Finding(severity=severity, code=code, fields=fields, evidence=tuple(evidence)))  # type: ignore[arg-type]
    if exclusions.unused:
        idle: dict[str, Field] = {"patterns": tuple(map(repr, exclusions.unused))}
        found.append(Finding(severity="warning", code="exclude-idle", fields=idle))
    return with_groups(table, group_by).with_findings(*found)


def chosen_column(samples: Samples, label: str | None, said: str) -> str:
    """Return the column of labels: the one that was asked for, the only one, or the best of several that agree.

    Raises `OptionError` for one that is not there, `SourceError` where nothing proves which is meant.
    """
    columns = {name: cells for name, cells in samples.columns.items() if any(cells)}
    if label is not None:
        if label in columns:
            return label
        raise OptionError(f"--label {label}: {said} has no such labels, only {', '.join(columns) or 'none'}.")
    if not samples.names:
        raise SourceError(f"{said} holds no images.")
    plain = {name: cells for name, cells in columns.items() if name not in samples.captions}
    if not plain:
        plain = {name: cells for name, cells in columns.items() if _are_classes(cells)}
        if not plain and columns:
            (name, cells), *_ = columns.items()
            example = next(cell[0] for cell in cells if cell)
            raise SourceError(
                f"{said}: the texts beside its images, such as {example[:60]!r}, may be captions and no classes. If "
                f"they are classes, say it: --label {name}."
            )
    if not plain:
        raise SourceError(
            f"{said} has images, and no labels beside them: wanted key.cls, key.json with a field label, or key.txt "
            "beside key.jpg; a column of a Parquet file, named by --label NAME; or class folders in one archive."
        )
    agreeing = [name for name in columns if all(_say_the_same(columns[name], cells) for cells in plain.values())]
    if not agreeing or not set(agreeing) >= plain.keys():
        each = ", ".join(f"--label {name} ({_example(cells)})" for name, cells in plain.items())
        raise SourceError(f"{said} has several labels for each image, which differ. Say which one is meant: {each}.")
    return next((name for name in agreeing if not _are_numbers(columns[name])), agreeing[0])


def _are_classes(cells: Sequence[Cell]) -> bool:
    """Return whether texts can be nothing but classes: each stands beside two images or more, in a line of its own."""
    counts = Counter(cell for cell in cells if cell)
    short = all(len(one) <= LONGEST_LABEL and "\n" not in one for cell in counts for one in cell)
    return short and len(counts) > 1 and min(counts.values()) > 1


def _say_the_same(one: Sequence[Cell], other: Sequence[Cell]) -> bool:
    """Return whether two columns divide the images alike, by whatever words."""
    pairs = {*zip(one, other, strict=True)}
    return len(pairs) == len({first for first, _ in pairs}) == len({second for _, second in pairs})


def _are_numbers(cells: Sequence[Cell]) -> bool:
    return all(one.isdigit() for cell in cells for one in cell)


def _example(cells: Sequence[Cell]) -> str:
    different = sorted({" ".join(cell) for cell in cells if cell})
    return f"{len(different):,} different, such as {different[0][:40]}"


def _common(files: _Files) -> Path:
    """Return the folder that shards have in common, or the only shard itself."""
    return files[0] if len(files) == 1 else Path(os.path.commonpath([one.parent for one in files]))


def _splits(uris: Sequence[str], said: str) -> list[Split | None]:
    """Return the split that each shard's folder or name says; none where no shard says that it trains.

    Raises `SourceError` where some shards say one, and others do not.
    """
    shards = dict.fromkeys(_shard_of(uri) for uri in uris)
    named = {
        shard: split_of(shard) or split_in(shard.rpartition("/")[2].partition(".")[0]) for shard in shards if shard
    }
    if "train" not in named.values():
        return [None] * len(uris)
    if None in named.values():
        other = next(shard for shard, split in named.items() if split is None)
        trains = next(shard for shard, split in named.items() if split == "train")
        raise SourceError(
            f"{said}: {trains} says by its name that it trains, and {other} says nothing. Rename it, or give only "
            "those that are meant."
        )
    return [named[_shard_of(uri)] for uri in uris]


def _shard_of(uri: str) -> str:
    """Return the part of a path that names the shard; "" in a shard that is alone."""
    pieces = uri.split("/")
    ends = [number for number, piece in enumerate(pieces[:-1], 1) if piece.lower().endswith(SHARD_ENDINGS)]
    return "/".join(pieces[: ends[0]]) if ends else ""
