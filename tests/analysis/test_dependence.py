"""Are neighbours alike, and does it flatter: the level is held, films are found, harmless likeness is told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goldenrule.analysis import dependence
from goldenrule.analysis.dependence import LEVEL, Flattery, flattery, nearest_of_kind, nearness
from goldenrule.core.schema import as_json
from goldenrule.data.name_order import Proposal
from goldenrule.data.splits.stretches import stretch_folds
from goldenrule.features.linear import Rows

FEATURES = 24


def order(count: int) -> Proposal:
    return Proposal("name", "nearby in the order of names", places=tuple(range(count)))


def series(seed: int, *, classes: int = 2, films: int = 20, frames: int = 10, likeness: float = 3.0) -> np.ndarray:
    """Features (n, FEATURES) of films: frames of one share an offset, and hardly show their class."""
    draws = np.random.default_rng(seed)
    rows = []
    for label in range(classes):
        for _ in range(films):
            film = likeness * draws.normal(size=FEATURES)
            film[label] += 2.0
            rows.append(film + draws.normal(size=(frames, FEATURES)))
    return np.concatenate(rows).astype(np.float32)


def told(features: np.ndarray, kinds: np.ndarray, seed: int = 0) -> float:
    asked, nearest = nearest_of_kind(lambda rows: features[list(rows)], kinds, seed=seed)
    return nearness([order(len(features))], asked, nearest, kinds, seed=seed)[0].p_value


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10**6), st.integers(16, 60))
def test_the_nearest_neighbour_is_that_of_all_pairs_and_of_the_same_kind(seed: int, count: int) -> None:
    draws = np.random.default_rng(seed)
    features, kinds = draws.normal(size=(count, 5)).astype(np.float32), np.arange(count) % 2
    asked, nearest = nearest_of_kind(lambda rows: features[list(rows)], kinds)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    cosines = np.where(kinds[:, None] == kinds, unit @ unit.T, -2)
    np.fill_diagonal(cosines, -3)
    found = dict(zip(asked.tolist(), nearest.tolist(), strict=True))
    expected = {row: int(cosines[row].argmax()) for row in range(count) if (kinds == kinds[row]).sum() >= 8}
    assert found == expected


def test_above_a_number_of_pairs_a_sample_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dependence, "MOST_COMPARED", 100)
    monkeypatch.setattr(dependence, "FEWEST_ASKED", 20)
    features = series(0)
    kinds = np.repeat([0, 1], 200)
    asked, nearest = nearest_of_kind(lambda rows: features[list(rows)], kinds)
    assert len(asked) == len(set(asked.tolist())) == 40
    assert (kinds[asked] == kinds[nearest]).all()
    assert told(features, kinds) <= LEVEL


def test_independent_images_are_called_alike_no_more_often_than_the_level() -> None:
    draws = np.random.default_rng(0)
    kinds = np.repeat([0, 1, 2], 20)
    alarms = sum(told(draws.normal(size=(60, 8)).astype(np.float32), kinds, seed) <= 0.1 for seed in range(120))
    assert alarms <= 22, "of 120 at a level of a tenth: 12 are expected, 22 have a chance of .2 %"


def test_frames_of_films_are_alike_in_their_order_and_in_their_groups() -> None:
    features, kinds = series(1), np.repeat([0, 1], 200)
    films = tuple(f"film {row // 10}" for row in range(400))
    asked, nearest = nearest_of_kind(lambda rows: features[list(rows)], kinds)
    proposals = [order(400), Proposal("series", "among those of one film", groups=films)]
    found = nearness(proposals, asked, nearest, kinds)
    assert all(one.shown and one.share > 0.9 for one in found)
    assert [one.p_value for one in found] == [0.002, 0.002], "of a thousand, both together"
    mixed = np.random.default_rng(2).permutation(400)
    assert not nearness([order(400)], *nearest_of_kind(lambda rows: features[mixed[list(rows)]], kinds), kinds)[0].shown


def test_a_part_is_asked_for_its_neighbours_in_train() -> None:
    features, kinds = series(3), np.repeat([0, 1], 200)
    valid = np.arange(400) % 5 == 0
    asked, nearest = nearest_of_kind(lambda rows: features[list(rows)], kinds, apart=valid)
    assert valid[asked].all()
    assert not valid[nearest].any()
    assert nearness([order(400)], asked, nearest, kinds, apart=valid)[0].shown


def test_other_films_under_the_same_numbers_are_no_neighbours() -> None:
    alarms = 0
    for seed in range(20):
        one, other = series(2 * seed), series(2 * seed + 1)
        features = np.stack([one, other], axis=1).reshape(-1, FEATURES)  # film by film, frame by frame, in turn
        kinds, valid = np.repeat([0, 1], 400), np.arange(800) % 2 == 1
        pairs = nearest_of_kind(lambda rows, value=features: value[list(rows)], kinds, apart=valid)
        alarms += nearness([order(800)], *pairs, kinds, apart=valid, seed=seed)[0].shown
    assert alarms <= 2


def measured(features: np.ndarray, truth: np.ndarray, group: int = 20) -> Flattery:
    count = len(truth)
    units = [str(row).encode() for row in range(count)]
    labels = [[int(label)] for label in truth]
    apart = stretch_folds(labels, list(range(count)), units, task="single", folds=5)
    rows = Rows(
        read=lambda start, stop: features[start:stop],
        targets=truth,
        weights=np.ones(count, np.float32),
        folds=apart,
        features=FEATURES,
        classes=int(truth.max()) + 1,
        scored=count,
    )
    return flattery(
        rows,
        apart,
        classes=[str(label) for label in range(int(truth.max()) + 1)],
        task="single",
        labels=labels,
        units=units,
        kinds=truth,
        groups=[f"{row // group}" for row in range(count)],
    )


def test_films_flatter_and_by_how_much_is_told() -> None:
    found = measured(series(4), np.repeat([0, 1], 200))
    assert found.shown
    assert found.random.value > found.together.value + 0.05
    assert found.drop is not None
    assert found.drop.low > 0
    assert found.visible_drop is None
    assert found.texts["metric"] == "accuracy"
    assert found.texts["random"].endswith(" %")
    assert as_json(found)["drop"]["value"] == found.drop.value


def test_likeness_that_teaches_nothing_does_no_harm_and_what_would_have_been_seen_is_told() -> None:
    draws = np.random.default_rng(5)
    truth = np.repeat([0, 1], 200)
    features = draws.normal(size=(400, FEATURES)).astype(np.float32)
    features[:, 0] += 6 * truth  # the class is plain
    features[:, 1] = np.sin(np.arange(400) / 30)  # neighbours are alike in what says nothing
    found = measured(features, truth)
    assert not found.shown
    assert found.visible_drop is not None
    assert 0.1 <= found.visible_drop < 20


def test_a_drop_that_is_not_beyond_chance_is_harmless_only_where_it_is_known_to_be_small() -> None:
    found = measured(series(4), np.repeat([0, 1], 200))

    def flatters(value: float, low: float, high: float, *, rise: tuple[float, float, float] = (0.0, -0.1, 0.1)) -> bool:
        assert found.drop is not None
        drop = replace(found.drop, value=value, low=low, high=high)
        risen = replace(found.rise, value=rise[0], low=rise[1], high=rise[2])
        return replace(found, drop=drop, rise=risen).shown

    assert flatters(0.02, 0.01, 0.03), "beyond chance"
    assert flatters(0.049, -0.001, 0.17), "of twelve blocks: it may be 17 points"
    assert flatters(0.049, np.nan, np.nan), "of fewer than six groups nothing is known"
    assert not flatters(0.012, -0.001, 0.025), "three points at most"
    assert not flatters(0.004, -0.2, 0.2), "too little to change a decision"
    assert not flatters(-0.05, -0.2, 0.2)
    assert not flatters(0.0, -0.01, 0.01, rise=(0.3, -0.1, 2.0)), "a loss must be beyond chance"
    assert flatters(0.0, -0.01, 0.01, rise=(0.3, 0.1, 2.0))
    several = replace(found, drop=None, rise=replace(found.rise, value=0.2, low=-0.1, high=0.5))
    assert several.shown
    assert not replace(several, rise=replace(several.rise, high=0.2)).shown


def test_random_folds_train_on_as_many_images_of_each_class_as_those_kept_together() -> None:
    truth = np.repeat([0, 1, 2], 40)
    units = [str(row // 2).encode() for row in range(120)]
    apart = stretch_folds([[int(value)] for value in truth], list(range(120)), units, task="single", folds=5)
    mixed = dependence._shuffled(apart, units, truth, 0, seed=0)
    for label in range(3):
        assert np.bincount(mixed[truth == label]).tolist() == np.bincount(apart[truth == label]).tolist()
    assert (mixed[::2] == mixed[1::2]).all(), "units are whole"
    assert (mixed != apart).any()
