"""Files that change while a fit runs: noticed by size and time, proved by their bytes, and named at its end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from goldenrule.core.findings import Finding
from goldenrule.data.containers.inside import Stamp
from goldenrule.data.containers.inside import stamps_of as file_stamps
from goldenrule.data.table import ImageTable
from goldenrule.storage.files import digest


def stamps_of(table: ImageTable) -> dict[str, Stamp | None]:
    """Return the stamp of each file by its uri, None where there is no such file; nothing is read."""
    return file_stamps(table.root, table.uris)


def changed_files(table: ImageTable, before: Mapping[str, Stamp | None]) -> Iterator[Finding]:
    """Return a finding that names files which are gone, or hold other bytes than those that were learned from.

    Only files whose stamp differs are read again; a copy with the same bytes in their place is no change.
    """
    found, now = [], stamps_of(table)
    for uri, known in zip(table.uris, table.digests, strict=True):
        if known is None or uri not in before or now[uri] == before[uri]:
            continue
        try:
            if digest(table.read(uri)) != known:
                found.append(f"{uri}: other bytes")
        except OSError as error:
            found.append(f"{uri}: {error.strerror or error}")
    if found:
        yield Finding(
            severity="warning",
            code="changed",
            fields={"n": len(found)},
            evidence=tuple(found),
        )
