"""The report of a finished run, made again: in another language, or after its page was lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from goldenrule.core.errors import FormatError, SourceError, StorageError
from goldenrule.core.messages import spoken
from goldenrule.report.content import Growth, GrowthPoint, Project, ReportContent
from goldenrule.report.content_files import CONTENT, kept_content
from goldenrule.report.model_card import CARD, model_card, write_card
from goldenrule.runs.finished import check_finished
from goldenrule.runs.report_options import ReportOptions, read_notes
from goldenrule.runs.verified_files import run_images
from goldenrule.storage.files import read_json, write_atomic
from goldenrule.storage.lock import check_no_links
from goldenrule.storage.outputs import check_output, page, write_output

FOLDER = "report"
"""The folder of a run that holds what its report says."""
REPORT = page("an HTML file", "report.html")
CURVE, CURVE_SCHEMA, MOST = "learning-curve/learning_curve.json", 2, 1e12
MARKS = ("<!DOCTYPE html>", 'class="brand-mark"', '<section id="scores">')
"""What every report has: by it a page of ours is told from any other file."""


def report_again(
    run: str | Path,
    *,
    language: str = "en",
    out: str | Path | None = None,
    options: ReportOptions | None = None,
) -> Path:
    """Write the report of a finished run in a language ("en", "ja" or "zh") and give its path.

    That is RUN/report.html in English and RUN/report.LANGUAGE.html in others, if not `out`; beside the English one
    RUN/MODEL_CARD.md is written too, unless somebody has changed it. `options` are what people add. Nothing is computed
    but the page; its numbers are those of the run, and of the learning curve where one was measured. Images that are
    gone leave a place that says so.

    Raises `SourceError` where the folder holds no finished run, or one of a version that did not keep what its report
    says; `OptionError` for an unknown language, notes that can't be read, or where `out` is there and is no page of
    ours; `StorageError` where RUN/report.html is there and is no report of ours.
    """
    folder, options = Path(run), options or ReportOptions()
    if out is not None:
        check_output(Path(out), REPORT)
    project = Project(title=options.title, team=options.team, goal=options.goal, notes=read_notes(options.notes))
    with spoken(language):
        content = with_growth(kept_content(_folder_of_content(folder), _reader(folder)), folder)
        text, card = _pages(content, project, folder)
    path = Path(out) if out else folder / ("report.html" if language == "en" else f"report.{language}.html")
    if out is not None:
        write_output(path, text)
        return path
    _write(path, text)
    if language == "en":
        write_card(folder / CARD, card)
    return path


def with_growth(content: ReportContent, run: Path) -> ReportContent:
    """Return the content with the learning curve that `goldenrule learning-curve` has measured of accuracy, if any."""
    try:
        value = read_json(run / CURVE, schema=CURVE_SCHEMA)
        return content if value["metric"] != "accuracy" else replace(content, growth=_growth(value))
    except (FormatError, KeyError, TypeError, ValueError):  # it was never measured, or is another version's
        return content


def _growth(value: Mapping[str, Any]) -> Growth:
    def points(rows: Sequence[Mapping[str, Any]]) -> list[GrowthPoint]:
        return [
            GrowthPoint(**{name: float(row[name]) for name in ("images_per_class", "value", "low", "high")})
            for row in rows
        ]

    def checked(found: list[GrowthPoint]) -> list[GrowthPoint]:
        if not all(0 < one.images_per_class < MOST and 0 <= one.low <= one.value <= one.high <= 1 for one in found):
            raise ValueError("no accuracies")
        return sorted(found, key=lambda one: one.images_per_class)

    ahead = [one for one in value["enough"]["ahead"] if one["times"] == 2]
    gain = ahead[0]["gain"] if ahead else None
    return Growth(
        points=checked(points(value["points"])),
        forecasts=checked(points(value["forecasts"])),
        now=float(value["images_per_class"]),
        gain=(float(gain["value"]), float(gain["low"]), float(gain["high"])) if gain else None,
        sentences=[str(value["enough"]["says"])],
    )


def _pages(content: ReportContent, project: Project, run: Path) -> tuple[str, str]:
    """Return the page and the model card."""
    from jinja2 import TemplateError

    from goldenrule.report.pages.run_page import render_page

    try:
        return render_page(content, project), model_card(content, project)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, TemplateError) as error:
        raise FormatError(  # what no report of ours says: a stranger's, whose manifest fits
            f"{run / FOLDER / CONTENT} says what no report can show ({type(error).__name__}: {error}). Fit again."
        ) from error


def _folder_of_content(run: Path) -> Path:
    check_finished(run)
    if not (run / FOLDER / CONTENT).is_file():
        raise SourceError(
            f"{run} was fitted by a version that did not keep what its report says. Give the same `goldenrule fit` "
            "command again: it replays what is finished, in seconds, and keeps it."
        )
    return run / FOLDER


def _reader(run: Path) -> Callable[[str], bytes | None]:
    table = run_images(run)

    def image(uri: str) -> bytes | None:
        try:
            return table.read(uri)
        except OSError:
            return None

    return image


def _write(path: Path, text: str) -> None:
    """Write the page where there is none, or an older report of ours; what is the same is left alone."""
    check_no_links(path.parent)
    if path.is_dir():
        raise StorageError(f"{path} is a folder; wanted the name of a file for the page.")
    if path.exists():
        there = path.read_bytes()
        if there == text.encode():
            return
        if not all(mark.encode() in there for mark in MARKS):
            raise StorageError(
                f"{path} is there and holds something else: it is not overwritten. Move it away, or name another "
                "file with -o."
            )
    write_atomic(path, text)
