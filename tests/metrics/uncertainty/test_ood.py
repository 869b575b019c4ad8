"""Out-of-distribution: the promise on false alarms holds, and what it rests on is bounded."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

from goldenrule.core.errors import FormatError, OptionError
from goldenrule.core.schema import as_json
from goldenrule.metrics import OODDetector, Predictions
from goldenrule.metrics.uncertainty.ood import drawn

light = settings(deadline=None, max_examples=40)
seeds = st.integers(0, 10_000)


def clusters(generator, n, features=12):
    """Activations of three kinds of images, never negative, as those of a network."""
    centres = np.random.default_rng(7).gamma(1.0, size=(3, features))
    return (centres[generator.integers(0, 3, n)] * generator.gamma(8.0, size=(n, features))).astype(np.float16)


def fitted(seed=0, n=60, **options):
    return OODDetector.fit(clusters(np.random.default_rng(seed), n), range(n), **options)


def with_distances(distances):
    n = len(distances)
    return Predictions.from_logits(np.zeros((n, 2)), ["a", "b"], distance=distances)


@pytest.mark.parametrize("rate", [0.02, 0.05, 0.2])
@pytest.mark.parametrize("apart", [False, True], ids=["each left out", "held out"])
def test_new_images_of_the_same_kind_are_flagged_as_rarely_as_was_promised(rate, apart):
    generator, repeats, n = np.random.default_rng(0), 150, 79
    shares = []
    for _ in range(repeats):
        train, new = clusters(generator, n), clusters(generator, 300)
        others = {"others": clusters(generator, n), "other_units": range(n, 2 * n)} if apart else {}
        ood_detector = OODDetector.fit(train, range(n), false_positive_rate=rate, **others)
        assert ood_detector.rate <= rate
        shares.append((ood_detector.distances(new) > ood_detector.threshold).mean())
    reach = 3 * np.std(shares) / np.sqrt(repeats)
    assert np.mean(shares) <= ood_detector.rate + reach
    assert np.mean(shares) >= 0.6 * ood_detector.rate - reach, (
        "a promise that is kept by flagging nothing is worth nothing"
    )


def test_judged_on_the_images_themselves_the_threshold_would_break_the_promise():
    generator, shares = np.random.default_rng(1), []
    for _ in range(60):
        train, new = clusters(generator, 59), clusters(generator, 300)
        honest = OODDetector.fit(train, range(59), false_positive_rate=0.05)
        itself = OODDetector(references=train, held_out=honest.distances(train), false_positive_rate=0.05)
        shares.append(
            [(o_o_d_detector.distances(new) > o_o_d_detector.threshold).mean() for o_o_d_detector in (honest, itself)]
        )
    left_out, resubstituted = np.mean(shares, axis=0)
    assert left_out < 0.055
    assert resubstituted > 0.06


def test_strange_images_are_flagged():
    generator = np.random.default_rng(2)
    strange = generator.gamma(1.0, size=(100, 12)).astype(np.float16)[:, ::-1] ** 2
    ood_detector = fitted(n=200)
    assert (ood_detector.distances(strange) > ood_detector.threshold).mean() > 0.8


@light
@given(seeds, st.integers(2, 30), st.integers(1, 20))
def test_a_distance_is_one_minus_the_cosine_to_the_fifth_nearest(seed, n, new):
    generator = np.random.default_rng(seed)
    train, rows = clusters(generator, n), clusters(generator, new)
    ood_detector = OODDetector.fit(train, range(n))
    assert ood_detector.neighbour == min(5, n - 1)
    oracle = NearestNeighbors(n_neighbors=ood_detector.neighbour, metric="cosine").fit(train.astype(np.float64))
    wanted = oracle.kneighbors(rows.astype(np.float64))[0][:, -1]
    np.testing.assert_allclose(ood_detector.distances(rows), wanted, atol=3e-7)
    one_less = oracle.kneighbors()[0][:, -1]
    np.testing.assert_allclose(ood_detector.held_out, np.sort(one_less)[::-1], atol=3e-7)


@light
@given(seeds, st.integers(6, 60))
def test_the_order_of_images_and_how_many_come_together_make_no_difference(seed, n):
    generator = np.random.default_rng(seed)
    train, rows = clusters(generator, n), clusters(generator, 12)
    units = generator.integers(0, n // 2, n)
    units[:2] = 0, 1
    order = generator.permutation(n)
    one = OODDetector.fit(train, units.tolist())
    other = OODDetector.fit(train[order], units[order].tolist())
    np.testing.assert_allclose(one.held_out, other.held_out, atol=1.2e-7)
    np.testing.assert_allclose(one.distances(rows), other.distances(rows), atol=1.2e-7)
    alone = np.concatenate([one.distances(row[np.newaxis]) for row in rows])
    np.testing.assert_array_equal(alone, one.distances(rows))


@light
@given(seeds, st.sampled_from([0.01, 0.02, 0.05, 0.1, 0.5]), st.integers(2, 120))
def test_flagged_is_what_has_a_p_value_up_to_the_rate(seed, rate, n):
    ood_detector = fitted(seed, n, false_positive_rate=rate)
    distances = np.concatenate([ood_detector.held_out, np.nextafter(ood_detector.held_out, np.float32(9)), [0, 2]])
    p = ood_detector.p_values(distances)
    assert p.min() == pytest.approx(1 / (n + 1))
    assert p.max() == 1
    np.testing.assert_array_equal(ood_detector.is_ood(with_distances(distances)), p <= ood_detector.rate + 1e-12)


def test_copies_and_groups_do_not_vouch_for_each_other():
    train = clusters(np.random.default_rng(3), 40)
    once = OODDetector.fit(train, range(40))
    copies = np.repeat(train, 6, axis=0)
    told, untold = OODDetector.fit(copies, np.repeat(range(40), 6).tolist()), OODDetector.fit(copies, range(240))
    assert untold.threshold < 1e-3, "its own copies are its nearest images"
    assert told.threshold > 100 * max(untold.threshold, 1e-6)
    assert told.threshold <= once.threshold, "the fifth nearest is now a copy of the nearest"


def test_with_few_images_it_flags_what_is_farther_than_all_and_says_so():
    few = fitted(n=40, false_positive_rate=0.01)
    assert few.rate == 1 / 41
    assert few.threshold == few.held_out[0]
    assert "than all 40 held-out ones; expected false positives: 2.4 % at most" in few.sentence
    assert "(1 % needs 99 held-out images)" in few.sentence
    enough = fitted(n=99, false_positive_rate=0.01)
    assert (enough.rate, enough.threshold) == (0.01, enough.held_out[0])
    assert "than 99 % of 99 held-out ones; expected false positives: 1 % at most" in enough.sentence
    assert "would need" not in enough.sentence


def test_images_of_one_unit_only_are_an_error_and_one_without_others_is_left_out():
    train = clusters(np.random.default_rng(4), 6)
    with pytest.raises(OptionError, match="all are of one unit"):
        OODDetector.fit(train, ["same"] * 6)
    ood_detector = OODDetector.fit(train, ["same"] * 6, others=train[:3], other_units=["same", "new", "newer"])
    assert ood_detector.n == 2


def test_what_could_not_be_read_is_not_flagged_and_counts_nowhere():
    ood_detector = fitted()
    predictions = Predictions.from_logits(
        [[0, 0], [np.nan, np.nan], [0, 0]],
        ["a", "b"],
        status=["ok", "unreadable", "ok"],
        distance=[1.9, np.nan, 0.0],
    )
    assert ood_detector.is_ood(predictions).tolist() == [True, False, False]
    share = ood_detector.flagged(predictions)
    assert (share.value, share.n) == (0.5, 2)
    with pytest.raises(OptionError, match="have no distances"):
        ood_detector.is_ood(Predictions.from_logits([[0, 0]], ["a", "b"]))


def test_activations_of_zeros_and_infinities_have_a_distance():
    odd = np.zeros((3, 12), np.float16)
    odd[1, 0], odd[2] = np.inf, np.nan
    assert np.isfinite(fitted().distances(odd)).all()


@light
@given(st.integers(1, 60), st.integers(1, 40), seeds)
def test_what_is_drawn_is_bounded_and_does_not_depend_on_the_order(n, most, seed):
    generator = np.random.default_rng(seed)
    names = [f"image {number}".encode() for number in range(n)]
    labels = generator.integers(0, 4, n)
    order = generator.permutation(n)
    for ours in (None, labels):
        rows = drawn(names, ours, most=most)
        assert len(rows) == min(n, most)
        assert (np.diff(rows) > 0).all()
        again = drawn([names[row] for row in order], None if ours is None else ours[order], most=most)
        assert {names[row] for row in rows} == {names[order[row]] for row in again}
    counts = np.bincount(labels[drawn(names, labels, most=most)], minlength=4)
    available = np.bincount(labels, minlength=4)
    short = counts < available
    assert not short.any() or counts.max() <= counts[short].min() + 1, "in turns"


def test_it_is_read_back_from_its_parts_and_damage_is_told():
    ood_detector = fitted(false_positive_rate=0.05, basis="used for selection")
    again = OODDetector.from_parts(as_json(ood_detector), ood_detector.tensors)
    assert as_json(again) == as_json(ood_detector)
    rows = clusters(np.random.default_rng(9), 20)
    np.testing.assert_array_equal(again.distances(rows), ood_detector.distances(rows))
    with pytest.raises(FormatError, match="can't be read"):
        OODDetector.from_parts({}, ood_detector.tensors)
    with pytest.raises(FormatError, match="held_out holds values that are NaN"):
        OODDetector.from_parts(as_json(ood_detector), ood_detector.tensors | {"held_out": np.array([np.nan])})


@pytest.mark.parametrize("share", [0.0, 1.0, 2.0, float("nan")])
def test_a_rate_of_false_alarms_is_a_share(share):
    with pytest.raises(OptionError, match="wanted a share between 0 and 1"):
        fitted(false_positive_rate=share)
