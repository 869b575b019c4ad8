"""The two listings of the design run as they stand, on a small part of dogscats."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

GOLDEN_RULE = """
import goldenrule as gr

run = gr.fit("dogscats")                              # the same, from Python
run.classifier.predict("photo.jpg")
"""

LESSON_2 = """
import goldenrule as gr

images = gr.from_folder("dogscats")                   # lesson 2, by hand
learn = gr.Learner(images, "efficientnet_lite0", precompute=True, augment=gr.data.side_on(max_zoom=1.1))
gr.plot(learn.lr_find())
learn.fit(1e-2, 1)
learn.precompute = False
learn.fit(1e-2, 3, cycle_len=1)
learn.unfreeze()
learn.fit([1e-4, 1e-3, 1e-2], 3, cycle_len=1, cycle_mult=2)
predictions = learn.tta()
"""


@pytest.fixture
def working_folder(small_photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with dogscats/ (6 + 4 photos of each) and photo.jpg, and the current one."""
    for split, count in (("train", 6), ("valid", 4)):
        for label in ("cats", "dogs"):
            (tmp_path / "dogscats" / split / label).mkdir(parents=True)
            for file in sorted((small_photos / split / label).iterdir())[:count]:
                shutil.copy(file, tmp_path / "dogscats" / split / label)
    shutil.copy(file, tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_golden_rule_in_two_lines(cache: Path, short_plan: None, working_folder: Path) -> None:
    two_lines(working_folder)


@pytest.mark.exhaustive
def test_the_golden_rule_in_two_lines_with_the_real_backbone(real_cache: Path, working_folder: Path) -> None:
    two_lines(working_folder)


def two_lines(working_folder: Path) -> None:
    namespace: dict[str, Any] = {}
    exec(GOLDEN_RULE, namespace)
    run = namespace["run"]
    assert (working_folder / "runs" / "dogscats" / "report.html").is_file()
    assert run.headline_split == "valid"  # there is no test split
    assert run.classifier.predict("photo.jpg").predicted[0] in (0, 1)


def test_lesson_2_by_hand(cache: Path, working_folder: Path) -> None:
    namespace: dict[str, Any] = {}
    exec(LESSON_2, namespace)
    assert len(namespace["learn"].history) == 1 + 3 + 7
    assert namespace["predictions"].views == 5
    assert len(namespace["predictions"]) == 8
