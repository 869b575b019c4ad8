"""The page of `goldenrule serve`, in a real browser: real photos come in, and what comes out is what predict says."""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
AXE = os.environ.get("GOLDENRULE_AXE", "")
"""The file axe.min.js of the npm package axe-core; without it nothing is asked of it."""
SECONDS = 60.0
MANY = 40
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine (Debian: apt install chromium)")


@pytest.fixture(scope="module")
def address(fitted: Any) -> Iterator[str]:
    """Where the run of real cats and dogs is served, in a process of its own."""
    cache = {"GOLDENRULE_CACHE": str(fitted.folder.parent / "cache"), "PYTHONWARNINGS": "ignore", "COLUMNS": "300"}
    words = [sys.executable, "-m", "goldenrule", "serve", str(fitted.folder), "--port", "0"]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(words, env=os.environ | cache, **pipes) as process:
        assert process.stdout is not None
        found = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
        assert found, process.communicate()
        yield found[0]
        process.terminate()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        sync_api.expect.set_options(timeout=1000 * SECONDS)
        yield opened
        opened.close()


@pytest.fixture
def opened(browser: Any, address: str) -> Iterator[Callable[..., Any]]:
    """Open the page; nothing but the server is asked, and the browser has nothing to complain of."""
    contexts, asked, complaints = [], [], []

    def page(**how: Any) -> Any:
        contexts.append(browser.new_context(**({"viewport": {"width": 1100, "height": 800}} | how)))
        new = contexts[-1].new_page()
        new.set_default_timeout(1000 * SECONDS)
        new.on("request", lambda request: asked.append(request.url))
        new.on("pageerror", lambda error: complaints.append(str(error)))
        new.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        new.goto(address)
        expect(new.locator("#classes")).to_have_text("2 classes: cats, dogs.")
        return new

    yield page
    for context in contexts:
        context.close()
    assert {url.split("/page/")[0] for url in asked if "/page/" in url} == {address}
    assert all(url.startswith((address, "data:", f"blob:{address}")) for url in asked)
    assert [text for text in complaints if "Failed to load resource" not in text] == []


def expect(locator: Any) -> Any:
    from playwright.sync_api import expect as expected

    return expected(locator)


@pytest.fixture(scope="module")
def pictures(small_photos: Path) -> list[Path]:
    return [sorted((small_photos / "valid" / label).iterdir())[0] for label in ("cats", "dogs")]


