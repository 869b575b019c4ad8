"""What a comparison of networks leaves behind: comparison.csv, .json, two figures and the page."""

from __future__ import annotations

import datetime
import io
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from goldenrule.core.cells import csv_text
from goldenrule.core.schema import as_json
from goldenrule.metrics import log_loss, value_and_interval
from goldenrule.report.sentences import duration
from goldenrule.runs.environment import environment
from goldenrule.storage.files import in_shell, write_atomic, write_json

if TYPE_CHECKING:
    from goldenrule.pipelines.comparison.compared_networks import ComparedNetworks, Row
    from goldenrule.report.figures.comparison_figures import Point

SPLITS = ("valid", "test")
CSV_COLUMNS = (
    "network",
    "type",
    "chosen",
    *(f"{split}_{what}" for split in SPLITS for what in ("quality", "low", "high", "n", "log_loss")),
    "test_against_chosen",
    "p_value_holm",
    "epochs",
    "seconds",
    "activation_seconds",
    "parameters",
    "trained_parameters",
    "run",
)


def write_comparison(found: ComparedNetworks) -> None:
    """Write all files of the comparison."""
    from goldenrule.report.figures.comparison_figures import intervals_figure, pareto_figure
    from goldenrule.report.pages.comparison_page import render_comparison

    created = datetime.datetime.now().astimezone()
    write_atomic(found.folder / "comparison.csv", csv_text(_rows_of_csv(found)))
    write_json(
        found.folder / "comparison.json",
        {**as_json(found), "created": created.isoformat(timespec="seconds"), "environment": environment()},
    )
    points = [_point(found, row) for row in found.ranked]
    figures = {"pareto": pareto_figure(points), "intervals": intervals_figure(points)}
    for name, figure in figures.items():
        picture = io.BytesIO()
        figure.savefig(picture, format="svg", metadata={"Date": None})
        write_atomic(found.folder / f"{name}.svg", picture.getvalue())
    page = render_comparison(
        found.images.resolve().name,
        f"{created:%Y-%m-%d %H:%M %Z}",
        head=found.headline,
        sentences=found.sentences,
        columns=columns(found),
        rows=[
            {
                "cells": cells(found, row),
                "report": f"{quote(row.folder.name)}/report.html",
                "chosen": row is found.chosen,
            }
            for row in found.ranked
        ],
        asked=asked(found),
        figures=figures,
        next_steps=next_steps(found),
        on_front=len(found.front),
    )
    write_atomic(found.page, page)


def columns(found: ComparedNetworks) -> list[str]:
    """Return the headings of the table, with the number of images behind them."""
    name = found.quality(found.chosen.valid).name
    valid = f"{name} on valid, n={len(found.chosen.valid.scored):,}"
    against = "test" if found.chosen.test is not None else "valid"
    test = [f"on test, n={len(found.chosen.test.scored):,}"] if found.chosen.test is not None else []
    return ["network", valid, *test, "epochs", "time", "parameters", f"against the selected on {against}"]


def cells(found: ComparedNetworks, row: Row) -> list[str]:
    """Return a row of the table as text, in the order of `columns`."""
    pairs = found.test_pairs or found.valid_pairs
    test = [value_and_interval(found.quality(row.test))] if row.test is not None else ["not evaluated"]
    return [
        row.name,
        value_and_interval(found.quality(row.valid)),
        *(test if found.chosen.test is not None else []),
        "fitted" if row.epochs is None else f"{row.epochs:,}",
        duration(row.seconds),
        f"{row.parameters / 1e6:.2f} M",
        against(found, row) if row.name in pairs else "",
    ]


def against(found: ComparedNetworks, row: Row) -> str:
    """Return how a row stands against the selected one: on test, without labelled test images on validation."""
    pair = (found.test_pairs or found.valid_pairs)[row.name]
    gain = value_and_interval((pair.points or pair.loss).gain)
    return f"{pair.verdict}: {'' if pair.points else 'log loss '}{gain}, p {_p_text(pair.adjusted)}"


def asked(found: ComparedNetworks) -> str:
    """Return what the last column asks."""
    if found.chosen.valid.task == "single":
        return "McNemar's test, adjusted for the number of rows (Holm), and the gain in accuracy"
    return "the gain in log loss, by bootstrap, its p adjusted for the number of rows (Holm)"


def next_steps(found: ComparedNetworks) -> list[str]:
    """Return what to do with what was found."""
    run = in_shell(found.chosen.folder)
    return [f"goldenrule predict {run} NEW_PHOTOS -o predictions.csv", f"goldenrule labels {run}", *found.commands]


def _p_text(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.2g}"


def _point(found: ComparedNetworks, row: Row) -> Point:
    from goldenrule.report.figures.comparison_figures import Point

    shares = {"valid": row.valid} | ({"test": row.test} if row.test is not None else {})
    return Point(
        label=row.name,
        type=row.type,
        seconds=row.seconds,
        shares={split: found.quality(predictions) for split, predictions in shares.items()},
        chosen=row is found.chosen,
        on_front=row in found.front,
    )


def _rows_of_csv(found: ComparedNetworks) -> Iterator[Sequence[Any]]:
    yield CSV_COLUMNS
    for row in found.ranked:
        numbers: list[Any] = []
        for predictions in (row.valid, row.test):
            share = found.quality(predictions) if predictions is not None else None
            numbers += (
                [share.value, share.low, share.high, share.n, log_loss(predictions).value]
                if share and predictions
                else [""] * 5
            )
        pair = found.test_pairs.get(row.name)
        adjusted = "" if pair is None else pair.adjusted
        last = ("" if row.epochs is None else row.epochs, round(row.seconds, 2), round(row.activation_seconds, 2))
        first = (row.network, row.type, row is found.chosen)
        counted = (row.parameters, row.trained_parameters, row.folder.name)
        yield [*first, *numbers, pair.verdict if pair else "", adjusted, *last, *counted]
