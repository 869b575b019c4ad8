"""The parts of the run: by hand, the plan, folds, the demo set."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import goldenrule as gr
from goldenrule.core.errors import OptionError
from goldenrule.demo.digits import NAMES, write_digits
from goldenrule.pipelines.linear_heads import training_rows
from goldenrule.runs.options import FitOptions
from goldenrule.tasks.fit_plan import plan_for
from goldenrule.training.plan import LATE_BYTES, Plan


@pytest.fixture
def unbroken(really_fitted: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The session's fit, with its cache."""
    monkeypatch.setenv("GOLDENRULE_CACHE", str(really_fitted.folder.parent / "cache"))
    return really_fitted


def test_the_same_head_is_had_by_hand(unbroken: Any, small_photos: Path) -> None:
    table, features = gr.features_of(gr.from_folder(small_photos), gr.backbone())
    head = gr.fit_head(table.split("train"), features)
    plain = unbroken.candidates[0]
    assert head.head.tensors["weight"].tobytes() == plain.head.tensors["weight"].tobytes()
    assert head.out_of_fold == plain.evaluated_on
    assert head.out_of_fold.basis == "used for selection"


def test_folds_keep_copies_and_views_together(unbroken: Any, small_photos: Path) -> None:
    table, features = gr.features_of(
        gr.from_folder(small_photos), gr.backbone(), augment=gr.data.side_on(max_zoom=1.1), augmented_views=2
    )
    train = table.split("train")
    doubled = dataclasses.replace(train, rows=train.rows.take([*range(40), *range(0, 40, 3)]))
    rows = training_rows(doubled, features, views=2, seed=0)
    n = len(doubled)
    assert len(rows) == 3 * n
    assert rows.scored == n
    assert (rows.folds.reshape(3, n) == rows.folds[:n]).all()
    assert (rows.targets.reshape(3, n) == doubled.targets).all()
    assert rows.folds[40:n].tolist() == rows.folds[0:40:3].tolist()
    assert np.bincount(rows.folds[:n]).min() > 0
    assert rows.weights.reshape(3, n).sum(axis=0) == pytest.approx(np.ones(n))


def test_rows_are_read_over_the_border_between_views(unbroken: Any, small_photos: Path) -> None:
    table, features = gr.features_of(
        gr.from_folder(small_photos), gr.backbone(), augment=gr.data.side_on(max_zoom=1.1), augmented_views=2
    )
    train = table.split("train")
    rows = training_rows(train, features, views=2, seed=0)
    everything = rows.read(0, 120)
    for view in range(3):
        wanted = features.rows([digest for digest in train.digests if digest], view)
        assert everything[40 * view : 40 * view + 40].tobytes() == wanted.tobytes()
    for start, stop in ((0, 1), (39, 41), (35, 85), (80, 120), (119, 120)):
        assert rows.read(start, stop).tobytes() == everything[start:stop].tobytes()


def test_images_without_activations_are_refused(unbroken: Any, small_photos: Path) -> None:
    table, features = gr.features_of(gr.from_folder(small_photos), gr.backbone())
    train = table.split("train")
    with pytest.raises(OptionError, match="precompute them first"):
        gr.fit_head(gr.from_folder(small_photos).split("train"), features)  # not read yet: no digests
    with pytest.raises(OptionError, match="precompute them first"):
        gr.fit_head(train.with_digests([b"x" * 32] * len(train)), features)


def stored(plan: Plan) -> int:
    """What the steps leave in the bank that are taken in any case."""
    return sum(step.stored_bytes for step in plan.steps if not step.condition)


def test_the_plan_takes_off_what_the_bank_has(
    unbroken: Any, small_photos: Path, picture_folder: Callable[..., Path]
) -> None:
    known = plan_for(small_photos, FitOptions(views=0))
    assert known.steps[1].name == "precompute 0 plain views"
    assert stored(known) == 0
    new = plan_for(picture_folder(each=10), FitOptions(views=3))
    assert [step.name for step in new.steps][:4:2] == ["read 20 images", "fit the linear head"]
    assert new.steps[1].name == "precompute 20 plain views"
    assert new.steps[3].name == "precompute 48 augmented views"  # 16 of 20 train
    assert stored(new) == 68 * (2 * 1280 + 40)
    assert new.stored_bytes - stored(new) == (4 * 16 + 2) * LATE_BYTES  # only where the pictures are far


def test_the_digits_are_written_once_and_whole(tmp_path: Path) -> None:
    folder = write_digits(tmp_path / "digits")
    assert sorted(path.name for path in folder.iterdir()) == sorted(NAMES)
    assert len(list(folder.glob("*/*.png"))) == 1797
    (folder / "one" / "mine.png").write_bytes(b"")
    assert write_digits(tmp_path / "digits") == folder
    assert (folder / "one" / "mine.png").exists()