@pytest.fixture(scope="module")
def broken(pictures: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("broken") / "'<b>bold.jpg"
    path.write_bytes(pictures[0].read_bytes()[:2000])
    return path


def rows_of(address: str, *files: Path) -> list[dict[str, Any]]:
    sent = [("files", (one.name, one.read_bytes())) for one in files]
    return httpx.post(f"{address}/predict", files=sent, timeout=SECONDS, verify=False).json()["predictions"]


DROP = """
async ([names, contents, kind]) => {
  const transfer = new DataTransfer();
  for (const [place, name] of names.entries()) {
    const bytes = Uint8Array.from(atob(contents[place]), (letter) => letter.charCodeAt(0));
    transfer.items.add(new File([bytes], name, { type: "image/jpeg" }));
  }
  const event = kind === "drop"
    ? new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true })
    : new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true });
  document.body.dispatchEvent(event);
}
"""


def given(page: Any, kind: str, *files: Path) -> None:
    """Drop or paste files."""
    import base64

    contents = [base64.b64encode(one.read_bytes()).decode() for one in files]
    page.evaluate(DROP, [[one.name for one in files], contents, kind])


def test_chosen_dropped_and_pasted_pictures_get_a_card_each_that_says_what_predict_says(
    opened: Callable[..., Any], address: str, pictures: list[Path], broken: Path
) -> None:
    page = opened()
    page.set_input_files("#files", [*map(str, pictures), str(broken)])
    expect(page.locator("#status")).to_have_text(re.compile("3 pictures: .*1 unreadable."))
    for place, row in enumerate(rows_of(address, *pictures, broken)[:2]):
        card = page.locator(".card").nth(place)
        expect(card.locator("h2")).to_contain_text(row["prediction"])
        expect(card.locator(".bars li").first).to_contain_text(row["prediction"])
        shown = card.locator(".share").first.inner_text()
        assert float(re.findall(r"[\d.]+", shown)[0]) == pytest.approx(100 * row["probability"], abs=0.1)
        words = "is ruled out" if len(row["set"]) == 1 else "can be ruled out"
        expect(card.locator(".set")).to_contain_text("promises" if row["ood"] else words)
        assert card.locator("canvas").evaluate("one => !one.hidden && one.width > 100")
    bad = page.locator(".card").nth(2)
    expect(bad.locator("h2")).to_have_text("Unreadable")
    expect(bad.locator(".path")).to_have_text("'<b>bold.jpg")
    expect(bad.locator(".alarm")).to_contain_text("It can't be read: ")
    given(page, "drop", pictures[1])
    expect(page.locator("#status")).to_contain_text("4 pictures: ")
    given(page, "paste", pictures[0])
    expect(page.locator("#status")).to_contain_text("5 pictures: ")
    assert page.locator(".card .path").all_inner_texts()[:2] == [pictures[0].name, pictures[1].name], "the newest first"
    page.click("#clear")
    expect(page.locator(".card")).to_have_count(0)


def test_the_table_is_the_one_that_predict_writes(
    opened: Callable[..., Any],
    pictures: list[Path],
    broken: Path,
    fitted: Any,
    command: Callable[..., Any],
    tmp_path: Path,
) -> None:
    folder = tmp_path / "some"
    folder.mkdir()
    for one in (*pictures, broken):
        shutil.copy(one, folder / f"={one.name}")
    done = command("predict", fitted.folder, folder, "-o", "wanted.csv")
    assert done.returncode == 0, done.stderr
    page = opened()
    page.set_input_files("#files", sorted(map(str, folder.iterdir())))
    expect(page.locator("#status")).to_contain_text("3 pictures: ")
    with page.expect_download() as download:
        page.click("#download")
    found, wanted = (
        list(csv.DictReader(io.StringIO(Path(path).read_text(), newline="")))
        for path in (download.value.path(), tmp_path / "wanted.csv")
    )
    assert download.value.suggested_filename == "predictions.csv"
    assert list(found[0]) == list(wanted[0])
    for one, other in zip(found, wanted, strict=True):
        for name, cell in one.items():
            same = cell == other[name] or float(cell) == pytest.approx(float(other[name]), abs=1e-6)
            assert same, (name, cell, other[name])


def test_why_shows_the_heat_map_and_the_nearest_training_images_by_keyboard_alone(
    opened: Callable[..., Any], pictures: list[Path]
) -> None:
    page = opened(viewport={"width": 400, "height": 800}, color_scheme="dark", has_touch=True)
    assert page.locator("#take").is_visible(), "a phone has a camera"
    choosers: list[Any] = []
    page.on("filechooser", lambda chooser: choosers.append(chooser))  # before the key is pressed
    page.keyboard.press("Tab")
    expect(page.locator("#choose")).to_be_focused()
    page.keyboard.press("Enter")
    while not choosers:
        page.wait_for_timeout(20)
    assert choosers[0].is_multiple()
    choosers[0].set_files(str(pictures[0]))
    expect(page.locator("#status")).to_contain_text("1 picture: ")
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.className") == "ask":
            break
    page.keyboard.press("Enter")
    because = page.locator(".because")
    expect(because.locator(".near img")).to_have_count(5)
    assert page.locator(".ask").get_attribute("aria-expanded") == "true"
    expect(because.locator(".told")).to_contain_text("of the 5 nearest training images are")
    assert because.locator("img").evaluate_all("all => all.every((one) => one.complete && one.naturalWidth > 50)")
    heat = because.locator(".heat img")
    hot = heat.get_attribute("src")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert heat.get_attribute("src") != hot, "the heat map is gone"
    page.keyboard.press("Space")
    assert heat.get_attribute("src") == hot
    other = "dogs" if because.locator("select").input_value() == "cats" else "cats"
    because.locator("select").select_option(other)
    expect(because.locator(".speaks")).to_contain_text(f"speaks for {other}")
    assert heat.get_attribute("src") != hot
    assert page.evaluate("document.documentElement.scrollWidth") == 400
    page.locator(".ask").press("Enter")
    expect(because).to_be_hidden()


def test_many_pictures_come_through_a_server_that_is_busy_or_away_for_a_while(
    opened: Callable[..., Any], broken: Path, tmp_path: Path
) -> None:
    draws = np.random.default_rng(0)
    for number in range(MANY):
        Image.fromarray(draws.integers(0, 255, (30, 40, 3), np.uint8)).save(tmp_path / f"{number:02d}.png")
    files = [*sorted(map(str, tmp_path.glob("*.png"))), str(broken)]
    page, sent = opened(), []

    def answer(route: Any) -> None:
        sent.append(route.request)
        if len(sent) in (1, 4):
            route.fulfill(status=503, headers={"retry-after": "0"}, json={"error": "busy"})
        elif len(sent) == 2:
            route.fulfill(status=413, json={"error": "too large"})  # all together
        else:
            route.continue_()

    page.route("**/predict", answer)
    page.set_input_files("#files", files)
    expect(page.locator("#status")).to_contain_text(f"{MANY + 1} pictures: ")
    expect(page.locator("#status")).to_contain_text("1 unreadable.")
    assert page.locator(".card h2", has_text="Waiting").count() == 0
    assert page.locator(".card").count() == MANY + 1
    page.unroute("**/predict")
    page.route("**/predict", lambda route: route.fulfill(status=500, json={"error": "It is damaged."}))
    page.set_input_files("#files", files[:1])
    expect(page.locator(".card").first.locator(".alarm")).to_have_text("It is damaged.")
    expect(page.locator("#status")).to_contain_text("1 without an answer")


@pytest.mark.skipif(not AXE, reason="GOLDENRULE_AXE names no axe.min.js")
@pytest.mark.parametrize(("width", "scheme"), [(400, "dark"), (1100, "light")])
def test_axe_finds_nothing(
    opened: Callable[..., Any], pictures: list[Path], broken: Path, width: int, scheme: str
) -> None:
    page = opened(viewport={"width": width, "height": 800}, color_scheme=scheme, bypass_csp=True)
    page.set_input_files("#files", [str(pictures[0]), str(broken)])
    expect(page.locator("#status")).to_contain_text("2 pictures: ")
    page.locator(".ask").first.click()
    expect(page.locator(".near img")).to_have_count(5)
    page.evaluate(Path(AXE).read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    assert [(one["id"], one["nodes"][0]["html"]) for one in found["violations"]] == []
