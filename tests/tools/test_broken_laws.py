"""`make laws` takes a long time; that its breaks still fit the code is seen here."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def breaks(monkeypatch: pytest.MonkeyPatch) -> Any:
    path = ROOT / "benchmarks" / "broken_laws.py"
    spec = importlib.util.spec_from_file_location("broken_laws", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "broken_laws", module)
    spec.loader.exec_module(module)
    return module.BREAKS


def test_each_break_of_a_law_fits_the_code_and_names_a_test_that_is_there(breaks: Any) -> None:
    for one in breaks:
        code = (ROOT / "src" / "goldenrule" / one.file).read_text("utf-8")
        assert code.count(one.old) == 1, f"{one.how}: {one.file} has changed"
        file, _, name = one.test.partition("::")
        tests = (ROOT / file).read_text("utf-8")
        assert not name or f"def {name}(" in tests, f"{one.how}: no test {one.test}"
