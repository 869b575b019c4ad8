"""`goldenrule submit`: a competition's file, in the layout of its sample."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from goldenrule.cli.custom import CustomBackbone, CustomHead, loaded
from goldenrule.cli.options import Exclude, Numbers, Run, Threads, command, output
from goldenrule.cli.terminal import show_findings

EXAMPLES = """Examples:

  goldenrule submit runs/dogscats test1 --sample-submission sample_submission.csv

  goldenrule submit runs/dogscats test1 --sample-submission sample_submission.csv --positive dogs -o dogs.csv

  goldenrule submit runs/planet test --sample-submission sample_submission_v2.csv     several labels an image

  goldenrule submit runs/dog_breed test --sample-submission sample_submission.csv --floor 0
"""


@command(EXAMPLES)
def submit(
    run: Run,
    images: Annotated[Path, typer.Argument(help="The folder of the competition's test images.", show_default=False)],
    sample: Annotated[
        Path,
        typer.Option(
            "--sample-submission",
            help="The competition's sample submission: its columns and rows are filled.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, output("The CSV to write; a .json beside it says how.")] = Path("submission.csv"),
    positive: Annotated[
        str | None,
        typer.Option(
            help="The class whose probability is asked for. \\[default: the column's name, else the second]",
            show_default=False,
        ),
    ] = None,
    floor: Annotated[
        float | None,
        typer.Option(
            help="Lowest probability written. \\[default: the best on the evaluation images]",
            show_default=False,
        ),
    ] = None,
    fill: Annotated[
        str,
        typer.Option(
            help="What one column of numbers asks for: auto (what its cells show), class or probability.",
        ),
    ] = "auto",
    exclude: Exclude = None,
    custom_head: CustomHead = "",
    custom_backbone: CustomBackbone = "",
    threads: Threads = None,
) -> Numbers:
    """Write the submission to a competition: every id of its sample, in its order."""
    from rich.table import Table

    from goldenrule.core.console import Console, Text
    from goldenrule.core.findings import plural
    from goldenrule.core.progress import Bars
    from goldenrule.deploy.submission import side_file
    from goldenrule.deploy.submission import submit as write
    from goldenrule.metrics import value_and_interval
    from goldenrule.storage.outputs import to_terminal, written_into

    done = write(
        run,
        images,
        sample,
        out=out,
        positive=positive,
        floor=floor,
        fill=fill,  # type: ignore[arg-type]  # checked there
        exclude=exclude or (),
        classifier=loaded(run, custom_head, custom_backbone),
        threads=threads,
        progress=Bars(),
    )
    console = Console(stderr=to_terminal(out))
    layout = done.layout
    table = Table("score", "expected (95 %)", "images", "basis")
    for estimate in done.expected:
        table.add_row(estimate.name, value_and_interval(estimate), f"{estimate.n:,}", estimate.basis)
    if done.expected:
        console.print(table)
    asked = {
        "probability": f"the probability of {done.classes[layout.labels[0]]}" if layout.labels else "",
        "probabilities": f"the probability of each of {len(layout.labels)} classes",
        "class": "the name of the class",
        "labels": "the labels that are called",
    }[layout.kind]
    lines = [f"{plural(len(layout.ids), 'row')}: {layout.id_column}, {asked}."]
    if layout.kind in ("probability", "probabilities") and done.floor:
        lines.append(f"No probability is below {done.floor:g}: one confident mistake can cost more than all the rest.")
    for line in lines:
        console.print(Text(line))
    if layout.kind == "probability":
        other = done.classes[1 - layout.labels[0]]
        console.print(Text(f"Where the competition asks for {other}: --positive {other}."))
        if fill == "auto" and all(map(str.isdigit, done.classes)):
            console.print(Text("Where it asks for the class itself: --fill class."))
    if done.unreadable:
        names = ", ".join(done.unreadable[:5]) + (", ..." if len(done.unreadable) > 5 else "")
        instead = {
            "class": "the commonest class",
            "labels": "the commonest labels",
        }.get(layout.kind, "the shares of the classes in training")
        warning = f"warning: {len(done.unreadable):,} can't be read and get {instead}: {names}"
        console.print(Text(warning, style="yellow"))
    if done.many_ood and done.ood_detector:
        warning = (
            f"warning: {value_and_interval(done.ood)} of the images are out-of-distribution; of images like the "
            f"training images it would be {100 * done.ood_detector.rate:.2g} %. The expected score may not hold for "
            "them."
        )
        console.print(Text(warning, style="yellow"))
    if done.left_out:
        console.print(Text(f"{plural(len(done.left_out), 'image')} not in the sample: left out.", style="yellow"))
    show_findings(done.findings, console)
    beside = "" if written_into(out) else f", {side_file(out).name}"
    console.print(Text(f"Written: {out}{beside}"), soft_wrap=True)
    return done
