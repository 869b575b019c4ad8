"""`goldenrule evaluate`: how good a run's classifier is on labelled images from elsewhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from goldenrule.cli.custom import CustomBackbone, CustomHead, loaded
from goldenrule.cli.options import LABELS, Numbers, Run, Threads, command, output
from goldenrule.runs.image_source import ImageSource

if TYPE_CHECKING:
    from rich.table import Table

    from goldenrule.core.findings import Finding
    from goldenrule.tasks.foreign import Evaluation

MOST_CLASSES = 12
"""So many classes are printed, the weakest; the page has all of them."""
NOT_COUNTED = {
    "classes-left-out": ("images", "of classes that are left out"),
    "label-empty": ("n", "without a label"),
    "learned-from": ("n", "that the classifier has learned from"),
    "unreadable": ("n", "that can't be read"),
}
"""Findings on images that are not counted: the field that says how many, and why."""
EXAMPLES = """Examples:

  goldenrule evaluate runs/cells other_microscope        class folders; some of the classes are enough

  goldenrule evaluate runs/cells photos --csv truth.csv     the labels of a table

  goldenrule evaluate runs/cells other --rename tumour=malignant     other names for the same classes

  goldenrule evaluate runs/cells other --skip-unknown    without the classes that the classifier does not know
"""


@command(EXAMPLES)
def evaluate(
    run: Run,
    source: Annotated[ImageSource, LABELS],
    out: Annotated[Path | None, output("Folder of page and numbers.", "RUN/evaluations/NAME")] = None,
    skip_unknown: Annotated[
        bool, typer.Option("--skip-unknown", help="Leave out classes that the classifier does not know.")
    ] = False,
    custom_head: CustomHead = "",
    custom_backbone: CustomBackbone = "",
    threads: Threads = None,
) -> Numbers:
    """Evaluate a classifier on labelled images from elsewhere, and compare with what its run promised."""
    from goldenrule.core.console import Console, Text
    from goldenrule.core.progress import Bars
    from goldenrule.tasks.foreign import NUMBERS, PAGE, ROWS, default_out
    from goldenrule.tasks.foreign import evaluate as evaluated

    classifier = loaded(run, custom_head, custom_backbone)
    table = replace(source, group_by="none").table()
    found = evaluated(
        run,
        table,
        classifier=classifier,
        skip_unknown=skip_unknown,
        out=out or default_out(run, table, skip_unknown=skip_unknown),
        threads=threads,
        progress=Bars(),
    )
    console = Console()
    for number, sentence in enumerate(found.sentences):
        broken = number == 0 and found.promise is not None and found.promise.outcome == "broken"
        console.print(Text(sentence, style="bold yellow" if broken else ""))
    console.print(scores_table(found))
    if line := not_counted(found):
        console.print(Text(line), soft_wrap=True)
    for finding in found.findings:
        console.print(Text(str(finding), style="yellow" if finding.severity == "warning" else ""))
    if note := classifier.engine_note():
        console.print(Text(note, style="yellow"))
    assert found.folder is not None
    console.print(Text(f"Look:    {found.folder / PAGE}"), soft_wrap=True)
    console.print(Text(f"Rows:    {found.folder / ROWS}"), soft_wrap=True)
    console.print(Text(f"Numbers: {found.folder / NUMBERS} ({found.seconds:.1f} s)"), soft_wrap=True)
    return found.folder / NUMBERS


def not_counted(found: Evaluation) -> str:
    """Return how many images the numbers are of, and what is not counted and why; "" where all are."""
    from goldenrule.core.findings import plural

    left = {finding.code: finding.fields.get(NOT_COUNTED[finding.code][0], 0) for finding in _left_out(found)}
    if not left:
        return ""
    why = ", ".join(f"{count:,} {NOT_COUNTED[code][1]}" for code, count in left.items())
    return f"Counted: {plural(found.quality.n, 'image')}. Not counted: {why}."


def _left_out(found: Evaluation) -> list[Finding]:
    return [finding for finding in found.findings if finding.code in NOT_COUNTED]


def scores_table(found: Evaluation) -> Table:
    """Return the scores of all images, and those of the weakest classes."""
    from rich import box
    from rich.table import Table

    from goldenrule.core.console import Text
    from goldenrule.metrics import value_and_interval
    from goldenrule.report.tables import weakest_first

    table = Table(box=box.SIMPLE_HEAD, title=f"{found.name}, evaluated", title_justify="left")
    for name, justify in (("", "left"), ("images", "right"), ("(95 %)", "left")):
        table.add_column(name, justify="right" if justify == "right" else "left", overflow="fold")
    for estimate in (found.quality, found.log_loss):
        table.add_row(estimate.name, f"{estimate.n:,}", value_and_interval(estimate), style="bold")
    table.add_section()
    single = found.predictions.task == "single"
    every = [class_score for class_score in weakest_first(found.predictions) if class_score.support or not single]
    for score in every[:MOST_CLASSES]:
        table.add_row(Text(f"recall of {score.name}"), f"{score.support:,}", value_and_interval(score.recall))
    if len(every) > MOST_CLASSES:
        table.add_row(f"{len(every) - MOST_CLASSES:,} more classes on the page", "", "")
    return table
