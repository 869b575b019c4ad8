"""Signatures of commands, made from the options that are written down once as fields of dataclasses.

A command takes a whole value, such as `options: FitOptions`, and the command line gets one parameter for each of its
fields that is an option. `Annotated[FitOptions, only("seed", "levels")]` takes these fields alone, the others stay as
they are by default. A field that several values of a command have is one parameter.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from inspect import Parameter, cleandoc, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin, get_type_hints

import typer

from goldenrule.core.option import Option, check_option, default_of, options_of, spelled
from goldenrule.runs.image_source import ImageSource
from goldenrule.runs.options import FitOptions

if TYPE_CHECKING:
    from goldenrule.storage.outputs import Kind

PLAIN: Mapping[str, type] = {"int": int, "float": float, "bool": bool, "Path": Path}
"""The types that the command line itself turns words into; of any other the value's own checks have better errors."""


@dataclass(frozen=True, slots=True)
class Taken:
    """Which options of a value a command takes, and where its defaults are others."""

    names: tuple[str, ...]
    defaults: Mapping[str, Any]


def only(*names: str, **defaults: Any) -> Taken:
    """Return what says that a command takes these options of a value alone, some with other defaults."""
    return Taken((*names, *(name for name in defaults if name not in names)), defaults)


def of(kind: type, name: str, **changed: Any) -> Any:
    """Return what Typer wants to know of one option: an annotation for a command that has no use for the others."""
    found = replace(options_of(kind)[name], **changed)
    return _info(name, found, _type_of(kind, name), default_of(kind, name), checked=True)


def output(what: str, default: str = "") -> Any:
    """Return the option that says where to write; `default` where it is decided by the other arguments."""
    unset = f" \\[default: {default}]" if default else ""
    return typer.Option("-o", "--out", help=f"{what}{unset}", show_default=not default)


def command(examples: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return what makes of a function that takes values a function that Typer makes a command of.

    The help is its docstring and the examples: what each example does stands below it.
    """

    def made(body: Callable[..., None]) -> Callable[..., None]:
        hints = get_type_hints(body, include_extras=True)
        values = {name: value for name, hint in hints.items() if (value := _taken(hint))}

        shared = {name for value in values.values() for name in value.defaults}

        @functools.wraps(body)
        def filled(**said: Any) -> None:
            body(**{
                name: _value(values[name], said, shared) if name in values else said[name]
                for name in signature(body).parameters
            })  # fmt: skip

        parameters = {one.name: one for one in _parameters(body, hints, values)}  # a field of two values comes once
        required = [one for one in parameters.values() if one.default is Parameter.empty]
        rest = [one for one in parameters.values() if one.default is not Parameter.empty]
        run: Any = filled
        del run.__wrapped__  # Typer would look at its annotations
        run.__annotations__ = {}
        run.__signature__ = signature(body).replace(parameters=[*required, *rest])
        run.__doc__ = with_examples(body.__doc__ or "", examples)
        return filled

    return made


def given(context: typer.Context) -> set[str]:
    """Return the names of the parameters that stand on the command line."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return {name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"}


def refuse(context: typer.Context, names: Iterable[str], why: str) -> None:
    """Raise `OptionError` where one of these parameters stands on the command line: it would have no effect."""
    from goldenrule.core.errors import OptionError

    if without := spellings(context, given(context) & set(names)):
        raise OptionError(
            f"{', '.join(without)} {'has' if len(without) == 1 else 'have'} no effect {why}. Leave "
            f"{'it' if len(without) == 1 else 'them'} away."
        )


def spellings(context: typer.Context, names: Collection[str]) -> list[str]:
    """Return how these parameters are written on the command line."""
    return [max(parameter.opts, key=len) for parameter in context.command.params if parameter.name in names]


def with_examples(text: str, examples: str) -> str:
    r"""Return what a command says to --help: its docstring, and what each example does below it.

    >>> print(with_examples("Say hello.", "Examples:\n\n  greet --loud          say HELLO").replace("\n\n", "\n"))
    Say hello.
    Examples:
      greet --loud
          say HELLO
    """
    paragraphs = cleandoc(text).split("\n\n")
    below = re.sub(r"^(  \S.*?) {3,}(?=\S)", r"\1\n      ", examples, flags=re.MULTILINE)
    return "\n\n".join([*(" ".join(one.split()) for one in paragraphs), below])


@dataclass(frozen=True, slots=True)
class _Value:
    """A value that a command takes: its kind, and the parameters that fill it."""

    kind: type
    defaults: Mapping[str, Any]


