"""The documentation is true: its Python runs, its command lines parse, its reference pages are complete."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import typer
from PIL import Image

import goldenrule

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *(
        path
        for path in sorted((ROOT / "docs").rglob("*.md"))
        if not {"results", "lessons", "notebooks"} & {*path.parts}
    ),
]
SHELLS = ("console", "bash", "sh")
PLACEHOLDERS = re.compile(r"\[options\]|\.\.\.")


def _name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def _blocks(page: Path, *languages: str) -> Iterator[tuple[int, str]]:
    """Return (line number, text) of the fenced blocks in some languages."""
    language, first, lines = "", 0, list[str]()
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("```"):
            if language in languages and line == "```":
                yield first, "\n".join(lines)
            language, first, lines = ("" if language else line.removeprefix("```").strip() or "text"), number + 1, []
        else:
            lines.append(line)


def _command_lines() -> Iterator[tuple[str, list[str]]]:
    """Return (where, words) of every `goldenrule ...` line in the shell blocks, prompts and paths taken off."""
    for page in PAGES:
        for first, text in _blocks(page, *SHELLS):
            for number, line in enumerate(text.splitlines(), first):
                found = re.match(r"(?:\$ )?(?:\S*/)?goldenrule( .*|$)", line)
                if found:
                    words = shlex.split(PLACEHOLDERS.sub("", found[1]), comments=True)
                    yield f"{_name(page)}:{number}", words


COMMAND_LINES = list(_command_lines())


@pytest.fixture(scope="module")
def fitted_folder(prepared_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `photos`, a run on them, `new_photos`, labelled `more_photos`, and the cache; copied for a page."""
    from goldenrule.pipelines.quick_fit import quick_fit

    folder = tmp_path_factory.mktemp("pages")
    shutil.copytree(prepared_cache, folder / "cache")
    draws = np.random.default_rng(0)
    for channel, label in ((0, "red"), (2, "blue")):
        (folder / "photos" / label).mkdir(parents=True)
        for number in range(12):
            pixels = draws.integers(0, 90, size=(48, 64, 3), dtype=np.uint8)
            pixels[:, :, channel] += 150
            Image.fromarray(pixels).save(folder / "photos" / label / f"{number:02d}.png")
        (folder / "more_photos" / label).mkdir(parents=True)
        for number in range(4):
            pixels = draws.integers(0, 90, size=(48, 64, 3), dtype=np.uint8)
            pixels[:, :, channel] += 150
            Image.fromarray(pixels).save(folder / "more_photos" / label / f"{number:02d}.png")
    (folder / "new_photos").mkdir()
    shutil.copy(folder / "photos" / "red" / "00.png", folder / "new_photos" / "one.png")
    (folder / "new_photos" / "broken.jpg").write_text("no picture")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GOLDENRULE_CACHE", str(folder / "cache"))
        patch.chdir(folder)
        quick_fit("photos")
    return folder


