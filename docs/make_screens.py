"""Make docs/reference/screens.md and its pictures again, the last screen of every command.

python docs/make_screens.py
python docs/make_screens.py --place FOLDER    work in a folder that stays: what is there is not made again
python docs/make_screens.py --before CLONE    count the lines of an earlier commit, cloned to CLONE, instead

Every command runs on the demo's textiles (conformal-clip-data, MIT), which may be shown. What it prints is drawn as it
stands in a terminal of 100 columns, and photographed in Chromium. The table counts the lines.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import typer
from PIL import Image
from rich.console import Console
from rich.text import Text

from goldenrule.cli.main import app

ROOT = Path(__file__).parents[1]
PAGE, SCREENS = ROOT / "docs" / "reference" / "screens.md", ROOT / "docs" / "images" / "screens"
LINES_BEFORE = ROOT / "docs" / "reference" / "screens_before.json"
COLUMNS, SHADES = 100, 48
CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
RUN, PHOTOS, FEW = "demo/runs/textiles", "demo/textiles", "few"
FEW_OF_EACH = 60
COMMANDS = {
    "demo": "demo",
    "fit": f"fit {FEW} --minutes 1",
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
    "compare-models": f"compare-models {FEW} -m efficientnet@128 original@128 -t transfer_learning fromzero --epochs 1",
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


SAME = "demo fit evaluate audit split show-augment report explain learning-curve train lr-find summary submit lesson"
EARLIER = {name: COMMANDS[name] for name in [*SAME.split(), "doctor", "share", "cache"]} | {
    "predict": f"predict {RUN} {FEW}/global -o predictions.csv",
    "labels": f"insight {RUN} --top 5",
    "compare-runs": f"compare {RUN} runs/lite1",
    "tune": f"search {FEW} --trials 8",
    "compare-models": f"compare {FEW} -m efficientnet@128 -m original@128 -t transfer_learning -t fromzero --epochs 1",
}
"""The same work in the words of the commit before the terminal was made short; its demo fitted digits."""


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
    rows = "".join(f"{image.name},faultless\n" for image in sorted(Path(FEW, "local").iterdir()))
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
            path = SCREENS / f"{name}.png"
            page.locator("svg").first.screenshot(path=path)
            Image.open(path).convert("RGB").quantize(SHADES).save(path, optimize=True)
        browser.close()


def page_of(texts: dict[str, str]) -> str:
    """Return the page: a table of lines, then every screen."""
    earlier = json.loads(LINES_BEFORE.read_text())
    before, commit = earlier["lines"], earlier["commit"]
    lines = {name: len(text.splitlines()) for name, text in texts.items()}
    table = [
        [f"[`{name}`](#{name})", *([before.get(name, "-")] if before else []), count] for name, count in lines.items()
    ]
    rows = "".join(f"| {' | '.join(map(str, row))} |\n" for row in table)
    said = f' "Before" is the same work by an earlier commit ({commit}).' if before else ""
    head = "| command | lines before | lines now |\n|---|---|---|" if before else "| command | lines |\n|---|---|"
    shown = "".join(
        f"\n## {name}\n\n![The last screen of goldenrule {name}](../images/screens/{name}.png)\n" for name in texts
    )
    return (
        "# What every command prints\n\nMade by `python docs/make_screens.py`, on the demo's textiles. Progress is "
        f"not shown: it is gone when a command ends.{said}\n\n{head}\n{rows}{shown}"
    )


def lines_before(clone: Path) -> dict[str, int]:
    """Return how many lines each command of an earlier commit prints on the same images."""
    printed(COMMANDS["demo"])
    few_images()
    os.environ["PYTHONPATH"] = str(clone / "src")
    os.environ["GOLDENRULE_CACHE"] = "cache_before"
    shutil.rmtree(RUN)
    printed(f"fit {PHOTOS} --quick --out {RUN}")
    printed(BEFORE["compare-runs"])
    return {name: len(printed(words).splitlines()) for name, words in EARLIER.items()}


def texts_of(place: str, kept: Path) -> dict[str, str]:
    """Return what every command prints; what is kept from before is not made again."""
    texts: dict[str, str] = json.loads(kept.read_text()) if kept.exists() else {}
    for name, words in (COMMANDS | WAITING).items():
        if name not in texts:
            if name in BEFORE:
                printed(BEFORE[name])
            texts[name] = (begun if name in WAITING else printed)(words).replace(f"{place}/", "")
            kept.write_text(json.dumps(texts))
        if name == "demo" and not Path(FEW).exists():
            few_images()
    return {name: texts[name] for name in COMMANDS | WAITING}


def main() -> None:
    """Make the page, or count the lines of an earlier commit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", metavar="CLONE", type=lambda path: Path(path).resolve())
    parser.add_argument("--place", metavar="FOLDER", type=Path)
    arguments = parser.parse_args()
    clone: Path | None = arguments.before
    assert COMMANDS.keys() | WAITING.keys() == typer.main.get_command(app).commands.keys()  # type: ignore[attr-defined]
    with contextlib.ExitStack() as stack:
        place = str(arguments.place or stack.enter_context(tempfile.TemporaryDirectory()))
        Path(place).mkdir(parents=True, exist_ok=True)
        stack.enter_context(contextlib.chdir(place))  # nothing names a folder of this machine
        os.environ["GOLDENRULE_CACHE"] = "cache"
        if clone is not None:
            commit = subprocess.run(
                ["git", "-C", clone, "rev-parse", "--short", "HEAD"], stdout=subprocess.PIPE, text=True, check=True
            ).stdout.strip()
            found = {"commit": commit, "lines": lines_before(clone)}
            LINES_BEFORE.write_text(json.dumps(found, indent=1) + "\n")
            return
        texts = texts_of(place, Path("texts.json"))
    SCREENS.mkdir(parents=True, exist_ok=True)
    photographed({name: drawn((COMMANDS | WAITING)[name], text) for name, text in texts.items()})
    PAGE.write_text(page_of(texts), encoding="utf-8")
    print(f"Written: {PAGE} and {len(texts)} pictures in {SCREENS}")


if __name__ == "__main__":
    main()
