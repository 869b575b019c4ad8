"""Make the pages of the lessons again.

    python docs/make_lessons.py             on the sets that come with scikit-learn
    python docs/make_lessons.py PHOTOS      on a folder of photos: a second page, with curves and numbers only

Each script in lessons/ is run cell by cell, in a folder that is thrown away; its page shows the text, the code, what it
printed and the figures that it wrote.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs" / "lessons"
WITH_PICTURES = ("augmentation",)
"""Figures that show images: those of other people's photos are not ours to give away."""
CELL = re.compile(r"^# %%(?P<kind> \[markdown\])?\n", re.MULTILINE)


def cells(script: str) -> list[tuple[str, str]]:
    """Give the ("text" or "code", content) of a script's cells; what stands before the first is left out."""
    _, *parts = CELL.split(script)
    found = []
    for kind, content in zip(parts[::2], parts[1::2], strict=True):
        if kind:
            found.append(("text", re.sub(r"^# ?", "", content, flags=re.MULTILINE).strip()))
        else:
            found.append(("code", re.sub(r"  # noqa: \w+$", "", content, flags=re.MULTILINE).strip()))
    return found


def page(script: Path, photos: Path | None) -> str:
    """Run a lesson and give its page; figures are copied beside it."""
    name = page_name(script, photos)
    text, namespace, shown = [], {"__name__": "__main__"}, set()
    argv = [str(script), *([str(photos)] if photos else [])]
    for kind, content in cells(script.read_text(encoding="utf-8")):
        if kind == "text":
            text.append(content)
            continue
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), mock.patch.object(sys, "argv", argv):
            exec(compile(content, str(script), "exec"), namespace)  # noqa: S102 - a lesson of ours
        text.append(f"```python\n{content}\n```")
        if lines := "\n".join(line.rstrip() for line in printed.getvalue().splitlines() if "Compiling" not in line):
            text.append(f"```text\n{lines.strip()}\n```")
        for figure in sorted(Path(script.stem).glob("*.svg"), key=lambda path: path.stat().st_mtime_ns):
            if figure in shown:
                continue
            shown.add(figure)
            if photos and figure.stem in WITH_PICTURES:
                text.append("(The photos are not shown here.)")
                continue
            shutil.copy(figure, PAGES / f"{name}-{figure.name}")
            text.append(f"![{figure.stem.replace('-', ' ')}]({name}-{figure.name})")
    return "\n\n".join(text)


def page_name(script: Path, photos: Path | None) -> str:
    """Give the name of the page of a lesson, on the sets of scikit-learn or on photos."""
    return f"{script.stem}-{photos.name}" if photos else script.stem


def make(script: Path, photos: Path | None = None) -> Path:
    """Write the page of a lesson, with how long it took, and how long a second time."""
    texts, seconds = [], []
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.chdir(folder),
        mock.patch.dict(os.environ, GOLDENRULE_CACHE=str(Path(folder) / "cache")),
    ):
        for _ in range(2):
            began = time.perf_counter()
            texts.append(page(script, photos))
            seconds.append(time.perf_counter() - began)
    argument = f" {photos.name}" if photos else ""
    end = (
        f"---\n\nMade from [lessons/{script.name}](../../lessons/{script.name}) by "
        f"`python docs/make_lessons.py{argument}`. "
        f"It took {seconds[0]:.0f} s on two cores, a second time {seconds[1]:.0f} s: what is finished is kept.\n"
    )
    written = PAGES / f"{page_name(script, photos)}.md"
    written.write_text(f"{texts[0]}\n\n{end}", encoding="utf-8")
    return written


if __name__ == "__main__":
    PAGES.mkdir(exist_ok=True)
    given = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else None
    for lesson in sorted((ROOT / "lessons").glob("*.py")):
        print(f"Written: {make(lesson, given).relative_to(ROOT)}")
