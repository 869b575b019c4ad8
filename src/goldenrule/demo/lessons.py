"""The lessons: scripts in cells that explain one thing each, found by convention, run cell by cell.

A lesson is a file `lessons/NAME.py`. Its docstring's first line is its title; a line `Seconds: 3` says about how long
it takes, a line `Order: 10` where it stands in the list (100 where there is none). Cells begin with `# %%` (code) or
`# %% [markdown]` (text). It writes its figures as SVG to the folder NAME below the current one; the `Description` in a
figure's metadata is the text for those who can't see it.
"""

from __future__ import annotations

import ast
import contextlib
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Literal
from unittest import mock

from goldenrule.core.errors import FormatError, OptionError, SourceError

Kind = Literal["text", "code"]
Show = Callable[[Kind, str], None]

LAST = 100
_CELL = re.compile(r"^# %%(?P<kind> \[markdown\])?\n", re.MULTILINE)
_DESCRIPTION = re.compile(r"<dc:description>(.*?)</dc:description>", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """One lesson: its name, its title, about how many seconds it takes (None: unknown), and its script."""

    name: str
    title: str
    seconds: int | None
    order: int
    path: Path

    @classmethod
    def from_file(cls, path: Path) -> Lesson:
        """Read what a script says of itself, without running it. Raises `FormatError` where there is no docstring."""
        said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
        if not said:
            raise FormatError(f"{path} has no docstring: wanted one whose first line is the lesson's title.")
        seconds, order = (re.search(rf"^{word}: (\d+)\b", said, re.MULTILINE) for word in ("Seconds", "Order"))
        return cls(
            name=path.stem,
            title=said.splitlines()[0].rstrip("."),
            seconds=int(seconds[1]) if seconds else None,
            order=int(order[1]) if order else LAST,
            path=path,
        )


def lessons_folder() -> Path:
    """Return the folder of the scripts: beside the installed modules, or in a checkout beside `src`."""
    package = Path(str(files("goldenrule")))
    for folder in (package / "lessons", package.parents[1] / "lessons"):
        if folder.is_dir():
            return folder
    raise SourceError(f"no lessons in {package / 'lessons'}: install goldenrule again.")


def find_lessons(folder: Path | None = None) -> tuple[Lesson, ...]:
    """Return all lessons in the order in which they are best read."""
    scripts = sorted((folder or lessons_folder()).glob("*.py"))
    return tuple(sorted(map(Lesson.from_file, scripts), key=lambda lesson: (lesson.order, lesson.name)))


def chosen_lesson(wanted: str, lessons: Sequence[Lesson]) -> Lesson:
    """Return the lesson of a name, or of its number in the list (from 1). Raises `OptionError` for any other."""
    for number, lesson in enumerate(lessons, 1):
        if wanted in (lesson.name, str(number)):
            return lesson
    names = ", ".join(lesson.name for lesson in lessons)
    raise OptionError(f"there is no lesson {wanted!r}: wanted a number from 1 to {len(lessons)}, or one of {names}.")


def cells(script: str) -> list[tuple[Kind, str]]:
    """Return the ("text" or "code", content) of a script's cells; what stands before the first is left out.

    >>> cells('"A title."' + chr(10) + "# %% [markdown]" + chr(10) + "# Words." + chr(10) + "# %%" + chr(10) + "x = 1")
    [('text', 'Words.'), ('code', 'x = 1')]
    """
    _, *splits = _CELL.split(script)
    found: list[tuple[Kind, str]] = []
    for kind, content in zip(splits[::2], splits[1::2], strict=True):
        if kind:
            found.append(("text", re.sub(r"^# ?", "", content, flags=re.MULTILINE).strip()))
        else:
            found.append(("code", re.sub(r"  # noqa: \w+$", "", content, flags=re.MULTILINE).strip()))
    return found


def run_lesson(lesson: Lesson, folder: Path, show: Show) -> tuple[Path, ...]:
    """Run a lesson in a folder, cell by cell; each is shown before it runs. Give the figures, in their order.

    What the lesson prints goes to standard output. Figures of an earlier time are written anew. Raises `OptionError`
    where a file stands in the folder's place, or a picture of somebody else's among the figures.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise OptionError(f"{folder} is or lies in a file: wanted a folder to write figures to.") from error
    for figure in figures(folder / lesson.name):
        if not _DESCRIPTION.search(figure.read_text(encoding="utf-8", errors="replace")):
            raise OptionError(f"{figure} is no figure of a lesson, and stays: move it away, or give another --out.")
    namespace = {"__name__": "__main__", "__file__": str(lesson.path)}
    with contextlib.chdir(folder), mock.patch.object(sys, "argv", [str(lesson.path)]):
        for kind, content in cells(lesson.path.read_text(encoding="utf-8")):
            show(kind, content)
            if kind == "code":
                exec(compile(content, str(lesson.path), "exec"), namespace)  # noqa: S102 - a lesson of ours
    return figures(folder / lesson.name)


def figures(folder: Path) -> tuple[Path, ...]:
    """Return the figures of a folder in the order in which they were written."""
    return tuple(sorted(folder.glob("*.svg"), key=lambda path: path.stat().st_mtime_ns))


def description(figure: Path) -> str:
    """Return the text for those who can't see a figure: the description in its metadata, or its name."""
    import html

    found = _DESCRIPTION.search(figure.read_text(encoding="utf-8"))
    return html.unescape(" ".join(found[1].split())) if found else figure.stem.replace("-", " ")
