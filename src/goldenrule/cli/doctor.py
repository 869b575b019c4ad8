"""`goldenrule doctor`: what this machine has, which engine runs, how fast."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from goldenrule.cli.options import Numbers, command, only, refuse
from goldenrule.runs.options import FitOptions

EXAMPLES = """Examples:

  goldenrule doctor

  goldenrule doctor --backbone efficientnet_lite2

  goldenrule doctor --no-speed --prepare efficientnet_lite0     get a backbone ready now, so that the first fit is fast
"""


@command(EXAMPLES)
def doctor(
    context: typer.Context,
    options: Annotated[FitOptions, only("backbone", "threads")],
    prepare: Annotated[
        str | None, typer.Option(help="Prepare this backbone for this machine and end.", show_default=False)
    ] = None,
    speed: Annotated[bool, typer.Option(help="Run the short speed test.")] = True,
) -> Numbers:
    """Show the environment, versions, the engine and its precision, and a short speed test."""
    from rich.table import Table

    from goldenrule.core.console import Console
    from goldenrule.core.memory import readable_bytes
    from goldenrule.core.progress import Bars
    from goldenrule.features.extractor import FeatureExtractor
    from goldenrule.models.backbone import backbone as prepared
    from goldenrule.models.catalog import EMBEDDED
    from goldenrule.runs.environment import environment
    from goldenrule.storage.cache_folder import cache_folder, cache_leftovers
    from goldenrule.storage.unfinished import size_of
    from goldenrule.tasks.speed_test import speed_test

    if prepare:
        refuse(context, ("backbone", "threads"), "with --prepare, which prepares that backbone and ends")
    if prepare and speed:
        refuse(context, ("speed",), "with --prepare, which tests no speed")
    if not speed:
        refuse(context, ("threads",), "with --no-speed: it is of the speed test")
    console, progress = Console(), Bars()
    backbone = prepared(prepare or options.backbone, progress=progress)
    extractor = FeatureExtractor.of(backbone, threads=options.threads, progress=progress)
    kind = extractor.kind
    if prepare:
        console.print(f"{backbone.spec.name} is ready for this machine: {kind}.")
        return {"backbone": backbone.spec.name, "engine": kind}
    table = Table(show_header=False)
    for name, value in environment().items():
        table.add_row(name, value)
    table.add_row("cache", str(cache_folder()))
    if left := cache_leftovers():
        size = readable_bytes(sum(map(size_of, left)))
        table.add_row("unfinished leftovers", f"{len(left)}, {size}: goldenrule cache clear --leftovers")
    table.add_row("embedded backbones", ", ".join(EMBEDDED))
    table.add_row("engine", f"{kind} for {backbone.spec.name} at {backbone.spec.preprocessing.size} px")
    console.print(table)
    found: dict[str, Any] = {"environment": environment(), "backbone": backbone.spec.name, "engine": kind}
    if speed:
        number = extractor.threads
        result = speed_test(backbone.spec, extractor.engine, threads=number)
        rates = Table(title=f"Speed on {number} threads, 500 x 375 px JPEGs", title_justify="left")
        rates.add_column("what")
        rates.add_column("images/s", justify="right")
        for name, rate in result.items():
            rates.add_row(name, f"{rate:,.0f}")
        console.print(rates)
        found["images_per_second"] = result
    return found
