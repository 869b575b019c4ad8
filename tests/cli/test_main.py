"""The command itself: quick, documented, and honest about its exit codes."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from goldenrule.cli.main import app

Command = Callable[..., subprocess.CompletedProcess[str]]
ROOT = typer.main.get_command(app)
COMMANDS = [
    ["fit"],
    ["audit"],
    ["split"],
    ["show-augment"],
    ["lr-find"],
    ["precompute"],
    ["predict"],
    ["serve"],
    ["evaluate"],
    ["explain"],
    ["export"],
    ["submit"],
    ["labels"],
    ["review"],
    ["tune"],
    ["compare-models"],
    ["compare-runs"],
    ["runs"],
    ["learning-curve"],
    ["report"],
    ["share"],
    ["summary"],
    ["train"],
    ["demo"],
    ["lesson"],
    ["doctor"],
    ["cache"],
    ["cache", "clear"],
    ["cache", "limit"],
]


LOADED = """
import contextlib, io, sys
from goldenrule.cli.main import app
with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
    app(["--help"])
print(*sys.modules)
"""


def modules_of(code: str) -> list[str]:
    """Return the modules that a new Python has loaded when it has run some code that prints them."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()


def test_help_loads_little_more_than_typer_and_rich() -> None:
    """What it loads is what it takes: a third of a second."""
    bare = modules_of("import sys, typer, rich.console, rich.markdown, rich.panel, rich.table; print(*sys.modules)")
    helped = modules_of(LOADED)
    assert len(helped) < len(bare) + 85, sorted({*helped} - {*bare})
    for name in ("torch", "timm", "openvino", "numpy", "pyarrow", "sklearn", "scipy", "matplotlib", "PIL"):
        assert name not in helped


def find(names: list[str]) -> Any:
    command: Any = ROOT
    for name in names:
        command = command.commands[name]
    return command


def test_every_command_is_in_the_table() -> None:
    group: Any = ROOT
    found = [[name] for name in group.commands] + [["cache", name] for name in group.commands["cache"].commands]
    assert sorted(found) == sorted(COMMANDS)


@pytest.mark.parametrize("names", COMMANDS, ids=" ".join)
def test_every_command_explains_itself_with_examples_that_can_be_parsed(command: Command, names: list[str]) -> None:
    shown = command(*names, "--help")
    assert (shown.returncode, shown.stderr) == (0, "")
    documented = find(names[:1]) if names[0] == "cache" else find(names)
    text = documented.help
    assert "Examples" in text
    examples = [line.strip() for line in text.splitlines() if line.strip().startswith("goldenrule ")]
    if names != ["cache", "clear"] and names != ["cache", "limit"]:
        assert "Examples" in shown.stdout
    assert len(examples) >= 2
    for example in examples:
        words = shlex.split(re.split(r"\s{3,}", example)[0])[1:]
        named: Any = ROOT
        while words and words[0] in getattr(named, "commands", {}):
            named = named.commands[words.pop(0)]
        assert named is not ROOT, example
        named.make_context("example", list(words))  # raises for an option that does not exist


def test_what_is_imported_by_name_exists() -> None:
    for name in ("fit", "lr_find", "predict", "demo", "doctor", "cache"):
        assert import_module(f"goldenrule.cli.{name}").__doc__


def test_the_version_is_printed(process: Command) -> None:
    found = process("--version")
    assert found.returncode == 0
    assert re.fullmatch(r"goldenrule \d+\.\d+\.\d+\n", found.stdout)


@pytest.mark.parametrize(
    "arguments", [["fitt"], ["fit"], ["fit", "x", "--nothing"], ["predict", "x"], ["fit", "x", "--seed", "one"]]
)
def test_a_wrong_command_line_is_exit_code_2(command: Command, arguments: list[str]) -> None:
    found = command(*arguments)
    assert found.returncode == 2
    assert found.stderr
    assert found.stdout == ""


def test_an_option_of_another_command_is_said_to_be_one(command: Command) -> None:
    found = command("fit", "photos", "--epochs", "3")
    assert found.returncode == 2
    assert "No such option: --epochs. It is an option of train and compare-models." in " ".join(found.stderr.split())
    assert "Possible options" in command("fit", "photos", "--eed", "3").stderr, "what nobody has is guessed at"


def test_no_help_shows_a_type_beside_a_switch_or_a_word_of_the_inside() -> None:
    for names in ([], ["runs", "rm"], *COMMANDS):
        found = CliRunner().invoke(app, [*names, "--help"]).stdout
        assert "--help" in found, names
        assert "<bool>" not in found, names
        assert not re.search(r"\blaws? \d", found), names


def test_a_shell_completes_commands_and_options() -> None:
    installed = Path(sys.executable).with_name("goldenrule")
    asked = os.environ | {"_GOLDENRULE_COMPLETE": "source_bash"}  # --show-completion asks which shell has started it
    script = subprocess.run([str(installed)], env=asked, capture_output=True, text=True, check=True).stdout
    for typed, wanted in {"goldenrule learn": "learning-curve", "goldenrule fit --back": "--backbone"}.items():
        words = typed.split()
        line = (
            f"{script}\nCOMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}\n"
            '_goldenrule_completion goldenrule; echo "${COMPREPLY[@]}"'
        )
        environment = os.environ | {"PATH": f"{installed.parent}:{os.environ['PATH']}"}
        done = subprocess.run(["bash", "-c", line], env=environment, capture_output=True, text=True, check=True)
        assert wanted in done.stdout.split()


def test_without_arguments_the_help_is_shown(command: Command) -> None:
    assert "goldenrule demo" in command().stdout


def test_as_a_process_a_user_s_mistake_is_exit_code_2_and_no_traceback(process: Command) -> None:
    found = process("fit", "nowhere", "--quick")
    assert found.returncode == 2
    assert found.stderr.startswith("error: nowhere does not exist")
    assert found.stdout == ""
