"""`audit_images`: look at every image once, evaluate what was seen, and write it for people and programs."""

from __future__ import annotations

import datetime
import os
from collections.abc import Sequence
from pathlib import Path

from goldenrule.analysis.audit import Audit, audit
from goldenrule.core.errors import system_errors
from goldenrule.core.progress import Progress, Silent
from goldenrule.core.schema import as_json
from goldenrule.data.duplicates.near_duplicates import near_duplicates
from goldenrule.data.scan import looked
from goldenrule.data.sources.label_tables import from_source
from goldenrule.data.table import ImageTable
from goldenrule.features.similar_windows import with_cached
from goldenrule.storage.files import write_atomic, write_json
from goldenrule.storage.outputs import Kind, check_folder, json_like, page, shown_path

SCHEMA_VERSION = 2
PAGE, NUMBERS = "audit.html", "audit.json"
FILES = {
    PAGE: page("a page", PAGE),
    NUMBERS: Kind(name="a JSON file", example=NUMBERS, ours=json_like("schema_version", "folder", "findings")),
}


@system_errors()
def audit_images(
    source: str | os.PathLike[str] | ImageTable,
    *,
    out: str | os.PathLike[str] | None = None,
    group_by: str = "auto",
    exclude: Sequence[str] = (),
    threads: int = 4,
    progress: Progress | None = None,
) -> Audit:
    """Look at every image of a folder or table: return what was found, and write it to `out` where that is given.

    `out/audit.html` is one page with sample sheets and pictures of the findings, `out/audit.json` the same for
    programs. `exclude` are patterns of what is left out. Files are only read; one that can't be is a finding. Where a
    cache has features of these images, near duplicates are looked for among their neighbours too; none are computed.
    """
    progress = progress or Silent()
    if out is not None:
        check_folder(Path(out).expanduser(), FILES)
    table = source if isinstance(source, ImageTable) else from_source(source, group_by=group_by, exclude=exclude)
    looks = looked(table, threads=threads, progress=progress)
    pairs = near_duplicates(table, looks, threads=threads, progress=progress)
    images = table.with_digests([one.digest for one in looks])
    pairs = with_cached(images, pairs, threads=threads, progress=progress)
    found = audit(table, looks, pairs)
    if out is not None:
        write_audit(found, Path(out).expanduser())
    return found


def write_audit(found: Audit, folder: Path) -> None:
    """Write an audit's page and its numbers."""
    from goldenrule.report.pages.audit_page import render_audit

    created = datetime.datetime.now().astimezone()
    write_json(
        folder / NUMBERS,
        {
            "schema_version": SCHEMA_VERSION,
            "folder": shown_path(found.table.root),
            "created": created.isoformat(timespec="seconds"),
            **found.facts(),
            "findings": as_json(found.findings),
        },
    )
    write_atomic(folder / PAGE, render_audit(found, found.table.name, f"{created:%Y-%m-%d %H:%M %Z}"))
