"""`goldenrule predict`: what a classifier says of new images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from goldenrule.cli.custom import CustomBackbone, CustomHead, loaded
from goldenrule.cli.options import Exclude, Files, Run, Threads, command, output
from goldenrule.cli.terminal import show_findings

MOST_IN_A_SET = 4
EXAMPLES = """Examples:

  goldenrule predict runs/dogscats photo.jpg

  goldenrule predict runs/dogscats new_photos/ -o predictions.csv

  goldenrule predict runs/dogscats new_photos/ --min-confidence 0.9     below it: status "unsure", no prediction

  goldenrule predict my_classifier photo.jpg --custom-head parts.py:make     where a function of yours made its head
"""


@command(EXAMPLES)
def predict(
    run: Run,
    images: Files,
    out: Annotated[
        Path | None, output("Write a CSV: path,status,prediction,probability,set,ood,distance,p:CLASS...")
    ] = None,
    min_confidence: Annotated[float, typer.Option(help="Below this probability there is no prediction.")] = 0.0,
    exclude: Exclude = None,
    custom_head: CustomHead = "",
    custom_backbone: CustomBackbone = "",
    threads: Threads = None,
) -> None:
    """Predict the class of images; a row per image, also for those that can't be read."""
    from rich.table import Table

    from goldenrule.core.cells import from_cell
    from goldenrule.core.console import Console, Text
    from goldenrule.core.findings import plural
    from goldenrule.core.progress import Bars
    from goldenrule.deploy.bulk import predict_files
    from goldenrule.report.sentences import sureness
    from goldenrule.storage.outputs import to_terminal

    classifier = loaded(run, custom_head, custom_backbone)
    result = predict_files(
        classifier,
        images,
        out=out,
        min_confidence=min_confidence,
        exclude=exclude or (),
        threads=threads,
        progress=Bars(),
    )
    console = Console(stderr=to_terminal(out))
    if note := classifier.engine_note():
        console.print(Text(note, style="yellow"))
    table = Table()
    of_set = ("set",) if classifier.sets else ()
    of_flag = ("ood",) if any(row.get("ood") for row in result.shown) else ()
    for name in ("path", "status", "prediction", "probability", *of_set, *of_flag):
        table.add_column(name, overflow="fold")
    for row in result.shown:
        probability = sureness(float(row["probability"])) if row["probability"] else ""
        style = "" if row["status"] == "ok" and not row.get("ood") else "yellow"
        cells = (Text(from_cell(row["path"])), row["status"], Text(from_cell(row["prediction"])), probability)
        table.add_row(
            *cells, *(Text(_few(row[name])) for name in of_set), *(row[name] for name in of_flag), style=style
        )
    console.print(table)
    if result.images > len(result.shown):
        console.print(
            f"... and {result.images - len(result.shown):,} more" + (f" in {out}" if out else "; -o FILE.csv keeps all")
        )
    if classifier.sets:
        console.print(Text(classifier.sets.sentence))
    if classifier.thresholds:
        console.print(Text(classifier.thresholds.sentence))
    if classifier.ood_detector and result.ood:
        names = ", ".join(result.ood[:5]) + (", ..." if len(result.ood) > 5 else "")
        console.print(
            Text(
                f"warning: {len(result.ood):,} of {result.flagged.n:,} images are out-of-distribution (OOD), "
                f"so their predictions are unreliable: {names}",
                style="yellow",
            )
        )
        console.print(Text(classifier.ood_detector.sentence))
    counts = ", ".join(f"{name} {count:,}" for name, count in sorted(result.counts.items()) if count)
    statuses = ", ".join(f"{count:,} {name}" for name, count in sorted(result.statuses.items()))
    console.print(Text(f"{plural(result.images, 'image')} ({statuses}): {counts or 'no prediction'}"))
    if result.unreadable:
        names = ", ".join(result.unreadable[:5]) + (", ..." if len(result.unreadable) > 5 else "")
        console.print(
            Text(
                f"warning: {len(result.unreadable):,} can't be read and have no prediction: {names}",
                style="yellow",
            )
        )
    show_findings(result.findings, console)
    if out:
        console.print(Text(f"Written: {out}"), soft_wrap=True)


def _few(names: str) -> str:
    """Return the classes of a set, or how many they are where that is easier to read.

    >>> _few("cat | dog"), _few("a | b | c | d | e")
    ('cat | dog', '5 classes, first a')
    """
    from goldenrule.metrics.predictions_csv import classes_in

    each = classes_in(names)
    return names if len(each) <= MOST_IN_A_SET else f"{len(each)} classes, first {each[0]}"