@pytest.fixture
def working_folder(fitted_folder: Path, short_plan: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it that is the page's own, and the current folder."""
    path = shutil.copytree(fitted_folder, tmp_path / "page")
    monkeypatch.setenv("GOLDENRULE_CACHE", str(path / "cache"))
    monkeypatch.chdir(path)
    return path


@pytest.mark.parametrize("page", [page for page in PAGES if any(_blocks(page, "python"))], ids=_name)
def test_the_python_of_a_page_runs(page: Path, working_folder: Path) -> None:
    namespace: dict[str, Any] = {"__name__": "page"}
    for first, text in _blocks(page, "python"):
        exec(compile("\n" * (first - 1) + text, str(page), "exec", dont_inherit=True), namespace)


@pytest.mark.parametrize("words", [words for _, words in COMMAND_LINES], ids=[where for where, _ in COMMAND_LINES])
def test_a_command_line_of_a_page_parses(words: list[str]) -> None:
    command, rest = _command(words)
    command.make_context(command.name, list(rest), resilient_parsing=False)


def test_pages_have_command_lines_and_python() -> None:
    assert len(COMMAND_LINES) >= 30
    assert sum(1 for page in PAGES for _ in _blocks(page, "python")) >= 30


def test_the_python_reference_names_what_is_public() -> None:
    text = (ROOT / "docs/reference/python.md").read_text(encoding="utf-8")
    named = re.findall(r"^### `gr\.([\w.]+)`$", text, re.MULTILINE)
    below = {
        f"{package}.{name}"
        for package in ("analysis", "data", "models", "report", "training")
        for name in getattr(goldenrule, package).__all__
    }
    of_metrics = {name for name in named if name.startswith("metrics.")}
    packages = {name for name in goldenrule.__all__ if isinstance(getattr(goldenrule, name), ModuleType)}
    assert set(named) - of_metrics == {*goldenrule.__all__} - packages | below
    assert {name.removeprefix("metrics.") for name in of_metrics} <= set(goldenrule.metrics.__all__)


INSIDE = {"after", "set_score_request", "write_into"}
"""What one part of goldenrule, or scikit-learn, asks of a value of another."""


@pytest.mark.parametrize("name", [name for name in goldenrule.__all__ if isinstance(getattr(goldenrule, name), type)])
def test_the_python_reference_names_every_method_and_field_of_a_value(name: str) -> None:
    text = (ROOT / "docs/reference/python.md").read_text(encoding="utf-8")
    section = text.partition(f"### `gr.{name}`\n")[2].partition("\n### ")[0].partition("\n## ")[0]
    value = getattr(goldenrule, name)
    members = {*vars(value), *(one.name for one in (fields(value) if is_dataclass(value) else ()))}
    public = {member for member in members if not member.startswith("_")} - INSIDE
    assert {member for member in public if not re.search(rf"\b{member}\b", section)} == set()


EVERYWHERE = {"--help", "-h", "--help-all", "--json", "--quiet", "-q"}


def test_the_command_reference_has_every_command_and_option() -> None:
    text = (ROOT / "docs/reference/commands.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## (goldenrule [\w -]+)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    commands = dict(_commands("goldenrule", typer.main.get_command(_app())))
    assert sections.keys() == commands.keys()
    for name, command in commands.items():
        options = {
            option
            for parameter in command.params
            if parameter.param_type_name == "option"
            for option in (*parameter.opts, *parameter.secondary_opts)
        } - EVERYWHERE
        documented = set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", _option_cells(sections[name])))
        assert documented == options, name
    assert all(f"`{option}" in text or f"({option}" in text for option in EVERYWHERE), "described above the commands"


def test_links_between_pages_lead_somewhere() -> None:
    for page in [*PAGES, ROOT / "CHANGELOG.md"]:
        for target in re.findall(r"\]\((?!https?:)([^)#]*)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert not target or (page.parent / target).exists(), f"{_name(page)}: {target}"


def test_anchors_between_pages_are_headings() -> None:
    for page in PAGES:
        for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#([^)]*)\)", page.read_text(encoding="utf-8")):
            other = (page.parent / target) if target else page
            headings = re.findall(r"^#+ (.*)$", other.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {_anchor(heading) for heading in headings}, f"{_name(page)}: {target}#{anchor}"


def _app() -> typer.Typer:
    from goldenrule.cli.main import app

    return app


def _command(words: list[str]) -> tuple[Any, list[str]]:
    """Return the command that words lead to and the words that are left for it."""
    command: Any = typer.main.get_command(_app())
    rest = list(words)
    while rest and not rest[0].startswith("-") and hasattr(command, "commands"):
        assert rest[0] in command.commands, f"there is no command {rest[0]!r}"
        command = command.commands[rest.pop(0)]
    return command, rest


def _commands(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    for ours, sub in getattr(command, "commands", {}).items():
        yield f"{name} {ours}", sub
        yield from _commands(f"{name} {ours}", sub)


def _option_cells(section: str) -> str:
    """Return the first cells of the rows of a section's tables: where its options are named."""
    return "\n".join(re.findall(r"^\| (`-[^|]*) \|", section, re.MULTILINE))


def _anchor(heading: str) -> str:
    """Return a heading's anchor as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
