"""No sentence contradicts what was measured."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from goldenrule.analysis.curve_points import Measured
from goldenrule.analysis.learning_curve import LearningCurve, curve_of

Draw = Callable[..., Path]
Command = Callable[..., subprocess.CompletedProcess[str]]


def test_three_copies_of_a_wrong_label_are_counted_and_share_a_card(draw: Draw, command: Command) -> None:
    root = draw([f"{label}/{number:02d}.png" for label in ("cats", "dogs") for number in range(20)])
    for number in range(3):
        shutil.copy(root / "cats/00.png", root / f"dogs/wrong{number}.png")
    (root / "cats/00.png").unlink()
    assert command("fit", root, "--quick", "--out", "run").returncode == 0
    found = command("labels", "run")
    assert found.returncode == 0, found.stderr
    page = (root.parent / "run" / "labels" / "labels.html").read_text()
    head = re.search(r"<h1>(.*?)</h1>", page)
    assert head is not None
    assert re.match(r"\d of 42 labels (is|are) suspected to be wrong; 3 contradicted by heads", head[1])
    assert len(re.findall(r"<figure>(?:(?!</figure>).)*dogs/wrong", page.partition('id="mistakes"')[0], re.DOTALL)) == 1
    assert "with 2 copies: dogs/wrong" in page
    rows = json.loads((root.parent / "run" / "labels" / "labels.json").read_text())["sections"]["labels"]
    assert rows["contradicted"] == 3


def curve(wrong: list[float], images: int, seed: int) -> LearningCurve:
    """A curve of 200 images with these shares of mistakes at sizes that double."""
    draws = np.random.default_rng(seed)
    losses = (draws.random((len(wrong), 2, 200)) < np.array(wrong)[:, None, None]).astype(np.float32)
    measured = Measured(
        sizes=np.array([10 * 2**step for step in range(len(wrong))]),
        wrong=losses,
        log_losses=losses + 0.1,
        units=np.arange(200),
        classes=2,
    )
    return curve_of(measured, metric="accuracy", images=images, seed=seed)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.floats(0, 0.4), min_size=4, max_size=6).map(lambda value: sorted(value, reverse=True)),
    st.floats(0.6, 0.999),
    st.integers(0, 5),
)
def test_a_learning_curve_says_nothing_that_its_last_point_contradicts(
    wrong: list[float], target: float, seed: int
) -> None:
    learning_curve = curve(wrong, images=10 * 2 ** len(wrong), seed=seed)
    last, needed, said = learning_curve.points[-1], learning_curve.needed(target), learning_curve.sentence(target)
    if last.estimate.value >= target:
        assert needed.images_per_class <= last.images_per_class
        assert "would take" not in said
    else:
        assert needed.images_per_class > last.images_per_class
        for least in re.findall(r"would take ([\d,]+) images per class at least", said):
            assert int(least.replace(",", "")) >= 0.9 * last.images_per_class  # rounded to two digits
    if last.estimate.high < target:
        assert needed.low > last.images_per_class


@pytest.fixture
def noise(tmp_path: Path) -> Path:
    """Two classes that can't be told apart: the backbone knows little of them, so its late layers are trained."""
    draws = np.random.default_rng(0)
    for label in ("left", "right"):
        (tmp_path / "noise" / label).mkdir(parents=True)
        for number in range(24):
            pixels = draws.integers(0, 255, (40, 48, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "noise" / label / f"{number}.png")
    return tmp_path / "noise"


def test_minutes_go_by_the_speed_that_this_run_measures_and_its_own_rate_is_no_warning(
    noise: Path, command: Command
) -> None:
    from goldenrule.features.speed_record import known_training_speed, remember_training_speed
    from goldenrule.models.backbone import backbone

    spec = backbone().spec
    remember_training_speed(spec, 100, 1000.0)  # an earlier run, beside other programs
    assert known_training_speed(spec) == 0.1
    found = command("fit", noise, "--minutes", "4", "--out", "run")
    assert found.returncode == 0, found.stderr
    assert "left out to end within" not in found.stdout + found.stderr
    result = json.loads((noise.parent / "run" / "result.json").read_text())
    assert {"late layers", "whole network"} <= {candidate["name"] for candidate in result["candidates"]}
    assert "is a high rate" not in found.stdout + found.stderr, "it chose that rate itself"
