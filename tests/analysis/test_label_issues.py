"""Wrong labels stand first, the counts of confident learning add up, and planted errors tell how many there are."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goldenrule.analysis.label_issues import find_label_issues, joint_counts, label_errors_json
from goldenrule.analysis.planted_errors import most_wrong, planted, share_wrong
from goldenrule.core.errors import OptionError
from goldenrule.metrics import Predictions
from goldenrule.notebook import label_issues_html

settled = settings(max_examples=60, deadline=None)


def simulated(size: int, classes: int, skill: float, wrong: float, seed: int) -> tuple[Predictions, set[str]]:
    """Images whose logits are `skill` at the true class and normal noise; a share of the labels is wrong."""
    draws = np.random.default_rng(seed)
    truth = draws.integers(classes, size=size)
    logits = skill * np.eye(classes)[truth] + draws.normal(size=(size, classes))
    labels = truth.copy()
    rows = draws.choice(size, round(wrong * size), replace=False)
    labels[rows] = (labels[rows] + draws.integers(1, classes, len(rows))) % classes
    names = [f"class {number}" for number in range(classes)]
    return Predictions.from_logits(logits, names, truth=labels), {str(row) for row in rows}


@pytest.mark.parametrize(("classes", "skill"), [(2, 8.0), (10, 9.0), (100, 10.0)])
def test_where_classes_are_easy_all_wrong_labels_are_found_and_nothing_else(classes: int, skill: float) -> None:
    predictions, wrong = simulated(1000, classes, skill, 0.05, seed=classes)
    found = find_label_issues(predictions)
    assert {suspect.id for suspect in found.first(len(wrong))} == wrong
    suspected = {suspect.id for suspect in found if suspect.suspected}
    assert suspected <= wrong
    assert len(suspected) >= (0.9 if classes <= 10 else 0.5) * len(wrong)  # of 100 classes each has ten images
    assert found.estimated == pytest.approx(len(wrong), rel=0.4 if classes > 10 else 0.1)


def test_without_wrong_labels_nothing_is_doubted() -> None:
    predictions, _ = simulated(600, 5, 12.0, 0.0, seed=1)
    found = find_label_issues(predictions)
    assert (found.number_suspected, found.estimated, found.pairs) == (0, 0, ())


def test_where_classes_are_hard_no_more_is_suspected_than_looks_like_random_errors() -> None:
    predictions, _ = simulated(1000, 10, 2.5, 0.0, seed=1)  # the heads get 20 % wrong, the labels are right
    found = find_label_issues(predictions)
    assert found.number_contradicted > 150
    assert found.estimated > 40
    assert 0 < found.number_suspected <= most_wrong(predictions.probabilities, predictions.truth) < 40
    suspected = [suspect.probability_given for suspect in found if suspect.suspected]
    assert max(suspected) < 0.1


@settled
@given(size=st.integers(1, 60), classes=st.integers(2, 6), seed=st.integers(0, 10**6))
def test_labels_given_at_random_may_all_be_wrong(size: int, classes: int, seed: int) -> None:
    draws = np.random.default_rng(seed)
    logits = draws.normal(size=(size, classes))
    predictions = Predictions.from_logits(logits, [str(number) for number in range(classes)])
    labels = predictions.probabilities.argmin(axis=1)
    assert most_wrong(predictions.probabilities, labels) == size


def test_the_pairs_name_what_is_mixed_up() -> None:
    truth = np.repeat([0, 1, 2], 100)
    labels = truth.copy()
    labels[:8] = 1  # cats that are called dogs
    labels[200:203] = 0
    found = find_label_issues(Predictions.from_logits(10 * np.eye(3)[truth], ["cat", "dog", "horse"], truth=labels))
    assert found.pairs == (("dog", "cat", 8), ("cat", "horse", 3))
    assert found.counts.sum() == pytest.approx(300)
    assert found.counts[1, 0] == pytest.approx(8)


@settled
@given(size=st.integers(1, 60), classes=st.integers(1, 6), skill=st.floats(0, 9), seed=st.integers(0, 10**6))
def test_the_counts_keep_the_number_of_images_per_given_label(size, classes, skill, seed) -> None:
    draws = np.random.default_rng(seed)
    labels = draws.integers(classes, size=size)
    logits = skill * np.eye(classes)[draws.integers(classes, size=size)] + draws.normal(size=(size, classes))
    predictions = Predictions.from_logits(logits, [str(number) for number in range(classes)], truth=labels)
    counts = joint_counts(predictions.probabilities, labels)
    assert (counts >= 0).all()
    np.testing.assert_allclose(counts.sum(axis=1), np.bincount(labels, minlength=classes))
    found = find_label_issues(predictions)
    chances = [suspect.probability_given for suspect in found]
    assert chances == sorted(chances)
    assert sorted(suspect.id for suspect in found) == sorted(predictions.ids)
    for suspect in found:
        assert suspect.given == predictions.classes[labels[int(suspect.id)]]
        assert not suspect.suspected or suspect.probability_likely > suspect.probability_given
        assert suspect.likely != suspect.given or classes == 1


def test_many_labels_are_judged_one_by_one() -> None:
    draws = np.random.default_rng(3)
    truth = draws.integers(2, size=(400, 3))
    labels = truth.copy()
    labels[7, 1] = 1 - labels[7, 1]
    labels[9, 2] = 1 - labels[9, 2]
    logits = 10 * (2 * truth - 1) + draws.normal(size=truth.shape)
    found = find_label_issues(Predictions.from_logits(logits, ["sea", "sun", "tree"], truth=labels, task="multi"))
    assert {suspect.id for suspect in found.first(2)} == {"7", "9"}
    assert found.number_suspected == 2
    said = {suspect.id: (suspect.given, suspect.likely) for suspect in found.first(2)}
    assert said["7"] == (("sun", "without sun") if labels[7, 1] else ("without sun", "sun"))
    assert found.estimated == pytest.approx(2, abs=0.2)


def test_unreadable_and_unlabelled_images_are_left_out_and_none_at_all_is_an_error() -> None:
    logits = np.array([[3.0, 0], [np.nan, np.nan], [0, 3.0]])
    status = ["ok", "unreadable", "ok"]
    found = find_label_issues(Predictions.from_logits(logits, ["a", "b"], truth=[0, 1, -1], status=status))
    assert [suspect.id for suspect in found] == ["0"]
    with pytest.raises(OptionError, match="No image is both labelled and readable"):
        find_label_issues(Predictions.from_logits([[0.0, 0.0]], ["a", "b"]))


def test_json_csv_and_html_say_the_same_and_nothing_is_interpreted() -> None:
    logits = 9 * np.eye(2)[[0, 0, 1, 1]]
    ids = ["<b>.jpg", "b,c.jpg", "d.jpg", "e.jpg"]
    found = find_label_issues(Predictions.from_logits(logits, ["cat", "dog"], truth=[1, 0, 1, 1], ids=ids))
    rows = list(csv.DictReader(io.StringIO(found.to_csv())))
    assert [row["path"] for row in rows] == [suspect.id for suspect in found]
    assert (rows[0]["path"], rows[0]["given"], rows[0]["likely"]) == ("<b>.jpg", "dog", "cat")
    value = json.loads(json.dumps(label_errors_json(found, most=2)))
    assert value["images"] == 4
    assert [row["id"] for row in value["rows"]] == [suspect.id for suspect in found.first(2)]
    assert "<b>" not in label_issues_html(found).replace("<b></b>", "")
    assert "&lt;b&gt;.jpg" in label_issues_html(found)
    assert found.first(0) == ()


@settled
@given(size=st.integers(0, 900), classes=st.integers(1, 9), seed=st.integers(0, 99))
def test_planted_labels_are_all_wrong_and_no_other_is_touched(size, classes, seed) -> None:
    labels = np.random.default_rng(seed).integers(classes, size=size)
    other, rows = planted(labels, classes, seed=seed)
    changed = np.flatnonzero(other != labels)
    assert changed.tolist() == rows.tolist()
    assert len(rows) <= 0.1 * size
    assert len(rows) >= min(20, int(0.1 * size)) * (classes > 1)
    assert ((other >= 0) & (other < classes)).all()


def test_the_share_of_wrong_labels_is_held_by_its_interval_where_errors_are_random() -> None:
    held = 0
    for seed in range(40):
        predictions, _ = simulated(1000, 6, 6.0, 0.04, seed)
        labels, rows = planted(predictions.truth, 6, seed=seed)
        chances = predictions.probabilities[np.arange(1000), labels]
        is_planted = np.isin(np.arange(1000), rows)
        wrong = share_wrong(chances[is_planted], chances[~is_planted])
        held += wrong.low <= 0.04 <= wrong.high
    assert held >= 37


def test_without_planted_errors_the_share_is_undefined() -> None:
    assert not share_wrong(np.array([]), np.array([0.5])).defined
    assert not share_wrong(np.array([0.1]), np.array([])).defined
    nothing = share_wrong(np.full(20, 0.01), np.full(500, 0.99))
    assert (nothing.value, nothing.low) == (0, 0)
    assert nothing.high < 0.02
