"""The report as its readers meet it: the answer first, pictures behind numbers, thresholds, their own words."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goldenrule.core.messages import spoken
from goldenrule.core.schema import as_json
from goldenrule.metrics import Estimate, Predictions, accuracy, confusion
from goldenrule.report.content import Promised, ReportContent
from goldenrule.report.content_files import kept_content
from goldenrule.report.pages.run_page import render_page
from goldenrule.storage.manifest import is_sealed
from goldenrule.tasks.run_learning_curve import FOLDER, NUMBERS, SCHEMA_VERSION

Command = Callable[..., subprocess.CompletedProcess[str]]
Made = Callable[..., Path]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
AXE = os.environ.get("GOLDENRULE_AXE", "")
"""The file axe.min.js of the npm package axe-core; without it nothing is asked of it."""
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")


@pytest.fixture(scope="module")
def told(made_run: Made) -> Callable[..., ReportContent]:
    """Return the content of a real run's report, with predictions of as many classes of which so many are wrong."""
    made = made_run("cats", "dogs")
    read = kept_content(made / "run" / "report", lambda uri: (made / "set" / uri.split("#")[0]).read_bytes())
    pictures = sorted(path.relative_to(made / "set").as_posix() for path in (made / "set").rglob("*.png"))

    def content(classes: int = 2, n: int = 60, wrong: int = 9, **changes: Any) -> ReportContent:
        names = ["cats", "dogs", *(f"class {k:03d}" for k in range(2, classes))][:classes]
        truth = np.arange(n) % classes
        said = np.where(np.arange(n) < wrong, (truth + 1 + np.arange(n) % 2) % classes, truth)
        said = np.where((np.arange(n) < wrong) & (said == truth), (truth + 1) % classes, said)
        logits = np.random.default_rng(0).normal(0, 0.5, (n, classes))
        logits[np.arange(n), said] += 2
        ids = [f"{pictures[row % len(pictures)]}#{row}" for row in range(n)]
        predictions = Predictions.from_logits(logits, names, truth=truth, ids=ids)
        found = accuracy(predictions)
        counts = {"train": dict.fromkeys(names, 8), "test": dict.fromkeys(names, n // classes)}
        estimates = {"test": {"accuracy": found}}
        fields = {"headline": found, "headline_split": "test", "estimates": estimates, "counts": counts}
        return replace(read, predictions=predictions, **(fields | changes))

    return content


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


def text(html: str) -> str:
    """Return what is read of a page."""
    bare = re.sub(r"<(style|script)>.*?</\1>", "", html, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", bare)).split())


def section(html: str, anchor: str) -> str:
    found = re.search(rf'<section id="{anchor}">.*?</section>', html, re.DOTALL)
    assert found, f"the page has no section {anchor}"
    return found[0]


def test_the_answer_comes_first_in_numbers_of_images_and_what_it_was_made_with_is_folded(told: Any) -> None:
    html = render_page(told())
    assert re.search(r"\d+ of 60 held-out images are named rightly; of 100 new ones it may be \d+ to \d+", html)
    order = re.findall(r'<section id="([a-z]+)">', html)
    results = [
        "findings",
        "pictures",
        "mistakes",
        "scores",
        "confusion",
        "classes",
        "curves",
        "promises",
        "calibration",
    ]
    assert order[: order.index("data")] == [*results, "next"]
    for anchor in order[order.index("data") :]:
        assert section(html, anchor).split("\n")[1].startswith("<details><summary><h2>"), anchor


def test_every_class_has_a_strip_of_pictures_with_what_is_predicted_and_many_classes_are_bounded(told: Any) -> None:
    few = section(render_page(told(3)), "pictures")
    assert few.count('<div class="strip">') == 3
    assert few.count("<img ") == 18
    assert few.count('class="is-wrong"') >= 1
    many = section(render_page(told(120, 480, 100)), "pictures")
    assert many.count("<img ") <= 72
    left_out = re.search(r"(\d+) more classes are not shown here", many)
    assert left_out
    assert int(left_out[1]) + many.count('<div class="strip">') == 120


def test_a_confused_cell_leads_to_its_pictures_and_says_how_many_are_left_out(told: Any) -> None:
    content = told(3, 120, 80)
    html = render_page(content)
    part = section(html, "confusion")
    doors = set(re.findall(r'<a href="#(cell-\d+-\d+)"', part))
    assert doors
    assert doors == set(re.findall(r'id="(cell-\d+-\d+)"', part))
    shown = part.count("<img ")
    assert shown <= 90
    left_out = re.search(r"leave out ([\d,]+) mistakes", part)
    assert (int(left_out[1]) if left_out else 0) + shown == 80
    assert re.search(r'<input type="radio"[^>]*id="as-shares">', part)


def test_confused_classes_stand_side_by_side() -> None:
    from goldenrule.report.confusion_view import confusion_order

    rng = np.random.default_rng(1)
    for size in (2, 5, 40):
        table = rng.integers(0, 3, (size, size)) * (rng.random((size, size)) < 0.1)
        np.fill_diagonal(table, 9)
        order = confusion_order(table)
        assert sorted(order) == list(range(size))
        both = table + table.T
        np.fill_diagonal(both, 0)
        one, other = divmod(int(both.argmax()), size)
        assert both.max() == 0 or abs(order.index(one) - order.index(other)) == 1


def test_a_hundred_and_twenty_classes_are_a_heat_map_that_opens_at_its_largest_cells(told: Any) -> None:
    content = told(120, 480, 100)
    part = section(render_page(content), "confusion")
    squares = sum(path.count("M") for path in re.findall(r'<path class="(?:hit|miss)"[^>]*d="([^"]*)"', part))
    assert squares == int((confusion(content.predictions) > 0).sum())
    assert part.count('class="door"') == len(set(re.findall(r'id="(cell-\d+-\d+)"', part)))
    assert len(render_page(content).encode()) < 2_000_000


def test_thresholds_count_what_is_found_missed_and_raised_falsely(told: Any) -> None:
    content = told()
    (first, *_) = re.findall(r'data-steps="([^"]*)"', render_page(content))
    steps = json.loads(unescape(first))
    scored = content.predictions
    name = re.search(r"<h3><bdi>(.*?)</bdi></h3>", section(render_page(content), "curves"))
    assert name
    label = scored.classes.index(name[1])
    for step in steps:
        called = scored.probabilities[:, label] >= float(step[0]) - 5e-4
        surely = scored.probabilities[:, label] >= float(step[0]) + 5e-4
        true = scored.truth == label
        found, missed, alarms = (int(count) for count in step[1:4])
        assert (surely & true).sum() <= found <= (called & true).sum()
        assert found + missed == true.sum()
        assert (surely & ~true).sum() <= alarms <= (called & ~true).sum()
        assert step[4] == str(Estimate.of_share("recall", found, found + missed)).partition(" n=")[0]
    assert 'data-steps="' not in render_page(told(3))


@needs_browser
def test_the_slider_shows_each_step_and_a_click_on_a_cell_its_pictures_without_a_network(
    told: Any, browser: Any, tmp_path: Path
) -> None:
    file = tmp_path / "report.html"
    file.write_text(render_page(told()), encoding="utf-8")
    page = browser.new_context(viewport={"width": 400, "height": 900}, offline=True).new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text))
    page.goto(file.as_uri())
    steps = json.loads(page.locator("[data-steps]").first.get_attribute("data-steps"))
    slider = page.locator("input[type=range]").first
    for place in (0, len(steps) // 2, len(steps) - 1):
        slider.fill(str(place))
        cells = page.locator("[data-steps]").first.locator("[data-cell]").all_text_contents()
        assert cells == [str(cell) for cell in steps[place][:6]]
    hidden = page.locator(".cell-pictures").first
    assert not hidden.is_visible()
    page.locator(f'.grid a[href="#{hidden.get_attribute("id")}"]').click()
    assert hidden.is_visible()
    page.locator("#as-shares").check()
    assert page.locator(".as-share").first.is_visible()
    assert not page.locator(".as-count").first.is_visible()
    page.locator('nav a[href="#network"]').click()
    assert page.locator("#network .facts").first.is_visible()
    assert problems == []


def opened(browser: Any, file: Path, html: str, width: int) -> Any:
    """Return a page with everything unfolded."""
    file.write_text(html, encoding="utf-8")
    page = browser.new_context(viewport={"width": width, "height": 900}, bypass_csp=True).new_page()
    page.goto(file.as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    return page


@needs_browser
def test_on_a_phone_no_table_of_scores_is_cut(told: Any, browser: Any, tmp_path: Path) -> None:
    for content in (told(), told(30, 90, 40)):
        page = opened(browser, tmp_path / "report.html", render_page(content), 400)
        tables = "[...document.querySelectorAll('table.scores')]"
        assert page.evaluate(f"{tables}.filter(one => one.scrollWidth > one.parentElement.clientWidth + 1).length") == 0
        assert page.evaluate("document.documentElement.scrollWidth") == 400


@needs_browser
@pytest.mark.skipif(not AXE, reason="GOLDENRULE_AXE names no axe.min.js")
@pytest.mark.parametrize("width", [400, 1200])
def test_axe_finds_nothing(told: Any, browser: Any, tmp_path: Path, width: int) -> None:
    for content in (told(), told(30, 90, 40)):
        page = opened(browser, tmp_path / "report.html", render_page(content), width)
        page.evaluate(Path(AXE).read_text(encoding="utf-8"))
        found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        assert [(one["id"], one["nodes"][0]["html"]) for one in found["violations"]] == []


def test_promises_stand_beside_what_was_found_and_a_broken_one_is_marked(told: Any) -> None:
    kept = Promised(what="sets", promised=0.95, found=Estimate.of_share("coverage", 189, 200), split="test")
    broken = Promised(what="ood", promised=0.02, found=Estimate.of_share("flagged", 30, 200), split="test")
    part = section(render_page(told(promises=(kept, broken))), "promises")
    rows = [text(row) for row in re.findall(r"<tr.*?</tr>", part, re.DOTALL)[1:]]
    assert rows[0].startswith("Prediction sets hold the true class 95 % or more 94.5 % [90.4, 96.9] n=200 test yes")
    assert rows[1].startswith("Ordinary images are flagged as out-of-distribution 2 % or less 15.0 %")
    assert part.count('class="is-broken"') == 1
    assert 'class="is-broken"' in part.split("<tr")[3]


def test_too_few_images_for_a_diagram_are_said_and_not_drawn(told: Any) -> None:
    few = section(render_page(told(2, 12, 2)), "calibration")
    assert "too few images to say more" in few
    assert "<svg" not in few
    assert "<svg" in section(render_page(told(2, 200, 40)), "calibration")


def test_advice_is_ranked_by_what_it_could_gain_and_says_what_it_counted(told: Any) -> None:
    part = section(render_page(told(3, 120, 40)), "next")
    gains = [float(gain) for gain in re.findall(r"(?:up to|about) ([\d.]+) points", part)]
    assert len(gains) >= 2
    assert gains == sorted(gains, reverse=True)
    assert "of 120 test images are confused between the two" in part
    assert "Train the network itself: this was a quick fit of its linear head" in part
    assert text(part).index("not known") > text(part).rindex("points")


def test_a_report_carries_title_team_goal_and_notes_as_text(run: Path, command: Command, tmp_path: Path) -> None:
    notes = tmp_path / "notes.md"
    notes.write_text("# Method\n\nWe *tried* <b>x</b>.\n\n![p](https://example.org/p.png) <script>alert(1)</script>\n")
    words = ("report", run, "--title", "Our <pets>", "--team", "A & B", "--goal", "Tell cats", "--notes", notes)
    before = (run / "result.json").read_bytes()
    pages = []
    for _ in range(2):
        found = command(*words)
        assert (found.returncode, found.stderr) == (0, "")
        pages.append(((run / "report.html").read_bytes(), (run / "MODEL_CARD.md").read_bytes()))
    assert pages[0] == pages[1], "same run, same words, same bytes"
    html = pages[0][0].decode()
    part = text(section(html, "project"))
    for said in ("A & B", "Tell cats", "Method", "<b>x</b>", "Environment", "Steps", "Architecture", "Problems"):
        assert said in part
    assert "<em>tried</em>" in html
    assert "<h3>Method</h3>" in html
    assert html.count("<script>") == 1
    assert '<img src="http' not in html
    assert "Our &lt;pets&gt;" in html
    assert "Tell cats" in pages[0][1].decode()
    assert (run / "result.json").read_bytes() == before


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "can't be read"), (b"\xff\xfe\x00", "is no UTF-8 text"), (b"x" * (2 << 20), "can't be read")],
    ids=["missing", "no text", "too large"],
)
def test_notes_that_cannot_be_read_are_an_error_and_nothing_is_written(
    run: Path, command: Command, tmp_path: Path, content: bytes | None, said: str
) -> None:
    notes = tmp_path / "notes.md"
    if content is not None:
        notes.write_bytes(content)
    before = (run / "report.html").read_bytes()
    found = command("report", run, "--notes", notes)
    assert found.returncode == 2
    assert f"--notes {notes} {said}" in found.stderr.replace("\n", " ")
    assert "Traceback" not in found.stderr
    assert (run / "report.html").read_bytes() == before


