"""`goldenrule report`: another language from the command line, and what is wrong said plainly."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

Command = Callable[..., subprocess.CompletedProcess[str]]


def test_a_run_is_told_in_japanese_and_an_old_run_says_what_to_do(
    command: Command, fitted: Any, tmp_path: Path
) -> None:
    run = shutil.copytree(fitted.folder, tmp_path / "run")
    found = command("report", run, "--lang", "ja")
    assert (found.returncode, found.stderr) == (0, "")
    assert f"Report:  {run / 'report.ja.html'}" in found.stdout
    assert '<html lang="ja">' in (run / "report.ja.html").read_text()
    shutil.rmtree(run / "report")
    old = command("report", run, "--lang", "ja")
    assert old.returncode == 2
    assert "Give the same `goldenrule fit` command again" in old.stderr
    assert "Traceback" not in old.stderr
