"""The page of an audit: complete in itself, whatever the names are, and seen in a real browser."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from goldenrule.analysis.audit import audit
from goldenrule.data.duplicates.near_duplicates import near_duplicates
from goldenrule.data.scan import looked
from goldenrule.data.sources.folders import from_folder
from goldenrule.report.pages.audit_page import render_audit


@pytest.fixture
def page(picture_folder: Callable[..., Path], tmp_path: Path) -> Path:
    root = picture_folder(classes=("<b>bold</b>", 'red & "blue"', "ŝiĥĉ"), each=12)
    shutil.copy(root / "ŝiĥĉ" / "00.png", root / "<b>bold</b>" / "'same' & <i>.png")
    table = from_folder(root)
    looks = looked(table)
    found = audit(table, looks, near_duplicates(table, looks))
    (tmp_path / "audit.html").write_text(render_audit(found, "<script>alert(1)</script>", "today"))
    return tmp_path / "audit.html"


def test_names_are_shown_and_never_interpreted(page: Path) -> None:
    text = page.read_text()
    assert "<script>alert" not in text
    assert "<i>.png" not in text
    assert "&lt;b&gt;bold&lt;/b&gt;" in text
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in text


def test_a_browser_shows_findings_and_samples_and_loads_nothing(page: Path) -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium on this machine (Debian: apt install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        ours = browser.new_page(viewport={"width": 400, "height": 800})
        requests: list[str] = []
        errors: list[str] = []
        ours.on("request", lambda request: requests.append(request.url))
        ours.on("pageerror", lambda error: errors.append(str(error)))
        ours.goto(page.as_uri())
        assert ours.locator("#findings article").count() >= 2
        assert ours.locator("#sheet img").count() == 18
        assert ours.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
        assert ours.evaluate("document.documentElement.scrollWidth") <= 400
        assert [url for url in requests if not url.startswith(("file:", "data:"))] == errors == []
        browser.close()
