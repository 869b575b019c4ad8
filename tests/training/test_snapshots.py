"""What the ends of a fit's cycles leave: snapshots to go back to, a soup of them, and a loss that has converged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import goldenrule as gr
from goldenrule.core.errors import FormatError, OptionError
from goldenrule.core.progress import Silent
from goldenrule.training import fitting, snapshots
from goldenrule.training.early_stopping import CycleEnd, converged
from goldenrule.training.snapshots import Snapshots, greedy_soup

Learner = Callable[..., gr.Learner]
losses = st.lists(st.floats(0.1, 2.0), min_size=1, max_size=12)


@pytest.fixture
def learner(small_photos: Path, cache: Path, tmp_path: Path) -> Learner:
    """Make a learner with activations of 40 cats and dogs, four steps per epoch; its run lies in tmp_path."""
    images = gr.from_folder(small_photos)

    def make(**options: Any) -> gr.Learner:
        usual = {"folder": tmp_path / "steps", "progress": Silent(), "precompute": True, "batch_size": 10}
        return gr.Learner(images, **(usual | options))

    return make


def weight(learn: gr.Learner) -> np.ndarray:
    return learn.state.head.tensors["weight"].copy()


def valid_loss(learn: gr.Learner) -> float:
    learn.calibrate()
    return gr.metrics.log_loss(learn.evaluate()).value


@pytest.mark.parametrize("kept", [True, False], ids=["in the run", "in memory"])
def test_every_end_of_a_cycle_can_be_gone_back_to(learner: Learner, tmp_path: Path, kept: bool) -> None:
    learn = learner(replay=kept)
    learn.fit(1e-2, 3, cycle_len=1, cycle_mult=2)
    assert learn.cycles == (1, 2, 3)
    for cycle in (1, 2):
        shorter = learner(folder=tmp_path / str(cycle))
        shorter.fit(1e-2, cycle, cycle_len=1, cycle_mult=2)
        learn.back_to(cycle)
        np.testing.assert_array_equal(weight(learn), weight(shorter))
    learn.back_to(3)
    learn.fit(1e-3, 1)
    assert learn.cycles == (1,), "they are those of the last fit"


def test_a_replayed_fit_has_its_snapshots_and_its_soup(learner: Learner) -> None:
    first, again = learner(), learner()
    for learn in (first, again):
        learn.fit(3e-2, 4, cycle_len=1)
        learn.soup()
    np.testing.assert_array_equal(weight(first), weight(again))
    again.back_to(2)
    again.back_to(1)
    assert not np.array_equal(weight(first), weight(again))


def test_a_killed_fit_has_the_snapshots_of_an_unbroken_one(
    learner: Learner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = learner(folder=tmp_path / "whole")
    whole.fit(1e-2, 3, cycle_len=1)
    real = fitting.train

    def killed(*arguments: Any, **how: Any) -> Any:
        for number, event in enumerate(real(*arguments, **how)):
            if number == 7:
                raise KeyboardInterrupt
            yield event

    monkeypatch.setattr(fitting, "train", killed)
    with pytest.raises(KeyboardInterrupt):
        learner().fit(1e-2, 3, cycle_len=1)
    monkeypatch.setattr(fitting, "train", real)
    broken = learner()
    broken.fit(1e-2, 3, cycle_len=1)
    for cycle in (1, 2, 3):
        whole.back_to(cycle)
        broken.back_to(cycle)
        np.testing.assert_array_equal(weight(broken), weight(whole))


def test_the_snapshots_of_late_layers_hold_the_body_too(learner: Learner) -> None:
    learn = learner()
    learn.freeze_to(1)
    learn.fit([0.0, 1e-3, 1e-3], 2, cycle_len=1)
    last = learn.state.backbone.spec.weights
    learn.back_to(1)
    assert learn.state.backbone.spec.weights != last
    learn.back_to(2)
    assert learn.state.backbone.spec.weights == last


def test_a_soup_validates_at_least_as_well_as_the_best_end(learner: Learner) -> None:
    learn = learner()
    learn.fit(0.1, 4, cycle_len=1)
    ends = []
    for cycle in learn.cycles:
        learn.back_to(cycle)
        ends.append(valid_loss(learn))
    taken = learn.soup()
    assert set(taken) <= {1, 2, 3, 4}
    assert int(np.argmin(ends)) + 1 in taken
    assert valid_loss(learn) <= min(ends) + 1e-3


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(-4, 4), min_size=1, max_size=6), st.floats(-4, 4))
def test_a_greedy_soup_is_the_mean_of_what_it_took_and_never_worse_than_the_best(
    values: list[float], wanted: float
) -> None:
    states = [{"w": torch.tensor([value], dtype=torch.float64)} for value in values]

    def loss(state: dict[str, torch.Tensor]) -> float:
        return abs(float(state["w"][0]) - wanted)

    soup, taken, lowest = greedy_soup(states, loss)
    assert float(soup["w"][0]) == pytest.approx(np.mean([values[place] for place in taken]), abs=1e-6)
    assert lowest == loss(soup)
    assert lowest <= min(map(loss, states))


def test_only_the_newest_snapshots_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"w": np.zeros(100, np.float32)}
    for path in (tmp_path / "fit.checkpoint", None):
        monkeypatch.setattr(snapshots, "MOST_BYTES", 1200)
        few = Snapshots(path)
        for cycle in range(1, 12):
            few.keep(cycle, found)
        assert few.cycles == (9, 10, 11)
        monkeypatch.setattr(snapshots, "MOST_BYTES", 10)
        few.keep(12, found)
        assert few.cycles == (12,), "never none"
        monkeypatch.setattr(snapshots, "MOST_BYTES", 10**9)
        for cycle in range(1, 30):
            few.keep(cycle, found)
        assert len(few.cycles) == snapshots.MOST
    assert len(list(tmp_path.iterdir())) == snapshots.MOST


def test_what_is_not_kept_or_damaged_is_told(learner: Learner, tmp_path: Path) -> None:
    learn = learner()
    with pytest.raises(OptionError, match=r"back_to\(1\).*Kept: none"):
        learn.back_to(1)
    with pytest.raises(OptionError, match="fit first"):
        learn.soup()
    learn.fit(1e-2, 2, cycle_len=1)
    with pytest.raises(OptionError, match=r"back_to\(3\).*Kept: 1, 2"):
        learn.back_to(3)
    for file in (tmp_path / "steps" / "steps").glob("*.cycle1.*"):
        file.write_bytes(file.read_bytes()[:-4] + b"oops")
    with pytest.raises(FormatError, match="damaged"):
        learn.back_to(1)
    learn.load(learn.classifier())
    assert learn.cycles == (), "what was loaded has no cycles"


@settings(deadline=None, max_examples=100)
@given(losses, st.integers(1, 12))
def test_a_loss_has_converged_when_nothing_lower_came_for_so_many_epochs(values: list[float], epochs: int) -> None:
    ends = [CycleEnd(epochs=n, train_loss=1.0, valid_loss=value) for n, value in enumerate(values, 1)]
    found = converged(ends, epochs=epochs)
    if len(values) <= epochs:
        assert not found
    else:
        before, since = values[:-epochs], values[-epochs:]
        assert found == all(value >= 0.98 * min(before) for value in since)


def test_a_fit_ends_where_validation_has_converged(learner: Learner) -> None:
    learn = learner()
    learn.fit(1e-6, 30, until_converged=3)
    assert len(learn.history) == 4, "at such a rate nothing changes: one epoch, and three more"
    learn.fit(1e-2, 4, until_converged=3)
    assert len(learn.history) == 8, "it still improves"
    with pytest.raises(OptionError, match="until_converged=-1"):
        learn.fit(1e-2, 4, until_converged=-1)
