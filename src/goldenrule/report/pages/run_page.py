"""`render_page`: a report's content as one HTML file that loads nothing from anywhere."""

from __future__ import annotations

import base64
import datetime
import functools
import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from goldenrule.analysis.mistakes import most_confident_right, most_uncertain
from goldenrule.core.messages import LANGUAGES, Message, count, language, say, template, word
from goldenrule.core.visible import visible
from goldenrule.metrics import Estimate, Predictions, confusion, most_confident_mistakes
from goldenrule.metrics.estimate import marks_of, value_beside_interval
from goldenrule.report import sentences, tables
from goldenrule.report.advice import advice
from goldenrule.report.album import SMALL_SIDE_PX, Album
from goldenrule.report.class_strips import class_strips
from goldenrule.report.confusion_view import confused_cells, confusion_order, shades
from goldenrule.report.content import Project, ReportContent
from goldenrule.report.facts import facts, network_facts
from goldenrule.report.figures.growth import growth_drawing
from goldenrule.report.figures.penalty_curve import penalty_curve, penalty_text
from goldenrule.report.figures.reliability import reliability_drawing
from goldenrule.report.project_notes import notes_html
from goldenrule.report.threshold_curves import threshold_curves
from goldenrule.report.training_curves import training_section

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

TEMPLATES = Path(__file__).parent / "templates"
NO_PROJECT = Project()
MOST_MISTAKES, MOST_UNCERTAIN, MOST_BEST = 12, 4, 4
MOST_GRID_CLASSES = 15
MOST_OPEN_ROWS, MOST_OPEN_STRIPS = 20, 12
MOST_EVIDENCE = 100
LEAST_BINS = 3
"""Fewer dots make no reliability diagram."""

_LINES = "\n\t\r"
_INTERVAL = re.compile(r"(\[[-.,\d]+,) (?=[-.,\d]+\])")


def render_page(content: ReportContent, project: Project = NO_PROJECT) -> str:
    """Return the whole page: styles, pictures and drawings are inside, and a policy forbids loading any more.

    Equal content gives an equal page, in the language that is spoken (`messages.spoken`). Names and paths may hold
    anything; they are shown, never interpreted. `project` is what people add of their own.
    """
    single = content.predictions.task == "single"
    album = Album(content.image)
    shown = {
        **_answers(content.predictions, content, album),
        **(confusion_content(content.predictions, album) if single else {}),
    }
    page = (
        environment()
        .get_template("page.html")
        .render(
            content=content,
            project=project,
            notes=notes_html(project.notes),
            title=project.title or content.title,
            sections=_sections(content, project, curves=bool(shown["curves"])),
            head=sentences.headline(content.headline, content.headline_split),
            created=_readable_time(content.created),
            **_scores(content),
            **_data_and_time(content),
            **shown,
            photos=album.images,
            thresholds=content.thresholds,
            basis=content.bases.get(content.headline_split, Message(f"word.{content.headline.basis}")),
            **_choices(content),
            **_calibration(content),
            advice=advice(content),
            growth=growth_drawing(content.growth) if content.growth else None,
            training=training_section(content.live) if content.live else None,
        )
    )
    return printable(page)


def _sections(content: ReportContent, project: Project, *, curves: bool) -> dict[str, str]:
    """Return the sections that a page has by their anchors, in their order: results first, then how they were made."""
    optional = {
        "project": project.is_told,
        "confusion": content.predictions.task == "single",
        "curves": curves,
        "promises": bool(content.promises or content.sets or content.ood),
        "calibration": bool(content.calibration),
        "training": content.live is not None,
        "penalty": bool(content.penalty_path),
        "backbones": bool(content.backbones),
    }
    titles = {
        "project": say("section.project"),
        "findings": say("section.findings"),
        "pictures": say("section.pictures"),
        "mistakes": say("section.mistakes"),
        "scores": say("section.scores"),
        "confusion": say("section.confusion"),
        "classes": say("section.classes"),
        "curves": say("section.curves"),
        "promises": say("section.promises"),
        "calibration": say("section.calibration"),
        "next": say("section.next"),
        "data": say("section.data"),
        "time": say("section.time"),
        "training": say("section.training"),
        "candidates": say("section.candidates"),
        "backbones": say("section.backbones"),
        "penalty": say("section.penalty"),
        "network": say("section.network"),
    }
    return {anchor: title for anchor, title in titles.items() if optional.get(anchor, True)}


