"""The page of an explanation: complete in itself, whatever the names are, and seen in a real browser."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from goldenrule.analysis.explanation import Explained, Explanation
from goldenrule.analysis.gradcam import HeatMap
from goldenrule.analysis.nearest_images import Neighbour, Neighbours
from goldenrule.data.table import image_table
from goldenrule.report.figures.heat import laid_over
from goldenrule.report.pages.explained_page import render_explained

ODD = "'a' & <b>bold.png"


@pytest.fixture
def page(tmp_path: Path) -> Path:
    draws = np.random.default_rng(0)
    Image.fromarray(draws.integers(0, 255, (90, 160, 3), np.uint8)).save(tmp_path / ODD)
    train = image_table(tmp_path, ("<i>x</i>", "y"), uris=[ODD, "gone.png"], splits=["train"] * 2, labels=[[0], [1]])
    near = (
        Neighbour(id=ODD, labels=("<i>x</i>",), similarity=1.0, copy="same file"),
        Neighbour(id="gone.png", labels=("y",), similarity=0.4),
    )
    heat = HeatMap(of="<i>x</i>", values=draws.normal(size=(7, 7)).astype(np.float32), window=(0.2, 0, 0.8, 1))
    fine = Explanation(
        id=ODD,
        path=tmp_path / ODD,
        status="ok",
        prediction="<i>x</i>",
        probability=0.9,
        neighbours=Neighbours(id=ODD, nearest=near),
        heat=heat,
    )
    broken = Explanation(
        id="<script>alert(1)</script>.jpg",
        path=tmp_path / "none.jpg",
        status="unreadable",
        why="the file is empty",
        neighbours=Neighbours(id="x"),
    )
    found = Explained(run=tmp_path, train=train, explanations=(fine, broken), notes=("A <note>.",))
    (tmp_path / "explained.html").write_text(render_explained(found, "today"))
    return tmp_path / "explained.html"


def test_names_are_shown_and_never_interpreted(page: Path) -> None:
    text = page.read_text()
    assert "<script>alert" not in text
    assert "<b>bold" not in text
    assert "<i>x" not in text
    assert "&lt;i&gt;x&lt;/i&gt;" in text
    assert "http://" not in text
    assert "https://" not in text


def test_a_browser_shows_picture_heat_map_and_neighbours_and_loads_nothing(page: Path) -> None:
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
        assert ours.locator("article").count() == 2
        assert ours.locator("article img").count() == 3
        assert ours.locator(".other").all_inner_texts() == ["y"]
        assert ours.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
        assert ours.evaluate("document.documentElement.scrollWidth") <= 400
        assert [url for url in requests if not url.startswith(("file:", "data:"))] == errors == []
        browser.close()


def test_without_heat_a_picture_is_its_gray_self_and_what_is_not_seen_is_paler(tmp_path: Path) -> None:
    picture: Any = np.full((10, 20, 3), 100, np.uint8)
    cold = HeatMap(of="a", values=np.full((2, 2), -1, np.float32), window=(0.25, 0, 0.75, 1))
    drawn = laid_over(picture, cold)
    assert (drawn[:, 5:15] == 100).all()
    assert (drawn[:, :5] > 150).all()
    hot = HeatMap(of="a", values=np.ones((2, 2), np.float32), window=(0, 0, 1, 1))
    red, _, blue = laid_over(picture, hot)[5, 10].tolist()
    assert red > blue
