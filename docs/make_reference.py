"""Write the tables of options in docs/reference/commands.md from the command line itself.

    python docs/make_reference.py

Names, defaults and meanings are those of `--help`. Where the page says more than the terminal has room for, the text
stands in docs/reference/options.toml: under [shared] for an option of several commands, else under its command.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import typer

from goldenrule.cli.main import app

REFERENCE = Path(__file__).parent / "reference"
PAGE, DETAILS = REFERENCE / "commands.md", REFERENCE / "options.toml"
HEAD = "| option | default | meaning |\n|---|---|---|\n"
UNSET = re.compile(r" ?\\\[default: (.*)\]$")


def commands(group: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the commands by the words that call them."""
    for name, command in group.commands.items():
        yield f"{before}{name}", command
        if hasattr(command, "commands"):
            yield from commands(command, f"{before}{name} ")


def written(page: str, details: Mapping[str, Mapping[str, str]]) -> str:
    """Return the page with the tables of options that the commands have now."""
    described: set[str] = set()
    for name, command in commands(typer.main.get_command(app)):
        rows = "".join(_row(name, option, details, described) for option in _options(command))
        section = re.compile(rf"(^## goldenrule {name}\n.*?){re.escape(HEAD)}(?:\|[^\n]*\n)*", re.DOTALL | re.MULTILINE)
        if rows:
            page, found = section.subn(lambda match, rows=rows: f"{match[1]}{HEAD}{rows}", page, count=1)
            assert found, f"{PAGE.name} has no table of options for goldenrule {name}"
    return page


def _options(command: Any) -> list[Any]:
    every = {"help", "help_all", "json", "quiet"}
    own = [one for one in command.params if one.param_type_name == "option" and one.name not in every]
    return sorted(own, key=lambda one: (one.rich_help_panel or "") != "")  # as --help has them: those of no panel first


def _row(command: str, option: Any, details: Mapping[str, Mapping[str, str]], described: set[str]) -> str:
    name = max(option.opts, key=len).lstrip("-")
    help_ = option.help or ""
    unset = UNSET.search(help_)
    more = details.get(command, {}).get(name) or ("" if name in described else details["shared"].get(name, ""))
    if name in details["shared"]:
        described.add(name)
    meaning = more or UNSET.sub("", help_).replace("*", "\\*")
    return f"| {_spelled(option)} | {unset[1] if unset else _default(option)} | {_cell(meaning)} |\n"


def _spelled(option: Any) -> str:
    value = "" if option.is_flag else f" {option.metavar or _kind(option)}"
    return ", ".join(f"`{one}{value}`" for one in (*option.opts, *option.secondary_opts))


def _kind(option: Any) -> str:
    kinds = {"out": "PATH", "json": "FILE", "custom_head": "FILE.py:NAME", "custom_backbone": "FILE.py:NAME"}
    return kinds.get(option.name) or ("N" if isinstance(option.default, int) else "VALUE")


def _default(option: Any) -> str:
    if option.secondary_opts:
        return f"`{option.opts[0] if option.default else option.secondary_opts[0]}`"
    shown = option.default is not None and option.default is not False and option.default not in ("", (), [])
    return f"`{getattr(option.default, 'value', option.default)}`" if shown else ""


def _cell(text: str) -> str:
    """Return the text as it may stand in a table's cell."""
    plain = text.replace("\\[", "[")
    first = (
        plain[:1].lower()
        if not (plain[:2].isupper() and plain[:2].isalpha()) and "=" not in plain.split()[0]
        else plain[:1]
    )
    return first + plain[1:].removesuffix(".")


def main() -> None:
    """Write the page."""
    details = tomllib.loads(DETAILS.read_text(encoding="utf-8"))
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), details), encoding="utf-8")


if __name__ == "__main__":
    main()
