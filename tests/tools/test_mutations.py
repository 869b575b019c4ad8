"""Mutations change what is computed, one place at a time, and nothing else (benchmarks/mutations.py)."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest
from house import ROOT

CODE = '''"""A text with 1 < 2."""
__all__ = ["f"]

def f(a: "int" = 3, b=None):
    """Return 1 + 1."""
    if a < b:
        raise ValueError(f"{a + b}")
    return min(a, b) + 1
'''


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    yield importlib.import_module("mutations")
    for name in ("mutations", "common"):
        sys.modules.pop(name, None)


def test_each_place_that_is_computed_is_changed_once(tool: Any, tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text(CODE)
    found = {(one.line, one.old, one.new) for one in tool.mutations(tmp_path / "one.py")}
    assert found == {
        (4, "3", "4"),
        (6, "a < b", "a <= b"),
        (8, "min(a, b) + 1", "min(a, b) - 1"),
        (8, "min(a, b)", "max(a, b)"),
        (8, "1", "2"),
    }


def test_a_mutation_is_the_whole_file_with_one_place_changed(tool: Any, tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text(CODE)
    texts = {one.new: one.text for one in tool.mutations(tmp_path / "one.py")}
    assert texts["a <= b"] == CODE.replace("a < b", "(a <= b)")


def test_the_tests_of_a_file_begin_with_that_of_its_name(tool: Any) -> None:
    for name in ("metrics/intervals.py", "metrics/label_averages.py", "training/schedule.py"):
        files = tool.tests_of(ROOT / "src" / "goldenrule" / name)
        assert files[0].stem == f"test_{Path(name).stem}"
        assert len(files) <= tool.MOST_FILES + 1


def test_outcomes_of_a_second_try_take_the_place_of_the_first(tool: Any) -> None:
    old = {"place": "a.py:3", "old": "1", "new": "2", "outcome": "survived"}
    new = {"place": "a.py:5", "old": "1", "new": "2", "outcome": "killed"}
    other = {"place": "b.py:1", "old": "1", "new": "2", "outcome": "survived"}
    assert tool.merged([old, other], [new]) == [new, other]
