"""The answer in seconds: read, split, precompute, solve the head, judge it, save it, report."""

from __future__ import annotations

import os
from pathlib import Path

from goldenrule.foundation.errors import system_errors
from goldenrule.foundation.progress import Progress
from goldenrule.images.table import ImageTable
from goldenrule.recipes.concluding import concluded
from goldenrule.recipes.opening import begun
from goldenrule.recipes.options import FitOptions
from goldenrule.recipes.results import Answer
from goldenrule.recipes.solved import solved_heads


@system_errors()
def answer(
    source: str | os.PathLike[str] | ImageTable,
    *,
    options: FitOptions | None = None,
    out: str | Path | None = None,
    runs: str | Path = Path("runs"),
    progress: Progress | None = None,
) -> Answer:
    """Fit a classifier on a folder of images (or a table) and judge it, in seconds.

    Writes the run to `out`, by default the next free `runs/NAME`; goes on where a killed run stopped. Raises
    a `GoldenRuleError` for what the user can mend.
    """
    with begun(source, options=options, out=out, runs=runs, progress=progress) as (work, activations):
        solved = solved_heads(work, activations)
        return concluded(work, solved.candidates, solved.chosen, solved.activations)
