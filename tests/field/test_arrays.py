"""Arrays of a stranger's, whole by every checksum and of another shape or kind: refused, or computed again."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from goldenrule.runs.store import Outcome, read_outcome, write_outcome
from goldenrule.storage.manifest import seal
from goldenrule.storage.tensors import read_tensors, tensors_content

Command = Callable[..., subprocess.CompletedProcess[str]]
Values = npt.NDArray[Any]
CHANGES: dict[str, Callable[[Values], Values]] = {
    "one more in front": lambda value: np.concatenate([value, value[:1]]) if value.ndim and len(value) else np.ones(2),
    "another rank": lambda value: value[np.newaxis],
    "empty": lambda value: value[:0] if value.ndim else np.zeros(0),
    "no numbers that count": lambda value: np.full(value.shape, np.nan),
    "beyond every number": lambda value: np.full(value.shape, 2**60 if value.dtype.kind in "iu" else np.inf).astype(
        value.dtype
    ),
    "of another kind": lambda value: value.astype(np.int64 if value.dtype.kind == "f" else np.float32),
    "marks": lambda value: np.zeros(value.shape, bool),
}


@pytest.fixture
def again(run: Path, command: Command) -> Callable[[], dict[str, Any]]:
    """Ask for the same fit again, and return what result.json says then."""

    def asked() -> dict[str, Any]:
        done = command("fit", run.parent / "set", "--quick", "--out", run)
        assert done.returncode == 0, done.stdout + done.stderr
        return result_of(run)

    return asked


def result_of(run: Path) -> dict[str, Any]:
    found = json.loads((run / "result.json").read_text())
    return {name: found[name] for name in ("valid", "test", "out_of_fold", "chosen", "sets", "findings")}


@pytest.mark.parametrize("change", CHANGES)
def test_steps_of_a_stranger_are_computed_again(change: str, run: Path, again: Callable[[], dict[str, Any]]) -> None:
    before = result_of(run)
    steps = sorted((run / "steps").glob("*.safetensors"))
    for path in steps:
        outcome = read_outcome(path)
        write_outcome(
            path, Outcome({name: CHANGES[change](value) for name, value in outcome.tensors.items()}, outcome.facts)
        )
    assert again() == before
    assert len(steps) >= 3


@pytest.mark.parametrize("file", ["head.safetensors", "ood_detector.safetensors"])
def test_arrays_of_a_stranger_s_classifier_are_refused(file: str, run: Path, command: Command) -> None:
    target = run / "classifier" / file
    tensors, texts = read_tensors(target)
    photos = run.parent / "set" / "cats"
    right = command("predict", run, photos, "-o", "right.csv")
    assert right.returncode == 0, right.stderr
    kept = target.read_bytes()
    for name, value in tensors.items():
        for change, changed in CHANGES.items():
            target.write_bytes(tensors_content(tensors | {name: changed(value)}, **texts))
            seal(target.parent)
            said = command("predict", run, photos, "-o", "again.csv")
            text = said.stdout + said.stderr
            assert said.returncode == 2, f"{file}: {name}, {change}: {text}"
            assert "error: " in text
    target.write_bytes(kept)


@pytest.mark.parametrize(
    "changes",
    [
        ("one more in front",),
        pytest.param(("beyond every number", "of another kind"), marks=pytest.mark.exhaustive),
    ],
)
def test_the_live_steps_of_a_stranger_are_computed_again(
    run: Path, command: Command, tmp_path: Path, draw_classes: Callable[..., Path], changes: tuple[str, ...]
) -> None:
    images = draw_classes(tmp_path / "images", each=12)
    words = ("fit", images, "--out", tmp_path / "live", "--views", "1")
    done = command(*words)
    assert done.returncode == 0, done.stderr
    before = result_of(tmp_path / "live")
    shutil.copytree(tmp_path / "live", tmp_path / "kept")
    for change in changes:
        changed = CHANGES[change]
        shutil.rmtree(tmp_path / "live")
        shutil.copytree(tmp_path / "kept", tmp_path / "live")
        for path in (tmp_path / "live" / "steps").glob("*.safetensors"):
            outcome = read_outcome(path)
            write_outcome(
                path, Outcome({name: changed(value) for name, value in outcome.tensors.items()}, outcome.facts)
            )
        done = command(*words)
        assert done.returncode == 0, f"{change}: {done.stdout}{done.stderr}"
        assert result_of(tmp_path / "live") == before, change
