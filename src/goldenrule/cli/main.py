"""The command `goldenrule`: its sub-commands, and what becomes of errors."""

from __future__ import annotations

import atexit
import contextlib
import io
import os
import signal
import sys
from collections.abc import Container, Iterator, Sequence
from typing import Any, NoReturn

import typer
from typer.exceptions import TyperException

from goldenrule.cli import (
    audit,
    cache,
    compare_models,
    compare_runs,
    demo,
    doctor,
    evaluate,
    explain,
    export,
    fit,
    labels,
    learning_curve,
    lesson,
    lr_find,
    precompute,
    predict,
    report,
    review,
    runs,
    serve,
    share,
    show_augment,
    split,
    submit,
    summary,
    train,
    tune,
)
from goldenrule.cli.options import Command, Group
from goldenrule.core.extras import quiet_dependencies
from goldenrule.core.interrupts import asked, raise_when_told

RENAMED = {
    "bank": "cache",
    "insight": "labels",
    "search": "tune",
    "compare": "compare-models FOLDER, or compare-runs RUN OTHER",
}
"""Commands that had another name, and what it is now."""


class Commands(Group):
    """The commands; what a user can mend ends each of them with a message and exit code 2."""

    def make_context(self, *arguments: Any, **extra: Any) -> Any:
        """Return the context of the words before the command."""
        with _usage_errors(self):
            return super().make_context(*arguments, **extra)

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for; `ctx` is Click's context, which Typer has under another name."""
        from goldenrule.core.errors import GoldenRuleError, of_system, system_errors
        from goldenrule.core.reason import on_the_command_line

        try:
            with on_the_command_line(), _usage_errors(self), system_errors():
                self._refuse_repeated(ctx)
                _need_packages([*ctx._protected_args, *ctx.args], self.commands)
                return super().invoke(ctx)
        except GoldenRuleError as error:
            _complain(str(error))
        except BrokenPipeError:
            raise
        except OSError as error:
            _complain(of_system(error))
        except MemoryError:
            _complain("There is not enough memory. Close other programs, or give --threads a smaller number.")
        raise typer.Exit(2)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that the first word names; one that was renamed says so."""
        from goldenrule.core.errors import OptionError

        if args and args[0] in RENAMED:
            raise OptionError(f"There is no command {args[0]}. It is now: goldenrule {RENAMED[args[0]]}.")
        if args and args[0] in ("help", "version"):
            every = " It is about all commands; goldenrule COMMAND --help about one." if args[0] == "help" else ""
            raise OptionError(f"There is no command {args[0]}. Give: goldenrule --{args[0]}.{every}")
        return super().resolve_command(ctx, args)

    def with_option(self, spelling: str) -> str:
        """Return which commands have an option, "" where none has: "train and compare"."""
        names = [
            name
            for name, command in self.commands.items()
            if any(spelling in (*one.opts, *getattr(one, "secondary_opts", ())) for one in command.params)
        ]
        return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:]))) if spelling else ""

    def nearest_option(self, spelling: str) -> str:
        """Return the option of any command that looks most like a spelling, "" where none does."""
        from goldenrule.core.errors import nearest

        every = {name for command in self.commands.values() for one in command.params for name in one.opts}
        return next(iter(nearest(spelling, sorted(every), most=1, cutoff=0.75)), "")

    def _refuse_repeated(self, ctx: Any) -> None:
        """Raise `OptionError` for an option that takes one value and is given twice: the first would have no effect."""
        from goldenrule.core.errors import OptionError

        name, *words = [*ctx._protected_args, *ctx.args] or [""]
        command = self.commands.get(name)
        for option in getattr(command, "params", ()):
            spelled = {*option.opts, *getattr(option, "secondary_opts", ())}
            given = [
                word
                for word in words[: words.index("--") if "--" in words else None]
                if word.partition("=")[0] in spelled
            ]
            if option.param_type_name == "option" and not option.multiple and len(given) > 1:
                raise OptionError(f"{' and '.join(given)}: wanted once, since the last alone would count.")


OF_EXTRA = {"cache": "", "predict": "", "share": "", "serve": "serve", "review": "review"}
"""Commands that do with what `pip install goldenrule` installs, and those that need another extra than `fit`."""


def _need_packages(words: Sequence[str], known: Container[str]) -> None:
    """Raise `MissingExtra` where a command needs packages that are not installed: before it does half of its work."""
    from goldenrule.core.extras import need

    called = words[0] if words and not {"-h", "--help"} & {*words} else ""
    if called in known and (extra := OF_EXTRA.get(called, "fit")):
        need(extra, what=f"goldenrule {called}")


@contextlib.contextmanager
def _usage_errors(commands: Commands) -> Iterator[None]:
    """Escape words that Typer repeats in its own messages, and name the commands that have an option this one lacks."""
    try:
        yield
    except TyperException as error:
        if isinstance(message := getattr(error, "message", None), str):
            from goldenrule.core.visible import visible

            error.message = visible(message).replace("Value error, ", "")
            asked = getattr(error, "option_name", "")
            if others := commands.with_option(asked):
                vars(error)["possibilities"] = []
                error.message += f". It is an option of {others}."
            elif asked and not getattr(error, "possibilities", None) and (close := commands.nearest_option(asked)):
                error.message += f". Did you mean {close}, an option of {commands.with_option(close)}?"
        raise


app = typer.Typer(
    name="goldenrule",
    cls=Commands,
    help="From a folder of images to a classifier you can trust, in seconds.",
    epilog="Start with: goldenrule demo, or: goldenrule fit FOLDER (one sub-folder of images per class).",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
PANELS = {
    "Start": {"demo": demo.demo, "fit": fit.fit, "predict": predict.predict, "evaluate": evaluate.evaluate},
    "Data": {
        "audit": audit.audit,
        "split": split.split,
        "labels": labels.labels,
        "review": review.review,
        "show-augment": show_augment.show_augment,
        "precompute": precompute.precompute,
    },
    "Understand": {
        "report": report.report,
        "explain": explain.explain,
        "learning-curve": learning_curve.learning_curve,
        "compare-runs": compare_runs.compare_runs,
    },
    "By hand": {
        "train": train.train,
        "lr-find": lr_find.lr_find,
        "tune": tune.tune,
        "summary": summary.summary,
        "compare-models": compare_models.compare_models,
    },
    "Put to work": {"export": export.export, "serve": serve.serve},
    "Competition": {"submit": submit.submit},
    "Learn": {"lesson": lesson.lesson},
    "Machine": {"doctor": doctor.doctor, "share": share.share},
}
"""The commands by what they are for, in the order in which --help lists them."""
for panel, members in PANELS.items():
    for name, function in members.items():
        app.command(name, cls=Command, rich_help_panel=panel)(function)
app.add_typer(cache.app, name="cache", rich_help_panel="Machine")
app.add_typer(runs.app, name="runs", rich_help_panel="Machine")


@app.callback(invoke_without_command=True)
def main(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", help="Print the version and end."),
) -> None:
    """From a folder of images to a classifier you can trust, in seconds."""
    if version:
        from goldenrule.core.version import __version__

        typer.echo(f"goldenrule {__version__}")
        raise typer.Exit
    del context


WRITTEN_WHOLE = ("export", "share")
"""Commands that write all or nothing, and begin anew."""


class Terminated(BaseException):
    """SIGTERM came: what Ctrl-C does, with an exit code of its own."""


def run() -> NoReturn:
    """Run the command line: exit code 0, or 2 with a message where the user can mend something.

    130 where Ctrl-C ended it, 143 where SIGTERM did.
    """
    try:
        raise_when_told({signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: Terminated})
        quiet_dependencies()
        _print_anything()
        app(standalone_mode=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except BaseException as error:  # Typer makes an exit of Ctrl-C, and a library may make any error of it
        if number := asked() or (isinstance(error, KeyboardInterrupt) and signal.SIGINT):
            _stopped(128 + number)
        raise
    sys.exit(0)


def _print_anything() -> None:
    """Spell out names that the terminal's encoding does not have, instead of ending the command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _stopped(code: int) -> NoReturn:
    """End with this code.

    `sys.exit` would not do: after Ctrl-C inside code that a library embeds, `python -m` ends by the signal itself.
    """
    whole = sys.argv[1:2] and sys.argv[1] in WRITTEN_WHOLE
    _say(f"Stopped. {'Nothing was written.' if whole else 'Give the same command again: it goes on where it stopped.'}")
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def _complain(message: str) -> None:
    _say(message, before="error: ")


def _say(message: str, *, before: str = "") -> None:
    from goldenrule.core.console import Console, Text

    Console(stderr=True, always=True).print(
        Text.assemble((before, "bold red"), Text(message, lines=True)), soft_wrap=True
    )
