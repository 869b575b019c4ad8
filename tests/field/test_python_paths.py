"""Paths that nothing can be read from or written to, given to Python: a `GoldenRuleError`, and nothing is changed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import goldenrule as gr
from goldenrule.core.errors import GoldenRuleError

QUICK: dict[str, Any] = {"quick": True, "views": 0}
ODD: dict[str, Callable[[Path], str | Path]] = {
    "pipe": lambda folder: folder / "pipe",
    "device": lambda _: Path("/dev/zero"),
    "file": lambda folder: folder / "file",
    "below a file": lambda folder: folder / "file" / "x",
    "300 letters": lambda folder: folder / ("n" * 300),
    "circle of links": lambda folder: folder / "circle",
    "NUL": lambda folder: f"{folder}/a\0b",
    "not UTF-8": lambda folder: folder / os.fsdecode(b"\xff\xfe"),
    "absent": lambda folder: folder / "absent",
}
CALLS: dict[str, Callable[[Path, Path], Any]] = {
    "from_folder": lambda path, _: gr.from_folder(path),
    "from_csv": lambda path, run: gr.from_csv(path, images=run.parent / "set"),
    "Classifier.load": lambda path, _: gr.Classifier.load(path),
    "audit_images": lambda path, _: gr.audit_images(path),
    "fit quick": lambda path, run: gr.fit(path, **QUICK, out=run.parent / "other"),
    "fit": lambda path, run: gr.fit(path, views=0, out=run.parent / "other"),
    "evaluate": lambda path, run: gr.evaluate(run, path),
    "evaluate (run)": lambda path, run: gr.evaluate(path, run.parent / "set"),
    "check_labels": lambda path, _: gr.check_labels(path),
    "explain": lambda path, run: gr.explain(path, [run.parent / "set" / "cats" / "00.png"]),
    "compare_runs": lambda path, run: gr.compare_runs(run, path),
    "learning_curve_of": lambda path, _: gr.learning_curve_of(path),
    "split_folder": lambda path, run: gr.split_folder(path, run.parent / "parted"),
    "verify_split": lambda path, _: gr.verify_split(path),
    "compare": lambda path, run: gr.compare_models(path, ["efficientnet_lite0"], out=run.parent / "other"),
    "backbone": lambda path, _: gr.backbone(weights=path),
}
WRITTEN: dict[str, Callable[[Path, Path], Any]] = {
    "fit": lambda path, run: gr.fit(run.parent / "set", **QUICK, out=path),
    "split_folder": lambda path, run: gr.split_folder(run.parent / "set", path),
    "Classifier.save": lambda path, run: gr.Classifier.load(run).save(path),
}


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A folder with a pipe, a file and a link that leads to itself."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_text("x")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    return tmp_path


@pytest.mark.parametrize("kind", ODD)
def test_a_path_that_cannot_be_read_is_told_by_every_function(kind: str, run: Path, odd: Path) -> None:
    for name, call in CALLS.items():
        with pytest.raises(GoldenRuleError):
            pytest.fail(f"{name} gave {call(ODD[kind](odd), run)}")  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [kind for kind in ODD if kind not in ("absent", "not UTF-8", "device")])
def test_a_path_that_cannot_be_written_is_told_and_stays_what_it_is(kind: str, run: Path, odd: Path) -> None:
    before = {path.name: path.lstat() for path in odd.iterdir()}
    for name, call in WRITTEN.items():
        with pytest.raises(GoldenRuleError):
            pytest.fail(f"{name} gave {call(ODD[kind](odd), run)}")  # type: ignore[arg-type]
    for name in ("pipe", "file", "circle"):
        assert (odd / name).lstat().st_ino == before[name].st_ino


def test_a_picture_that_cannot_be_read_is_told_by_the_heat_map(run: Path, odd: Path) -> None:
    classifier = gr.Classifier.load(run)
    for kind, path in ODD.items():
        with pytest.raises(GoldenRuleError):
            pytest.fail(f"{kind}: {gr.analysis.heatmap(classifier, path(odd))}")


def test_a_run_in_a_folder_whose_name_is_no_utf_8_is_refused_by_name(run: Path, odd: Path) -> None:
    with pytest.raises(GoldenRuleError, match="UTF-8"):
        gr.fit(run.parent / "set", **QUICK, out=ODD["not UTF-8"](odd))
