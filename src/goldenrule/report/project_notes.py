"""Notes that people write for a report: Markdown to HTML that loads nothing and leads nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markupsafe import Markup

LOWER = 2
"""So many levels lower stand the headings of notes in a page."""


def notes_html(notes: str) -> Markup:
    r"""Return notes in Markdown (CommonMark and tables) as HTML; their own HTML is shown as text, links and images too.

    A heading of the first level becomes one of the third: the page's own stand above it.

    >>> str(notes_html("# Goal <b>"))
    '<h3>Goal &lt;b&gt;</h3>\n'
    """
    from markdown_it import MarkdownIt
    from markupsafe import Markup

    if not notes.strip():
        return Markup("")
    reader = MarkdownIt("commonmark", {"html": False}).enable("table").disable(["link", "image", "autolink"])
    tokens = reader.parse(notes)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1:]) + LOWER, 6)}"
    return Markup(reader.renderer.render(tokens, reader.options, {}))  # noqa: S704 - it escapes all text
