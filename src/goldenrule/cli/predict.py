"""`goldenrule predict`: what a classifier says of new images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from goldenrule.cli.custom import CustomBackbone, CustomHead, loaded
from goldenrule.cli.options import (
    NOTHING_READ,
    Cluster,
    Device,
    Ended,
    Exclude,
    Files,
    Numbers,
    Run,
    Threads,
    Verbose,
    command,
    output,
)
from goldenrule.cli.terminal import cluster_at, show_findings

if TYPE_CHECKING:
    from rich.table import Table

    from goldenrule.core.console import Console, Text
    from goldenrule.deploy.bulk import Predicted
    from goldenrule.deploy.class_folders import ClassFolders
    from goldenrule.models.classifier import Classifier

MOST_IN_A_SET = 4
SHOWN_BESIDE_A_FILE = 12
"""So many rows are printed where a file has them all."""
EXAMPLES = """Examples:

  goldenrule predict runs/dogscats photo.jpg

  goldenrule predict runs/dogscats new_photos/ -o predictions.csv     or .jsonl, .parquet; killed, it goes on

  goldenrule predict runs/breeds photo.jpg --top 3     the three most probable classes

  goldenrule predict runs/dogscats new_photos/ --min-confidence 0.9     below it: status "unsure", no prediction

  goldenrule predict runs/dogscats new_photos/ -o predictions.parquet --cluster auto     by the workers of a Ray cluster

  goldenrule predict runs/dogscats new_photos/ --sort-into sorted     a copy of each in a folder of its class
"""


@command(EXAMPLES)
def predict(
    run: Run,
    images: Files,
    out: Annotated[
        Path | None, output("Write all rows: a name that ends in .csv, .jsonl or .parquet; - is standard output.")
    ] = None,
    min_confidence: Annotated[float, typer.Option(help="Below this probability there is no prediction.")] = 0.0,
    ood: Annotated[
        str,
        typer.Option(
            help="Out-of-distribution images: keep (status ok), flag, or abstain (no prediction).",
            metavar="WHAT",
        ),
    ] = "flag",
    sort_into: Annotated[
        Path | None,
        typer.Option(
            help="Copy images into a folder per class here; nothing is overwritten.", metavar="PATH", show_default=False
        ),
    ] = None,
    top: Annotated[int, typer.Option(help="Show so many of the most probable classes.", min=1)] = 1,
    exclude: Exclude = None,
    custom_head: CustomHead = "",
    custom_backbone: CustomBackbone = "",
    threads: Threads = None,
    device: Device = "cpu",
    cluster: Cluster = None,
    verbose: Verbose = False,
) -> Numbers:
    """Predict the class of images; a row per image, also for those that can't be read."""
    from goldenrule.core.cells import from_cell
    from goldenrule.core.console import Console, Text
    from goldenrule.core.findings import plural
    from goldenrule.core.progress import Bars
    from goldenrule.deploy.bulk import RowRules, predict_files
    from goldenrule.metrics.predictions_csv import OUT, UNSURE
    from goldenrule.storage.outputs import to_terminal

    if out == Path("-"):
        out = Path("/dev/stdout")
    bars = Bars()
    with ExitStack() as stack:
        workers = stack.enter_context(cluster_at(cluster, threads, bars)) if cluster is not None else None
        classifier = loaded(run, custom_head, custom_backbone, device)
        result = predict_files(
            classifier,
            images,
            out=out,
            rules=RowRules(min_confidence=min_confidence, when_ood=ood, top=top),  # type: ignore[arg-type]  # checked there
            sort_into=sort_into,
            exclude=exclude or (),
            threads=threads,
            cluster=workers,
            progress=bars,
        )
    console = Console(stderr=to_terminal(out))
    if note := classifier.engine_note():
        console.print(Text(note, style="yellow"))
    if result.images == 1:
        console.print(_one(result.shown[0], top), soft_wrap=True)
    else:
        rows = result.shown[:SHOWN_BESIDE_A_FILE] if out else result.shown
        console.print(_table(rows, with_sets=classifier.sets is not None, top=top))
        if result.images > len(rows):
            more = f" in {out}" if out else "; -o FILE.csv keeps all"
            console.print(f"... and {result.images - len(rows):,} more{more}")
    if verbose:
        _say_details(classifier, console)
    unread = sum(count for status, count in result.statuses.items() if status not in ("ok", UNSURE, OUT))
    unreadable = f"{plural(unread, 'image')} can't be read: no prediction"
    why = {from_cell(row["path"]): from_cell(row["reason"]).partition(";")[0] for row in result.shown}
    whole = plural(result.flagged.n, "image")
    unlike = f"{result.ood_count:,} of {whole} look out-of-distribution"
    unlike += ": they have no prediction" if ood == "abstain" else ": their predictions are unreliable"
    for names, what in ((result.ood, unlike), (result.unreadable, unreadable)):
        if names and result.images > 1:
            told = [f"{name}: {why[name]}" if why.get(name) else name for name in names[:2]]
            listed = ", ".join(told) + (", ..." if len(names) > 2 else "")
            line = Text(f"warning: {what} ({listed})", style="yellow")
            unsaid = console.quiet and names is result.unreadable and out is None  # no file says so: the screen does
            (Console(stderr=True, always=True) if unsaid else console).print(line)
    show_findings(result.findings, console)
    if result.images > 1:
        console.print(Text(_counted(result, ood)))
    if result.folders:
        _say_sorted(result.folders, console)
    if out:
        console.print(Text(f"Written: {out}"), soft_wrap=True)
    return Ended(lambda: numbers(result), NOTHING_READ if result.images and unread == result.images else 0)