def _taken(hint: Any) -> _Value | None:
    """Return the value that an annotation stands for; None for a parameter of Typer's."""
    kind, *extra = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    if not (isinstance(kind, type) and is_dataclass(kind) and options_of(kind)):
        return None
    chosen = next((one for one in extra if isinstance(one, Taken)), Taken(tuple(options_of(kind)), {}))
    names = [name for name in options_of(kind) if name in chosen.names]
    return _Value(kind, {name: chosen.defaults.get(name, default_of(kind, name)) for name in names})


def _parameters(
    body: Callable[..., None], hints: Mapping[str, Any], values: Mapping[str, _Value]
) -> Iterator[Parameter]:
    for name, parameter in signature(body).parameters.items():
        if name not in values:
            yield parameter.replace(annotation=hints[name], kind=Parameter.KEYWORD_ONLY)
            continue
        value = values[name]
        for field, default in value.defaults.items():
            info = options_of(value.kind)[field]
            type_ = _type_of(value.kind, field)
            kept = Parameter.empty if info.argument else list(default) or None if type_ is list else default
            annotation: Any = Annotated[_annotation(type_, kept), _info(field, info, type_, kept)]
            yield Parameter(field, Parameter.KEYWORD_ONLY, default=kept, annotation=annotation)


def _value(value: _Value, said: Mapping[str, Any], shared: Collection[str]) -> Any:
    """Return the value that is filled with what was said; a plain field takes what the option of another value says."""
    plain = {one.name for one in fields(value.kind) if one.init} - options_of(value.kind).keys()
    asked = {name: said[name] for name in (*value.defaults, *(plain & set(shared)))}
    lists = {name: tuple(given or ()) for name, given in asked.items() if _type_of(value.kind, name) is list}
    return value.kind(**asked | lists)


def _type_of(kind: type, name: str) -> type:
    """Return what the command line turns the words of an option into."""
    [written] = [str(one.type) for one in fields(kind) if one.name == name]
    plain = written.removesuffix(" | None")
    return list if plain.startswith("tuple[") else PLAIN.get(plain, str)


def _annotation(type_: type, default: Any) -> Any:
    if type_ is list:
        return list[str] | None
    return type_ | None if default is None else type_


def _info(name: str, option: Option, type_: type, default: Any, *, checked: bool = False) -> Any:
    shown = default is not Parameter.empty and default is not False and default not in (None, "", ())
    help_ = f"{option.help} \\[default: {option.unset}]" if option.unset else option.help
    if option.argument:
        return typer.Argument(help=help_, metavar=option.metavar, show_default=False, readable=False)
    flags = spelled(name, option)
    if type_ is bool and default is True and not option.flags:
        flags = (f"{flags[-1]}/--no-{flags[-1].removeprefix('--')}",)

    def check(value: Any) -> Any:
        check_option(name, value, option)
        return value

    return typer.Option(
        *flags,
        help=help_,
        metavar=option.metavar,
        show_default=shown,
        rich_help_panel=option.panel,
        callback=check if checked else None,
    )


def json_kind(example: str, *names: tuple[str, ...]) -> Kind:
    """Return the kind of a JSON file that has one of these sets of names."""
    from goldenrule.storage.outputs import Kind, json_like

    every = [json_like(*keys) for keys in names]
    return Kind(name="a JSON file", example=example, ours=lambda content: any(ours(content) for ours in every))


LABELS = only("folder", "exclude", "labels_from", "rename", "rename_file", "csv", "id", "label", "separator")
"""Where images lie and what their labels are, for commands to which splits, groups and folds are nothing."""
Threads = Annotated[int | None, of(FitOptions, "threads")]
Exclude = Annotated[list[str] | None, of(ImageSource, "exclude")]
Run = Annotated[Path, typer.Argument(help="The folder of a run, or of a classifier.", show_default=False)]
FinishedRun = Annotated[Path, typer.Argument(help="The folder of a finished run.", show_default=False)]
Files = Annotated[
    list[Path],
    typer.Argument(help="Images and folders of images.", show_default=False, readable=False),
]
"""Not checked by Typer: what can't be read has its row (law 9)."""
Live = Annotated[
    bool,
    typer.Option(
        "--live",
        help="On live, augmented images, not on cached features: slower.",
    ),
]
Json = Annotated[Path | None, typer.Option(help="Write the numbers to this file.", show_default=False)]
RunFolder = Annotated[Path | None, output("The run's folder.", "runs/NAME")]
Verbose = Annotated[
    bool, typer.Option("-v", "--verbose", help="Print all details: epochs, comparisons, sets, notes, seconds.")
]
