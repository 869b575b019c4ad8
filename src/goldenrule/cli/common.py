"""Options that several commands have."""

from __future__ import annotations

import re
from collections.abc import Callable
from inspect import cleandoc
from pathlib import Path
from typing import Annotated, Any

import typer

RunFolder = Annotated[Path | None, typer.Option(help="The run's folder. \\[default: runs/NAME]", show_default=False)]
Threads = Annotated[int | None, typer.Option(help="Processors to use. \\[default: all]", show_default=False)]
Levels = Annotated[
    str | None,
    typer.Option(
        help="Black and white of pictures of more than 8 bits: LOW..HIGH, or full. \\[default: found out]",
        show_default=False,
    ),
]
Device = Annotated[str, typer.Option(help="cpu, cuda or mps.")]
MinPerClass = Annotated[int | None, typer.Option(help="Accept classes with as few images as this.", show_default=False)]
Sample = Annotated[
    int | None, typer.Option(help="Take at most N images per class and part: a trial.", show_default=False)
]


def with_examples(command: Callable[..., Any], examples: str) -> None:
    r"""Make of its docstring and examples what a command says to --help: what each example does stands below it.

    >>> def greet() -> None:
    ...     "Say hello."
    >>> with_examples(greet, "Examples:\n\n  greet --loud          say HELLO")
    >>> print(greet.__doc__.replace("\n\n", "\n"))
    Say hello.
    Examples:
      greet --loud
          say HELLO
    """
    paragraphs = cleandoc(command.__doc__ or "").split("\n\n")
    below = re.sub(r"^(  \S.*?) {3,}(?=\S)", r"\1\n      ", examples, flags=re.MULTILINE)
    command.__doc__ = "\n\n".join([*(" ".join(one.split()) for one in paragraphs), below])
