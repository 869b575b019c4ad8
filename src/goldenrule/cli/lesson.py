"""`goldenrule lesson`: small lessons that run, with their words, their code and their figures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from goldenrule.cli.options import Numbers, command, output, refuse

if TYPE_CHECKING:
    from goldenrule.core.console import Console
    from goldenrule.demo.lessons import Lesson

EXAMPLES = """Examples:

  goldenrule lesson                                the list

  goldenrule lesson regression                     read it and run it

  goldenrule lesson 2 --no-code                    words and results alone

  goldenrule lesson convolution --out figures
"""


@command(EXAMPLES)
def lesson(
    context: typer.Context,
    name: Annotated[
        str | None, typer.Argument(help="The lesson's name or number; without it they are listed.", show_default=False)
    ] = None,
    out: Annotated[Path, output("Where the figures are written, in a folder each.")] = Path("demo/lessons"),
    code: Annotated[bool, typer.Option(help="Show the code of each step before it runs.")] = True,
) -> Numbers:
    """Learn by small lessons that run: from a line through five points to the network's layers."""
    from goldenrule.core.console import Console
    from goldenrule.demo.lessons import chosen_lesson, description, find_lessons

    if name is None:
        refuse(context, ("out", "code"), "on the list: name a lesson to run")
    console, lessons = Console(), find_lessons()
    if name is None:
        _list(console, lessons)
        return {"lessons": [_facts(one) for one in lessons]}
    chosen = chosen_lesson(name, lessons)
    drawn = _run(console, chosen, out, with_code=code)
    return _facts(chosen) | {"figures": {str(figure): description(figure) for figure in drawn}}


def _facts(lesson: Lesson) -> dict[str, Any]:
    return {"name": lesson.name, "title": lesson.title, "seconds": lesson.seconds}


def _list(console: Console, lessons: tuple[Lesson, ...]) -> None:
    from rich import box
    from rich.table import Table

    from goldenrule.core.console import Text

    table = Table(box=box.SIMPLE)
    table.add_column("", justify="right")
    table.add_column("lesson", no_wrap=True)
    table.add_column("what it shows")
    table.add_column("seconds", justify="right")
    for number, lesson in enumerate(lessons, 1):
        table.add_row(str(number), Text(lesson.name), Text(lesson.title), str(lesson.seconds or ""))
    console.print(table)
    console.print(Text(f"Begin with: goldenrule lesson {lessons[0].name}"), soft_wrap=True)


def _run(console: Console, lesson: Lesson, out: Path, *, with_code: bool) -> tuple[Path, ...]:
    from rich.markdown import Markdown
    from rich.syntax import Syntax

    from goldenrule.core.console import Text
    from goldenrule.demo.lessons import description, find_lessons, run_lesson

    def show(kind: str, content: str) -> None:
        if kind == "text":
            console.print()
            console.print(Markdown(content))
        elif with_code:
            console.print()
            coloured = Syntax(content, "python", background_color="default").highlight(content)
            coloured.rstrip()
            console.print(coloured, soft_wrap=True)  # code that is broken can't be copied
            console.print()

    drawn = run_lesson(lesson, out, show)
    console.print()
    for figure in drawn:
        console.print(Text(f"Figure: {figure}  ({description(figure)})"), soft_wrap=True)
    lessons = find_lessons()
    following = lessons[lessons.index(lesson) + 1 :]
    if following:
        console.print(Text(f"Next: goldenrule lesson {following[0].name}"), soft_wrap=True)
    return drawn
