"""What a fit prints at its end: a dozen lines, the numbers first; all the rest stands in the report, or with -v."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from goldenrule.core.console import Text
from goldenrule.core.findings import plural
from goldenrule.core.messages import say

if TYPE_CHECKING:
    from goldenrule.core.findings import Finding
    from goldenrule.pipelines.fit_result import FitResult

SPLIT_NAMES = {"test": "test", "valid": "validation", "out-of-fold": "cross-validated"}
STYLES = {"error": "bold red", "warning": "yellow"}
MOST_NOTES, MOST_NAMES = 2, 2
ABOUT_FILES = (
    "archive-others",
    "classes-renamed",
    "excluded",
    "excluded-classes",
    "folders-ignored",
    "inner-folders",
    "not-images",
    "rare-format",
    "splits-by-name",
    "system-classes",
    "system-files",
)
"""Codes of the notes that say how files were read: what bears on the numbers comes before them."""
LONGEST_NOTE, LONGEST_NAME, SHORT_NAME = 100, 80, 30
"""Characters."""
SCREEN = 80
"""Characters of a narrow terminal."""
INDENT = " " * len("  Better?  ")
CLAUSES = (": ", "; ", " (")
"""What may follow a clause that says something alone."""


def summary(result: FitResult, whole: str = "") -> Iterator[Text]:
    """Yield the lines: what was fitted, the numbers of each split, warnings, the model, and what to do next.

    What puts the numbers in doubt comes before them. `whole` is the command of the whole fit that goes on from here.
    Lines with something to copy are `no_wrap`.
    """
    from goldenrule.data.sources.origin import counted
    from goldenrule.report.sentences import duration

    for finding in result.findings:
        if finding.leads:
            yield Text(str(finding), style=STYLES.get(finding.severity, ""))

    took = duration(result.first_seconds)
    if result.seconds < result.first_seconds / 2:  # most was done before
        took += f" the first time, {duration(result.seconds)} now"
    images = counted(len(result.read), int((~result.read.labelled).sum()))
    about = f"{images}, {plural(len(result.classifier.classes), 'class', 'classes')}"
    yield Text(f"{result.table.name}   {about} · {_kind(result)}, {took}", style="bold")
    yield Text()
    yield from _scores(result)
    yield Text()
    for finding in result.findings:
        if finding.severity != "note" and not finding.leads:
            yield Text(f"  {finding.severity}: {_named(finding)}", style=STYLES.get(finding.severity, ""))
    yield Text(f"  Model    {_model(result)}")
    notes = sorted(
        (finding for finding in result.findings if finding.severity == "note" and not finding.leads),
        key=lambda note: note.code in ABOUT_FILES,
    )
    if notes:
        yield Text(f"  Check    {_noted(notes)}")
    more = f"{plural(len(notes), 'note')}, calibration, timings" if notes else "calibration, timings"
    yield Text(f"  Report   {result.report}   ({more})", no_wrap=True)
    yield from _next(result, whole)


def _kind(result: FitResult) -> str:
    if result.options.training is not None:
        return "trained"
    if result.options.folds is not None:
        return f"average of {result.options.folds} folds"
    if any(not one.tried for one in result.expectations):
        return "the steps that are expected to help"
    if result.options.quick or result.live is None:
        return "quick fit"
    return f"all steps but {', '.join(map(str, result.left_out))}" if result.left_out else "all seven steps"


def _scores(result: FitResult) -> Iterator[Text]:
    from goldenrule.metrics.estimate import value_and_interval, value_beside_interval

    rows = []
    for split, predictions in result.scored.items():
        share = result.quality(predictions)
        value, interval = value_beside_interval(share)
        many = "image" if share.n == 1 else "images"
        effective = f" (effective n {share.independent:,})" if share.groups is not None else ""
        rows.append((SPLIT_NAMES.get(split, split), value, interval, f"{share.n:,}", f"{many}{effective},", split))
    if not rows:
        yield Text(f"  {say('scores.nothing')}")
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(5)]
    kind = "" if result.headline.name == "accuracy" else f" {result.headline.name},"
    for name, value, interval, n, images, split in rows:
        numbers = f"{value:>{widths[1]}} {interval:<{widths[2]}}"
        line = f"  {name:<{widths[0]}}  {numbers}  {n:>{widths[3]}} {images:<{widths[4]}}{kind} {result.basis(split)}"
        yield Text(line, style="bold" if split == result.headline_split else "")
    for name, of_split in result.metrics.items():
        stated = (f"{SPLIT_NAMES.get(split, split)} {value_and_interval(one)}" for split, one in of_split.items())
        yield Text(f"  {name}: {', '.join(stated)}")


def _model(result: FitResult) -> str:
    from goldenrule.models.catalog import side_by_side
    from goldenrule.pipelines.planning import TIMES_THE_WORK

    views = len(result.classifier.views)
    slower = f" (predicting averages {views} views, {views} times as slow)" if views > 1 else ""
    backbones = side_by_side(result.classifier.backbone.spec.name)
    if result.options.backbone in backbones and len(backbones) > 1:  # it was tried, and not asked for
        slower += f" (predicting takes {TIMES_THE_WORK:.0f} times the work of {result.options.backbone})"
        return f"{result.chosen}{slower}"
    return f"{result.chosen} on {result.classifier.backbone.spec.name}{slower}"


def _named(finding: Finding, *, longest: int = LONGEST_NAME) -> str:
    """Return what was found, with two names and dots, or all of up to three, where these are short."""
    most = MOST_NAMES + (len(finding.evidence) == MOST_NAMES + 1)  # a third is as short as dots
    shown = [one for one in finding.evidence[:most] if len(one) <= longest]
    names = ", ".join(shown) + (", ..." if shown and len(finding.evidence) > len(shown) else "")
    return f"{finding.sentence}{f' ({names})' if names else ''}"


def _noted(notes: list[Finding]) -> str:
    """Return the first notes, as much of each as has room: all of them stands in the report."""
    said = "; ".join(first_clauses(_named(one, longest=SHORT_NAME), LONGEST_NOTE) for one in notes[:MOST_NOTES])
    return said + (f"; and {len(notes) - MOST_NOTES} more" if len(notes) > MOST_NOTES else "")


def first_clauses(sentence: str, longest: int) -> str:
    """Return a sentence up to the last clause that ends within `longest` characters; never a part of a clause.

    >>> first_clauses("2 images lie in folders inside class folders: they have those classes (cat/a, cat/b)", 60)
    '2 images lie in folders inside class folders'
    >>> first_clauses("1 folder is empty", 60)
    '1 folder is empty'
    """
    if len(sentence) <= longest:
        return sentence
    end = max(sentence.rfind(stop, 1, longest + 1) for stop in CLAUSES)
    return sentence[:end] if end > 0 else sentence


def _next(result: FitResult, whole: str) -> Iterator[Text]:
    from goldenrule.pipelines.result_files import next_steps

    yield Text(f"  Predict  {next_steps(result)[0]}", no_wrap=True)
    for one in result.expectations:
        if not one.tried:
            yield Text(f"  Left out {one.sentence}, or with --all-steps")
    if whole and result.left_out:
        yield from _better(whole, _live_seconds(result))
    elif whole and result.options.quick:
        yield from _after_quick(result, whole)


def _better(command: str, why: str) -> Iterator[Text]:
    """Yield a command, and what it costs and may give, beside it where there is room."""
    line = f"  Better?  {command}     {why}"
    lines = [line] if len(line) <= SCREEN else [f"  Better?  {command}", f"{INDENT}{why}"]
    yield from (Text(one, no_wrap=True) for one in lines)


def _after_quick(result: FitResult, whole: str) -> Iterator[Text]:
    """Yield what a whole fit would add, as far as measured runs let expect it."""
    from goldenrule.report.sentences import rough_duration
    from goldenrule.storage.files import in_shell

    if not result.ahead:
        yield from _better(whole, _live_seconds(result))
    elif worth := [one for one in result.ahead if one.tried]:
        loss, fall = result.expected_of_whole_fit or (0.0, 0.0)
        expected = f"; cross-validated log loss {loss:.2g}, expected to fall by {fall:.1g}" if fall else ""
        took = rough_duration(result.seconds_of_views_ahead + sum(one.seconds for one in worth))
        yield from _better(whole, f"about {took} more{expected}")
    else:
        run = in_shell(result.folder)
        yield Text("  Better?  No further step is expected to help. More images?")
        yield Text(f"{INDENT}goldenrule learning-curve {run}", no_wrap=True)


def _live_seconds(result: FitResult) -> str:
    """Return how long the live steps would take, as far as is known here."""
    from goldenrule.metrics.selection_rules import domain_shift
    from goldenrule.pipelines.planning import live_plan_for
    from goldenrule.report.sentences import rough_duration
    from goldenrule.training.plan import LiveStep

    chosen = result.candidate
    shift = domain_shift(chosen.evaluated_on) if chosen.evaluated_split == "out-of-fold" else None
    plan = live_plan_for(result.table, chosen.backbone, result.classifier.engine, shift=shift)
    left_out = {one.step for one in result.left_out}
    beside = sum(
        one.seconds for one in result.ahead if one.attempt == LiveStep.SIDE_BY_SIDE and one.attempt in left_out
    )
    return f"about {rough_duration(beside + plan.seconds_of(left_out))} more"
