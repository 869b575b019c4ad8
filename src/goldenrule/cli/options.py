"""Signatures of commands, made from the options that are written down once as fields of dataclasses.

A command takes a whole value, such as `options: FitOptions`, and the command line gets one parameter for each of its
fields that is an option. `Annotated[FitOptions, only("seed", "levels")]` takes these fields alone, the others stay as
they are by default. A field that several values of a command have is one parameter.
"""

from __future__ import annotations

import copy
import functools
import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from inspect import Parameter, cleandoc, signature
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer
from typer.core import TyperCommand, TyperGroup

from goldenrule.cli.argument_order import check_order
from goldenrule.core.option import Option, check_option, default_of, options_of, spelled
from goldenrule.runs.cluster_options import ClusterOptions
from goldenrule.runs.image_source import ImageSource
from goldenrule.runs.options import FitOptions
from goldenrule.runs.training_options import TrainingOptions

PLAIN: Mapping[str, type] = {"int": int, "float": float, "bool": bool, "Path": Path}
"""The types that the command line itself turns words into; of any other the value's own checks have better errors."""


WRITTEN = frozenset({"out", "json", "sort_into"})
"""Options that say where to write."""
NOTHING_READ = 1
"""The exit code where there were images to predict, and not one could be read."""
Numbers = object
"""What a command returns for `--json`: a value, the JSON file that it has written, or a function that gives either."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The numbers of a command that ends with another exit code than 0."""

    numbers: Numbers
    code: int


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


def command(examples: str = "") -> Callable[[Callable[..., Numbers]], Callable[..., None]]:
    """Return what makes of a function that takes values a function that Typer makes a command of.

    The help is its docstring and the examples: what each example does stands below it. Every command has `--quiet`,
    and `--json`, which writes the numbers that the function returns.
    """

    def made(body: Callable[..., Numbers]) -> Callable[..., None]:
        name = body.__name__.replace("_", "-")
        hints = get_type_hints(body, include_extras=True)
        values = {name: value for name, hint in hints.items() if (value := _taken(hint))}

        shared = {name for value in values.values() for name in value.defaults}

        @functools.wraps(body)
        def filled(**said: Any) -> None:
            check_order(name, said)
            given_ = {
                name: _value(values[name], said, shared) if name in values else said[name]
                for name in signature(body).parameters
            }
            _run(lambda: body(**given_), json=said["json"], quiet=said["quiet"], name=name)

        parameters = {one.name: one for one in _parameters(body, hints, values)}  # a field of two values comes once
        required = [one for one in parameters.values() if one.default is Parameter.empty]
        rest = [one for one in parameters.values() if one.default is not Parameter.empty]
        run: Any = filled
        del run.__wrapped__  # Typer would look at its annotations
        run.__annotations__ = {}
        every = [*required, *rest, *COMMON]
        many = len(every) > MANY
        if many:
            every = [*map(_hidden_if_rare, every), HELP_ALL]
        run.__signature__ = signature(body).replace(parameters=every)
        run.__doc__ = with_examples(body.__doc__ or "", examples, most=FIRST_EXAMPLES if many else 0)
        run.full_help = with_examples(body.__doc__ or "", examples)
        return filled

    return made


def _run(body: Callable[[], Numbers], *, json: Path | None, quiet: bool, name: str) -> None:
    """Run a command; write its numbers to `json`, "-" being the screen, which then shows nothing else."""
    from goldenrule.core.alive import alive
    from goldenrule.core.console import printing
    from goldenrule.storage.outputs import Kind, check_output, json_like, to_terminal, write_output

    kind = Kind(name="a JSON file", example="numbers.json", ours=json_like("goldenrule", "command"))
    screen = json == Path("-")
    if json is not None and not screen:
        check_output(json, kind, option="--json")
    seen = not quiet and sys.stderr.isatty()
    with printing(quiet=quiet, on_stderr=screen or to_terminal(json)), alive(wanted=seen):
        found = body()
        if json is not None:
            text = _json_text(found, name)
            if screen:
                typer.echo(text, nl=False)
            else:
                from goldenrule.core.console import Console, Text

                write_output(json, text)
                Console().print(Text(f"Written: {json}"), soft_wrap=True)
    if isinstance(found, Ended):
        raise typer.Exit(found.code)


