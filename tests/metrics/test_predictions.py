from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import special

from goldenrule.core.errors import OptionError
from goldenrule.metrics import Predictions
from goldenrule.notebook import predictions_html

light = settings(deadline=None, max_examples=60)
extreme = st.floats(-1e4, 1e4, width=32)
logits_of_three = st.tuples(st.integers(0, 8), st.integers(1, 3), st.just(3)).flatmap(
    lambda shape: arrays.arrays(np.float32, shape, elements=extreme)
)
NAMES = ("cat", "dog", "horse")


def some(n=6, views=2, seed=0, **fields):
    """n images: the second can't be read, the third has no label."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(n, views, 3)).astype(np.float32)
    logits[1] = np.nan
    status = np.where(np.arange(n) == 1, "unreadable", "ok")
    truth = np.where(np.arange(n) == 2, -1, generator.integers(0, 3, n))
    return Predictions.from_logits(logits, NAMES, **{"truth": truth, "status": status, **fields})


def several(n=4, **fields):
    """n images with many labels; the last is unlabelled."""
    generator = np.random.default_rng(1)
    truth = generator.integers(0, 2, (n, 3))
    truth[-1] = -1
    return Predictions.from_logits(generator.normal(size=(n, 3)), NAMES, truth=truth, task="multi", **fields)


@light
@given(logits_of_three)
def test_probabilities_are_the_softmax_averaged_over_views(logits):
    ours = Predictions.from_logits(logits, NAMES).probabilities
    theirs = special.softmax(logits.astype(np.float64), axis=-1).mean(axis=1)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-300)
    np.testing.assert_allclose(ours.sum(axis=1), 1)


@light
@given(logits_of_three)
def test_with_many_labels_they_are_the_sigmoid_averaged_over_views(logits):
    ours = Predictions.from_logits(logits, NAMES, task="multi").probabilities
    np.testing.assert_allclose(ours, special.expit(logits.astype(np.float64)).mean(axis=1), rtol=1e-9, atol=1e-300)


def test_an_unreadable_image_has_no_probability_and_no_prediction():
    predictions = some()
    assert np.isnan(predictions.probabilities[1]).all()
    assert np.isfinite(np.delete(predictions.probabilities, 1, axis=0)).all()
    assert predictions.predicted[1] == -1
    assert (np.delete(predictions.predicted, 1) >= 0).all()


def test_only_readable_labelled_images_are_scored():
    predictions = some()
    assert predictions.scored.ids == ("0", "3", "4", "5")
    assert predictions.scored is predictions.scored
    assert predictions.scored.scored is predictions.scored
    assert predictions.status_counts == {"ok": 5, "unreadable": 1}
    assert several().scored.ids == ("0", "1", "2")


def test_a_block_of_rows_changes_nothing(monkeypatch):
    before = some(n=50).probabilities
    monkeypatch.setattr("goldenrule.metrics.predictions._NUMBERS_AT_ONCE", 20)
    assert np.array_equal(some(n=50).probabilities, before, equal_nan=True)


def test_no_images_at_all_is_a_value_too():
    nothing = Predictions.from_logits(np.empty((0, 3)), NAMES)
    assert len(nothing) == len(nothing.scored) == 0
    assert nothing.probabilities.shape == (0, 3)
    assert nothing.predicted.shape == (0,)
    assert nothing == some().select([]).only_views(0)
    assert "0 images" in repr(nothing)


def test_arrays_are_read_only():
    predictions = some()
    for array in (predictions.logits, predictions.truth, predictions.status, predictions.probabilities):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = array[0]
    with pytest.raises(AttributeError):
        predictions.ids = ()


@light
@given(st.lists(st.booleans(), min_size=6, max_size=6))
def test_a_mask_and_its_row_numbers_select_the_same_images(mask):
    predictions = some(fold=[0, 1, 2, 0, 1, 2])
    chosen = predictions.select(mask)
    assert chosen == predictions.select(np.flatnonzero(mask))
    assert chosen.ids == tuple(name for name, kept in zip(predictions.ids, mask, strict=True) if kept)


def test_rows_may_be_selected_in_any_order_and_more_than_once():
    predictions = some()
    assert predictions.select([5, -6, 5]).ids == ("5", "0", "5")
    for wrong in ([6], [[0]], [0.5]):
        with pytest.raises(OptionError, match="row numbers: wanted"):
            predictions.select(wrong)
    with pytest.raises(OptionError, match=r"mask: wanted shape \(6,\), got \(2,\)"):
        predictions.select([True, False])


def test_one_view_can_be_looked_at_alone():
    predictions = some(views=3)
    plain = predictions.only_views(0)
    assert plain.views == 1
    assert np.array_equal(plain.logits[:, 0], predictions.logits[:, 0], equal_nan=True)
    assert predictions.only_views(2, 0).views == 2
    with pytest.raises(OptionError, match=r"views \(3,\): wanted some of 0 to 2"):
        predictions.only_views(3)


@light
@given(st.permutations(NAMES), st.booleans())
def test_classes_are_matched_by_name_and_back_again(order, multi):
    predictions = several() if multi else some()
    aligned = predictions.aligned_to(order)
    assert aligned.classes == tuple(order)
    assert aligned.aligned_to(NAMES) == predictions
    for name in NAMES:
        there, here = aligned.classes.index(name), NAMES.index(name)
        np.testing.assert_allclose(aligned.probabilities[:, there], predictions.probabilities[:, here], rtol=1e-14)
    if not multi:
        names = [aligned.classes[k] if k >= 0 else None for k in aligned.truth]
        assert names == [NAMES[k] if k >= 0 else None for k in predictions.truth]


def test_other_classes_are_an_error_that_names_them():
    with pytest.raises(OptionError, match="missing: 'cow', not wanted: 'horse'"):
        some().aligned_to(["dog", "cat", "cow"])
    with pytest.raises(OptionError, match="missing: none, not wanted: 'horse'"):
        some().aligned_to(["dog", "cat"])
    with pytest.raises(OptionError, match="the classes differ"):
        some().aligned_to(["dog", "cat", "horse", "cat"])


def test_parts_put_together_are_the_whole():
    whole = some(fold=[0, 0, 0, 1, 1, 1])
    splits = [whole.select([0, 1, 2]), whole.select([3, 4, 5]).aligned_to(["horse", "cat", "dog"])]
    assert Predictions.concatenate(splits) == whole


def test_one_part_that_was_chosen_on_makes_the_whole_so():
    assert Predictions.concatenate([some(), some(basis="used for selection")]).basis == "used for selection"
    assert some(basis="used for selection").scored.basis == "used for selection"


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ([], "nothing to concatenate"),
        ([some(), some(fold=[0] * 6)], "can't concatenate unlike predictions.*with folds.*without folds"),
        ([some(), some(views=1)], "can't concatenate unlike predictions"),
        ([some(), several()], "can't concatenate unlike predictions"),
    ],
)
def test_unlike_parts_are_refused(splits, message):
    with pytest.raises(OptionError, match=message):
        Predictions.concatenate(splits)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"logits": np.zeros((2, 3))}, r"logits: wanted shape \(2, views, 3\), got \(2, 3\)"),
        ({"logits": np.zeros((2, 1, 4))}, r"logits: wanted shape \(2, views, 3\), got \(2, 1, 4\)"),
        ({"logits": np.zeros((2, 0, 3))}, r"logits: wanted shape \(2, views, 3\), got \(2, 0, 3\)"),
        ({"logits": np.full((2, 1, 3), np.inf)}, "wanted finite numbers where the status is ok"),
        ({"logits": np.full((2, 1, 3), 1e300)}, "wanted finite numbers where the status is ok"),
        ({"status": ["ok", "missing"]}, "wanted nan where the status is not ok"),
        ({"status": ["ok"]}, r"status: wanted shape \(2,\), got \(1,\)"),
        ({"status": ["ok", "broken"]}, r"status: wanted words of .*, got \['broken'\]"),
        ({"truth": [0]}, r"truth: wanted shape \(2,\), got \(1,\)"),
        ({"truth": [0, 3]}, "truth: wanted -1 to 2, got 0 to 3"),
        ({"truth": [0.0, 1.0]}, "truth: wanted whole numbers, got float64"),
        ({"task": "multi", "truth": [0, 1]}, r"truth: wanted shape \(2, 3\), got \(2,\)"),
        ({"task": "multi", "truth": [[0, 1, 257]] * 2}, "truth: wanted -1 to 1, got 0 to 257"),
        ({"task": "multi", "truth": [[0, 1, 1], [0, -1, 1]]}, "of -1 only; got both in row 1"),
        ({"task": "both"}, "task = 'both': wanted one of"),
        ({"basis": "dirty"}, "basis = 'dirty': wanted one of"),
        ({"classes": ["cat", "cat", "dog"]}, r"each once; got 3, twice: \['cat'\]"),
        ({"classes": []}, "wanted one name or more"),
        ({"fold": [1]}, r"fold: wanted shape \(2,\), got \(1,\)"),
        ({"distance": [0.5]}, r"distance: wanted shape \(2,\), got \(1,\)"),
        ({"distance": [0.5, np.nan]}, "distance: wanted numbers where the status is ok, else nan; got nan in row 1"),
    ],
)
def test_what_does_not_fit_is_refused_with_both_sides(fields, message):
    whole = {
        "classes": NAMES,
        "ids": ["a", "b"],
        "status": ["ok", "ok"],
        "truth": [0, 1],
        "logits": np.zeros((2, 1, 3)),
    }
    with pytest.raises(OptionError, match=message):
        Predictions(**{**whole, **fields})


def test_many_labels_have_no_predicted_class_without_thresholds():
    with pytest.raises(OptionError, match="f_beta with a threshold per class"):
        _ = several().predicted


def test_equal_means_equal_in_every_field():
    assert some() == some()
    assert some() != some(seed=1)
    assert some() != some(fold=[0] * 6)
    assert some() != some(basis="used for selection")
    assert some() != "some"


def test_the_table_shows_what_is_true_and_what_is_likely_and_escapes_names():
    shown = predictions_html(some(n=7, ids=["<a>", *"bcdefg"]))
    assert "&lt;a&gt;" in shown
    assert "1 unreadable" in shown
    assert "… and 2 more" in shown
    assert "<td>?</td>" in shown
    assert repr(some()) == "Predictions(6 images, 3 classes, 2 views, single label, 4 scored, 1 unreadable)"
    assert "many labels" in predictions_html(several())


def test_what_is_told_of_single_images_goes_with_them():
    readable = some().ok
    inside = np.eye(3, dtype=bool)[[0, 0, 1, 2, 0, 1]]
    whole = some(reason=np.where(readable, "", "it is empty"))
    whole = replace(whole, ood=np.arange(6) == 3, inside=inside)
    chosen = whole.select([3, 1])
    assert (chosen.reason.tolist(), chosen.ood.tolist()) == (["", "it is empty"], [True, False])
    first, second = chosen
    assert (first.ood, first.set, first.reason) == (True, (whole.classes[2],), "")
    assert (second.ood, second.set, second.reason) == (None, None, "it is empty")
    assert Predictions.concatenate([whole, whole]).inside.tolist() == [*inside.tolist()] * 2
    half = Predictions.concatenate([whole, some()])
    assert (half.ood, half.inside) == (None, None)
    assert half.reason.tolist() == [*whole.reason.tolist(), *[""] * 6]
    turned = whole.aligned_to(whole.classes[::-1])
    assert [row.set for row in turned] == [row.set for row in whole]
    assert list(whole.to_frame().columns)[4:7] == ["set", "ood", "reason"]
    with pytest.raises(OptionError, match="reason: wanted"):
        some(reason=["why"] * 6)


def test_flags_are_added_to_predictions_that_stay_as_they_were():
    whole, inside = some(), np.eye(3, dtype=bool)[[0, 0, 1, 2, 0, 1]]
    probabilities = whole.probabilities
    assert whole.scored.inside is None
    flagged = whole.with_flags(ood=np.arange(6) == 3, inside=inside)
    assert flagged == replace(whole, ood=np.arange(6) == 3, inside=inside)
    assert flagged.probabilities is probabilities
    assert flagged.scored.inside.tolist() == inside[whole.ok & whole.labelled].tolist()
    assert not flagged.inside.flags.writeable
    assert (whole.ood, whole.inside) == (None, None)
    with pytest.raises(OptionError, match="inside: wanted shape"):
        whole.with_flags(inside=inside[:, :2])


def test_one_prediction_is_had_by_its_row() -> None:
    whole = some()
    assert [repr(whole[row]) for row in range(len(whole))] == [repr(one) for one in whole]
    assert whole[-1].id == whole.ids[-1]
    for row in (len(whole), -len(whole) - 1):
        with pytest.raises(IndexError, match="there are 6 images"):
            whole[row]


def test_distances_go_with_their_images_and_stay_where_all_parts_have_them():
    near = np.where(some().ok, np.arange(6) / 10, np.nan)
    whole = some(distance=near)
    np.testing.assert_array_equal(whole.select([4, 1]).distance, near[[4, 1]].astype(np.float32))
    np.testing.assert_array_equal(whole.only_views(0).distance, whole.distance)
    np.testing.assert_array_equal(Predictions.concatenate([whole, whole]).distance, np.tile(whole.distance, 2))
    assert Predictions.concatenate([whole, some()]).distance is None
    assert whole != some()
