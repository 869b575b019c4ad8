"""`render_insight`: what a run's images tell beyond the scores, in sections, as one HTML file that loads nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from goldenrule.report.pages.run_page import environment, printable
from goldenrule.report.thumbnails import thumbnail_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One image of a section: its label, what else it may be ("" for nothing), and what is said below.

    `joined` is the word between both: "→" where the first is taken for the second, "rather" where it should be it.
    `shares` are the probabilities of both in words, where they are told; `standing` says what that makes of the label.
    """

    uri: str
    split: str
    label: str
    other: str = ""
    joined: str = "→"
    shares: tuple[str, str] | None = None
    standing: str = ""
    note: str = ""

    @property
    def said(self) -> str:
        """Everything that is said below the image."""
        shares = self.shares and f"{self.label} {self.shares[0]}, {self.other} {self.shares[1]}"
        told = ": ".join(filter(None, (self.standing, shares)))
        return "; ".join(filter(None, (told, self.note)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One piece of insight: sentences, then images or a drawing (inline SVG), and the same as plain JSON.

    `key` names the section in links and in labels.json; `seconds` is what it took; `method` says how it was found, for
    who has the time to read it.
    """

    key: str
    title: str
    sentences: tuple[str, ...]
    seconds: float
    cards: tuple[Card, ...] = ()
    drawing: str = ""
    method: tuple[str, ...] = ()
    numbers: Mapping[str, Any] = field(default_factory=dict)


def render_insight(
    title: str,
    created: str,
    head: str,
    sections: Sequence[Section],
    *,
    image: Callable[[str], bytes | None],
    notes: Sequence[str] = (),
) -> str:
    """Return the whole page: `head` in large letters, then the sections in their order, and notes at the end.

    `image` gives the bytes of an image by its uri, None where they are gone.
    """
    pictures = {card.uri: thumbnail_of(image, card.uri) for section in sections for card in section.cards}
    page = (
        environment()
        .get_template("insight.html")
        .render(
            title=title,
            created=created,
            head=head,
            sections=sections,
            pictures=pictures,
            notes=notes,
        )
    )
    return printable(page)
