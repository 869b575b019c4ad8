"""What every benchmark needs: where the photo sets are, and with what a number was made."""

from __future__ import annotations

import datetime
import os
import subprocess
from pathlib import Path

from goldenrule.recipes.environment import environment

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("GOLDENRULE_TEST_DATA", ROOT.parent / "shared" / "data"))
RESULTS = ROOT / "docs" / "results"


def made_with() -> str:
    """Give one line: date, commit, processor, cores, versions."""
    facts = environment()
    commit = _git("rev-parse", "--short", "HEAD")
    dirty = _git("status", "--porcelain", "src")
    changed = " with uncommitted changes" if dirty else ""
    return (
        f"{datetime.date.today().isoformat()}, commit {commit}{changed}, {facts['processor']}, "
        f"{facts['cores']} cores, {facts['memory']}, Python {facts['python']}, OpenVINO {facts['openvino']}, "
        f"numpy {facts['numpy']}"
    )


def markdown_table(header: list[str], rows: list[list[str]]) -> str:
    """Give a Markdown table."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()