def test_a_run_has_a_model_card_that_markdown_shows_as_it_is_and_a_changed_one_stays(
    run: Path, command: Command
) -> None:
    card = run / "MODEL_CARD.md"
    said = card.read_text()
    assert said.startswith("---\nlibrary_name: goldenrule\n")
    result = json.loads((run / "result.json").read_text())
    assert f"n={result['headline']['n']}" in said
    for heading in ("What it is for", "Scores", "Data", "Classes", "Limits", "Settings, environment, licences"):
        assert f"\n## {heading}\n" in said
    assert is_sealed(run)
    mine = said.replace("## Limits", "## Limits, by me")
    card.write_text(mine)
    assert command("report", run).returncode == 0
    assert card.read_text() == mine
    card.unlink()
    assert command("report", run).returncode == 0
    assert card.read_text() == said


def test_a_measured_learning_curve_joins_the_report(run: Path, command: Command) -> None:
    points = [{"images_per_class": 2.0**k, "value": 0.6 + 0.05 * k, "low": 0.5, "high": 0.95} for k in range(1, 6)]
    gain = {"value": 0.021, "low": 0.004, "high": 0.04}
    curve = {
        "schema_version": SCHEMA_VERSION,
        "metric": "accuracy",
        "images_per_class": 32.0,
        "points": points[:4],
        "forecasts": points[4:],
        "enough": {"ahead": [{"times": 2.0, "gain": gain}], "says": "More images would help."},
    }
    place = run / FOLDER / NUMBERS
    place.parent.mkdir()
    place.write_text(json.dumps(curve))
    assert command("report", run).returncode == 0
    part = section((run / "report.html").read_text(), "next")
    assert "More images would help." in part
    assert "about 2.1 points" in part
    assert part.count("<circle") == 5
    place.write_text('{"schema_version": 2}')
    assert command("report", run).returncode == 0
    assert "<circle" not in section((run / "report.html").read_text(), "next")


def test_every_page_is_the_same_twice_and_in_three_languages(told: Any) -> None:
    content = told(3, 90, 20)
    pages = {}
    for language in ("en", "ja", "zh"):
        with spoken(language):
            pages[language] = render_page(content)
            assert render_page(content) == pages[language]
    assert len({page.count("<img ") for page in pages.values()}) == 1
    assert as_json(content.headline)["n"] == 90
