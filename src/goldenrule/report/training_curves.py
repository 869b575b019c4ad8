"""The live training of a report: curves as drawings, epochs as rows, the rates and why they were taken."""

from __future__ import annotations

from typing import Any

from goldenrule.core.messages import say
from goldenrule.report.content import LiveContent
from goldenrule.report.figures.plots import figure_svg
from goldenrule.runs.history import cells


def training_section(live: LiveContent) -> dict[str, Any]:
    """Return what the template shows."""
    from goldenrule.report.figures.plot import plot  # and with it what it draws: most reports have no curves

    rows = [{"stage": row.stage, "cells": cells(row)} for row in live.history]
    curves = [
        {
            "name": name,
            "sentence": _rate_sentence(test.rule, test.suggestion, test.note, test.minimum),
            "svg": figure_svg(plot(test), label=f"Loss over the learning rate, {name}: {test}"),
        }
        for name, test in live.curves.items()
    ]
    drawing = figure_svg(plot(live.history), label="Losses, accuracy and rates over the epochs.") if rows else ""
    return {"history": drawing, "rows": rows, "curves": curves, "notes": live.notes}


def _rate_sentence(rule: str, rate: float, note: str, minimum: float | None) -> str:
    """Return why a rate was taken.

    >>> _rate_sentence("steepest", 0.001, "", 0.1)
    'The rate 1.0e-03 (0.001) was selected by the rule "steepest". The minimum of the curve, 1.0e-01, is too high.'
    """
    shown = say("training.rate", rate=f"{rate:.1e} ({rate:.6g})", rule=rule)
    lowest = "" if minimum is None else f"{minimum:.1e}"
    low = say("training.minimum", lowest=lowest) if lowest else ""
    return " ".join(split for split in (note, shown, low) if split)
