"""Validation evaluated by halves: each half by what the other chose, as by hand, without a trace in the learner."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import goldenrule as gr
from goldenrule.core.errors import OptionError
from goldenrule.data.table import image_table
from goldenrule.metrics.uncertainty.temperature import best_temperature
from goldenrule.training.crossing import Crossed, dealt_halves
from goldenrule.training.learner import Learner


@pytest.fixture
def learner(small_photos: Path, cache: Path, tmp_path: Path) -> Learner:
    images = gr.from_folder(small_photos)
    images = images.with_splits(["valid" if number % 2 else "train" for number in range(len(images))])
    learn = Learner(images, folder=tmp_path / "steps", threads=1)
    learn.unfreeze()
    learn.fit(1e-3, 3, cycle_len=1, keep="best")
    return learn


def evaluated(learn: Learner, **how: object) -> Crossed:
    found = learn.crossed(**how)  # type: ignore[arg-type]
    assert found is not None
    return found


def said_by(learn: Learner, found: Crossed) -> np.ndarray:
    """Logits (n, classes) of a learner on the images of `found`, in their order."""
    said = learn.evaluate()
    place = {uri: row for row, uri in enumerate(said.ids)}
    return np.stack([said.logits[place[uri], 0] for uri in found.predictions.ids])


def loss(logits: np.ndarray, truth: np.ndarray) -> float:
    return best_temperature(logits.astype(np.float64), truth)[1]


def test_each_half_is_predicted_by_what_the_other_half_chose(learner: Learner) -> None:
    found = evaluated(learner)
    assert set(found.halves.tolist()) == {0, 1}
    assert abs(int(found.halves.sum()) * 2 - len(found.halves)) <= 2
    for half in (0, 1):
        rows, chosen = found.halves == half, found.choices[1 - half]
        backbone, head = found.network(half)
        by_hand = Learner(learner.data.table, backbone, head=head, threads=1)
        np.testing.assert_allclose(said_by(by_hand, found)[rows], found.predictions.logits[rows, 0], atol=0.05)
        assert chosen.temperature >= 1


def test_what_a_half_chooses_has_there_no_higher_loss_than_any_end_of_a_cycle(learner: Learner) -> None:
    found = evaluated(learner, shares=(1.0,))
    truth = found.predictions.truth
    for half in (0, 1):
        rows = found.halves == half
        backbone, head = found.network(1 - half)  # what this half chose, and predicts the other
        chosen = Learner(learner.data.table, backbone, head=head, threads=1)
        ours = loss(said_by(chosen, found)[rows], truth[rows])
        for cycle in learner.cycles:
            one = Learner(learner.data.table, threads=1)
            one.state = learner.state
            one.back_to(cycle)
            assert ours <= loss(said_by(one, found)[rows], truth[rows]) + 0.01


def test_it_leaves_no_trace_and_is_replayed(learner: Learner) -> None:
    before = learner.state
    first, second = evaluated(learner), evaluated(learner)
    assert learner.state is before
    assert first.choices == second.choices
    np.testing.assert_array_equal(first.predictions.logits, second.predictions.logits)
    assert first.predictions.basis == "used for selection"


def test_without_shares_cycles_and_temperature_it_is_what_the_learner_says(learner: Learner) -> None:
    found = evaluated(learner, shares=(1.0,), keep="last", temper=False)
    np.testing.assert_allclose(said_by(learner, found), found.predictions.logits[:, 0], atol=0.02)
    np.testing.assert_array_equal(found.before.logits, found.predictions.logits)


def test_late_layers_on_rows_and_pixels_are_judged_alike(learner: Learner) -> None:
    learner.freeze_to(1)
    learner.precompute = learner.can_precompute()
    learner.fit(1e-3, 1, cycle_len=1)
    on_rows = evaluated(learner, shares=(1.0,), keep="last", temper=False)
    learner.precompute = False
    on_pixels = evaluated(learner, shares=(1.0,), keep="last", temper=False)
    assert on_rows.predictions.ids == on_pixels.predictions.ids
    np.testing.assert_allclose(on_rows.predictions.logits, on_pixels.predictions.logits, atol=0.05)


def test_before_a_fit_it_is_refused_and_few_images_are_not_halved(small_photos: Path, cache: Path) -> None:
    images = gr.from_folder(small_photos)
    few = images.with_splits(["valid" if number % 16 == 0 else "train" for number in range(len(images))])
    assert Learner(few, threads=1).crossed() is None
    half = images.with_splits(["valid" if number % 2 else "train" for number in range(len(images))])
    with pytest.raises(OptionError, match="fit\\(\\) first"):
        Learner(half, threads=1).crossed()


def test_what_belongs_together_is_in_one_half(small_photos: Path, cache: Path, tmp_path: Path) -> None:
    images = gr.from_folder(small_photos)
    images = images.with_splits(["valid" if number % 2 else "train" for number in range(len(images))])
    groups = [f"group {number // 6}" for number in range(len(images))]
    learn = Learner(images.with_groups(groups), folder=tmp_path / "steps", threads=1)
    learn.fit(1e-2, 1, cycle_len=1)
    found = evaluated(learn, keep="last")
    of_uri = dict(zip(images.uris, groups, strict=True))
    halves: dict[str, set[int]] = {}
    for uri, half in zip(found.predictions.ids, found.halves.tolist(), strict=True):
        halves.setdefault(of_uri[uri], set()).add(half)
    assert all(len(halve) == 1 for halve in halves.values())


def test_classes_of_one_validation_image_are_spread_over_both_halves() -> None:
    uris = [f"{label:03d}/{label}.png" for label in range(30)]
    table = image_table(
        Path("set"), [f"{n:03d}" for n in range(30)], uris=uris, splits=["valid"] * 30, labels=[[n] for n in range(30)]
    ).with_digests([uri.encode().ljust(32, b".") for uri in uris])
    halves = dealt_halves(table.only_labelled(), seed=0)
    assert sorted(halves.tolist()) == [0] * 15 + [1] * 15
    one_group = table.with_groups(["film"] * 30).only_labelled()
    assert len(set(dealt_halves(one_group, seed=0).tolist())) == 1
