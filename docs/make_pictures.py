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

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
COLUMNS = 100
RUN = Path("demo/runs/textiles")
PHOTO = Path("demo/textiles/global defect/textile_0008.jpg")
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
    """Write pictures of the report of the run in `folder`: its beginning, the confusion, and the mistakes."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1100, "height": 820})
        page.goto((folder / RUN / "report.html").as_uri())
        page.screenshot(path=IMAGES / "report.png")
        page.locator("#confusion").screenshot(path=IMAGES / "confusion.png")
        page.evaluate("scrollTo(0, 0)")
        mistakes = page.locator("#mistakes").bounding_box() or {}
        clip = {**mistakes, "height": 470}
        page.screenshot(path=IMAGES / "mistakes.jpg", type="jpeg", quality=80, clip=clip, full_page=True)
        browser.close()


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
        photograph(Path(place))
        forecast(Path(place))
    readme = ROOT / "README.md"
    readme.write_text(with_session(readme.read_text(encoding="utf-8"), said), encoding="utf-8")
    print("Written: pictures in docs/images, and the session in README.md")
