"""Two real processes train one network: as one process does, and without losing or counting twice an image."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import goldenrule as gr
from goldenrule.core.progress import Silent
from goldenrule.training.runtime import end_teams

Learner = Callable[..., gr.Learner]


@pytest.fixture
def learner(small_photos: Path, cache: Path, tmp_path: Path) -> Iterator[Learner]:
    """Make a learner of the tiny network whose late layers train by SGD, in batches that two processes can't halve."""
    images = gr.from_folder(small_photos)

    def make(devices: int, **options: Any) -> gr.Learner:
        usual = {"batch_size": 7, "optimizer": "sgd", "augment": None, "progress": Silent(), "replay": False}
        learn = gr.Learner(images, devices=devices, **(usual | options))
        learn.freeze_to(0)
        return learn

    yield make
    end_teams()


def losses(learn: gr.Learner) -> list[float]:
    return [loss for row in learn.history.rows for loss in (row.train_loss, row.valid_loss)]


def weights_of(learn: gr.Learner) -> dict[str, Any]:
    return dict(learn.state.backbone.tensors()) | dict(learn.state.head.tensors)


def test_two_processes_have_the_loss_curve_of_one(learner: Learner) -> None:
    """The same global batches: BatchNorm keeps its statistics, and the tiny network has no dropout."""
    alone, both = learner(1), learner(2)
    for one in (alone, both):
        one.fit(1e-3, 3)
    assert losses(both) == pytest.approx(losses(alone), abs=1e-4)
    assert losses(alone)[0] != pytest.approx(losses(alone)[-1], abs=1e-2), "something was learned"
