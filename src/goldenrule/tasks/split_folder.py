"""`split_folder`: a labelled folder copied into train, valid and test, proved file by file; the original is only read.

NEW/train/CLASS/...   the images, under the paths they had
NEW/manifest.csv      path, source, split, size and sha256 of every file, written before the first is copied
NEW/SHA256SUMS        the same digests for sha256sum
NEW/split.json        what was split, how, and what was found

Everything is made in a hidden folder beside NEW, which gets its name when all files are verified: NEW is whole or
absent. Killed, the same command goes on.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from goldenrule.analysis.dependence import nearest_of_kind, nearness
from goldenrule.analysis.duplicate_findings import duplicates
from goldenrule.analysis.duplicate_findings import near_duplicates as near_findings
from goldenrule.core.errors import (
    FormatError,
    GoldenRuleError,
    OptionError,
    RunMismatch,
    SourceError,
    StorageError,
    system_errors,
)
from goldenrule.core.findings import Finding, plural
from goldenrule.core.progress import Progress, Silent
from goldenrule.core.schema import as_json, from_json
from goldenrule.data.containers.inside import stamp_of
from goldenrule.data.duplicates.close_vectors import Floats
from goldenrule.data.duplicates.near_duplicates import near_duplicates as near_pairs
from goldenrule.data.grouping import with_alike
from goldenrule.data.name_order import named_groups
from goldenrule.data.scan import FileScan, closed_files, look_to_copy, looked, unreadable_files
from goldenrule.data.sources.folders import all_files
from goldenrule.data.sources.label_tables import from_source
from goldenrule.data.sources.left_out import alike_classes, unusable_classes
from goldenrule.data.splits.copy_out import (
    ABOUT,
    LINKS,
    MANIFEST,
    Copy,
    Difference,
    Link,
    copy_all,
    read_manifest,
    verify_copies,
    write_manifest,
)
from goldenrule.data.splits.split_layout import LABELS, new_places
from goldenrule.data.splits.splitting import Shares, with_split
from goldenrule.data.splits.stretches import REST, kinds
from goldenrule.data.table import ImageTable
from goldenrule.data.units import duplicate_units, is_alike
from goldenrule.features.similar_windows import with_cached
from goldenrule.storage.files import (
    file_digest,
    in_shell,
    json_digest,
    read_digested_json,
    write_atomic,
    write_digested_json,
)
from goldenrule.storage.lock import HOLDER, LOCK, only_writer
from goldenrule.storage.outputs import check_place
from goldenrule.storage.unfinished import is_marked

SCHEMA_VERSION = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitRequest:
    """How images are to be dealt out."""

    shares: Shares
    seed: int
    group_by: str
    anew: bool
    near_duplicates: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitFolder:
    """A split folder: its images per split and class, what was kept on one side, and what was found."""

    folder: Path
    counts: Mapping[str, Mapping[str, int]]
    files: int
    size: int  # bytes
    together: Mapping[str, int]  # groups of equal files, of near duplicates, of series
    findings: tuple[Finding, ...]
    again: bool  # it was there before, and was verified again

    def __repr__(self) -> str:
        each = ", ".join(f"{split} {sum(of.values()):,}" for split, of in self.counts.items())
        return f"SplitFolder({self.folder}: {each})"


@system_errors()
def split_folder(
    source: str | os.PathLike[str] | ImageTable,
    destination: str | os.PathLike[str],
    *,
    shares: Shares | None = None,
    seed: int = 0,
    group_by: str = "auto",
    anew: bool = False,
    near_duplicates: bool = True,
    exclude: Sequence[str] = (),
    link: Link = "none",
    threads: int = 4,
    progress: Progress | None = None,
) -> SplitFolder:
    """Copy a labelled folder into parts and prove the copy; equal files, near duplicates and groups stay on one side.

    Of each class `shares` of the images validate and test, drawn by the hash of (seed, content). A test split that
    the source has stays as it is; with `anew` all labelled images are dealt out again. Files that are no images are
    copied too; hidden ones, those of systems and what `exclude` names are not. `link`: see `copy_all`. Where a cache
    has features of the images, as after a fit, near duplicates are looked for among their neighbours too, as
    `audit_images` does.

    Raises `OptionError` where nothing is left to split or the folders lie in each other, `RunMismatch` where
    `destination` holds something else, `SourceError` for files that can't be read.
    """
    progress = progress or Silent()
    if link not in LINKS:
        raise OptionError(f"--link {link}: wanted one of {', '.join(LINKS)}.")
    wish = SplitRequest(
        shares=shares or Shares(), seed=seed, group_by=group_by, anew=anew, near_duplicates=near_duplicates
    )
    table = source if isinstance(source, ImageTable) else from_source(source, group_by=group_by, exclude=exclude)
    folder = Path(destination).expanduser()
    _check_apart(table.place, folder)
    if "valid" in table.splits and not anew:
        raise OptionError(f"{table.root} has a train and a valid split already. --anew deals its images out again.")
    files = all_files(table.root, (*table.exclude, *exclude))
    about = _about(table, files, wish)
    if _is_there(folder):
        return _again(folder, about, threads, progress)
    check_place(folder, instead="Give another new folder, as the second argument.")
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    with only_writer(unfinished):
        if _is_there(folder):  # another process was first
            return _again(folder, about, threads, progress)
        if not _is_about(unfinished, about):
            _check_ours(unfinished)
            _clear(unfinished)
            try:
                _plan(table, files, unfinished, about, wish, threads, progress)
            except GoldenRuleError:
                shutil.rmtree(unfinished)
                raise
        copies = read_manifest(unfinished)
        copy_all(table.root, unfinished, copies, link=link, progress=progress)
        if wrong := verify_copies(unfinished, copies, threads=threads, progress=progress):
            raise StorageError(f"{_listed(wrong)}: the disk did not keep what was written. Give the command again.")
        for name in (LOCK, HOLDER):
            (unfinished / name).unlink(missing_ok=True)
        unfinished.rename(folder)
    return _read(folder, copies, again=False)


@system_errors()
def verify_split(
    folder: str | os.PathLike[str], *, threads: int = 4, progress: Progress | None = None
) -> tuple[SplitFolder, list[Difference]]:
    """Read every file of a split folder again: give what it holds, and where it differs from its manifest."""
    path = Path(folder).expanduser()
    if not (path / MANIFEST).exists():
        raise SourceError(f"{path} has no {MANIFEST}: wanted a folder that goldenrule split has made.")
    copies = read_manifest(path)
    return _read(path, copies, again=True), verify_copies(path, copies, threads=threads, progress=progress)


def _plan(
    table: ImageTable,
    files: Sequence[str],
    folder: Path,
    about: Mapping[str, Any],
    wish: SplitRequest,
    threads: int,
    progress: Progress,
) -> None:
    """Look at every file, decide its split, and write the manifest."""
    looks = looked(table, by=look_to_copy, threads=threads, progress=progress)
    if closed := [f"{uri}: {why}" for uri, why in closed_files(table, looks).items()]:
        raise SourceError(
            f"{plural(len(closed), 'file')} can't be opened: {'; '.join(closed[:3])}{'; ...' if closed[3:] else ''}. "
            "Nothing was split: ask for access, remove them, or leave them out (--exclude)."
        )
    before = table.with_digests([scan.digest for scan in looks])
    if wish.anew:
        labels = before.rows["labels"].to_pylist()
        before = before.with_splits(
            [None if label else split for label, split in zip(labels, before.splits, strict=True)]
        )
    pairs = []
    if wish.near_duplicates:
        pairs = near_pairs(before, looks, threads=threads, progress=progress)
        pairs = with_cached(before, pairs, threads=threads, progress=progress)
    series = shown_series(before, looks, seed=wish.seed) if wish.group_by == "auto" else before
    grouped = with_alike(series, [(pair.first, pair.second) for pair in pairs])
    after = with_split(grouped, seed=wish.seed, shares=wish.shares)
    copies, labels_text = new_places(table, after, files, looks)
    read = [scan.problem is None for scan in looks]
    findings = [*series.findings, *duplicates(after.where(np.array(read, dtype=bool)))]
    findings += [*near_findings(after, pairs), *unreadable_files(table, looks)]
    findings += alike_classes(table)
    findings += unusable_classes(table, read)
    if labels_text is not None:
        write_atomic(folder / LABELS, labels_text)
    write_manifest(folder, copies)
    facts = {
        "counts": after.counts(),
        "together": {
            "equal files": sum(count > 1 for count in Counter(scan.digest for scan in looks).values()),
            "near duplicates": len({group for group in grouped.rows["group"].to_pylist() if is_alike(group)}),
            "series": len({group for group in series.rows["group"].to_pylist() if group is not None}),
        },
        "findings": as_json(findings),
    }
    value = {"schema_version": SCHEMA_VERSION, "about": about, "manifest": file_digest(folder / MANIFEST), **facts}
    write_digested_json(folder / ABOUT, value)  # last: the plan is whole


def shown_series(table: ImageTable, looks: Sequence[FileScan], *, seed: int) -> ImageTable:
    """Return the images with groups that their names propose, where the pictures of a group are alike.

    Asked of small pictures (`FileScan.likeness`), without a network: a fit looks closer, and measures what it does.
    """
    if any(group is not None for group in table.rows["group"].to_pylist()):
        return table
    shown = [scan.likeness for scan in looks]
    labels = table.rows["labels"].to_pylist()
    each = duplicate_units(table)
    every = kinds(labels, each, task=table.task)
    first = {unit: row for row, unit in reversed(list(enumerate(each)))}
    asked = [row in set(first.values()) and shown[row] is not None for row in range(len(table))]
    counted = np.where(asked, every, REST)
    proposals = named_groups(table, counted.tolist())
    if not proposals:
        return table

    def read(rows: Sequence[int]) -> Floats:
        return np.stack([np.ravel(overlay) for row in rows if (overlay := shown[row]) is not None])

    found = nearness(proposals, *nearest_of_kind(read, counted, seed=seed), counted, seed=seed)
    alike = max((one for one in found if one.shown), key=lambda one: one.share - one.chance, default=None)
    if alike is None or alike.proposal.groups is None:
        return table
    note = Finding(
        severity="warning",
        code="series",
        variant="alike",
        fields={"order": alike.proposal.name},
        evidence=(alike.sentence,),
    )
    return table.with_groups(list(alike.proposal.groups)).with_findings(note)


def _about(table: ImageTable, files: Sequence[str], wish: SplitRequest) -> dict[str, Any]:
    """Return what a split is about as JSON: the source with names, sizes, times and labels, and how it is dealt out."""
    try:
        stated = [[name, *stamp_of(table.root / name)[:2]] for name in files]  # name, size and time of the change
    except OSError as error:
        raise SourceError(
            f"{error.filename} can't be read any more ({error.strerror}). Nothing was split: give the command again."
        ) from error
    rows = table.rows.select(["uri", "split", "labels", "group"]).to_pylist()
    return {
        "source": table.name,  # shared with the copies: no path of its maker
        "files": json_digest(stated),
        "labels": json_digest([table.classes, rows]),
        "options": as_json(wish),
    }


def _check_apart(source: Path, folder: Path) -> None:
    one, other = source, folder.resolve()
    if one == other or one in other.parents or other in one.parents:
        raise OptionError(f"{folder} and {source} lie in each other. Give a folder beside it for the copy.")


def _is_there(folder: Path) -> bool:
    return folder.exists() and (not folder.is_dir() or any(folder.iterdir()))


def _is_about(folder: Path, about: Mapping[str, Any]) -> bool:
    try:
        return bool(_named(read_digested_json(folder / ABOUT)["about"]) == about)
    except (FormatError, KeyError, TypeError):
        return False


def _named(about: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a split is about with the name of its source; earlier versions wrote the whole path."""
    return {**about, "source": PurePath(str(about["source"])).name}


