"""`goldenrule fit`: from a folder of images to a classifier and its report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from goldenrule.cli.common import Device, Levels, MinPerClass, RunFolder, Sample, Threads, refuse, with_examples
from goldenrule.cli.source import (
    Asked,
    Classes,
    Csv,
    Exclude,
    GroupBy,
    GroupColumn,
    Id,
    Label,
    LabelsFrom,
    PartColumn,
    Rename,
    Separator,
    TestName,
    TrainName,
    ValidName,
)
from goldenrule.cli.views import Augment, Crop

if TYPE_CHECKING:
    from rich.table import Table

    from goldenrule.foundation.console import Console
    from goldenrule.images.table import ImageTable
    from goldenrule.insight.backbone_choice import BackboneChoice
    from goldenrule.recipes.options import FitOptions
    from goldenrule.recipes.results import Answer

AS_WIDE_AS_IT_IS = 1000
EXAMPLES = """Examples:

  goldenrule fit photos                      class folders, or train/ valid/ test/ with class folders

  goldenrule fit photos --quick              the answer in seconds: the head alone, solved

  goldenrule fit photos --minutes 3          end within three minutes, with the best so far

  goldenrule fit photos --plan               what would be done, minutes and GB, without doing it

  goldenrule fit photos --backbone efficientnet_lite2 --out runs/better

  goldenrule fit photos --backbone auto      the cheapest of three that can't be told from the best, out-of-fold

  goldenrule fit photos --metric f2 --metric roc_auc    these too, with their intervals

  goldenrule fit satellite --augment top_down --views 8

  goldenrule fit frames --group-by "(.+)_frame"        series that stay in one part: what stands before _frame

  goldenrule fit dog_breed                             a folder with labels.csv (or train_v2.csv)

  goldenrule fit satellite --beta 2                    several labels an image, as in train_v2.csv; F2 is the goal

  goldenrule fit photos --csv table.csv --id file --label species

  goldenrule fit photos --csv table.csv --group patient              a column that says what stays together

  goldenrule fit photos --fold 2/5 --quick             of five folds the second validates, the others train

  goldenrule fit photos --csv table.csv --fold fold=0     the images with 0 in the column fold validate

  goldenrule fit animals --rename cane=dog --rename scoiattolo=      other class names; a class left out

  goldenrule fit photos --folds 5                      the average of five folds' heads, judged out-of-fold

  goldenrule fit photos --backbone resnet18 --weights resnet18.safetensors

  goldenrule fit photos --log tensorboard:logs --log mlflow:mlruns     every epoch there too

  goldenrule fit more_photos --from runs/photos        go on from an earlier classifier; new classes are fine
