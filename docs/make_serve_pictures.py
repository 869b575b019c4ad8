"""Make the pictures of the page of goldenrule serve again: python docs/make_serve_pictures.py.

A quick fit of the demo's textiles (conformal-clip-data, MIT), which may be shown, is served and photographed in
Chromium, on a screen and on a phone; one picture is drawn here, unlike a textile.
"""

from __future__ import annotations

import contextlib
import csv
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from goldenrule.demo.textiles import write_textiles

IMAGES = Path(__file__).parent / "images"
CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"


@contextlib.contextmanager
def served(run: Path) -> Iterator[str]:
    """Serve a run while the block runs; gives the address."""
    words = [sys.executable, "-m", "goldenrule", "serve", str(run), "--port", "0"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"http://[\d.]+:\d+", process.stdout.readline())
            assert found is not None
            yield found[0]
        finally:
            process.terminate()


def held_out(run: Path, label: str) -> str:
    """Return the first picture of a class in the test split of a run."""
    with (run / "split.csv").open(encoding="utf-8", newline="") as file:
        return next(row["path"] for row in csv.DictReader(file) if (row["split"], row["class"]) == ("test", label))


def photographed(address: str, pictures: list[Path], name: str, *, at: str, **how: Any) -> None:
    """Write a picture of the page with these pictures on it, the first of them explained; `at` is above."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=120_000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_context(**how).new_page()
        page.goto(address)
        page.set_input_files("#files", [str(one) for one in pictures])
        expect(page.locator("#status")).to_contain_text(f"{len(pictures)} picture")
        expect(page.locator(".thumb:visible")).to_have_count(len(pictures))
        page.locator(".ask").first.click()
        expect(page.locator(".near img")).to_have_count(5)
        page.evaluate("document.activeElement.blur()")
        page.locator(at).evaluate("one => one.scrollIntoView()")
        jpeg = {"type": "jpeg", "quality": 75} if name.endswith(".jpg") else {}
        page.screenshot(path=IMAGES / name, **jpeg)
        browser.close()


def unlike_a_textile(path: Path) -> Path:
    """Draw a house below a sun."""
    picture = Image.new("RGB", (320, 320), "skyblue")
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 240, 320, 320), fill="forestgreen")
    draw.rectangle((90, 150, 230, 260), fill="firebrick")
    draw.polygon([(70, 150), (160, 70), (250, 150)], fill="saddlebrown")
    draw.ellipse((230, 20, 300, 90), fill="gold")
    picture.save(path)
    return path


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place, contextlib.chdir(place):  # nothing names a folder of this machine
        textiles = write_textiles(Path("textiles"))
        subprocess.run(
            [sys.executable, "-m", "goldenrule", "fit", str(textiles), "--quick", "--out", "run"], check=True
        )
        textile = textiles / held_out(Path("run"), "global defect")
        with served(Path("run")) as address:
            both = [textile, unlike_a_textile(Path("house.png"))]
            photographed(address, both, "serve.jpg", at="body", viewport={"width": 1000, "height": 1400})
            phone = {"viewport": {"width": 400, "height": 900}, "has_touch": True, "color_scheme": "dark"}
            photographed(address, [textile], "serve_phone.jpg", at=".card", **phone)
    print("Written: serve.jpg and serve_phone.jpg in docs/images")
