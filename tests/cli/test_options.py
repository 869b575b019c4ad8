"""An option is written down once: signatures, help, checks and the reference page are made from it."""

from __future__ import annotations

import runpy
import subprocess
import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner

from goldenrule.cli.main import app
from goldenrule.cli.options import command, only
from goldenrule.core.errors import OptionError
from goldenrule.core.option import check_options, option, options_of
from goldenrule.runs.image_source import ImageSource
from goldenrule.runs.options import FitOptions
from goldenrule.runs.training_options import TrainingOptions

Command = Callable[..., subprocess.CompletedProcess[str]]
ROOT = Path(__file__).parents[2]
SEVERAL = {
    ("compare-models", "--backbone"),
    ("compare-models", "--type"),
    ("export", "--precision"),
    ("precompute", "--views"),
}
"""Options of which one command takes a list, another default, or what has that name in the field, and says so."""


@dataclass(frozen=True, kw_only=True)
class Baking:
    folder: Path = option(Path(), "Where.", argument=True)
    minutes: float = option(3.0, "How long.", above=0, wanted="a time above 0")
    grains: tuple[str, ...] = option((), "What of.", flags=("-g", "--grain"))
    covered: bool = option(False, "Whether a lid is on.")
    shelf: str = "middle"

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True, kw_only=True)
class Oven:
    shelf: str = option("middle", "Where it stands.")
    heat: int | None = option(None, "How hot.", least=50, most=300, wanted="50 to 300")


def bake(*words: str) -> list[Any]:
    found: list[Any] = []
    kitchen = typer.Typer()

    @kitchen.command()
    @command("Examples:\n\n  bake here     as always")
    def bake(baking: Baking, oven: Annotated[Oven, only("heat", "shelf", heat=180)], twice: bool = False) -> None:
        """Bake."""
        found.extend([baking, oven, twice])

    done = CliRunner().invoke(kitchen, list(words))
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return found or [done.output]


def test_a_command_gets_whole_values_from_the_words_of_a_command_line() -> None:
    baking, oven, twice = bake("here", "--minutes", "5", "-g", "rye", "--grain", "oat", "--covered", "--shelf", "top")
    assert baking == Baking(folder=Path("here"), minutes=5.0, grains=("rye", "oat"), covered=True, shelf="top")
    assert oven == Oven(shelf="top", heat=180)
    assert twice is False


def test_what_is_not_said_stays_as_the_field_has_it() -> None:
    assert bake("here")[0] == Baking(folder=Path("here"))
    assert bake("here", "--heat", "90")[1].heat == 90


def test_bounds_are_checked_by_the_value() -> None:
    with pytest.raises(OptionError, match="--minutes -1: wanted a time above 0"):
        bake("here", "--minutes", "-1")
    with pytest.raises(OptionError, match="--heat 20: wanted 50 to 300"):
        check_options(Oven(heat=20))


def test_help_is_made_of_the_fields_and_the_examples() -> None:
    [text] = bake("--help")
    for wanted in ("How long.", "[default: 3.0]", "[default: 180]", "--grain", "as always", "Where it stands."):
        assert wanted in text, text


def every_option() -> Iterator[tuple[str, str, Any]]:
    reference = runpy.run_path(str(ROOT / "docs" / "make_reference.py"))
    for name, one in reference["commands"](typer.main.get_command(app)):
        for parameter in one.params:
            if parameter.param_type_name == "option" and parameter.name != "help":
                yield name, max(parameter.opts, key=len), parameter


def test_the_same_word_means_the_same_in_every_command() -> None:
    meanings: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for name, word, parameter in every_option():
        if word != "--out" and (name, word) not in SEVERAL:
            meanings[word].add((parameter.help, str(parameter.metavar)))
    assert {word: found for word, found in meanings.items() if len(found) > 1} == {}


def test_every_option_of_a_value_stands_on_a_command_line() -> None:
    spelled = {word for _, word, _ in every_option()}
    for kind in (FitOptions, ImageSource, TrainingOptions):
        for name, one in options_of(kind).items():
            assert one.argument or (one.flags or (f"--{name.replace('_', '-')}",))[-1] in spelled, name


def test_the_reference_page_is_made_from_the_commands() -> None:
    reference = runpy.run_path(str(ROOT / "docs" / "make_reference.py"))
    page = reference["PAGE"].read_text(encoding="utf-8")
    details = tomllib.loads(reference["DETAILS"].read_text(encoding="utf-8"))
    assert reference["written"](page, details) == page, "run: python docs/make_reference.py"
    words: dict[str, set[str]] = defaultdict(set)
    for name, word, _ in every_option():
        words[name].add(word.lstrip("-"))
        words["shared"].add(word.lstrip("-"))
    for name, texts in details.items():
        assert texts.keys() <= words[name], f"docs/reference/options.toml: {name} has no such option"


def test_a_column_of_folds_is_no_drawn_fold(command: Command, picture_folder: Callable[..., Path]) -> None:
    root = picture_folder(each=4)
    (root / "t.csv").write_text("file,label,fold\n")
    for words in (("--fold", "1/2"), ("--folds", "2")):
        found = command("fit", root, "--quick", "--csv", root / "t.csv", "--fold-column", "fold=0", *words)
        assert found.returncode == 2
        assert "draws its folds, --fold-column fold=0 names one of a table" in " ".join(found.stderr.split())
    found = command("fit", root, "--quick", "--csv", root / "t.csv", "--fold-column", "0")
    assert "--fold-column 0: wanted COLUMN=VALUE" in " ".join(found.stderr.split())


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("train", "x", "-t", "fromzero", "--type=fine_tuning"), "-t and --type=fine_tuning: wanted once"),
        (("fit", "x", "-m", "resnet18", "--backbone", "resnet34"), "-m and --backbone: wanted once"),
        (("doctor", "--speed", "--no-speed"), "--speed and --no-speed: wanted once"),
    ],
    ids=str,
)
def test_an_option_that_takes_one_value_is_given_once(command: Command, words: tuple[str, ...], told: str) -> None:
    found = command(*words)
    assert found.returncode == 2
    assert told in found.stderr


def test_an_option_that_takes_several_values_may_be_repeated(command: Command) -> None:
    found = command("fit", "x", "--exclude", "a", "--exclude", "b", "--metric", "f1", "--metric", "f2")
    assert "x does not exist" in found.stderr


def test_one_name_of_a_network_has_three_spellings(command: Command) -> None:
    assert len({command("summary", word, "original").stdout for word in ("-m", "--model", "--backbone")}) == 1
