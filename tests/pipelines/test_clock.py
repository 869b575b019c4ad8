"""What was decided within how many minutes is read again, also as earlier versions wrote it."""

from __future__ import annotations

from pathlib import Path

import pytest

from goldenrule.core.errors import FormatError
from goldenrule.pipelines.clock import JOURNAL, Budget, kept_budget
from goldenrule.runs.store import opened


def written(folder: Path, value: object) -> Path:
    with opened(folder) as run:
        run.write_json(JOURNAL, value)
    return folder


def test_a_run_without_a_clock_has_no_budget(tmp_path: Path) -> None:
    assert kept_budget(tmp_path) is None


def test_a_budget_is_read_as_it_was_written(tmp_path: Path) -> None:
    run = written(tmp_path / "run", {"minutes": 3.5, "decided": {"head": True, "network": False}})
    assert kept_budget(run) == Budget(minutes=3.5, decided={"head": True, "network": False})


def test_an_earlier_version_kept_no_minutes_so_that_any_number_is_more(tmp_path: Path) -> None:
    run = written(tmp_path / "run", {"train the head": True, "train the whole network": False})
    assert kept_budget(run) == Budget(minutes=0.0, decided={"head": True, "whole network": False})


def test_what_is_no_budget_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FormatError):
        kept_budget(written(tmp_path / "run", {"minutes": "three", "decided": {}}))