def _check_ours(folder: Path) -> None:
    """Raise `RunMismatch` where a folder with the name of an unfinished split holds what no split of ours has left."""
    with contextlib.suppress(FormatError):
        if {"schema_version", "about"} <= read_digested_json(folder / ABOUT).keys():
            return
    planned = {LOCK, HOLDER, LABELS, MANIFEST}
    if strange := sorted(path.name for path in folder.iterdir() if not (path.name in planned or is_marked(path))):
        raise RunMismatch(
            f"{folder} holds {', '.join(strange[:3])}, and is no unfinished split. Nothing was changed: move it away, "
            "or give another name for the new folder."
        )


def _clear(folder: Path) -> None:
    """Remove what an unfinished split of other files or options left: copies, no more."""
    for path in folder.iterdir():
        if path.name not in (LOCK, HOLDER):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _again(folder: Path, about: Mapping[str, Any], threads: int, progress: Progress) -> SplitFolder:
    if not (folder / ABOUT).exists():
        raise RunMismatch(f"{folder} holds something else. Nothing was changed: give the name of a new folder.")
    before = _named(read_digested_json(folder / ABOUT, schema=SCHEMA_VERSION)["about"])
    if before != about:
        changed = [name for name in ("source", "files", "labels") if before[name] != about[name]]
        changed += [name for name, value in about["options"].items() if before["options"].get(name) != value]
        raise RunMismatch(
            f"{folder} holds another split ({', '.join(changed)} differ). Nothing was changed: give the name of a "
            f"new folder, or check this one with goldenrule split --verify {in_shell(folder)}."
        )
    split, wrong = verify_split(folder, threads=threads, progress=progress)
    if wrong:
        raise RunMismatch(f"{folder} was split so before, but {_listed(wrong)}. Nothing was changed.")
    return split


def _listed(wrong: Sequence[Difference]) -> str:
    shown = "; ".join(f"{one.path} is {one.what}" for one in wrong[:3])
    return f"{plural(len(wrong), 'file')} {'differs' if len(wrong) == 1 else 'differ'}: {shown}" + (
        "; ..." if wrong[3:] else ""
    )


def _read(folder: Path, copies: Sequence[Copy], *, again: bool) -> SplitFolder:
    facts = read_digested_json(folder / ABOUT, schema=SCHEMA_VERSION)
    if facts["manifest"] != file_digest(folder / MANIFEST):
        raise FormatError(f"{folder / MANIFEST} is not what was written: it was changed or damaged. Split again.")
    return SplitFolder(
        folder=folder,
        counts=facts["counts"],
        files=len(copies),
        size=sum(copy.size for copy in copies),
        together=facts["together"],
        findings=tuple(from_json(finding, Finding) for finding in facts["findings"]),
        again=again,
    )
