"""What several commands print: findings, and images per class and split."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from goldenrule.core.console import Console
    from goldenrule.core.findings import Finding


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
