"""`Journal`: what was decided on images when labels were reviewed, one CSV that is only ever appended to.

RUN/review/journal.csv has a row per image of a decision. A decision is there when its last row ends with a line break,
and was synced to the disk before anybody is told of it. What a crash has left of a decision that nobody was told of is
recognised, and cut off before the next one is written. An undo is a decision too: nothing is ever taken away.
"""

from __future__ import annotations

import csv
import datetime
import errno
import hashlib
import io
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from goldenrule.core.cells import csv_text, from_cell, to_cell
from goldenrule.core.errors import FormatError, OptionError, StorageError
from goldenrule.storage.files import storage_errors, write_atomic
from goldenrule.storage.lock import only_writer
from goldenrule.storage.regular_files import LARGEST_TABLE_BYTES, read_regular

Verdict = Literal["keep", "relabel", "remove", "unsure", "skip", "undo"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
FOLDER, JOURNAL = "review", "journal.csv"
COLUMNS = ("number", "part", "time", "session", "decision", "image", "sha256", "from", "to", "undoes")
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class DecidedImage:
    """An image that was decided on: its path as the run knows it, the sha256 of its bytes, and the label it had."""

    uri: str
    sha256: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What was decided on images at once; `to` is the label of a "relabel", `undoes` the number that an "undo" ends."""

    number: int
    time: str
    session: str
    verdict: Verdict
    images: tuple[DecidedImage, ...] = ()
    to: str = ""
    undoes: int | None = None


def journal_of(run: Path) -> Path:
    """Return where the decisions on a run's images are."""
    return run / FOLDER / JOURNAL


def standing(decisions: Sequence[Decision]) -> dict[str, tuple[Decision, DecidedImage]]:
    """Return the decision that holds for each image, by its path: the last one that was not undone."""
    undone = {one.undoes for one in decisions if one.verdict == "undo"}
    return {
        image.uri: (one, image)
        for one in decisions
        if one.verdict != "undo" and one.number not in undone
        for image in one.images
    }


def label_changes(held: Mapping[str, Decision]) -> dict[str, str | None]:
    """Return the labels that decisions change, by path; None is out."""
    return {
        uri: one.to if one.verdict == "relabel" else None
        for uri, one in held.items()
        if one.verdict in ("relabel", "remove")
    }


def read_journal(path: Path) -> tuple[list[Decision], str]:
    """Return the decisions of a journal, without what a crash left unfinished, and the sha256 of the file.

    Raises `OptionError` where there is no such file, `FormatError` where it is no journal.
    """
    try:
        content = read_regular(path, most_bytes=LARGEST_TABLE_BYTES)
    except OSError as error:
        raise OptionError(
            f"{path} can't be read ({error.strerror or error}). Wanted: the journal that goldenrule review writes, "
            f"such as RUN/{FOLDER}/{JOURNAL}."
        ) from error
    return decisions_in(content, path)[0], hashlib.sha256(content).hexdigest()


def decisions_in(content: bytes, path: Path) -> tuple[list[Decision], int]:
    """Return the whole decisions in the content of a journal, and how many bytes they take."""
    rows = list(_records(content))
    if not rows or tuple(rows[0][1]) != COLUMNS:
        raise FormatError(f"{path} is no journal of decisions: wanted a first line {','.join(COLUMNS)}.")
    decisions: list[Decision] = []
    whole, open_rows = rows[0][0], list[list[str]]()
    for end, row in rows[1:]:
        open_rows.append(row)
        place, of = _part(row, path)
        if place != len(open_rows) or row[0] != open_rows[0][0]:
            raise FormatError(f"{path}: decision {row[0]} lacks a row. It was changed: take it from a copy.")
        if place == of:
            decisions.append(_decision(open_rows, path, number=len(decisions) + 1))
            whole, open_rows = end, []
    return decisions, whole


class Journal:
    """The journal of a run, open for decisions of this process alone."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._decisions: list[Decision] = []
        self._bytes = 0
        if path.exists() or path.is_symlink():
            content = _content(path)
            self._decisions, self._bytes = decisions_in(content, path)
            if self._bytes < len(content):
                _cut(path, self._bytes)

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """All decisions, the first one first."""
        with self._lock:
            return tuple(self._decisions)

    def __len__(self) -> int:
        return len(self._decisions)

    def append(
        self,
        verdict: Verdict,
        images: Sequence[DecidedImage] = (),
        *,
        session: str,
        to: str = "",
        undoes: int | None = None,
    ) -> Decision:
        """Write a decision down, and return it when the disk has it.

        Raises `StorageError` where it can't be written: it is not made then, and all before it are as they were.
        """
        with self._lock:
            made = Decision(
                number=len(self._decisions) + 1,
                time=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
                session=session,
                verdict=verdict,
                images=tuple(images),
                to=to,
                undoes=undoes,
            )
            if not self._bytes:
                header = f"{','.join(COLUMNS)}\n"
                write_atomic(self.path, header)
                self._bytes = len(header)
            self._bytes += _appended(self.path, _text(made).encode(), self._bytes)
            self._decisions.append(made)
            return made


@contextmanager
def opened_journal(run: Path) -> Iterator[Journal]:
    """Open the journal of a run for decisions; a second process gets `RunInUse` with the pid of the first."""
    path = journal_of(run)
    with only_writer(path.parent, instead="the page that it serves"):
        yield Journal(path)


def _appended(path: Path, content: bytes, before: int) -> int:
    """Add bytes to a file that has `before`, and sync it; what can't be written whole is taken back."""
    with storage_errors(path):
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | _NO_LINK)
        try:
            if os.fstat(handle).st_size != before:
                raise StorageError(
                    f"{path} was changed by another program: nothing was written. End this review, look at the file, "
                    "and start it again."
                )
            try:
                written = 0
                while written < len(content):
                    written += os.write(handle, content[written:])
                os.fsync(handle)
            except OSError:
                os.ftruncate(handle, before)
                raise
        finally:
            os.close(handle)
    return len(content)