def printable(page: str) -> str:
    """Return a page that can be written as UTF-8: a path may hold bytes that are no text."""
    return page.encode("utf-8", "backslashreplace").decode("utf-8")


def _scores(content: ReportContent) -> dict[str, Any]:
    return {
        "axis": tables.axis_start([content.headline]),
        "scores": tables.split_scores(content.estimates, content.headline_split, content.bases),
        "unscored": [
            unscored_split
            for unscored_split in tables.unscored_splits(content.counts)
            if unscored_split[0] not in content.estimates
        ],
        "baseline": sentences.baseline_sentence(content.predictions),
        "all_labels": sentences.all_labels_sentence(content.predictions, content.headline_split),
        "left_out": sentences.left_out_sentence(content.predictions),
        "alarm": sentences.alarm(content.findings),
        "leading": [finding for finding in content.findings if finding.leads],
    }


def _data_and_time(content: ReportContent) -> dict[str, Any]:
    return {
        "data": tables.data_table(content.counts, content.images),
        "seconds": sum(seconds for _, seconds in content.stages),
        "features": sentences.features_sentence(content.features.get("computed", 0), content.features.get("reused", 0)),
        "timeline": tables.timeline(content.stages),
    }


def _answers(predictions: Predictions, content: ReportContent, album: Album) -> dict[str, Any]:
    """Return what is told image by image and class by class."""
    mistakes = most_confident_mistakes(predictions, MOST_MISTAKES)
    weakest = tables.weakest_first(predictions)
    strips = class_strips(predictions, [score.name for score in weakest])
    labels = content.labels.first if content.labels else ()
    return {
        "mistakes": [(one, album.picture(one.id)) for one in mistakes],
        "mistakes_sentence": sentences.mistakes_sentence(predictions, content.headline_split, len(mistakes)),
        "classes": weakest,
        "strips": [(strip, [(one, album.picture(one.id, SMALL_SIDE_PX)) for one in strip.images]) for strip in strips],
        "strips_left_out": sum(score.support > 0 for score in weakest) - len(strips),
        "uncertain": [(one, album.picture(one.id)) for one in most_uncertain(predictions, MOST_UNCERTAIN)],
        "best": [(one, album.picture(one.id)) for one in most_confident_right(predictions, MOST_BEST)],
        "doubted": [(one, album.picture(one.id)) for one in labels],
        "curves": threshold_curves(predictions, content.thresholds),
    }


def confusion_content(predictions: Predictions, album: Album) -> dict[str, Any]:
    """Return what the section on confusion shows: a grid of few classes, a heat map of many, the commonest pairs."""
    order = confusion_order(confusion(predictions))
    cells = confused_cells(predictions, order)
    few = len(predictions.classes) <= MOST_GRID_CLASSES
    wrong = predictions.scored.predicted != predictions.scored.truth
    shown = sum(len(cell.images) for cell in cells)
    return {
        "grid": tables.confusion_rows(predictions, order) if few else None,
        "shades": None if few else shades(predictions, order),
        "order": [predictions.classes[label] for label in order],
        "cells": [(cell, album.pictures(cell.images)) for cell in cells],
        "cell_of": {(cell.pair.truth, cell.pair.predicted): cell for cell in cells if cell.images},
        "pairs_left_out": (int(wrong.sum()) - shown),
        "repeated": [cell for cell in cells if cell.pair.count > 1],
    }


def _calibration(content: ReportContent) -> dict[str, Any]:
    """Return the reliability diagram, None where there are too few images for one."""
    if not content.calibration or content.predictions.task != "single":
        return {"reliability": None, "too_few": 0}
    drawing = reliability_drawing(content.predictions, content.uncalibrated)
    if drawing is None or min(len(series.dots) for series in drawing.series) < LEAST_BINS:
        return {"reliability": None, "too_few": len(content.predictions.scored)}
    return {"reliability": drawing, "too_few": 0}


