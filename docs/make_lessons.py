"""Make the pages of the lessons again.

    python docs/make_lessons.py                   all of them, and the list of them
    python docs/make_lessons.py regression xor    some of them, and the list
    python docs/make_lessons.py PHOTOS            lesson2 on a folder of photos: a second page, curves and numbers only

Each script in lessons/ is run cell by cell, in a folder that is thrown away; its page shows the text, the code, what it
printed and the figures that it wrote, with the description in their metadata as the text for those who can't see them.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from unittest import mock

from matplotlib import rc_context

from goldenrule.demo.lessons import Lesson, cells, description, figures, find_lessons

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs" / "lessons"
WITH_PICTURES = ("augmentation",)
"""Figures that show images: those of other people's photos are not ours to give away."""
SAME_EACH_TIME = {"SOURCE_DATE_EPOCH": "0"}
"""No date in the figures: a figure that shows the same is the same file."""
ON_PHOTOS = "lesson2"


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
            text.append(f"```text\n{lines.strip(chr(10))}\n```")
        for figure in figures(Path(script.stem)):
            if figure in shown:
                continue
            shown.add(figure)
            if photos and figure.stem in WITH_PICTURES:
                text.append("(The photos are not shown here.)")
                continue
            shutil.copy(figure, PAGES / f"{name}-{figure.name}")
            text.append(f"![{description(figure)}]({name}-{figure.name})")
    return "\n\n".join(text)


def page_name(script: Path, photos: Path | None) -> str:
    """Return the name of the page of a lesson, on the sets of scikit-learn or on photos."""
    return f"{script.stem}-{photos.name}" if photos else script.stem


def make(script: Path, photos: Path | None = None) -> Path:
    """Write the page of a lesson, with how long it took, and how long a second time."""
    texts, seconds = [], []
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.chdir(folder),
        mock.patch.dict(os.environ, SAME_EACH_TIME, GOLDENRULE_CACHE=str(Path(folder) / "cache")),
        rc_context({"svg.hashsalt": "goldenrule"}),
    ):
        for _ in range(2):
            began = time.perf_counter()
            texts.append(page(script, photos))
            seconds.append(time.perf_counter() - began)
    argument = photos.name if photos else script.stem
    took = f" It took {seconds[0]:.0f} s on two cores, a second time {seconds[1]:.0f} s: what is finished is kept."
    end = (
        f"---\n\nMade from [lessons/{script.name}](../../lessons/{script.name}) by "
        f"`python docs/make_lessons.py {argument}`.{took if seconds[1] < seconds[0] / 2 else ''}\n"
    )
    written = PAGES / f"{page_name(script, photos)}.md"
    written.write_text(f"{texts[0]}\n\n{end}", encoding="utf-8")
    return written


def index(lessons: tuple[Lesson, ...]) -> str:
    """Return the page that lists the lessons."""
    rows = "\n".join(
        f"| {number} | [{one.name}]({one.name}.md) | {one.title} | {'' if one.seconds is None else one.seconds} |"
        for number, one in enumerate(lessons, 1)
    )
    return f"""# Lessons

Each explains one thing in plain words and a few lines of code that can be read, with figures, an exercise and its
answer. `goldenrule lesson` lists them; `goldenrule lesson {lessons[0].name}` runs one in the terminal and writes its
figures to `demo/lessons/{lessons[0].name}/`. In a checkout the scripts are in `lessons/`: open them
in an editor that knows cells (`# %%`), and change what you like.

| | lesson | what it shows | seconds |
|---|---|---|---|
{rows}

The seconds are about right on two cores. Lesson 2 is there [on 800 photos of cats and dogs](lesson2-dogscats.md) too.
Made by `python docs/make_lessons.py`.
"""


if __name__ == "__main__":
    PAGES.mkdir(exist_ok=True)
    lessons = find_lessons(ROOT / "lessons")
    by_name = {lesson.name: lesson.path for lesson in lessons}
    wanted = sys.argv[1:] or list(by_name)
    for given in wanted:
        made = make(by_name[given]) if given in by_name else make(by_name[ON_PHOTOS], Path(given).resolve())
        print(f"Written: {made.relative_to(ROOT)}")
    (PAGES / "README.md").write_text(index(lessons), encoding="utf-8")