"""


def fit(
    context: typer.Context,
    folder: Annotated[
        Path,
        typer.Argument(
            help="The images: CLASS/image.jpg or train/CLASS/image.jpg.", show_default=False, readable=False
        ),  # not checked by Typer: our own message says what to do
    ],
    out: RunFolder = None,
    backbone: Annotated[
        str,
        typer.Option(help="efficientnet_lite0, 1 or 2 (embedded), any timm name, or auto: the best of these three."),
    ] = "efficientnet_lite0",
    weights: Annotated[
        Path | None, typer.Option(help="The backbone's weights: .safetensors or .pth.", show_default=False)
    ] = None,
    size: Annotated[
        int | None, typer.Option(help="Input side in px. \\[default: the weights' own]", show_default=False)
    ] = None,
    views: Annotated[
        int | None,
        typer.Option(help="Augmented views per training image. \\[default: 4 where they can pay]", show_default=False),
    ] = None,
    augment: Augment = "auto",
    crop: Crop = "random",
    decoding: Annotated[
        str, typer.Option(help="canonical, or scaled: large JPEGs at 1/2, 1/4 or 1/8, several times as fast.")
    ] = "canonical",
    levels: Levels = None,
    head: Annotated[
        str, typer.Option(help="linear (solved); concat-pool (fastai's), gap-1024, flatten-64 (trained).")
    ] = "linear",
    seed: Annotated[int, typer.Option(help="Seed of new splits, folds and training.")] = 0,
    device: Device = "cpu",
    threads: Threads = None,
    sample: Sample = None,
    min_per_class: MinPerClass = None,
    group_by: GroupBy = "auto",
    csv: Csv = None,
    id_column: Id = None,
    label_column: Label = None,
    separator: Separator = None,
    labels_from: LabelsFrom = "auto",
    part_column: PartColumn = None,
    group_column: GroupColumn = None,
    fold: Annotated[
        str | None,
        typer.Option(
            help="2/5: of five folds the second validates (no test part is carved). With --csv also COLUMN=VALUE.",
            show_default=False,
        ),
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option(
            help="The average of the solved heads of so many folds, on all images but test ones; no live training.",
            show_default=False,
        ),
    ] = None,
    train_name: TrainName = None,
    valid_name: ValidName = None,
    test_name: TestName = None,
    rename: Rename = None,
    classes: Classes = None,
    exclude: Exclude = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Say what would be done, with minutes and GB; do nothing.")
    ] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="End with the solved head: the answer in seconds, no live training.")
    ] = False,
    minutes: Annotated[
        float | None,
        typer.Option(help="End within so many minutes, with the best so far.", show_default=False),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            help="Measure this too, repeatable: f1, f2, balanced_accuracy, roc_auc, kappa, top_5_accuracy ...",
            show_default=False,
        ),
    ] = None,
    beta: Annotated[
        float, typer.Option(help="F-beta: 2 counts recall twice. Of many labels the thresholds are chosen for it.")
    ] = 1.0,
    coverage: Annotated[
        float, typer.Option(help="How often the set of classes that predict gives shall hold the true one.")
    ] = 0.95,
    false_alarms: Annotated[
        float, typer.Option(help="How often an image like those of the training may be flagged as unlike them.")
    ] = 0.02,
    start_from: Annotated[
        Path | None,
        typer.Option("--from", help="Start from the trained body of an earlier run.", show_default=False),
    ] = None,
    log: Annotated[
        list[str] | None,
        typer.Option(help="Log epochs to tensorboard:FOLDER, mlflow:FOLDER or wandb:PROJECT.", show_default=False),
    ] = None,
) -> None:
    """Fit a classifier by the golden rule, all seven steps; judge it; write it with a report."""
    from goldenrule.foundation.errors import OptionError
    from goldenrule.foundation.progress import Bars
    from goldenrule.recipes.options import FitOptions

    in_column = "=" in (fold or "")
    if in_column and folds is not None:
        raise OptionError(f"--folds {folds} draws its folds, --fold {fold} names one of a table: wanted one of them.")
    if augment == "none":
        refuse(context, ("views",), "with --augment none, which makes none")
    if start_from is not None:
        refuse(context, ("backbone",), "with --from, which names the network")
    options = FitOptions(
        backbone=backbone,
        weights=weights,
        size=size,
        views=views,
        augment=augment,
        crop=crop,  # type: ignore[arg-type]  # checked by FitOptions
        decoding=decoding,  # type: ignore[arg-type]  # checked by FitOptions
        levels=levels,
        head=head,  # type: ignore[arg-type]  # checked by FitOptions
        seed=seed,
        device=device,
        threads=threads,
        sample=sample,
        min_per_class=min_per_class,
        group_by=group_by,
        fold=None if in_column else fold,
        folds=folds,
        quick=quick,
        minutes=minutes,
        start_from=start_from,
        metrics=tuple(metric or ()),
        coverage=coverage,
        beta=beta,
        false_alarms=false_alarms,
    )
    source = Asked(
        folder=folder,
        group_by=group_by,
        csv=csv,
        id=id_column,
        label=label_column,
        separator=separator,
        labels_from=labels_from,
        part=part_column,
        group=group_column,
        fold=fold if in_column else None,
        train_name=train_name,
        valid_name=valid_name,
        test_name=test_name,
        rename=rename,
        classes=classes,
        exclude=exclude,
    ).images()
    if log and options.solved_only:
        option = "--quick" if quick else f"--folds {folds}"
        raise OptionError(f"--log writes down epochs, and {option} trains in none: leave one of them away.")
    if plan:
        show_plan(source, options)
        return
    if options.solved_only:  # no torch is imported
        from goldenrule.recipes.answer import answer

        show(answer(source, options=options, out=out, progress=Bars()))
        return
    from goldenrule.recipes.golden_rule import golden_rule
    from goldenrule.training.loggers import logger_of

    loggers = [logger_of(one) for one in log or ()]
    show(golden_rule(source, options=options, out=out, progress=Bars(), on_answer=show_first, loggers=loggers))


with_examples(fit, EXAMPLES)


def show(answer: Answer, console: Console | None = None) -> None:
    """Print the result table, the findings and what to do next."""
    from rich import box
    from rich.table import Table

    from goldenrule.evaluation import value_and_interval
    from goldenrule.foundation.console import Console, Text
    from goldenrule.recipes.reporting import next_steps

    console = console or Console()
    for finding in answer.findings:
        if finding.leads:  # before the numbers that it puts in doubt
            console.print(Text(str(finding), style="bold red" if finding.severity == "error" else "bold yellow"))
    table = scores_table(answer)
    if console.measure(table, options=console.options.update(width=AS_WIDE_AS_IT_IS)).maximum > console.width:
        table = scores_table(answer, folded=True)
    console.print(table)
    if answer.metrics:
        more = Table("metric (95 %)", *answer.scored, box=box.SIMPLE_HEAD)
        for name, of_part in answer.metrics.items():
            more.add_row(name, *map(value_and_interval, of_part.values()))
        console.print(more)
    if answer.backbones:
        console.print(backbones_table(answer.backbones))
        console.print(Text(answer.backbones.sentence))
    for candidate in answer.candidates:
        if candidate.verdict:
            console.print(Text(candidate.verdict.sentence + "."))
    if (views := len(answer.classifier.views)) > 1:
        console.print(f"It averages {views} views of every image: predicting takes {views} times as long.")
    if about_sets := answer.about_sets():
        console.print(Text(about_sets))
    if answer.classifier.thresholds:
        console.print(Text(answer.classifier.thresholds.sentence))
    if about_unlike := answer.about_unlike():
        console.print(Text(about_unlike))
    if about_calibration := answer.about_calibration():
        console.print(Text(f"Calibration: {about_calibration[0].lower()}{about_calibration[1:]}"))
    for finding in answer.findings:
        if not finding.leads:
            console.print(Text(str(finding), style="yellow" if finding.severity == "warning" else ""))
    seconds = ", ".join(f"{name} {took:.1f}" for name, took in answer.stages)
    rows = answer.activations
    console.print(Text(f"Seconds: {seconds}. Activations: {rows['computed']:,} computed, {rows['reused']:,} reused."))
    console.print(Text(f"Report:  {answer.report}"), soft_wrap=True)  # a path that is broken can't be copied
    console.print(Text(f"Next:    {next_steps(answer)[0]}"), soft_wrap=True)


def scores_table(answer: Answer, *, folded: bool = False) -> Table:
    """Give the scores of every part; `folded` has the intervals on lines of their own, for narrow terminals."""
    from rich import box
    from rich.table import Table

    from goldenrule.evaluation import log_loss, value_and_interval
    from goldenrule.foundation.console import Text

    table = Table(
        box=box.SIMPLE_HEAD,
        title=Text(f"{answer.table.root.resolve().name}: {answer.chosen}", style="table.title"),
        title_justify="left",
    )
    grouped = any(answer.quality(own).groups is not None for own in answer.scored.values())
    table.add_column("part", no_wrap=True)
    table.add_column("images\n(effective n)" if grouped and folded else "images", justify="right", no_wrap=True)
    if grouped and not folded:
        table.add_column("effective n", justify="right", no_wrap=True)
    for name in (f"{answer.headline.name} (95 %)", "log loss (95 %)"):
        table.add_column(name, no_wrap=True)
    table.add_column("basis", no_wrap=not folded)  # how many images leaked is a longer story
    for part, own in answer.scored.items():
        share, loss = answer.quality(own), log_loss(own)
        style = "bold" if part == answer.headline_part else ""
        numbers = (value_and_interval(one).replace(" [", "\n[" if folded else " [") for one in (share, loss))
        counts = [f"{share.n:,}", *([f"{share.independent:,}"] if grouped else [])]
        if grouped and folded:
            counts = [f"{counts[0]}\n({counts[1]})"]
        table.add_row(part, *counts, *numbers, answer.basis(part), style=style)
    return table


def backbones_table(choice: BackboneChoice) -> Table:
    """Give the backbones that were tried: their numbers, how they stand against the best, and what they cost."""
    from rich import box
    from rich.table import Table

    from goldenrule.evaluation import value_and_interval

    asked = f"{choice.images:,} of {choice.of:,}" if choice.images < choice.of else f"{choice.images:,}"
    table = Table(box=box.SIMPLE_HEAD, title=f"Backbones, out-of-fold on {asked} training images", title_justify="left")
    for name in (
        "backbone",
        f"{choice.candidates[0].quality.name} (95 %)",
        "log loss (95 %)",
        "against the best",
        "multiply-adds",
        "seconds",
    ):
        table.add_column(name, justify="right" if name in ("multiply-adds", "seconds") else "left")
    for one in choice.candidates:
        numbers = (value_and_interval(one.quality), value_and_interval(one.log_loss))
        took = f"{one.seconds:.1f}" if one.computed else "in the bank"
        cost = f"{one.multiply_adds / 1e9:.2f} G"
        table.add_row(one.name, *numbers, one.standing, cost, took, style="bold" if one.name == choice.chosen else "")
    return table


def show_first(answer: Answer) -> None:
    """Print the answer in seconds while the live training goes on."""
    from goldenrule.foundation.console import Console

    console = Console()
    show(answer, console)
    console.print("This classifier is saved; Ctrl-C keeps it. Now the live steps of the golden rule.", highlight=False)


def show_plan(source: Path | ImageTable, options: FitOptions) -> None:
    """Print what a fit would do, without doing it."""
    from rich.table import Table

    from goldenrule.foundation.console import Console
    from goldenrule.foundation.progress import Bars
    from goldenrule.foundation.sizes import readable_bytes
    from goldenrule.recipes.planning import plan_for

    plan = plan_for(source, options, progress=Bars())
    name = source if isinstance(source, Path) else source.root
    table = Table(title=f"What goldenrule fit {name} would do", title_justify="left")
    table.add_column("step")
    table.add_column("about", justify="right")
    table.add_column("kept on disk", justify="right")
    table.add_column("when")
    for step in plan.steps:
        size = f"{step.stored_bytes / 1e9:.3f} GB" if step.stored_bytes else ""
        table.add_row(step.name, readable_seconds(step.seconds), size, step.condition)
    table.add_section()
    table.add_row("in all", readable_seconds(plan.seconds), f"{plan.stored_bytes / 1e9:.3f} GB", "")
    console = Console()
    console.print(table)
    console.print(f"({readable_bytes(plan.stored_bytes)} in the bank. No activation was computed, no run was written.)")


def readable_seconds(seconds: float) -> str:
    """Give a duration for people, in seconds or minutes.

    >>> readable_seconds(8.2), readable_seconds(150)
    ('8 s', '2.5 min')
    """
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.1f} min"