def _choices(content: ReportContent) -> dict[str, Any]:
    order = {"error": 0, "warning": 1, "note": 2}
    penalty = {"penalty (l2)": penalty_text(content.penalty)} if content.penalty_path else {}
    return {
        "curve": penalty_curve(content.penalty_path, content.penalty, shrinkage=content.shrinkage),
        "candidates": tables.candidate_scores(content.candidates),
        "backbones": tables.candidate_scores(content.backbones),
        "findings": sorted(content.findings, key=lambda finding: order[finding.severity]),
        "groups": [
            *network_facts(content.backbone, content.engine),
            facts(say("facts.options"), {**content.options, **penalty}),
            facts(say("facts.environment"), content.environment),
        ],
    }


def environment() -> Environment:
    """Return the templates with the filters that they use, and the script of every page with its digest."""
    return _environment(language())


@functools.cache
def _environment(spoken: str) -> Environment:
    """Return the environment of a language; compiling its templates takes longer than a page does."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        autoescape=True,
        finalize=_shown,
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "count": count,
        "duration": sentences.duration,
        "ended": sentences.ended,
        "printed_splits": _printed_splits,
        "prose": _prose,
        "share_of": share_of,
        "sureness": sentences.sureness,
        "track": _track,
        "word": word,
    }
    environment.globals |= {
        "most_open_rows": MOST_OPEN_ROWS,
        "most_open_strips": MOST_OPEN_STRIPS,
        "most_evidence": MOST_EVIDENCE,
        "html_language": LANGUAGES[spoken],
        "say": _say_in_html,
        "script": (script := (TEMPLATES / "page.js").read_text(encoding="utf-8")),
        "script_digest": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
    }
    return environment


def _shown(value: Any) -> Any:
    """Return what a page says with all of it visible: no name of a file or class hides or turns around what follows."""
    from markupsafe import Markup

    if isinstance(value, Markup):
        return Markup(visible(value, keep=_LINES))  # noqa: S704 it was markup before
    return visible(value, keep=_LINES) if isinstance(value, str) else value


def _say_in_html(message: str, **fields: object) -> Markup:
    """Return what `say` does for a template: tags in a text are tags, fields are shown and never interpreted."""
    from markupsafe import Markup

    return Markup(template(message, fields)).format(**fields)  # noqa: S704 the texts are ours


def _printed_splits(estimate: Estimate) -> tuple[str, str]:
    """Return what `render` prints in two parts, the second (interval, n, marks) to be set small."""
    value, interval = value_beside_interval(estimate)
    marks = [word(mark) for mark in marks_of(estimate)]
    mark = f"({', '.join(marks)})" if marks else ""
    rest = " ".join(split for split in (interval, f"n={estimate.n:,}", mark) if split)
    return (value, rest) if estimate.defined else (f"{value} (n=0)", mark)


def _prose(text: str) -> str:
    """Keep a number and its percent sign, and the two ends of an interval, on one line."""
    return _INTERVAL.sub("\\1\N{NO-BREAK SPACE}", text.replace(" %", "\N{NO-BREAK SPACE}%"))


def _track(estimate: Estimate, start: float) -> str:
    """Return where interval and value of a share lie on an axis from `start` to 1, as CSS properties."""
    ends = (estimate.low, estimate.high) if estimate.bounded else (estimate.value, estimate.value)
    low, high, value = (100 * min(max((share - start) / (1 - start), 0), 1) for share in (*ends, estimate.value))
    return f"--low:{low:.1f}%;--high:{100 - high:.1f}%;--value:{value:.1f}%"


def share_of(share: float) -> str:
    """Return a share in percent for a cell: two digits, and never 0 % or 100 % where it is neither.

    >>> share_of(0.06), share_of(1.0), share_of(0.998), share_of(0.0199)
    ('6 %', '100 %', '99.8 %', '2 %')
    """
    percent = 100 * share
    if 99.5 <= percent < 100:
        return f"{min(percent, 99.9):.1f} %"
    return f"{percent:.0f} %" if percent >= 10 or percent == 0 else f"{percent:.2g} %"


def _readable_time(iso: str) -> str:
    try:
        moment = datetime.datetime.fromisoformat(iso)
    except ValueError:
        return iso
    return f"{moment:%Y-%m-%d %H:%M} {moment.tzname() or ''}".strip()
