"""A fit that ends worse than it began says so, and how to go back."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import goldenrule as gr
from goldenrule.core.progress import Silent
from goldenrule.training.diagnostics import Level, ended_worse

Draw = Callable[..., Path]


class Heard(Silent):
    """Keeps what was said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, message: str) -> None:
        self.said.append(message)

    def worse(self) -> list[str]:
        return [line for line in self.said if "ended worse than it began" in line]


@pytest.fixture
def images(draw_classes: Draw, tmp_path: Path, cache: Path) -> gr.ImageTable:
    return gr.from_folder(draw_classes(tmp_path / "set", each=16))


def test_a_network_that_a_fit_destroys_is_told_and_brought_back(images: gr.ImageTable, tmp_path: Path) -> None:
    heard = Heard()
    learn = gr.Learner(images, precompute=True, folder=tmp_path / "kept", progress=heard, threads=1)
    learn.fit(1e-2, 4)
    assert heard.worse() == []
    good = learn.evaluate()
    learn.unfreeze()
    learn.fit([1e-4, 1e-3, 30.0], 1)  # one epoch shows no trend, and has done it all the same
    (line,) = heard.worse()
    assert "learn.blend([0])" in line
    assert "lr_find()" in line
    bad = learn.evaluate()
    assert gr.metrics.log_loss(bad).value > gr.metrics.log_loss(good).value
    learn.blend([0])
    np.testing.assert_allclose(learn.evaluate().probabilities, good.probabilities, atol=0.02)


def test_it_is_told_again_where_the_fit_is_replayed(images: gr.ImageTable, tmp_path: Path) -> None:
    lines = []
    for _ in range(2):
        heard = Heard()
        learn = gr.Learner(images, precompute=True, folder=tmp_path / "kept", progress=heard, threads=1)
        learn.fit(1e-2, 4)
        learn.fit(30.0, 1)
        lines.append(heard.worse())
    assert lines[0] == lines[1]
    assert len(lines[0]) == 1


def test_a_classifier_that_was_loaded_is_what_a_fit_began_with(images: gr.ImageTable, tmp_path: Path) -> None:
    first = gr.Learner(images, precompute=True, progress=Silent(), threads=1)
    first.fit(1e-2, 4)
    heard = Heard()
    learn = gr.Learner(images, precompute=True, folder=tmp_path / "kept", progress=heard, threads=1)
    learn.load(first.classifier())
    learn.fit(30.0, 1)
    assert len(heard.worse()) == 1
    again = Heard()
    learn = gr.Learner(images, precompute=True, folder=tmp_path / "kept", progress=again, threads=1)
    learn.load(first.classifier())
    learn.fit(30.0, 1)
    assert again.worse() == heard.worse()


def test_a_training_that_ends_below_the_linear_head_says_so_at_its_end(
    draw_classes: Draw, tmp_path: Path, command: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    root = draw_classes(tmp_path / "set", each=16)
    done = command(
        "train", root, "-t", "transfer_learning", "--epochs", 1, "--lr", 30, "--augment", "none", "-o", tmp_path / "run"
    )
    assert done.returncode == 0, done.stderr
    assert "ended worse than it began" in done.stdout
    found = json.loads((tmp_path / "run" / "result.json").read_text())["findings"]
    (advice,) = [one["advice"] for one in found if one["code"] == "ended-worse"]
    assert "--quick" in advice
    assert "--quick" in (tmp_path / "run" / "report.html").read_text()


@pytest.mark.parametrize(
    ("began", "ended", "told"),
    [
        (Level(0.13, 0.958), Level(0.9, 0.667), True),
        (Level(0.13, 0.958), Level(0.14, 0.94), False),  # noise
        (Level(0.13, 0.90), Level(0.30, 0.95), False),  # surer, and more often right
        (Level(0.13, 0.90), Level(0.30, 0.90), True),
        (Level(0.9, 0.5), Level(0.2, 0.9), False),
        (Level(0.001, 1.0), Level(0.015, 1.0), False),
    ],
)
def test_only_what_is_clearly_worse_is_told(began: Level, ended: Level, told: bool) -> None:
    found = ended_worse(began, ended)
    assert (found is not None) == told
    if found:
        assert "%" in found.sentence
        assert found.advice
