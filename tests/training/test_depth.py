"""precompute at any depth: with early layers frozen, the late ones learn from the bank."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import goldenrule as gr
from goldenrule.core.errors import OptionError
from goldenrule.core.memory import readable_bytes
from goldenrule.core.progress import Silent
from goldenrule.features import cache as cache
from goldenrule.models.backbone import backbone
from goldenrule.models.graphs.boundary import boundary
from goldenrule.training import fitting, plan

Learner = Callable[..., gr.Learner]
RATES = [0.0, 1e-3, 3e-3]


class Told(Silent):
    """Keeps what was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, message: str) -> None:
        self.lines.append(message)


@pytest.fixture
def learner(small_photos: Path, cache: Path, tmp_path: Path) -> Learner:
    """Make a learner of the tiny network on 40 cats and dogs, early layers frozen; its run lies in tmp_path."""
    return learners_of(small_photos, tmp_path)


@pytest.fixture
def real_learner(small_photos: Path, real_cache: Path, tmp_path: Path) -> Learner:
    """Make such a learner of the real backbone."""
    return learners_of(small_photos, tmp_path)


def learners_of(photos: Path, folder: Path) -> Learner:
    images = gr.from_folder(photos)

    def make(**options: Any) -> gr.Learner:
        usual = {"folder": folder / "steps", "progress": Told(), "precompute": True, "batch_size": 8}
        learn = gr.Learner(images, **(usual | options))
        learn.freeze_to(1)
        return learn

    return make


def row_bytes() -> int:
    """What a view takes in the bank before the late layers."""
    return 2 * boundary(backbone()).spec.features


def said(learn: gr.Learner) -> str:
    told = learn.data.progress
    assert isinstance(told, Told)
    return "\n".join(told.lines)


def pretrained(learn: gr.Learner) -> dict[str, np.ndarray]:
    return {
        name: value.numpy() for name, value in learn.state.backbone.module.get_submodule("model").state_dict().items()
    }


@pytest.mark.exhaustive
def test_late_layers_learn_and_early_ones_stay_bit_for_bit(real_learner: Learner) -> None:
    learn = real_learner(augment=gr.data.side_on(), augmented_views=1)
    before = pretrained(learn)
    history = learn.fit(RATES, 4)
    assert learn.precompute
    assert history.rows[-1].train_loss < 0.8 * history.rows[0].train_loss
    groups = learn.state.backbone.spec.groups
    changed = {
        groups[name] for name, value in pretrained(learn).items() if name in groups and (value != before[name]).any()
    }
    assert changed == {"late"}
    assert gr.metrics.accuracy(learn.evaluate()).low > 0.5


def test_with_and_without_precompute_nearly_the_same_is_learned(learner: Learner, tmp_path: Path) -> None:
    kept, live = learner(folder=tmp_path / "a"), learner(folder=tmp_path / "b")
    live.precompute = False
    for learn in (kept, live):
        learn.fit([0.0, 1e-5, 1e-4], 1)  # at high rates a difference in the last digits grows from step to step
    one, other = kept.history.rows[0], live.history.rows[0]
    assert one.train_loss == pytest.approx(other.train_loss, rel=5e-3)
    assert one.valid_loss == pytest.approx(other.valid_loss, rel=5e-3)
    assert one != other  # rows come from the engine at its precision, pixels run in fp32


def test_the_bank_is_filled_once_and_trained_late_layers_find_it_again(learner: Learner) -> None:
    learn = learner()
    learn.fit(RATES, 1)
    assert (
        said(learn).count(f"Before the late layers: 56 views, {readable_bytes(56 * row_bytes())} in the feature cache.")
        == 1
    )
    count = sum(one["rows"] for one in cache.stored())
    learn.fit(RATES, 1)
    assert sum(one["rows"] for one in cache.stored()) == count
    assert {one["key"]["tap"] for one in cache.stored()} == {"pooled", "boundary"}


def test_the_same_story_is_replayed(learner: Learner) -> None:
    first, second = learner(), learner()
    first.fit(RATES, 2)
    second.fit(RATES, 2)
    assert "done before" in said(second)
    assert [asdict(row) for row in first.history] == [asdict(row) for row in second.history]


