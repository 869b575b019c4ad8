"""The command itself: quick, documented, and honest about its exit codes."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest
import typer

from goldenrule.cli.main import app

Command = Callable[..., subprocess.CompletedProcess[str]]
ROOT = typer.main.get_command(app)
COMMANDS = [
    ["fit"],
    ["audit"],
    ["split"],
    ["show-augment"],
    ["lr-find"],
    ["predict"],
    ["explain"],
    ["submit"],
    ["insight"],
    ["search"],
    ["compare"],
    ["learning-curve"],
    ["report"],
    ["summary"],
    ["train"],
    ["demo"],
    ["lesson"],
    ["doctor"],
    ["bank"],
    ["bank", "clear"],
    ["bank", "limit"],
]


def processor_seconds(*arguments: str) -> float:
    """Give what a process takes of the processor: unlike the clock it minds little what else runs."""
    process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL)
    _, process.returncode, usage = os.wait4(process.pid, 0)
    assert process.returncode == 0
    return usage.ru_utime + usage.ru_stime


def test_help_takes_no_longer_than_some_empty_pythons() -> None:
    """A third of a second where an empty Python takes 20 ms; Rich and Typer are most of it."""
    processor_seconds("-m", "goldenrule", "--help")  # compiles what is not compiled yet
    pairs = [(processor_seconds("-c", "pass"), processor_seconds("-m", "goldenrule", "--help")) for _ in range(7)]
    empty, helped = (min(column) for column in zip(*pairs, strict=True))  # the least disturbed of each
    assert helped < 27 * empty, pairs


def test_the_command_line_imports_nothing_heavy() -> None:
    code = "import sys, goldenrule.cli.main; print(sorted({n.split('.')[0] for n in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    for name in ("torch", "timm", "openvino", "numpy", "pyarrow", "sklearn", "scipy", "matplotlib", "PIL"):
        assert f"'{name}'" not in loaded, name


def find(names: list[str]) -> Any:
    command: Any = ROOT
    for name in names:
        command = command.commands[name]
    return command


def test_every_command_is_in_the_table() -> None:
    group: Any = ROOT
    found = [[name] for name in group.commands] + [["bank", name] for name in group.commands["bank"].commands]
    assert sorted(found) == sorted(COMMANDS)


@pytest.mark.parametrize("names", COMMANDS, ids=" ".join)
def test_every_command_explains_itself_with_examples_that_can_be_parsed(names: list[str]) -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "goldenrule", *names, "--help"], capture_output=True, text=True, check=True
    )
    assert "Traceback" not in shown.stderr
    documented = find(names[:1]) if names[0] == "bank" else find(names)
    text = documented.help
    assert "Examples" in text
    examples = [line.strip() for line in text.splitlines() if line.strip().startswith("goldenrule ")]
    if names != ["bank", "clear"] and names != ["bank", "limit"]:
        assert "Examples" in shown.stdout
    assert len(examples) >= 2
    for example in examples:
        words = shlex.split(re.split(r"\s{3,}", example)[0])[1:]
        command: Any = ROOT
        while words and words[0] in getattr(command, "commands", {}):
            command = command.commands[words.pop(0)]
        assert command is not ROOT, example
        command.make_context("example", list(words))  # raises for an option that does not exist


def test_what_is_imported_by_name_exists() -> None:
    for name in ("fit", "lr_find", "predict", "demo", "doctor", "bank"):
        assert import_module(f"goldenrule.cli.{name}").__doc__


def test_the_version_is_printed(command: Command) -> None:
    found = command("--version")
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


def test_without_arguments_the_help_is_shown(command: Command) -> None:
    assert "goldenrule demo" in command().stdout
