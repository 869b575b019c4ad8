"""`goldenrule learning-curve`: how many more images are needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from goldenrule.cli.options import FinishedRun, Numbers, Threads, command

if TYPE_CHECKING:
    from rich.table import Table

    from goldenrule.tasks.run_learning_curve import CurveOfRun

DEFAULT_TARGET = 0.99
EXAMPLES = """Examples:

  goldenrule learning-curve runs/photos                     how many more images for 99 % accuracy?

  goldenrule learning-curve runs/photos --target 0.95

  goldenrule learning-curve runs/photos --target-metric log_loss --target 0.1
"""


@command(EXAMPLES)
def learning_curve(
    run: FinishedRun,
    target: Annotated[
        float | None,
        typer.Option(help="The accuracy (or log loss) that is wanted. \\[default: 0.99]", show_default=False),
    ] = None,
    metric: Annotated[str, typer.Option("--target-metric", help="accuracy or log_loss.")] = "accuracy",
    threads: Threads = None,
) -> Numbers:
    """Estimate how many more images a target needs, from heads fitted on more and more of those there are."""
    from rich.table import Table

    from goldenrule.core.console import Console, Text
    from goldenrule.core.progress import Bars
    from goldenrule.metrics import value_and_interval
    from goldenrule.tasks.run_learning_curve import learning_curve_of

    if target is None and metric == "accuracy":
        target = DEFAULT_TARGET
    done = learning_curve_of(run, target=target, metric=metric, threads=threads, progress=Bars())  # type: ignore[arg-type]
    curve, console = done.curve, Console()
    table = Table("images", "per class (mean)", f"{metric.replace('_', ' ')} (95 %)", "")
    for point in curve.points:
        table.add_row(
            f"{point.images:,}", _count(point.images_per_class), value_and_interval(point.estimate), "measured"
        )
    for number in curve.multiples():
        there = ": all there are" if number == curve.images_per_class else ""
        cells = (f"{number * curve.classes:,.0f}", _count(number), value_and_interval(curve.forecast(number)))
        table.add_row(*cells, f"forecast{there}", style="dim")
    console.print(table)
    evaluated = curve.points[-1].estimate.n
    console.print(
        Text(
            f"Linear heads on plain features, each evaluated on images it has not seen: {evaluated:,} at every size. "
            "What is trained after the head may be better."
        )
    )
    if done.sentence:
        console.print(Text(f"{done.sentence}.", style="bold"))
    console.print(_enough(done))
    console.print(Text(" ".join(done.advice.sentences), style="bold"))
    console.print(Text(f"Picture: {done.picture}"), soft_wrap=True)
    console.print(Text(f"Numbers: {done.numbers} ({done.seconds:.1f} s)"), soft_wrap=True)
    return done.numbers


def _enough(done: CurveOfRun) -> Table:
    """Return the table of the ways to train: what the rule of thumb wants, and what was measured."""
    from rich import box
    from rich.table import Table

    from goldenrule.analysis.data_size import RULES
    from goldenrule.metrics import value_and_interval

    data_size = done.advice
    table = Table(
        title=f"How much is enough? There are {data_size.sizes}.",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1),
        pad_edge=False,
        show_edge=False,
    )
    table.add_column("way to train", no_wrap=True)
    table.add_column("rule of thumb", no_wrap=True)
    table.add_column(f"{data_size.metric.replace('_', ' ')} here (95 %)")
    now = data_size.now
    measured = f"{value_and_interval(now.estimate)} with {_count(now.images_per_class)} per class (mean)"
    for rule in RULES:
        said = (rule.way, f"{rule.wants}: {rule.says(data_size.sizes.median)}")
        table.add_row(*said, measured if rule is RULES[0] else _tried(done, rule.way))
    return table


def _tried(done: CurveOfRun, way: str) -> str:
    """Return what the run itself has tried of a way to train."""
    tried = [one for one in done.tried if one.way == way]
    lines = (f"{one.accuracy} on valid, {one.name}{one.outcome and f': {one.outcome}'}" for one in tried)
    return "\n".join(lines) or "not tried here"


def _count(images_per_class: float) -> str:
    """Return images per class with a decimal where there are few.

    >>> _count(2.4), _count(1600.0), _count(40.0)
    ('2.4', '1,600', '40')
    """
    return f"{images_per_class:,.0f}" if images_per_class >= 20 else f"{images_per_class:.2g}"