def _json_text(found: Numbers, name: str) -> str:
    from goldenrule.core.schema import as_json
    from goldenrule.core.version import __version__
    from goldenrule.storage.files import json_text, read_json

    value = found.numbers if isinstance(found, Ended) else found
    if callable(value):
        value = value()
    value = read_json(value) if isinstance(value, Path) else as_json(value)
    return json_text({"goldenrule": __version__, "command": name, **value})


class Command(TyperCommand):
    """A command; its --help shows no type beside what takes no value."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, with the option --help."""
        return _flags_alone(super().get_params(ctx))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words of the command line; `OptionError` where an option stands in the place of another's value."""
        _check_values(self.get_params(ctx), args)
        _check_patterns(self.get_params(ctx), args)
        return super().parse_args(ctx, args)


class Group(TyperGroup):
    """A command with commands below it; as `Command`."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, with the option --help."""
        return _flags_alone(super().get_params(ctx))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """See `Command.parse_args`."""
        _check_values(self.get_params(ctx), args)
        return super().parse_args(ctx, args)


def _check_values(parameters: Iterable[Any], args: Sequence[str]) -> None:
    """Raise `OptionError` where an option would be taken for the value of the one before it: "--json --quick"."""
    options = {
        name: one for one in parameters if one.param_type_name == "option" for name in (*one.opts, *one.secondary_opts)
    }
    words = args[: args.index("--")] if "--" in args else args
    for word, value in pairwise(words):
        if word in options and not options[word].is_flag and value.partition("=")[0] in options:
            from goldenrule.core.errors import OptionError

            wanted = (options[word].metavar or "a value").strip("<>")
            raise OptionError(f"{word} {value}: {word} wants {wanted}, and {value} is another option.")
    _check_places(options, words)


def _check_patterns(parameters: Iterable[Any], args: Sequence[str]) -> None:
    """Raise `OptionError` where a shell has spelled out a pattern of shards for a command that takes one path."""
    if not any(one.name == "folder" and one.param_type_name == "argument" for one in parameters):
        return
    shards = [word for word in args if word.lower().endswith((".tar", ".parquet")) and Path(word).is_file()]
    if len(shards) > 1:
        from goldenrule.core.errors import OptionError

        pattern = Path(shards[0]).with_name(f"*{Path(shards[0]).suffix}")
        raise OptionError(
            f"{len(shards):,} files are given, from {shards[0]} to {shards[-1]}; wanted one path. Put a pattern into "
            f"quotes, so that the shell leaves it alone: '{pattern}'."
        )


def _check_places(options: Mapping[str, Any], words: Sequence[str]) -> None:
    """Raise `OptionError` where the empty word says where to write: it would be the current folder, among all there."""
    pairs = [*pairwise(words), *(word.split("=", 1) for word in words if word.startswith("--") and "=" in word)]
    for word, value in pairs:
        if not value and word in options and options[word].name in WRITTEN:
            from goldenrule.core.errors import OptionError

            raise OptionError(
                f"{word} '' names no place to write to; wanted a path. Is a variable of the shell empty? Without "
                f"{word} the usual place is taken."
            )


def _flags_alone(parameters: list[Any]) -> list[Any]:
    for one in parameters:
        if getattr(one, "is_flag", False):
            one.metavar = ""  # Typer would write <bool>
    return parameters


def given(context: typer.Context) -> set[str]:
    """Return the names of the parameters that stand on the command line, without those of every command."""
    sources = {
        name: context.get_parameter_source(name) for name in context.params.keys() - {"json", "quiet", "help_all"}
    }
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


def said_again(context: typer.Context, *, without: Collection[str]) -> str:
    """Return the command line that was given, without some of its options, as words for a shell."""
    from goldenrule.storage.files import in_shell

    words: list[str] = []
    for parameter in context.command.params:
        if parameter.name not in given(context) - {*without}:
            continue
        value = context.params[parameter.name]
        flags = (*parameter.opts, *parameter.secondary_opts)
        if parameter.param_type_name == "argument":
            words += map(in_shell, value if isinstance(value, list | tuple) else [value])
        elif isinstance(value, bool):
            words.append(parameter.opts[-1] if value else flags[-1])
        else:
            for one in value if isinstance(value, list | tuple) else [value]:
                words += [max(parameter.opts, key=len), in_shell(f"{one:g}" if isinstance(one, float) else one)]
    return " ".join(["goldenrule", str(context.info_name), *words])


