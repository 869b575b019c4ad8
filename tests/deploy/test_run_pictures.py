"""Which images of a run an export is compared on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from goldenrule.deploy.run_pictures import run_pictures


def test_where_the_test_split_has_no_labels_validation_is_scored(
    command: Callable[..., Any], picture_folder: Callable[..., Path], tmp_path: Path
) -> None:
    for name, each in (("train", 12), ("valid", 4)):
        picture_folder(f"pets/{name}", each=each, seed=each)
    unlabelled = picture_folder("others", classes=("blue",), each=3, seed=9)
    (unlabelled / "blue").rename(tmp_path / "pets" / "test1")
    assert command("fit", "pets", "--quick", "--out", "run").returncode == 0
    found = run_pictures(tmp_path / "run")
    assert found is not None
    assert (found.split, len(found.scored), len(found.train)) == ("valid", 8, 24)