def test_killed_it_goes_on_to_the_same_bits(learner: Learner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    how = {"augment": gr.data.side_on(), "augmented_views": 1}
    whole, broken = learner(folder=tmp_path / "whole", **how), learner(**how)
    whole.fit(RATES, 2, cycle_len=1, mixup=0.4)
    real = fitting.train

    def killed(*arguments: Any, **options: Any) -> Iterator[Any]:
        for number, event in enumerate(real(*arguments, **options)):
            if number == 7:
                raise KeyboardInterrupt
            yield event

    monkeypatch.setattr(fitting, "train", killed)
    with pytest.raises(KeyboardInterrupt):
        broken.fit(RATES, 2, cycle_len=1, mixup=0.4)
    monkeypatch.setattr(fitting, "train", real)
    broken.fit(RATES, 2, cycle_len=1, mixup=0.4)
    assert whole.state.backbone.spec.weights == broken.state.backbone.spec.weights
    assert [asdict(row) for row in whole.history] == [asdict(row) for row in broken.history]


def test_a_blend_and_a_temperature_are_judged_on_the_same_rows(learner: Learner) -> None:
    learn = learner()
    learn.fit([0.0, 3e-2, 3e-2], 2)
    worst = learn.data.validation(learn.state)
    assert worst is not None
    before = worst(learn._runner.network(learn.state)).tempered_loss
    learn.blend()
    assert worst(learn._runner.network(learn.state)).tempered_loss <= before
    assert learn.calibrate() >= 1


def test_unfreeze_turns_it_off_and_freeze_keeps_it(learner: Learner) -> None:
    learn = learner()
    learn.freeze()
    assert learn.precompute
    learn.unfreeze()
    assert not learn.precompute
    with pytest.raises(OptionError, match=r"needs frozen early layers: call freeze\(\) or freeze_to\(1\) first"):
        learn.precompute = True


def test_activations_are_not_cut_into_pieces(learner: Learner) -> None:
    with pytest.raises(OptionError, match=r"cutmix cuts pixels, .* begins with features: unfreeze\(\) first"):
        learner().fit(RATES, 1, cutmix=1.0)


def test_what_is_kept_is_bounded_and_said(learner: Learner, monkeypatch: pytest.MonkeyPatch) -> None:
    row = row_bytes()
    monkeypatch.setattr(plan, "MOST_BOUNDARY_BYTES", 100 * row)
    learn = learner(augment=gr.data.side_on(), augmented_views=3)
    learn.lr_find(steps=2)
    kept = f"{readable_bytes(96 * row)} in the feature cache."
    assert f"96 views (no room for more than 1 of 3 augmented ones), {kept}" in said(learn)
    monkeypatch.setattr(plan, "MOST_BOUNDARY_BYTES", 55 * row)
    assert learner(replay=False, augment=gr.data.side_on()).can_precompute() is False
    with pytest.raises(OptionError, match="set precompute = False to train on live images"):
        learner(replay=False).fit(RATES, 1)


def test_views_before_the_late_layers_may_be_others_than_those_of_the_head(learner: Learner) -> None:
    learn = learner(augment=gr.data.side_on(), augmented_views=0, late_views=2)
    assert learn.can_precompute()
    learn.lr_find(steps=2)
    views = 40 + 16 + 2 * 40
    assert (
        f"Before the late layers: {views} views, {readable_bytes(views * row_bytes())} in the feature cache."
        in said(learn)
    )
    learn.freeze()
    assert learn.can_precompute()
    assert len(learn.data.source(learn.state).features.caches) == 1  # type: ignore[attr-defined]
    learn.unfreeze()
    assert not learn.can_precompute()


@given(
    views=st.integers(0, 8), train=st.integers(1, 10**6), others=st.integers(0, 10**5), features=st.integers(1, 10**5)
)
def test_as_many_views_as_fit(views: int, train: int, others: int, features: int) -> None:
    fit = plan.views_that_fit(views, images=train + others, train_images=train, features=features)
    needed = [(train + others + count * train) * 2 * features for count in range(views + 1)]
    assert fit == max((n for n, size in enumerate(needed) if size <= plan.MOST_BOUNDARY_BYTES), default=-1)