def _cut(path: Path, size: int) -> None:
    with storage_errors(path):
        handle = os.open(path, os.O_WRONLY | _NO_LINK)
        try:
            os.ftruncate(handle, size)
            os.fsync(handle)
        finally:
            os.close(handle)


def _content(path: Path) -> bytes:
    if path.is_symlink():
        raise StorageError(f"{path} is a symbolic link, and is not followed. Remove it.")
    try:
        return read_regular(path, most_bytes=LARGEST_TABLE_BYTES)
    except OSError as error:
        raise StorageError(
            f"{path} can't be read: {error.strerror or os.strerror(error.errno or errno.EIO)}."
        ) from error


def _text(decision: Decision) -> str:
    images = decision.images or (DecidedImage(uri="", sha256="", label=""),)
    undoes = "" if decision.undoes is None else str(decision.undoes)
    rows = [
        [
            str(decision.number),
            f"{place}/{len(images)}",
            decision.time,
            to_cell(decision.session),
            decision.verdict,
            to_cell(image.uri),
            image.sha256,
            to_cell(image.label),
            to_cell(decision.to),
            undoes,
        ]
        for place, image in enumerate(images, 1)
    ]
    return csv_text(rows)


def _records(content: bytes) -> Iterator[tuple[int, list[str]]]:
    """Return the whole rows of a CSV file, each with the place where it ends; what has no end is left out.

    A row ends at a line break outside of quotes: of an unfinished one there is no such line break.
    """
    start = position = 0
    while (found := content.find(b"\n", position)) >= 0:
        position = found + 1
        record = content[start:position]
        if record.count(b'"') % 2 == 0:
            text = record.decode("utf-8", "replace")
            yield position, next(csv.reader(io.StringIO(text, newline="")), [])
            start = position


def _part(row: list[str], path: Path) -> tuple[int, int]:
    if len(row) != len(COLUMNS):
        raise FormatError(f"{path} has a row of {len(row)} cells: {', '.join(row)[:80]}. Wanted {', '.join(COLUMNS)}.")
    place, _, of = row[1].partition("/")
    if not (place.isdecimal() and of.isdecimal() and 1 <= int(place) <= int(of)):
        raise FormatError(f"{path} has the part {row[1]!r}; wanted one such as 1/2.")
    return int(place), int(of)


def _decision(rows: list[list[str]], path: Path, *, number: int) -> Decision:
    first = rows[0]
    verdict, undoes = first[4], first[9]
    if first[0] != str(number) or verdict not in VERDICTS or not (undoes == "" or undoes.isdecimal()):
        raise FormatError(
            f"{path}: decision {first[0]} is {verdict!r}; wanted number {number}, and one of {', '.join(VERDICTS)}."
        )
    images = tuple(
        DecidedImage(uri=from_cell(row[5]), sha256=row[6], label=from_cell(row[7])) for row in rows if row[5]
    )
    return Decision(
        number=number,
        time=first[2],
        session=from_cell(first[3]),
        verdict=verdict,
        images=images,
        to=from_cell(first[8]),
        undoes=int(undoes) if undoes else None,
    )
