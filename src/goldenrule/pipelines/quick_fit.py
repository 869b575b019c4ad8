"""The quick fit: read, split, precompute, fit the linear head, evaluate it, save it, report."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from goldenrule.core.errors import system_errors
from goldenrule.core.progress import Progress
from goldenrule.data.table import ImageTable
from goldenrule.pipelines.finalize import concluded, finished
from goldenrule.pipelines.fit_result import FitResult
from goldenrule.pipelines.prepare import prepared_fit
from goldenrule.pipelines.probe import linear_heads_of
from goldenrule.runs.options import FitOptions


@system_errors()
def quick_fit(
    source: str | os.PathLike[str] | ImageTable,
    *,
    options: FitOptions | None = None,
    out: str | Path | None = None,
    runs: str | Path = Path("runs"),
    progress: Progress | None = None,
) -> FitResult:
    """Fit a classifier on a folder of images (or a table) and evaluate it, in seconds.

    Writes the run to `out`, by default the next free `runs/NAME`; goes on where a killed run stopped. A run that has
    gone through all seven steps stays as it is: they are the result. Raises a `GoldenRuleError` for what the user can
    mend.
    """
    options = replace(options or FitOptions(), quick=True)
    with prepared_fit(source, options=options, out=out, runs=runs, progress=progress) as (context, features):
        if finished(context) == "whole":
            from goldenrule.pipelines.golden_rule import all_steps

            context.progress.say(
                f"{context.run.folder} has gone through all seven steps, of which a quick fit is the first: this is "
                "their result."
            )
            from goldenrule.pipelines.clock import kept_budget

            budget = kept_budget(context.run.folder)
            whole = replace(context.options, quick=False, minutes=budget.minutes if budget else None)
            return all_steps(replace(context, options=whole), features)
        linear = linear_heads_of(context, features, root=True)
        return concluded(context, linear.candidates, linear.chosen, linear.features)
