"""The digest of every file of a table: what its features are kept under."""

from __future__ import annotations

from contextlib import closing

from goldenrule.core.progress import Progress, Silent
from goldenrule.core.reason import Reason
from goldenrule.data.in_order import in_order
from goldenrule.data.pictures.unread import unreadable
from goldenrule.data.table import ImageTable
from goldenrule.storage.files import digest


def with_digests(table: ImageTable, *, threads: int = 4, progress: Progress | None = None) -> ImageTable:
    """Return the table with the digest of every file's bytes; a file that can't be opened is a finding."""
    read_table, failures = digested(table, threads=threads, progress=progress)
    return read_table.with_findings(*([unreadable(failures)] if failures else []))


def digested(
    table: ImageTable, *, threads: int = 4, progress: Progress | None = None
) -> tuple[ImageTable, dict[str, Reason]]:
    """Return the table with the digest of every file's bytes, and why a file can't be opened, by its uri."""
    uris = table.uris

    def read(uri: str) -> bytes | Reason:
        try:
            return digest(table.read(uri))
        except OSError as error:
            return Reason(error.strerror or str(error))

    results: list[bytes | Reason] = []
    with (
        (progress or Silent()).task("read", len(uris), "files") as task,
        closing(in_order(read, uris, threads=threads)) as digests,
    ):
        for result in digests:
            results.append(result)
            task.advance()
    failures = {uri: why for uri, why in zip(uris, results, strict=True) if isinstance(why, Reason)}
    return table.with_digests([outcome if isinstance(outcome, bytes) else None for outcome in results]), failures
