"""Law 11 on the golden rule: wherever the disk is full or can't be written, nothing that was finished is lost."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

WRITES = {
    "a bank's key": "/key.json",
    "a chunk of a bank": r"/banks/.*arrow$",
    "the split": "/split.csv",
    "what the run is about": "/run.json",
    "the outcome of a step": "/steps/",
    "the classifier": "/classifier",
    "the choice": "/choice.json",
    "predictions": "/predictions/",
    "the report": "/report.html",
    "the numbers": "/result.json",
    "a checkpoint": ".checkpoint",
    "a trained backbone": "/backbones/trained-",
    "its engine": "/engines/",
}
"""In the order in which a golden rule comes to them: what to search for in the paths of files."""

SAID = {"full": "The disk is full: ", "read-only": "can't be written (Permission denied). Choose a folder of yours"}


@pytest.fixture
def disk(tiny_disk: Callable[[str], Path], nursery: Any) -> Iterator[Path]:
    """A disk of 700 MB, the place of the world "broken"."""
    disk = tiny_disk("700m")
    (nursery.worlds / "broken").symlink_to(disk)
    shutil.copytree(nursery.prepared, disk / "cache")
    yield disk
    (nursery.worlds / "broken").unlink()


MORE = (
    "a bank's key",
    "the split",
    "what the run is about",
    "the choice",
    "a checkpoint",
    "predictions",
    "the report",
    "the numbers",
    "a trained backbone",
    "its engine",
)
"""Written by the same functions as the others, at the same steps: tried by `make test-all`."""


@pytest.mark.parametrize(
    ("fault", "places"),
    [
        ("full", [what for what in WRITES if what not in MORE]),
        pytest.param("full", [*WRITES], marks=pytest.mark.exhaustive),
        pytest.param("read-only", [*WRITES], marks=pytest.mark.exhaustive),
    ],
    ids=["full", "full, everywhere", "read-only, everywhere"],
)
def test_at_every_kind_of_write_it_is_told_and_the_same_command_goes_on(
    nursery: Any, unbroken: str, disk: Path, fault: str, places: list[str]
) -> None:
    for what in places:
        at = WRITES[what]
        code = nursery.fit("broken", fault=fault, at=at)
        said = nursery.said("broken")
        assert code == 2, f"{what}: {said}"
        assert said.count("error: ") == 1, said
        assert "Traceback" not in said, said
        assert SAID[fault] in said, said
        assert any(one in said for one in (["Free some space"] if fault == "full" else ["--out", "GOLDENRULE_CACHE"]))
        subprocess.run(["mount", "-o", "remount,size=700m", str(disk)], check=True)
        for folder, _, _ in os.walk(disk):
            Path(folder).chmod(0o755)
        assert not [path for path in disk.rglob(".goldenrule-*.tmp") if fault == "full"], what
    assert nursery.fit("broken") == 0, nursery.said("broken")
    assert nursery.differences("broken", unbroken) == []