def _hidden_if_rare(parameter: Parameter) -> Parameter:
    """Return the parameter of an option, hidden from --help where it is rare, else in one of few panels."""
    kind, info = get_args(parameter.annotation) or (None, None)
    if not hasattr(info, "rich_help_panel"):
        return parameter
    info = copy.copy(info)
    info.hidden = parameter.name in RARE
    info.rich_help_panel = FEW_PANELS.get(info.rich_help_panel)
    return parameter.replace(annotation=Annotated[kind, info])


def _help_all(context: typer.Context, asked: bool) -> None:
    """Print the help with all options and examples, and end."""
    if not asked or context.resilient_parsing:
        return
    shown: Any = copy.copy(context.command)
    shown.params = [copy.copy(one) for one in shown.params]
    for one in shown.params:
        one.hidden, one.rich_help_panel = False, PANELS.get(one.name, one.rich_help_panel)
    shown.help = shown.callback.full_help
    typer.echo(shown.get_help(context), nl=False)
    raise typer.Exit


def with_examples(text: str, examples: str, *, most: int = 0) -> str:
    r"""Return what a command says to --help: its docstring, and what each example does below it; 0: all of them.

    >>> print(with_examples("Say hello.", "Examples:\n\n  greet --loud          say HELLO").replace("\n\n", "\n"))
    Say hello.
    Examples:
    greet --loud
        say HELLO
    """
    paragraphs = cleandoc(text).split("\n\n")
    head, *each = [one for one in examples.strip("\n").split("\n\n") if one] or [""]
    below = "\n".join([head, *(each[:most] if most else each)])
    below = re.sub(r"^  (\S.*?)(?: {3,}(?=\S)|$)", r"\1\n    ", below, flags=re.MULTILINE).replace("\n    \n", "\n")
    below = below.removesuffix("\n    ")
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
    body: Callable[..., Numbers], hints: Mapping[str, Any], values: Mapping[str, _Value]
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


LABELS = only("folder", "exclude", "labels_from", "rename", "rename_file", "csv", "id", "label", "separator")
"""Where images lie and what their labels are, for commands to which splits, groups and folds are nothing."""
Threads = Annotated[int | None, of(FitOptions, "threads")]
Device = Annotated[str, of(FitOptions, "device")]
Cluster = Annotated[str | None, of(ClusterOptions, "cluster")]
Exclude = Annotated[list[str] | None, of(ImageSource, "exclude")]
Run = Annotated[Path, typer.Argument(help="The folder of a run, or of a classifier.", show_default=False)]
FinishedRun = Annotated[Path, typer.Argument(help="The folder of a finished run.", show_default=False)]
Files = Annotated[
    list[Path],
    typer.Argument(
        help="Images and folders, patterns ('*.jpg'), lists (.txt) and tables (.csv) of paths, archives (.tar, .zip); "
        "- is a list on standard input.",
        show_default=False,
        readable=False,
    ),
]
"""Not checked by Typer: what can't be read has its row (law 9)."""
Live = Annotated[
    bool,
    typer.Option(
        "--live",
        help="On live, augmented images, not on cached features: slower.",
    ),
]
RunFolder = Annotated[Path | None, output("The run's folder.", "runs/NAME")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Begin anew, after asking.")]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Print all details.")]
COMMON = (
    Parameter(
        "json",
        Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[
            Path | None,
            typer.Option(help="Write the numbers here; - is the screen.", metavar="FILE", show_default=False),
        ],
    ),
    Parameter(
        "quiet",
        Parameter.KEYWORD_ONLY,
        default=False,
        annotation=Annotated[bool, typer.Option("-q", "--quiet", help="Print nothing but errors.")],
    ),
)
"""The options of every command."""
HELP_ALL = Parameter(
    "help_all",
    Parameter.KEYWORD_ONLY,
    default=False,
    annotation=Annotated[
        bool, typer.Option("--help-all", help="Show all options and examples.", is_eager=True, callback=_help_all)
    ],
)
MANY, FIRST_EXAMPLES = 12, 5
"""A command with so many options shows the usual ones, and so many examples, to --help; all to --help-all."""
FEW_PANELS = {"Images": "Images", "Images with a table of labels": "Images"} | dict.fromkeys(
    ("Network", "Augmentation", "Training", "Evaluation"), "Model"
)
_EVERY = {name: one for kind in (ImageSource, FitOptions, TrainingOptions) for name, one in options_of(kind).items()}
RARE = {name for name, one in _EVERY.items() if one.rare} | {"log", "custom_head", "custom_backbone", "optimizer"}
PANELS = {name: one.panel for name, one in _EVERY.items()}
