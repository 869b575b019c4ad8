"""What several commands print: findings, and images per class and split."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from goldenrule.core.console import Console, Text
    from goldenrule.core.findings import Finding
    from goldenrule.core.progress import Progress
    from goldenrule.tasks.cluster.ray_cluster import Cluster

_HEAD = re.compile(r"  [A-Z]\S* +")


def show_wrapped(line: Text, console: Console) -> None:
    """Print a line; on a terminal what does not fit goes on under its own text, unless it is `no_wrap`.

    A command or a path that is broken can't be copied, and a file has no width. Rich would break a word that is longer
    than a line, or cut it.
    """
    from textwrap import wrap

    from goldenrule.core.console import Text

    if line.no_wrap or not console.is_terminal or line.cell_len <= console.width:
        console.print(line, soft_wrap=True)
        return
    head = _HEAD.match(line.plain)
    under = " " * (head.end() if head else 4)
    parts = wrap(line.plain, console.width, subsequent_indent=under, break_long_words=False, break_on_hyphens=False)
    console.print(Text("\n".join(parts), line.style, lines=True), soft_wrap=True)


def show_findings(findings: Iterable[Finding], console: Console) -> None:
    """Print findings, a line each; warnings stand out."""
    from goldenrule.core.console import Text

    for finding in findings:
        console.print(Text(str(finding), style="" if finding.severity == "note" else "yellow"))


def show_counts(title: str, counts: Mapping[str, Mapping[str, int]], console: Console, *, most: int) -> None:
    """Print a table with a line for each of the first `most` classes, and the sums of all."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", show_footer=True)
    table.add_column("class", footer="all")
    for split, row in counts.items():
        table.add_column("images" if split == "all" else split, justify="right", footer=f"{sum(row.values()):,}")
    names = list(next(iter(counts.values()), {}))
    shown = [name for name in names if name and any(row[name] for row in counts.values())]
    for name in shown[:most]:
        table.add_row(name, *(f"{row[name]:,}" for row in counts.values()))
    if len(shown) > most:
        table.add_row(f"... {len(shown) - most} more", *("" for _ in counts))
    if any(row.get("") for row in counts.values()):
        table.add_row("without a label", *(f"{row['']:,}" for row in counts.values()))
    console.print(table)


def cluster_at(where: str, threads: int | None, progress: Progress) -> Cluster:
    """Return the cluster that `--cluster` names, for a `with` block; nothing of it is imported by other commands."""
    from goldenrule.tasks.cluster.ray_cluster import Cluster

    return Cluster(where, threads=threads, progress=progress)
