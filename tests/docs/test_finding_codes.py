"""What is said of folders and files is described for those who read it."""

from __future__ import annotations

import re
from pathlib import Path

import goldenrule
from goldenrule.core.messages import catalog

SOURCE = Path(goldenrule.__file__).parent / "data"
PAGES = Path(__file__).parents[2] / "docs"
OF_FOLDERS = (
    "classes",
    "sources/label_tables",
    "sources/left_out",
    "pictures/levels",
    "sources/folders",
    "sources/tables_beside",
    "pictures/unread",
)


def codes_of(name: str) -> set[str]:
    """Return the codes that a module names, however: a finding's code is one that has texts."""
    known = {text.split(".")[1] for text in catalog("en") if text.startswith("finding.")}
    return known & set(re.findall(r'"([a-z0-9-]+)"', (SOURCE / f"{name}.py").read_text()))


def test_every_code_about_folders_and_files_is_described_in_the_pages() -> None:
    codes = set().union(*map(codes_of, OF_FOLDERS))
    assert {"link-often", "excluded-classes", "unreadable", "levels", "folder-closed", "images-unlisted"} <= codes
    text = "\n".join(page.read_text() for page in (PAGES / "how-to").glob("*.md"))
    assert sorted(code for code in codes if f"`{code}`" not in text) == []
