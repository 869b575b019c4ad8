"""`goldenrule precompute`: the features of a folder, into the cache, before a fit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from goldenrule.cli.options import Cluster, Numbers, command, of, only, refuse
from goldenrule.cli.terminal import cluster_at, show_findings
from goldenrule.runs.image_source import ImageSource
from goldenrule.runs.options import FitOptions

if TYPE_CHECKING:
    from goldenrule.core.progress import Progress
    from goldenrule.data.table import ImageTable
    from goldenrule.tasks.precompute import Precomputed

EXAMPLES = """Examples:

  goldenrule precompute photos                         then goldenrule fit photos --quick computes no row

  goldenrule precompute photos --views 4               augmented views too, for a fit with --views 4

  goldenrule precompute photos --cluster local         by a worker for each processor; or auto, HOST:PORT, ray://HOST:PORT

  goldenrule precompute photos --backbone resnet18 --weights resnet18.safetensors
"""


@command(EXAMPLES)
def precompute(
    context: typer.Context,
    source: ImageSource,
    options: Annotated[
        FitOptions,
        only(
            *("backbone", "weights", "size", "head", "start_from", "augment", "crop", "decoding", "levels"),
            *("sample", "min_per_class", "seed", "device", "threads"),
        ),
    ],
    views: Annotated[int, of(FitOptions, "views", help="Augmented views of each image that may train.", unset="")] = 0,
    cluster: Cluster = None,
) -> Numbers:
    """Compute the features of all images into the cache: a fit with the same options then finds every row there."""
    from dataclasses import replace

    from goldenrule.core.console import Console, Text
    from goldenrule.core.progress import Bars

    if not views:
        refuse(context, ("augment",), "without augmented views: give --views too")
    if options.augment == "none":
        refuse(context, ("views",), "with --augment none, which makes none")
    if options.start_from is not None:
        refuse(context, ("backbone",), "with --from, which names the network")
    found, where = computed(source.images(), replace(options, views=views), cluster, Bars())
    console = Console()
    show_findings(found.findings, console)
    console.print(Text(sentence(found, where)), soft_wrap=True)
    return numbers(found, where)


def computed(
    images: Path | ImageTable, options: FitOptions, cluster: str | None, progress: Progress
) -> tuple[Precomputed, str]:
    """Compute the rows that a fit asks for, here or on a cluster; return what was done, and where, in words."""
    from goldenrule.tasks.precompute import precompute

    if cluster is None:
        return precompute(images, options=options, progress=progress), "on this machine"
    from goldenrule.tasks.cluster.row_worker import ClusterRows

    with cluster_at(cluster, options.threads, progress) as workers:
        found = precompute(images, options=options, elsewhere=ClusterRows(workers), progress=progress)
        return found, str(workers)


def sentence(found: Precomputed, where: str) -> str:
    """Return what was done, in a line."""
    from goldenrule.core.findings import plural

    rate = f"{found.images_per_second:,.0f} images/s" if found.images_per_second else "nothing to compute"
    return (
        f"{plural(found.images, 'image')}: {plural(found.computed, 'row')} computed, {found.reused:,} reused, "
        f"{plural(len(found.unreadable), 'image')} unreadable, {rate}, {where}."
    )


def numbers(found: Precomputed, where: str) -> Mapping[str, Any]:
    """Return the counts, for programs."""
    return {
        "images": found.images,
        "computed": found.computed,
        "reused": found.reused,
        "unreadable": found.unreadable,
        "seconds": found.seconds,
        "images_per_second": found.images_per_second,
        "where": where,
        "caches": found.caches,
        "findings": found.findings,
    }
