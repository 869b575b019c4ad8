"""The menu of the site, from the pages that lead to others: nothing is listed twice.

A folder's README.md links its pages in the order in which they are meant to be read; the menu has that order. A page
that no list names is a warning of Sphinx ("not included in any toctree"), and warnings fail the build.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

FRONT = "README"
HOW_TO = "docs/how-to/README"
LISTS = ("docs/lessons/README", "docs/results/README", "docs/decisions/README")
"""Pages whose links are their own part of the menu, folded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """A part of the menu: its heading, and its pages as paths in the checkout without `.md`."""

    heading: str = ""
    pages: tuple[str, ...]

    def directive(self) -> str:
        """Return the part as a `toctree` that isn't shown in the page itself."""
        heading = f":caption: {self.heading}\n" if self.heading else ""
        pages = "\n".join(f"/{page}" for page in self.pages)
        return f"```{{toctree}}\n:hidden:\n{heading}\n{pages}\n```"


def with_navigation(root: Path, page: str, text: str) -> str:
    """Return a page's text with its part of the menu at the end; most pages have none."""
    if page == FRONT:
        chapters = whole_menu((root / f"{HOW_TO}.md").read_text(encoding="utf-8"))
    elif page in LISTS:
        chapters = (Chapter(pages=linked(page, text)),)
    else:
        chapters = ()
    return "\n\n".join([text, *(chapter.directive() for chapter in chapters)])


def whole_menu(how_to: str) -> tuple[Chapter, ...]:
    """Return the menu in the order a newcomer wants; the chapters of how-tos are the headings of their list."""
    parts = re.split(r"^## (.*)$", how_to, flags=re.MULTILINE)
    return (
        Chapter(heading="Start", pages=("docs/guide", "docs/notebooks/quickstart", "docs/from-fastai", HOW_TO)),
        *(
            Chapter(heading=f"How to: {heading[0].lower()}{heading[1:]}", pages=linked(HOW_TO, text))
            for heading, text in zip(parts[1::2], parts[2::2], strict=True)
        ),
        Chapter(heading="Learn", pages=("docs/lessons/README", "docs/glossary")),
        Chapter(heading="Measured", pages=("docs/results/README",)),
        Chapter(
            heading="Reference",
            pages=tuple(f"docs/reference/{name}" for name in ("commands", "python", "files", "screens")),
        ),
        Chapter(
            heading="Background",
            pages=("docs/design", "docs/scale", "docs/decisions/README", "docs/security", "docs/dependencies"),
        ),
        Chapter(heading="Take part", pages=("CONTRIBUTING", "CHANGELOG")),
    )


def linked(page: str, text: str) -> tuple[str, ...]:
    """Return the pages of its own folder that a page links, each once, in order.

    >>> linked("docs/results/README", "[b](b.md), [a](a.md#anchor), [b again](b.md), [not here](../guide.md)")
    ('docs/results/b', 'docs/results/a')
    """
    folder = page.rpartition("/")[0]
    names = re.findall(r"\]\(([\w.-]+)\.md(?:#[^)]*)?\)", text)
    return tuple(dict.fromkeys(f"{folder}/{name}" for name in names))
