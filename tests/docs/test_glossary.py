"""The glossary is a sorted table without gaps, and its links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (DOCS / "glossary.md").read_text("utf-8").splitlines()
    if line.startswith("| ")
][1:]


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings as GitHub makes them."""
    found: list[str] = []
    for heading in re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE):
        name = re.sub(r"[^\w\- ]", "", re.sub(r"\]\([^)]*\)", "", heading).lower()).replace(" ", "-")
        found.append(f"{name}-{found.count(name)}" if name in found else name)
    return set(found)


def test_terms_are_sorted_and_named_once() -> None:
    terms = [row[0].casefold() for row in ROWS]
    assert len(terms) > 100
    assert terms == sorted(set(terms))


def test_every_term_has_its_words_a_line_and_a_link() -> None:
    assert [row for row in ROWS if len(row) != 5 or not all(row)] == []


def test_every_link_leads_somewhere() -> None:
    for row in ROWS:
        found = re.fullmatch(r"\[[^\]]+\]\(([^)]+)\)", row[4])
        assert found, row
        if found[1].startswith("https://"):
            continue
        page, _, anchor = found[1].partition("#")
        assert (DOCS / page).is_file(), row
        assert not anchor or anchor in anchors(DOCS / page), row


def test_the_readme_leads_to_the_glossary() -> None:
    assert "(docs/glossary.md)" in (DOCS.parent / "README.md").read_text("utf-8")
