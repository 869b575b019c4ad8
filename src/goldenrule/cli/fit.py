"""`goldenrule fit`: from a folder of images to a classifier and its report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from goldenrule.cli.options import Cluster, Numbers, Overwrite, RunFolder, Verbose, command, refuse, said_again
from goldenrule.runs.image_source import ImageSource, name_of
from goldenrule.runs.options import FitOptions

if TYPE_CHECKING:
    from rich.table import Table

    from goldenrule.analysis.backbone_choice import BackboneChoice
    from goldenrule.core.console import Console
    from goldenrule.data.table import ImageTable
    from goldenrule.pipelines.fit_result import FitResult
    from goldenrule.training.plan import Expectation, Plan

AS_WIDE_AS_IT_IS = 1000
EXAMPLES = """Examples:

  goldenrule fit photos                      class folders, or train/ valid/ test/ with class folders

  goldenrule fit photos --quick              a quick fit, in seconds: the linear head alone

  goldenrule fit photos --minutes 3          end within three minutes, with the best so far

  goldenrule fit photos --plan               what would be done, minutes and GB, without doing it

  goldenrule fit photos --backbone efficientnet_lite2 --out runs/better

  goldenrule fit photos --backbone auto      the cheapest of three that can't be told from the best, out-of-fold

  goldenrule fit photos --metric f2 --metric roc_auc    these too, with their intervals

  goldenrule fit satellite --augment top_down --views 8

  goldenrule fit frames --group-by "(.+)_frame"        series that stay in one split: what stands before _frame

  goldenrule fit dog_breed                             a folder with labels.csv (or train_v2.csv)

  goldenrule fit satellite --beta 2                    several labels an image, as in train_v2.csv; F2 is the goal

  goldenrule fit photos --csv table.csv --id file --label species

  goldenrule fit photos --csv table.csv --group patient              a column that says what stays together

  goldenrule fit photos --fold 2/5 --quick             of five folds the second validates, the others train

  goldenrule fit photos --csv table.csv --fold-column fold=0     the images with 0 in the column fold validate

  goldenrule fit animals --rename cane=dog --rename scoiattolo=      other class names; a class left out

  goldenrule fit photos --folds 5                      the average of five folds' heads, evaluated out-of-fold

  goldenrule fit photos --backbone resnet18 --weights resnet18.safetensors

  goldenrule fit photos --log tensorboard:logs --log mlflow:mlruns     every epoch there too

  goldenrule fit photos --devices 2                    two processes train together, each its half of every batch

  goldenrule fit more_photos --from runs/photos        go on from an earlier classifier; new classes are fine
