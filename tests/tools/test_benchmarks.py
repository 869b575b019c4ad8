"""Benchmarks ask for names that are there: nobody runs them for weeks, and the code goes on."""

from __future__ import annotations

import ast
import importlib
import importlib.util
from collections.abc import Iterator

import pytest
from house import ROOT

import goldenrule

FILES = sorted(path.name for path in (ROOT / "benchmarks").glob("*.py"))


def asked_for(name: str) -> Iterator[tuple[str, str]]:
    """Yield (module, name) of what a benchmark imports from goldenrule, and of what it asks of `gr`."""
    for node in ast.walk(ast.parse((ROOT / "benchmarks" / name).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("goldenrule"):
            yield from ((str(node.module), alias.name) for alias in node.names)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "gr":
            yield "goldenrule", node.attr


@pytest.mark.parametrize("name", FILES)
def test_what_a_benchmark_asks_for_is_there(name: str) -> None:
    missing = []
    for module, wanted in asked_for(name):
        found = importlib.import_module(module)
        if not hasattr(found, wanted) and importlib.util.find_spec(f"{module}.{wanted}") is None:
            missing.append(f"{module}.{wanted}")
    assert missing == []


def test_a_name_that_is_gone_is_found() -> None:
    assert not hasattr(goldenrule, "golden_rule")
    assert len(FILES) > 20
