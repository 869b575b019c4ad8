"""Make the pictures of the documentation again: python docs/make_pictures.py.

`goldenrule demo` and a `goldenrule predict` are recorded while they run, as text in README.md, and pages of that run
are photographed in Chromium. All show the demo's textiles (conformal-clip-data, MIT), which may be shown. Features
come from the cache where they are there, so the seconds are those of this run: clear the cache first, and let nothing
else run.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
COLUMNS = 100
RUN = Path("demo/runs/textiles")
PHOTO = Path("demo/textiles/global defect/textile_0008.jpg")
WRONG, WRONG_RUN, FEW = Path("wrong"), Path("runs/wrong"), 100
CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"


def session() -> str:
    """Return what the demo, and a prediction, print; the run is made in the working directory."""
    commands = (["demo"], ["predict", str(RUN), str(PHOTO)])
    return "\n\n".join(f"$ goldenrule {shlex.join(words)}\n{printed(words)}" for words in commands)


def printed(words: list[str]) -> str:
    """Return what a command prints, without its progress."""
    environment = os.environ | {"COLUMNS": str(COLUMNS)}
    command = [sys.executable, "-m", "goldenrule", *words]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return "\n".join(line.rstrip() for line in done.stdout.rstrip().splitlines())


def photograph(folder: Path) -> None:
    """Write pictures of the report of the run in `folder`, on a screen and on a phone, and of two other pages."""
    from playwright.sync_api import sync_playwright

    report = (folder / RUN / "report.html").as_uri()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1100, "height": 820})
        page.goto(report)
        page.screenshot(path=IMAGES / "report.png")
        _section(page, "#pictures", "pictures.jpg", 560)
        _section(page, "#mistakes", "mistakes.jpg", 470)
        _section(page, "#next", "next.png", 560)
        page.locator(".grid a").first.click()
        _section(page, "#confusion", "confusion.png", 760)
        phone = browser.new_page(viewport={"width": 400, "height": 820}, device_scale_factor=1.5)
        phone.goto(report)
        phone.screenshot(path=IMAGES / "report_phone.png")
        page.set_viewport_size({"width": 700, "height": 820})
        page.goto((folder / "leak" / "audit.html").as_uri())
        _section(page, ".finding:has(img)", "leak.png", 420)
        page.goto((folder / WRONG_RUN / "labels" / "labels.html").as_uri())
        _section(page, "#labels .photos", "labels.png", 300)
        reviewed(folder, browser)
        for name, height in (("audit", 1000), ("explained", 820)):
            page.set_viewport_size({"width": 1100, "height": height})
            page.goto((folder / name / f"{name}.html").as_uri())
            page.screenshot(path=IMAGES / f"{name}.jpg", type="jpeg", quality=80)
        browser.close()


def reviewed(folder: Path, browser: Any) -> None:
    """Write pictures of the page of a review of planted wrong labels, on a screen and on a phone."""
    words = [sys.executable, "-m", "goldenrule", "review", str(WRONG_RUN)]
    with subprocess.Popen(words, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = next(found[1] for line in process.stdout if (found := re.search(r"Open (\S+)", line)))
        sizes: tuple[tuple[str, int, int, dict[str, Any]], ...] = (
            ("review.jpg", 1100, 820, {}),
            ("review_phone.jpg", 400, 820, {"device_scale_factor": 1.5, "color_scheme": "dark"}),
        )
        for name, width, height, how in sizes:
            page = browser.new_page(viewport={"width": width, "height": height}, **how)
            page.goto(address)
            page.locator("#images img[src]").first.wait_for()
            page.locator("#numbers", has_text="McNemar").wait_for()
            page.locator("#near .tiles img[src]").nth(7).wait_for()
            page.screenshot(path=IMAGES / name, type="jpeg", quality=80)
            page.close()
        process.terminate()


def _section(page: Any, section: str, name: str, most_height: int) -> None:
    """Write a picture of a section of a page, cut below."""
    page.evaluate("scrollTo(0, 0)")
    box = page.locator(section).bounding_box()
    clip = {**box, "height": min(box["height"], most_height)}
    how = {"type": "jpeg", "quality": 80} if name.endswith(".jpg") else {}
    page.screenshot(path=IMAGES / name, clip=clip, full_page=True, **how)


def other_pages() -> None:
    """Write an audit of the demo's pictures, and an explanation of two of them."""
    subprocess.run([sys.executable, "-m", "goldenrule", "audit", str(PHOTO.parents[1]), "-o", "audit"], check=True)
    photos = [str(PHOTO), str(PHOTO.parents[1] / "local defect" / PHOTO.name)]
    subprocess.run([sys.executable, "-m", "goldenrule", "explain", str(RUN), *photos, "-o", "explained"], check=True)


def planted() -> None:
    """Write an audit of some of the demo's pictures with a planted leak, and the page of planted wrong labels."""
    classes = [place for place in sorted(PHOTO.parents[1].iterdir()) if place.is_dir()]
    for place in classes:
        for number, image in enumerate(sorted(place.iterdir())[:FEW]):
            split = "test" if number % 5 == 0 else "train"
            for root in (Path("leaking") / split, *([WRONG] if place.name != "local defect" else [])):
                (root / place.name).mkdir(parents=True, exist_ok=True)
                shutil.copy(image, root / place.name)
    leaks = sorted(Path("leaking/train/global defect").iterdir())[3]
    with Image.open(leaks) as picture:  # mirrored and resized, as somebody's script would
        ImageOps.mirror(picture).resize((220, 220)).save(Path("leaking/test/global defect") / "resized.jpg", quality=85)
    for image in sorted((WRONG / "global defect").iterdir())[5:8]:
        image.rename(WRONG / "faultless" / image.name.replace("textile", "planted"))
    for words in (
        ["audit", "leaking", "-o", "leak"],
        ["fit", str(WRONG), "--quick", "--out", str(WRONG_RUN)],
        ["labels", str(WRONG_RUN), "--at-most", "4"],
    ):
        subprocess.run([sys.executable, "-m", "goldenrule", *words], check=True)


def forecast(folder: Path) -> None:
    """Write the learning curve of the run in `folder`."""
    from goldenrule.core.progress import Silent
    from goldenrule.tasks.run_learning_curve import learning_curve_of

    found = learning_curve_of(folder / RUN, progress=Silent())
    shutil.copyfile(found.picture, IMAGES / "learning_curve.svg")


def with_session(page: str, text: str) -> str:
    """Return a page with the text between its two marks `session` replaced."""
    block = f"<!-- session:begin -->\n```console\n{text}\n```\n<!-- session:end -->"
    return re.sub(r"<!-- session:begin -->.*<!-- session:end -->", lambda _: block, page, flags=re.DOTALL)


if __name__ == "__main__":
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as place, contextlib.chdir(place):  # nothing names a folder of this machine
        said = session()
        other_pages()
        planted()
        photograph(Path(place))
        forecast(Path(place))
    readme = ROOT / "README.md"
    readme.write_text(with_session(readme.read_text(encoding="utf-8"), said), encoding="utf-8")
    print("Written: pictures in docs/images, and the session in README.md")
