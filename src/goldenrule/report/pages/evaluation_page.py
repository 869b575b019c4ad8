"""`render_evaluation`: what a classifier makes of images from elsewhere, as one HTML file that loads nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from goldenrule.core.findings import Finding
from goldenrule.metrics import Estimate, Predictions, most_confident_mistakes
from goldenrule.report import sentences as words
from goldenrule.report import tables
from goldenrule.report.album import Album
from goldenrule.report.pages.run_page import MOST_MISTAKES, confusion_content, environment, printable


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    """What the sections that a report has too ask for."""

    predictions: Predictions
    about_thresholds: str = ""


def render_evaluation(
    *,
    title: str,
    created: str,
    predictions: Predictions,
    quality: Estimate,
    scores: Sequence[Estimate],
    sentences: Sequence[str],
    broken: bool,
    findings: Sequence[Finding],
    image: Callable[[str], bytes | None],
) -> str:
    """Return the whole page: the number, whether it is what was promised, then mistakes, confusion and classes.

    `broken` marks the first of the `sentences`, which says that the promise was not kept. `image` gives the bytes of an
    image by its id, None where they are gone.
    """
    single = predictions.task == "single"
    mistakes = most_confident_mistakes(predictions, MOST_MISTAKES)
    album = Album(image)
    score_table = tables.split_scores({"evaluate": {one.name: one for one in scores}}, "")
    page = (
        environment()
        .get_template("evaluation.html")
        .render(
            title=title,
            created=created,
            head=words.headline(quality, "evaluated").sentence,
            sentences=sentences,
            broken=broken,
            scores=score_table,
            left_out=words.left_out_sentence(predictions),
            baseline=words.baseline_sentence(predictions),
            content=_Shown(predictions=predictions),
            mistakes=[(one, album.picture(one.id)) for one in mistakes],
            mistakes_sentence=words.mistakes_sentence(predictions, "evaluated", len(mistakes)),
            classes=[one for one in tables.weakest_first(predictions) if one.support or not single],
            thresholds=None,
            findings=findings,
            single=single,
            **(confusion_content(predictions, album) if single else {}),
        )
    )
    return printable(page)
