"""`goldenrule report`: the report of a finished run, again, in English, Japanese or Chinese."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from goldenrule.cli.options import FinishedRun, Numbers, command, output
from goldenrule.runs.report_options import ReportOptions

EXAMPLES = """Examples:

  goldenrule report runs/photos --lang ja                runs/photos/report.ja.html, in Japanese

  goldenrule report runs/photos --lang zh -o bao.html   in simplified Chinese, to a file of your choosing

  goldenrule report runs/photos                        runs/photos/report.html, should it be lost

  goldenrule report runs/photos --team "A. and B." --goal "Sort parcels" --notes notes.md   with your own words
"""


class Language(StrEnum):
    """The languages of a report."""

    en = "en"
    ja = "ja"
    zh = "zh"


@command(EXAMPLES)
def report(
    run: FinishedRun,
    language: Annotated[
        Language, typer.Option("--lang", help="English, Japanese or simplified Chinese.")
    ] = Language.en,
    out: Annotated[Path | None, output("The page to write.", "RUN/report.LANG.html")] = None,
    *,
    options: ReportOptions,
) -> Numbers:
    """Write the report of a finished run again, in another language or with your own words; no number changes."""
    from goldenrule.core.console import Console, Text
    from goldenrule.storage.outputs import to_terminal
    from goldenrule.tasks.report_again import report_again

    path = report_again(run, language=language.value, out=out, options=options)
    console = Console(stderr=to_terminal(out))
    console.print(Text(f"Report:  {path}"), soft_wrap=True)
    if language is not Language.en:
        console.print(
            "Names, the evidence of findings and comparisons stay in English: they are kept with the run.",
            highlight=False,
        )
    return {"report": str(path), "language": language.value}
