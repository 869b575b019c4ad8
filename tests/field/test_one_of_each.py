"""What several pages, files and figures share is written in one place."""

from __future__ import annotations

import re
from pathlib import Path

import goldenrule as gr

SOURCE = Path(gr.__file__).parent
TEMPLATES = SOURCE / "report" / "pages" / "templates"


def test_all_pages_have_one_skeleton() -> None:
    texts = {path.name: path.read_text(encoding="utf-8") for path in TEMPLATES.glob("*.html")}
    assert [name for name, text in texts.items() if "<html" in text or "</body>" in text] == ["base.html"]
    rendered = {
        name
        for path in SOURCE.rglob("*.py")
        for name in re.findall(r'get_template\("([a-z]+\.html)"\)', path.read_text(encoding="utf-8"))
    }
    assert len(rendered) >= 7
    assert [name for name in rendered if not texts[name].startswith('{% extends "base.html" %}')] == []
