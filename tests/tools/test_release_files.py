"""The files around a release: each names what is there."""

from __future__ import annotations

import json
import re
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from hatchling.metadata.core import ProjectMetadata
from hatchling.plugin.manager import PluginManager
from house import ROOT
from typer.main import get_command
from typer.testing import CliRunner

import goldenrule
from goldenrule.cli.main import app
from goldenrule.runs.environment import environment

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def instructions(word: str) -> list[str]:
    """Return what follows an instruction of the Dockerfile, wherever it stands."""
    text = (ROOT / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
    return re.findall(rf"^{word} (.*)$", text, re.MULTILINE)


def test_the_container_runs_a_command_that_there_is() -> None:
    said = [*json.loads(instructions("ENTRYPOINT")[0]), *json.loads(instructions("CMD")[0])]
    assert said[:2] == ["goldenrule", "serve"]
    serve = get_command(app).commands["serve"]  # type: ignore[attr-defined]
    context = serve.make_context("serve", said[2:])
    assert (context.params["host"], context.params["port"]) == ("0.0.0.0", 8000)


def test_what_the_container_copies_is_there_and_reaches_it() -> None:
    let_through = {line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line[:1] == "!"}
    for said in instructions("COPY"):
        *sources, _ = said.split()
        assert all((ROOT / source).exists() for source in sources)
        assert set(sources) <= let_through
    installed = PROJECT["optional-dependencies"]
    assert all(extra in installed for extra in re.findall(r"'\.\[(\w+)\]'", (ROOT / "Dockerfile").read_text("utf-8")))


def test_the_composed_service_is_for_this_computer_alone_and_writes_nowhere() -> None:
    service = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))["services"]["serve"]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert service["read_only"]
    assert all(volume["read_only"] for volume in service["volumes"])
    target = json.loads(instructions("CMD")[0])[1]
    assert service["volumes"][0]["target"] == target


def test_the_citation_is_of_this_version() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert cited["version"] == goldenrule.__version__
    assert cited["license"] == PROJECT["license"]


def test_the_version_stands_in_one_place_and_is_what_the_command_and_results_say() -> None:
    assert "version" not in PROJECT
    assert CliRunner().invoke(app, ["--version"]).stdout == f"goldenrule {goldenrule.__version__}\n"
    assert environment()["goldenrule"] == goldenrule.__version__


def test_a_copy_of_the_source_without_git_is_built_with_the_same_version(tmp_path: Path) -> None:
    """A container, an archive and a shallow clone have no tags: the version asks for none."""
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(
        ROOT / "src" / "goldenrule", tmp_path / "src" / "goldenrule", ignore=shutil.ignore_patterns("*.pyc")
    )
    made = ProjectMetadata(str(tmp_path), PluginManager())
    assert made.version == goldenrule.__version__


@pytest.mark.parametrize("name", ["bug", "idea"])
def test_an_issue_form_asks_in_fields_that_github_knows(name: str) -> None:
    form: dict[str, Any] = yaml.safe_load((ROOT / ".github" / "ISSUE_TEMPLATE" / f"{name}.yml").read_text("utf-8"))
    assert {"name", "description", "body"} <= form.keys()
    assert all(field["type"] == "textarea" and field["attributes"]["label"] for field in form["body"])
    assert len({field["id"] for field in form["body"]}) == len(form["body"])
