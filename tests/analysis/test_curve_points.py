"""How the raw numbers of a learning curve are measured."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goldenrule.analysis.curve_points import FOLDS, curve_sizes, measured_curve, nested_order
from goldenrule.core.errors import TooFewImages


def clouds(n=120, classes=3, features=6, apart=1.5, seed=0):
    """Points of some classes around their middles; targets."""
    draws = np.random.default_rng(seed)
    targets = np.arange(n) % classes
    middles = apart * np.random.default_rng(7).normal(size=(classes, features))
    return (middles[targets] + draws.normal(size=(n, features))).astype(np.float16), targets


def names(n, per_unit=1):
    return [str(number // per_unit).encode() for number in range(n)]


@settings(deadline=None, max_examples=40)
@given(st.integers(4, 60), st.integers(2, 5), st.integers(1, 4), st.integers(0, 5))
def test_every_beginning_of_an_order_has_each_class_in_its_share(n, classes, per_unit, draw):
    targets = np.repeat(np.arange(n) % classes, per_unit)
    units = names(len(targets), per_unit)
    order = nested_order(targets, units, draw, seed=1)
    assert sorted(order) == list(range(len(targets)))
    shares = np.bincount(targets, minlength=classes) / len(targets)
    for size in (len(targets) // 2, len(targets) // 3):
        counts = np.bincount(targets[order[:size]], minlength=classes)
        assert np.abs(counts - shares * size).max() <= 2 * per_unit
    positions = {unit: [] for unit in units}
    for place, row in enumerate(order):
        positions[units[row]].append(place)
    assert all(np.ptp(position) == len(position) - 1 for position in positions.values())  # whole units stand together


def test_an_order_depends_on_draw_and_seed_and_not_on_the_order_of_the_images():
    _, targets = clouds()
    units = names(120)
    order = nested_order(targets, units, 0, seed=0)
    back = nested_order(targets[::-1], units[::-1], 0, seed=0)
    assert [units[row] for row in order] == [units[::-1][row] for row in back]
    assert (order != nested_order(targets, units, 1, seed=0)).any()
    assert (order != nested_order(targets, units, 0, seed=1)).any()


@given(st.integers(20, 100_000), st.integers(2, 200))
def test_sizes_rise_to_all_and_teach_each_class_something(most, classes):
    sizes = curve_sizes(most, classes=classes)
    assert sizes == sorted(set(sizes))
    assert len(sizes) <= 12
    assert all(size >= max(6, 2 * classes) for size in sizes)
    assert not sizes or sizes[-1] == most


def test_more_images_of_well_formed_classes_make_fewer_mistakes():
    features, targets = clouds(n=150)
    found = measured_curve(features, targets, names(150), classes=3, draws=2)
    error = found.wrong.mean(axis=(1, 2))
    assert found.sizes[-1] == 120
    assert error[0] > error[-1] + 0.02
    assert found.log_losses.mean(axis=(1, 2))[0] > found.log_losses.mean(axis=(1, 2))[-1]
    assert found.wrong.shape == found.log_losses.shape == (len(found.sizes), 2, 150)


def riddles(copies=1, count=30):
    """60 points of two clear classes, and riddles: each has a direction of its own and a label that means nothing.

    The clear points call for a weak penalty, with which a head knows every riddle by heart that it has seen. Gives
    features, targets, names of units with the `copies` of a riddle together, and which rows are riddles.
    """
    draws = np.random.default_rng(3)
    clear = np.arange(60) % 2
    targets = np.concatenate([clear, np.repeat(draws.integers(0, 2, count), copies)])
    features = np.zeros((len(targets), 6 + count), np.float16)
    features[:60, :6] = draws.normal(size=(60, 6)) + 3 * (2 * clear[:, None] - 1)
    features[60:, 6:] = 4 * np.repeat(np.eye(count), copies, axis=0)
    units = [*names(60), *(f"riddle {number // copies}".encode() for number in range(count * copies))]
    return features, targets, units, np.arange(len(targets)) >= 60


@pytest.fixture
def four_sizes(monkeypatch):
    monkeypatch.setattr("goldenrule.analysis.curve_points.MOST_SIZES", 4)


def test_labels_that_mean_nothing_are_not_learned(four_sizes):
    """No image is scored by a head that has seen it: of what can only be known by heart nothing is known."""
    features, targets, units, by_heart = riddles()
    wrong = measured_curve(features, targets, units, classes=2, draws=1).wrong[-1, 0]
    assert wrong[~by_heart].mean() == 0
    assert wrong[by_heart].mean() > 0.3


def test_copies_of_an_image_are_never_scored_by_a_head_that_has_seen_one(four_sizes):
    """With units the copies stay together and nothing is known of riddles; apart they are known by heart."""
    features, targets, units, by_heart = riddles(copies=4)
    together = measured_curve(features, targets, units, classes=2, draws=1)
    apart = measured_curve(features, targets, names(len(targets)), classes=2, draws=1)
    assert together.wrong[-1, 0, by_heart].mean() > 0.3
    assert apart.wrong[-1, 0, by_heart].mean() < 0.1
    assert len(set(together.units)) == 90


def test_the_same_seed_gives_the_same_numbers(four_sizes):
    features, targets = clouds(n=36)
    one, again, other = (
        measured_curve(features, targets, names(36), classes=3, draws=2, seed=seed) for seed in (0, 0, 1)
    )
    assert (one.wrong == again.wrong).all()
    assert (one.log_losses == again.log_losses).all()
    assert (one.wrong.mean(axis=1) != other.wrong.mean(axis=1)).any()


def test_too_few_images_are_a_clear_error():
    features, targets = clouds(n=12)
    with pytest.raises(TooFewImages, match=r"12 images of 3 classes .* wanted 4 sizes .* Add images"):
        measured_curve(features, targets, names(12), classes=3)


def test_all_draws_take_all_images_at_the_largest_size(four_sizes):
    features, targets = clouds(n=75)
    found = measured_curve(features, targets, names(75), classes=3)
    assert (found.wrong[-1] == found.wrong[-1][:1]).all()
    assert found.sizes[-1] == 75 - 75 // FOLDS