"""


@command(EXAMPLES)
def fit(
    context: typer.Context,
    source: ImageSource,
    options: FitOptions,
    out: RunFolder = None,
    plan: Annotated[bool, typer.Option("--plan", help="Say what would be done, and how long it takes.")] = False,
    log: Annotated[
        list[str] | None,
        typer.Option(
            help="Log epochs to tensorboard:FOLDER, mlflow:FOLDER or wandb:PROJECT. Repeatable.", show_default=False
        ),
    ] = None,
    overwrite: Overwrite = False,
    cluster: Cluster = None,
    verbose: Verbose = False,
) -> Numbers:
    """Fit a classifier by the golden rule; evaluate it; write it with a report."""
    from goldenrule.core.errors import OptionError
    from goldenrule.core.progress import Bars
    from goldenrule.training.processes.together import together

    if source.fold_column is not None and (options.fold or options.folds):
        other = f"--fold {options.fold}" if options.fold else f"--folds {options.folds}"
        raise OptionError(
            f"{other} draws its folds, --fold-column {source.fold_column} names one of a table: wanted one of them."
        )
    if options.augment == "none":
        refuse(context, ("views",), "with --augment none, which makes none")
    if options.start_from is not None:
        refuse(context, ("backbone",), "with --from, which names the network")
    if log and options.linear_only:
        option = "--quick" if options.quick else f"--folds {options.folds}"
        raise OptionError(f"--log writes down epochs, and {option} trains in none: leave one of them away.")
    with together(options) as options:
        images = source.images()
        if plan:
            return show_plan(images, options, out)
        if overwrite:
            remove_before(images, out)
        if cluster is not None:
            from goldenrule.cli.precompute import computed, sentence

            bars = Bars(verbose=verbose)
            bars.say(sentence(*computed(images, options, cluster, bars)))
        whole = said_again(context, without={"quick", "minutes", "overwrite", "verbose", "cluster"})
        if options.linear_only:  # no torch is imported
            from goldenrule.pipelines.quick_fit import quick_fit

            result = quick_fit(images, options=options, out=out, progress=Bars(verbose=verbose))
            show(result, verbose=verbose, whole=whole if options.folds is None else "")
            return numbers(result)
        from goldenrule.pipelines.golden_rule import golden_rule
        from goldenrule.training.loggers import logger_of

        loggers = [logger_of(one) for one in log or ()]
        bars = Bars(verbose=verbose)
        result = golden_rule(images, options=options, out=out, progress=bars, on_result=show_first, loggers=loggers)
        show(result, verbose=verbose, whole=whole)
        return numbers(result)


def remove_before(images: Path | ImageTable, out: Path | None) -> None:
    """Remove the run that a fit would go on in, after asking; end where the answer is no."""
    from goldenrule.cli.runs import removed_after_asking
    from goldenrule.runs.verified_files import is_run

    folder = out or Path("runs") / name_of(images)
    if is_run(folder) and removed_after_asking(folder) is None:
        raise typer.Exit(1)


def numbers(result: FitResult) -> Callable[[], Mapping[str, Any]]:
    """Return what gives the numbers of a fit for programs: those of its result.json, and where it lies."""

    def found() -> Mapping[str, Any]:
        from goldenrule.runs.verified_files import RESULT
        from goldenrule.storage.files import read_json

        return {"run": str(result.folder), **read_json(result.folder / RESULT)}

    return found


def show(result: FitResult, console: Console | None = None, *, verbose: bool = False, whole: str = "") -> None:
    """Print a fit in a dozen lines; with `verbose` everything that the report says in words before them.

    `whole` is the command of the whole fit that goes on from a quick one.
    """
    from goldenrule.cli.fit_summary import summary
    from goldenrule.cli.terminal import show_wrapped
    from goldenrule.core.console import Console

    console = console or Console()
    if verbose:
        show_details(result, console)
    for line in summary(result, whole):
        show_wrapped(line, console)


def show_details(result: FitResult, console: Console) -> None:
    """Print the result tables, what the candidates gained, sets, calibration, findings and seconds."""
    from rich import box
    from rich.table import Table

    from goldenrule.core.console import Text
    from goldenrule.metrics import value_and_interval

    for finding in result.findings:
        if finding.leads:  # before the numbers that it puts in doubt
            console.print(Text(str(finding), style="bold red" if finding.severity == "error" else "bold yellow"))
    table = scores_table(result)
    if console.measure(table, options=console.options.update(width=AS_WIDE_AS_IT_IS)).maximum > console.width:
        table = scores_table(result, folded=True)
    console.print(table)
    if result.metrics:
        more = Table("metric (95 %)", *result.scored, box=box.SIMPLE_HEAD)
        for name, of_split in result.metrics.items():
            more.add_row(name, *map(value_and_interval, of_split.values()))
        console.print(more)
    if result.backbones:
        console.print(backbones_table(result.backbones))
        console.print(Text(result.backbones.sentence))
    for candidate in result.candidates:
        if candidate.verdict:
            console.print(Text(candidate.verdict.sentence + "."))
    if (views := len(result.classifier.views)) > 1:
        console.print(f"It averages {views} views of every image: predicting takes {views} times as long.")
    if about_sets := result.about_sets():
        console.print(Text(about_sets))
    if result.classifier.thresholds:
        console.print(Text(result.classifier.thresholds.sentence))
    if about_ood := result.about_ood():
        console.print(Text(about_ood))
    if about_calibration := result.about_calibration():
        console.print(Text(f"Calibration: {about_calibration[0].lower()}{about_calibration[1:]}"))
    for finding in result.findings:
        if not finding.leads:
            console.print(Text(str(finding), style="yellow" if finding.severity == "warning" else ""))
    seconds = ", ".join(f"{name} {took:.1f}" for name, took in result.stages)
    rows = result.features
    console.print(Text(f"Seconds: {seconds}. Features: {rows['computed']:,} computed, {rows['reused']:,} reused."))
    console.print()


def scores_table(result: FitResult, *, folded: bool = False) -> Table:
    """Return the scores of every split; `folded` has the intervals on lines of their own, for narrow terminals."""
    from rich import box
    from rich.table import Table

    from goldenrule.core.console import Text
    from goldenrule.metrics import log_loss
    from goldenrule.metrics.estimate import value_beside_interval

    table = Table(
        box=box.SIMPLE_HEAD,
        title=Text(f"{result.table.name}: {result.chosen}", style="table.title"),
        title_justify="left",
    )
    grouped = any(result.quality(predictions).groups is not None for predictions in result.scored.values())
    table.add_column("split", no_wrap=True)
    table.add_column("images\n(effective n)" if grouped and folded else "images", justify="right", no_wrap=True)
    if grouped and not folded:
        table.add_column("effective n", justify="right", no_wrap=True)
    for name in (f"{result.headline.name} (95 %)", "log loss (95 %)"):
        table.add_column(name, no_wrap=True)
    table.add_column("basis", no_wrap=not folded)  # how many images leaked is a longer story
    for split, predictions in result.scored.items():
        share, loss = result.quality(predictions), log_loss(predictions)
        style = "bold" if split == result.headline_split else ""
        between = "\n" if folded else " "
        numbers = (between.join(filter(None, value_beside_interval(one))) for one in (share, loss))
        counts = [f"{share.n:,}", *([f"{share.independent:,}"] if grouped else [])]
        if grouped and folded:
            counts = [f"{counts[0]}\n({counts[1]})"]
        table.add_row(split, *counts, *numbers, str(result.basis(split)), style=style)
    return table


def backbones_table(choice: BackboneChoice) -> Table:
    """Return the backbones that were tried: their numbers, how they stand against the best, and what they cost."""
    from rich import box
    from rich.table import Table

    from goldenrule.metrics import value_and_interval

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
        took = f"{one.seconds:.1f}" if one.computed else "cached"
        cost = f"{one.multiply_adds / 1e9:.2f} G"
        table.add_row(one.name, *numbers, one.standing, cost, took, style="bold" if one.name == choice.chosen else "")
    return table


def show_first(result: FitResult) -> None:
    """Print the quick fit in a line while the live training goes on."""
    from goldenrule.core.console import Console, Text
    from goldenrule.metrics import value_and_interval
    from goldenrule.report.sentences import duration, images_of

    took = duration(result.first_seconds)
    share = result.headline
    said = f"Quick fit, {took}: {value_and_interval(share)} of {images_of(result.headline_split, share.n)}. "
    Console().print(Text(said + "It is saved; Ctrl-C keeps it."), soft_wrap=True)


def show_plan(source: Path | ImageTable, options: FitOptions, out: Path | None) -> Numbers:
    """Print what a fit would do, without doing it; return the plan."""
    from rich.table import Table

    from goldenrule.core.console import Console, Text
    from goldenrule.core.memory import readable_bytes
    from goldenrule.core.progress import Bars
    from goldenrule.report.sentences import rough_duration
    from goldenrule.storage.files import in_shell
    from goldenrule.tasks.fit_plan import plan_for

    plan = plan_for(source, options, out=out, progress=Bars())
    name = source if isinstance(source, Path) else source.root
    table = Table(title=f"What goldenrule fit {in_shell(name)} would do", title_justify="left")
    table.add_column("step")
    table.add_column("about", justify="right")
    table.add_column("kept on disk", justify="right")
    table.add_column("when")
    for step in plan.steps:
        size = f"{step.stored_bytes / 1e9:.3f} GB" if step.stored_bytes else ""
        table.add_row(step.name, rough_duration(step.seconds), size, step.condition)
    table.add_section()
    table.add_row("in all, at most", rough_duration(plan.seconds), f"{plan.stored_bytes / 1e9:.3f} GB", "")
    console = Console()
    console.print(table)
    if options.minutes is not None:
        late = ", ".join(step.name for step in plan.too_late(60 * options.minutes))
        within = f"Within {options.minutes:g} minutes"
        said = f"there would probably be no time to {late}" if late else "there is probably time for all of it"
        console.print(Text(f"{within} {said}; the fit decides by the speed that it measures."), soft_wrap=True)
    if plan.attempts:
        console.print(attempts_table(plan.attempts))
    if plan.run:
        console.print(Text(_before(plan, quick=options.linear_only)), soft_wrap=True)
    console.print(
        f"({readable_bytes(plan.stored_bytes)} in the feature cache. No features were computed, no run was written.)"
    )
    return plan


def _before(plan: Plan, *, quick: bool) -> str:
    """Return what is there of a fit already."""
    if plan.done == "whole" or (quick and plan.done == "quick"):
        return f"{plan.run} has this fit: the command without --plan shows it again, and takes seconds."
    if plan.done == "quick":
        return f"{plan.run} has the linear head already: the steps up to it take no time again."
    return f"{plan.run} was begun: the fit goes on where it stopped, and takes less."


def attempts_table(attempts: Sequence[Expectation]) -> Table:
    """Return what is tried after the linear head, and what is expected of it, the most per second first."""
    from rich.table import Table

    from goldenrule.report.sentences import rough_duration

    table = Table(
        title="Expected by runs on other photo sets, not of these images (95 % interval)", title_justify="left"
    )
    table.add_column("after the linear head")
    table.add_column("about", justify="right")
    table.add_column("takes away of the log loss")
    for one in sorted(attempts, key=lambda one: -(one.share or 0.0) / max(one.seconds, 1.0)):
        table.add_row(one.name, rough_duration(one.seconds), one.expected)
    return table
