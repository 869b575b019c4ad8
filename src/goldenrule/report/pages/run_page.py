"""`render_page`: a report's content as one HTML file that loads nothing from anywhere."""

from __future__ import annotations

import base64
import datetime
import functools
import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from goldenrule.core.messages import LANGUAGES, Message, count, language, say, template, word
from goldenrule.core.visible import visible
from goldenrule.metrics import Estimate, Predictions, most_confident_mistakes
from goldenrule.metrics.estimate import marks_of, value_beside_interval
from goldenrule.report import sentences, tables
from goldenrule.report.content import ReportContent
from goldenrule.report.facts import facts, network_facts
from goldenrule.report.figures.penalty_curve import penalty_curve, penalty_text
from goldenrule.report.figures.reliability import reliability_drawing
from goldenrule.report.thumbnails import thumbnail_of
from goldenrule.report.training_curves import training_section

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

MOST_MISTAKES = 12
MOST_GRID_CLASSES = 15
MOST_OPEN_ROWS = 20
MOST_EVIDENCE = 100

_LINES = "\n\t\r"
_INTERVAL = re.compile(r"(\[[-.,\d]+,) (?=[-.,\d]+\])")

SCRIPT = 'addEventListener("beforeprint",()=>{for(const d of document.querySelectorAll("details"))d.open=true})'
"""Folded tables are printed unfolded; the only script of the page, allowed by its digest."""


def render_page(content: ReportContent) -> str:
    """Return the whole page: styles, pictures and drawings are inside, and a policy forbids loading any more.

    Equal content gives an equal page, in the language that is spoken (`messages.spoken`). Names and paths may hold
    anything; they are shown, never interpreted.
    """
    single = content.predictions.task == "single"
    sections = {
        "scores": say("section.scores"),
        "data": say("section.data"),
        "time": say("section.time"),
        **({"confusion": say("section.confusion")} if single else {}),
        "mistakes": say("section.mistakes"),
        "classes": say("section.classes"),
        **({"calibration": say("section.calibration")} if content.calibration else {}),
        **({"penalty": say("section.penalty")} if content.penalty_path else {}),
        **({"training": say("section.training")} if content.live else {}),
        **({"backbones": say("section.backbones")} if content.backbones else {}),
        "candidates": say("section.candidates"),
        "findings": say("section.findings"),
        "network": say("section.network"),
        "next": say("section.next"),
    }
    page = (
        environment()
        .get_template("page.html")
        .render(
            content=content,
            sections=sections,
            head=sentences.headline(content.headline, content.headline_split),
            created=_readable_time(content.created),
            **_scores(content),
            **_data_and_time(content),
            **_answers(content.predictions, content),
            **(confusion_content(content.predictions) if single else {}),
            thresholds=content.thresholds,
            basis=content.bases.get(content.headline_split, Message(f"word.{content.headline.basis}")),
            **_choices(content),
            reliability=reliability_drawing(content.predictions, content.uncalibrated) if content.calibration else None,
            training=training_section(content.live) if content.live else None,
        )
    )
    return printable(page)


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
        "left_out": sentences.left_out_sentence(content.predictions),
        "alarm": sentences.alarm(content.findings),
        "leading": [finding for finding in content.findings if finding.leads],
    }


def _data_and_time(content: ReportContent) -> dict[str, Any]:
    return {
        "data": tables.data_table(content.counts, content.images),
        "seconds": sum(seconds for _, seconds in content.stages),
        "features": sentences.features_sentence(content.features.get("computed", 0), content.features.get("reused", 0)),
        "longest": max((seconds for _, seconds in content.stages), default=0.0),
    }


def _answers(predictions: Predictions, content: ReportContent) -> dict[str, Any]:
    """Return what is told image by image and class by class."""
    mistakes = most_confident_mistakes(predictions, MOST_MISTAKES)
    photos = [thumbnail_of(content.image, mistake.id) for mistake in mistakes]
    return {
        "mistakes": list(zip(mistakes, photos, strict=True)),
        "photos": sum(photo is not None for photo in photos),
        "mistakes_sentence": sentences.mistakes_sentence(predictions, content.headline_split, len(mistakes)),
        "classes": tables.weakest_first(predictions),
    }


def confusion_content(predictions: Predictions) -> dict[str, Any]:
    """Return what the section on confusion shows: a grid of few classes, a picture of many, the commonest pairs."""
    pairs = tables.confused_pairs(predictions)
    few = len(predictions.classes) <= MOST_GRID_CLASSES
    return {
        "grid": tables.confusion_rows(predictions) if few else None,
        "heatmap": None if few else _heatmap(predictions),
        "pairs": pairs,
        "repeated": [pair for pair in pairs if pair.count > 1],
    }


def _choices(content: ReportContent) -> dict[str, Any]:
    order = {"error": 0, "warning": 1, "note": 2}
    penalty = {"penalty (l2)": penalty_text(content.penalty)} if content.penalty_path else {}
    return {
        "curve": penalty_curve(content.penalty_path, content.penalty),
        "candidates": tables.candidate_scores(content.candidates),
        "backbones": tables.candidate_scores(content.backbones),
        "findings": sorted(content.findings, key=lambda finding: order[finding.severity]),
        "groups": [
            *network_facts(content.backbone, content.engine),
            facts(say("facts.options"), {**content.options, **penalty}),
            facts(say("facts.environment"), content.environment),
        ],
    }


def _heatmap(predictions: Predictions) -> str:
    """Return the confusion of many classes as inline SVG; the one drawing of a report that needs matplotlib."""
    from goldenrule.report.figures.plots import confusion_figure, figure_svg

    label = f"Heat map of {len(predictions.classes)} true classes against predicted classes."
    return figure_svg(confusion_figure(predictions), label=f"{label} The table below names the commonest mistakes.")


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
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "count": count,
        "duration": sentences.duration,
        "ended": _ended,
        "printed_splits": _printed_splits,
        "prose": _prose,
        "sureness": sentences.sureness,
        "track": _track,
        "word": word,
    }
    environment.globals |= {
        "most_open_rows": MOST_OPEN_ROWS,
        "most_evidence": MOST_EVIDENCE,
        "html_language": LANGUAGES[spoken],
        "say": _say_in_html,
        "script": SCRIPT,
        "script_digest": base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode("ascii"),
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


def _ended(text: str) -> str:
    """Return a sentence with the full stop that it lacks."""
    return text if text.endswith((".", "!", "?", "。")) else f"{text}."


def _prose(text: str) -> str:
    """Keep a number and its percent sign, and the two ends of an interval, on one line."""
    return _INTERVAL.sub("\\1\N{NO-BREAK SPACE}", text.replace(" %", "\N{NO-BREAK SPACE}%"))


def _track(estimate: Estimate, start: float) -> str:
    """Return where interval and value of a share lie on an axis from `start` to 1, as CSS properties."""
    ends = (estimate.low, estimate.high) if estimate.bounded else (estimate.value, estimate.value)
    low, high, value = (100 * min(max((share - start) / (1 - start), 0), 1) for share in (*ends, estimate.value))
    return f"--low:{low:.1f}%;--high:{100 - high:.1f}%;--value:{value:.1f}%"


def _readable_time(iso: str) -> str:
    try:
        moment = datetime.datetime.fromisoformat(iso)
    except ValueError:
        return iso
    return f"{moment:%Y-%m-%d %H:%M} {moment.tzname() or ''}".strip()