def numbers(result: Predicted) -> Mapping[str, Any]:
    """Return the counts and the first rows, for programs."""
    return {
        "images": result.images,
        "counts": result.counts,
        "statuses": result.statuses,
        "ood": result.ood,
        "ood_count": result.ood_count,
        "farther": result.farther,
        "unreadable": result.unreadable,
        "findings": result.findings,
        "rows": result.shown,
        "rows_left_out": result.images - len(result.shown),
    }


def _say_sorted(folders: ClassFolders, console: Console) -> None:
    """Print how many images were copied, and how many were there already or could not be."""
    from goldenrule.core.console import Text
    from goldenrule.core.findings import plural

    copied, there = sum(folders.copied.values()), sum(folders.there.values())
    said = f"Sorted: {plural(copied, 'image')} copied into {folders.folder}"
    console.print(Text(said + (f"; {there:,} there already" if there else "")), soft_wrap=True)
    if folders.elsewhere:
        image, lies, now = folders.elsewhere[0]
        stay = "1 image lies" if len(folders.elsewhere) == 1 else f"{len(folders.elsewhere):,} images lie"
        said = (
            f"warning: {stay} in another folder of {folders.folder} than is predicted now, and "
            f"{'stays' if len(folders.elsewhere) == 1 else 'stay'} there alone ({image}: in {lies}, now {now}). Sort "
            "into a new folder to have all by this prediction."
        )
        console.print(Text(said, style="yellow"), soft_wrap=True)
    if folders.failed:
        gone = f"warning: {plural(len(folders.failed), 'image')} gone before it could be copied"
        console.print(Text(f"{gone} ({folders.failed[0]})", style="yellow"), soft_wrap=True)


def _table(rows: Sequence[Mapping[str, str]], *, with_sets: bool, top: int) -> Table:
    """Return rows as a table, each with its `top` most probable classes."""
    from rich.table import Table

    from goldenrule.core.cells import from_cell
    from goldenrule.core.console import Text

    table = Table()
    of_set = ("set",) if with_sets else ()
    of_flag = ("ood",) if any(row.get("ood") for row in rows) else ()
    of_top = (f"the {top} most probable",) if top > 1 else ()
    for name in ("path", "status", "prediction", "probability", *of_top, *of_set, *of_flag):
        table.add_column(name, overflow="fold")
    for row in rows:
        style = "" if row["status"] == "ok" and not row.get("ood") else "yellow"
        cells: list[Any] = [
            Text(from_cell(row["path"])),
            row["status"],
            Text(from_cell(row["prediction"])),
            _probability(row),
        ]
        cells += [Text(_most_probable(row, top))] if top > 1 else []
        table.add_row(
            *cells, *(Text(_few(row[name])) for name in of_set), *(row[name] for name in of_flag), style=style
        )
    return table


def _one(row: Mapping[str, str], top: int) -> Text:
    """Return the prediction of a single image as a line."""
    from goldenrule.core.cells import from_cell
    from goldenrule.core.console import Text

    name = from_cell(row["path"])
    if not row["prediction"]:
        why = f": {from_cell(row['reason'])}" if row.get("reason") else ""
        return Text(f"{name}: {row['status']}{why}", style="yellow")
    flag = "   out-of-distribution" if row.get("ood") else ""
    said = _most_probable(row, top) if top > 1 else f"{from_cell(row['prediction'])} {_probability(row)}"
    return Text(f"{name}: {said}{flag}", style="yellow" if flag else "")


def _most_probable(row: Mapping[str, str], top: int) -> str:
    """Return the most probable classes of a row with their probabilities: "cat 90 %, dog 9 %"."""
    from goldenrule.report.sentences import sureness

    of_class = {name.removeprefix("p:"): float(cell) for name, cell in row.items() if name.startswith("p:") and cell}
    ordered = sorted(of_class.items(), key=lambda pair: -pair[1])[:top]
    return ", ".join(f"{name} {sureness(value)}" for name, value in ordered)


def _probability(row: Mapping[str, str]) -> str:
    from goldenrule.report.sentences import sureness

    return sureness(float(row["probability"])) if row["probability"] else ""


def _counted(result: Predicted, ood: str) -> str:
    """Return how many images there were of each class, and how many have no prediction, and why."""
    from goldenrule.core.findings import plural
    from goldenrule.metrics.predictions_csv import OUT, UNSURE

    classes = ", ".join(f"{count:,} {name}" for name, count in sorted(result.counts.items()) if count)
    without = {OUT: "out-of-distribution", UNSURE: "unsure (below --min-confidence)"}
    counted = ("ok",) if ood == "abstain" else ("ok", OUT)
    rest = [
        f"{count:,} {without.get(name, name)}" for name, count in sorted(result.statuses.items()) if name not in counted
    ]
    if not classes:
        return f"{plural(result.images, 'image')}, no prediction: {', '.join(rest)}."
    said = f"{plural(result.images, 'image')}: {classes}"
    if ood == "flag" and (flagged := result.statuses.get(OUT)):
        said += f" ({flagged:,} of them out-of-distribution)"
    return f"{said}. No prediction: {', '.join(rest)}." if rest else said


def _say_details(classifier: Classifier, console: Console) -> None:
    """Print what sets, thresholds and the OOD flag promise."""
    from goldenrule.core.console import Text

    for promised in (classifier.sets, classifier.thresholds, classifier.ood_detector):
        if promised is not None:
            console.print(Text(promised.sentence))


def _few(names: str) -> str:
    """Return the classes of a set, or how many they are where that is easier to read.

    >>> _few("cat | dog"), _few("a | b | c | d | e")
    ('cat | dog', '5 classes, first a')
    """
    from goldenrule.metrics.predictions_csv import classes_in

    each = classes_in(names)
    return names if len(each) <= MOST_IN_A_SET else f"{len(each)} classes, first {each[0]}"
