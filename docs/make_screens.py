"""Make docs/reference/screens.md and its pictures again, the last screen of every command: python docs/make_screens.py.

Every command runs on the demo's textiles (conformal-clip-data, MIT), which may be shown. What it prints is drawn as it
stands in a terminal of 100 columns, and photographed in Chromium. The table counts the lines.
"""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import typer
from rich.console import Console
from rich.text import Text

from goldenrule.cli.main import app

ROOT = Path(__file__).parents[1]
PAGE, SCREENS = ROOT / "docs" / "reference" / "screens.md", ROOT / "docs" / "images" / "screens"
COLUMNS = 100
CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
RUN, PHOTOS, FEW = "demo/runs/textiles", "demo/textiles", "few"
FEW_OF_EACH = 60
COMMANDS = {
    "demo": "demo",
    "fit": f"fit {FEW}",
    "predict": f"predict {RUN} {FEW}/global -o predictions.csv --top 2",
    "evaluate": f"evaluate {RUN} {PHOTOS}",
    "audit": f"audit {PHOTOS}",
    "split": f"split {FEW} dealt",
    "labels": f"labels {RUN} --at-most 5",
    "show-augment": f"show-augment {PHOTOS}",
    "report": f"report {RUN} --lang ja",
    "explain": f"explain {RUN} {FEW}/local --no-heat -k 2",
    "export": f"export {RUN}",
    "learning-curve": f"learning-curve {RUN}",
    "compare-runs": f"compare-runs {RUN} runs/lite1",
    "train": f"train {FEW} -m original -t fromzero --epochs 3 --out runs/trained",
    "lr-find": f"lr-find {FEW} --steps 60",
    "tune": f"tune {FEW} --trials 8",
    "summary": "summary -m original",
    "compare-models": f"compare-models {FEW} -m efficientnet original -t transfer_learning fromzero --epochs 2",
    "submit": f"submit {RUN} {FEW}/local --sample-submission sample.csv",
    "lesson": "lesson",
    "doctor": "doctor",
    "share": f"share {RUN}",
    "cache": "cache",
    "runs": "runs",
}
WAITING = {"serve": f"serve {RUN} --port 8000", "review": f"review {RUN} --port 8001"}
"""Commands that print a line and go on until they are stopped."""
BEFORE = {"compare-runs": f"fit {PHOTOS} --quick --backbone efficientnet_lite1 --views 0 --out runs/lite1"}
"""What a command wants to be there."""


def printed(said: str) -> str:
    """Return what a command prints on standard output, with its colours."""
    environment = os.environ | {"COLUMNS": str(COLUMNS), "FORCE_COLOR": "1", "TERM": "xterm-256color"}
    command = [sys.executable, "-m", "goldenrule", *shlex.split(said)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.rstrip()


def begun(said: str) -> str:
    """Return what a command prints until it waits for somebody."""
    environment = os.environ | {"COLUMNS": str(COLUMNS), "FORCE_COLOR": "1", "TERM": "xterm-256color"}
    command = [sys.executable, "-m", "goldenrule", *shlex.split(said)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [""]
        while "http" not in lines[-1]:
            lines.append(process.stdout.readline())
        process.terminate()
        return "".join([*lines, process.stdout.read()]).rstrip()


def few_images() -> None:
    """Copy a part of the demo's images, in folders whose names have no blank."""
    for place in sorted(Path(PHOTOS).iterdir()):
        target = Path(FEW, place.name.split()[0])
        target.mkdir(parents=True)
        for image in sorted(place.iterdir())[:FEW_OF_EACH]:
            shutil.copy(image, target)
    rows = "".join(f"{image.name},0.5\n" for image in sorted(Path(FEW, "local").iterdir()))
    Path("sample.csv").write_text(f"id,label\n{rows}")


def drawn(said: str, text: str) -> str:
    """Return a terminal with a command and what it printed, as SVG."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    console.print(Text.from_ansi(f"$ goldenrule {said}\n{text}"), soft_wrap=True)
    return console.export_svg(title="")


def photographed(pictures: dict[str, str]) -> None:
    """Write the PNG of each SVG."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1100, "height": 800})
        for name, svg in pictures.items():
            page.set_content(f"<body style='margin:0;display:inline-block;width:1100px'>{svg}</body>")
            page.locator("svg").first.screenshot(path=SCREENS / f"{name}.png")
        browser.close()


def page_of(texts: dict[str, str]) -> str:
    """Return the page: a table of lines, then every screen."""
    rows = "".join(f"| [`{name}`](#{name}) | {len(text.splitlines())} |\n" for name, text in texts.items())
    shown = "".join(
        f"\n## {name}\n\n![The last screen of goldenrule {name}](../images/screens/{name}.png)\n" for name in texts
    )
    return (
        "# What every command prints\n\nMade by `python docs/make_screens.py`, on the demo's textiles. Progress is "
        f"not shown: it is gone when a command ends.\n\n| command | lines |\n|---|---|\n{rows}{shown}"
    )


LINES_BEFORE: dict[str, int] = {}
"""So many lines they printed on the same images before the terminal was made short, at commit BEFORE_COMMIT."""
if __name__ == "__main__":
    assert COMMANDS.keys() | WAITING.keys() == typer.main.get_command(app).commands.keys()  # type: ignore[attr-defined]
    SCREENS.mkdir(parents=True, exist_ok=True)
    found: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as place, contextlib.chdir(place):  # nothing names a folder of this machine
        os.environ["GOLDENRULE_CACHE"] = "cache"
        for name, words in COMMANDS.items():
            if name in BEFORE:
                printed(BEFORE[name])
            found[name] = printed(words).replace(f"{place}/", "")
            if name == "demo":
                few_images()
        found |= {name: begun(words).replace(f"{place}/", "") for name, words in WAITING.items()}
    photographed({name: drawn((COMMANDS | WAITING)[name], text) for name, text in found.items()})
    PAGE.write_text(page_of(found), encoding="utf-8")
    print(f"Written: {PAGE} and {len(found)} pictures in {SCREENS}")
