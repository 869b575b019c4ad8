"""Make the pages of the lessons again: python docs/make_lessons.py.

Each script in lessons/ is run cell by cell; its page shows the text, the code, what it printed and the figures that it
wrote. They are run on the sets that come with scikit-learn, in a folder that is thrown away.
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


def page(script: Path) -> str:
    """Run a lesson and give its page; figures are copied beside it."""
    text, namespace, shown = [], {"__name__": "__main__"}, set()
    for kind, content in cells(script.read_text(encoding="utf-8")):
        if kind == "text":
            text.append(content)
            continue
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), mock.patch.object(sys, "argv", [str(script)]):
            exec(compile(content, str(script), "exec"), namespace)  # noqa: S102 - a lesson of ours
        text.append(f"```python\n{content}\n```")
        if lines := "\n".join(line.rstrip() for line in printed.getvalue().splitlines() if "Compiling" not in line):
            text.append(f"```text\n{lines.strip()}\n```")
        for figure in sorted(Path(script.stem).glob("*.svg"), key=lambda path: path.stat().st_mtime_ns):
            if figure not in shown:
                shown.add(figure)
                name = f"{script.stem}-{figure.name}"
                shutil.copy(figure, PAGES / name)
                text.append(f"![{figure.stem.replace('-', ' ')}]({name})")
    return "\n\n".join(text)


def make(script: Path) -> None:
    """Write the page of a lesson, with how long it took, and how long a second time."""
    texts, seconds = [], []
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.chdir(folder),
        mock.patch.dict(os.environ, GOLDENRULE_CACHE=str(Path(folder) / "cache")),
    ):
        for _ in range(2):
            began = time.perf_counter()
            texts.append(page(script))
            seconds.append(time.perf_counter() - began)
    end = (
        f"---\n\nMade from [lessons/{script.name}](../../lessons/{script.name}) by `python docs/make_lessons.py`. "
        f"It took {seconds[0]:.0f} s on two cores, a second time {seconds[1]:.0f} s: what is finished is kept.\n"
    )
    (PAGES / f"{script.stem}.md").write_text(f"{texts[0]}\n\n{end}", encoding="utf-8")


if __name__ == "__main__":
    PAGES.mkdir(exist_ok=True)
    for lesson in sorted((ROOT / "lessons").glob("*.py")):
        make(lesson)
        print(f"Written: docs/lessons/{lesson.stem}.md")
