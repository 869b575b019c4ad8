"""Options that several commands have."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from inspect import cleandoc
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from goldenrule.foundation.console import Console
    from goldenrule.foundation.findings import Finding
    from goldenrule.foundation.outputs import Kind

RunFolder = Annotated[Path | None, typer.Option(help="The run's folder. \\[default: runs/NAME]", show_default=False)]


def _threads(count: int | None) -> int | None:
    if count is not None:
        from goldenrule.models.compiled import check_threads

        check_threads(count)
    return count


Threads = Annotated[
    int | None, typer.Option(help="Processors to use. \\[default: all]", show_default=False, callback=_threads)
]
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


def given(context: typer.Context) -> set[str]:
    """Return the names of the parameters that stand on the command line."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return {name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"}


def refuse(context: typer.Context, names: Iterable[str], why: str) -> None:
    """Raise `OptionError` where one of these parameters stands on the command line: it would have no effect."""
    from goldenrule.foundation.errors import OptionError

    without = given(context) & set(names)
    spelled = [max(own.opts, key=len) for own in context.command.params if own.name in without]
    if spelled:
        raise OptionError(
            f"{', '.join(spelled)} {'has' if len(spelled) == 1 else 'have'} no effect {why}. Leave "
            f"{'it' if len(spelled) == 1 else 'them'} away."
        )


def json_kind(example: str, *names: tuple[str, ...]) -> Kind:
    """Return the kind of a JSON file that has one of these sets of names."""
    from goldenrule.foundation.outputs import Kind, json_like

    every = [json_like(*own) for own in names]
    return Kind(name="a JSON file", example=example, ours=lambda content: any(ours(content) for ours in every))


def show_findings(findings: Iterable[Finding], console: Console) -> None:
    """Print findings, a line each; warnings stand out."""
    from goldenrule.foundation.console import Text

    for finding in findings:
        console.print(Text(str(finding), style="" if finding.severity == "note" else "yellow"))


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
