"""`render_explained`: pictures with heat maps and nearest training images, as one HTML file that loads nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from goldenrule.analysis.explanation import Explained, Explanation
from goldenrule.analysis.nearest_images import Neighbour
from goldenrule.core.messages import count
from goldenrule.data.sources.picture_files import read_picture
from goldenrule.report.figures.heat import heat_thumbnail
from goldenrule.report.pages.run_page import environment, printable
from goldenrule.report.thumbnails import Thumbnail, thumbnail_of

MOST_SHOWN = 200
"""So many images stand on the page; explained.json has all."""
SIDE_PX, NEAR_SIDE_PX = 240, 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """An explanation with its pictures; None where a file is gone."""

    explanation: Explanation
    picture: Thumbnail | None
    heat: Thumbnail | None
    nearest: tuple[tuple[Neighbour, Thumbnail | None], ...]


def render_explained(found: Explained, created: str) -> str:
    """Return the whole page. Names and paths may hold anything; they are shown, never interpreted."""
    read = sum(explanation.status == "ok" for explanation in found.explanations)
    left = len(found) - read
    head = f"{count(read, 'image')} explained{f', {left:,} unreadable' if left else ''}"
    page = (
        environment()
        .get_template("explained.html")
        .render(
            title=found.run.resolve().name,
            created=created,
            head=head,
            notes=found.notes,
            shown=list(_shown(found)),
            more=max(0, len(found) - MOST_SHOWN),
            train=len(found.train),
        )
    )
    return printable(page)


def _shown(found: Explained) -> Iterator[Shown]:
    for explanation in found.explanations[:MOST_SHOWN]:
        path = str(explanation.path)
        yield Shown(
            explanation=explanation,
            picture=thumbnail_of(_content, path, side=SIDE_PX) if explanation.status == "ok" else None,
            heat=heat_thumbnail(_content, path, explanation.heat, side=SIDE_PX) if explanation.heat else None,
            nearest=tuple(
                (one, thumbnail_of(found.train.read, one.id, side=NEAR_SIDE_PX)) for one in explanation.nearest
            ),
        )


def _content(path: str) -> bytes:
    return read_picture(path)
