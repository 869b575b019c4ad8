"""The report of a finished run, made again: in another language, or after its page was lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from goldenrule.core.errors import FormatError, SourceError, StorageError
from goldenrule.core.messages import spoken
from goldenrule.report.content import ReportContent
from goldenrule.report.content_files import CONTENT, kept_content
from goldenrule.runs.finished import check_finished
from goldenrule.runs.verified_files import run_images
from goldenrule.storage.files import write_atomic
from goldenrule.storage.lock import check_no_links
from goldenrule.storage.outputs import check_output, page, write_output

FOLDER = "report"
"""The folder of a run that holds what its report says."""
REPORT = page("an HTML file", "report.html")
MARKS = ("<!DOCTYPE html>", 'class="brand-mark"', '<section id="scores">')
"""What every report has: by it a page of ours is told from any other file."""


def report_again(run: str | Path, *, language: str = "en", out: str | Path | None = None) -> Path:
    """Write the report of a finished run in a language ("en", "ja" or "zh") and give its path.

    That is RUN/report.html in English and RUN/report.LANGUAGE.html in others, if not `out`. Nothing is computed but the
    page; its numbers are those of the run. Images that are gone leave a place that says so.

    Raises `SourceError` where the folder holds no finished run, or one of a version that did not keep what its report
    says; `OptionError` for an unknown language, or where `out` is there and is no page of ours; `StorageError` where
    RUN/report.html is there and is no report of ours.
    """
    folder = Path(run)
    if out is not None:
        check_output(Path(out), REPORT)
    with spoken(language):
        content = kept_content(_folder_of_content(folder), _reader(folder))
        text = _page(content, folder)
    path = Path(out) if out else folder / ("report.html" if language == "en" else f"report.{language}.html")
    if out is None:
        _write(path, text)
    else:
        write_output(path, text)
    return path


def _page(content: ReportContent, run: Path) -> str:
    from jinja2 import TemplateError

    from goldenrule.report.pages.run_page import render_page

    try:
        return render_page(content)
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
