import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goldenrule.core.errors import OptionError
from goldenrule.metrics import Estimate, Predictions, accuracy, confusion, log_loss
from goldenrule.report import tables
from goldenrule.report.facts import facts, network_facts

light = settings(deadline=None, max_examples=50)


def said(truth, answers, classes=("cat", "dog", "horse")):
    logits = 5 * np.eye(len(classes))[np.asarray(answers, int)]
    return Predictions.from_logits(logits.reshape(-1, len(classes)), classes, truth=np.asarray(truth, int))


COUNTS = {
    "train": {"cat": 10, "dog": 3, "": 0},
    "valid": {"cat": 2, "dog": 0, "": 1},
    "test": {"cat": 0, "dog": 0, "": 7},
}


def test_the_data_table_adds_up():
    table = tables.data_table(COUNTS)
    assert table.splits == ("train", "valid", "test")
    assert [(row.name, row.counts, row.total) for row in table.rows] == [
        ("cat", (10, 2, 0), 12),
        ("dog", (3, 0, 0), 3),
    ]
    assert table.unlabelled is not None
    assert table.unlabelled.counts == (0, 1, 7)
    assert table.totals.counts == (13, 3, 7)
    assert table.sentence == (
        "23 images in 2 classes: 13 train, 3 valid, 7 test. The smallest class, “dog”, has 3; the largest, “cat”, 12."
    )


def test_equal_classes_are_said_to_be_equal_and_nothing_unlabelled_is_not_shown():
    table = tables.data_table({"train": {"a": 4, "b": 4, "": 0}})
    assert table.sentence == "8 images in 2 classes: 8 train. Every class has 4 images."
    assert table.unlabelled is None


def test_only_parts_without_any_label_are_unscored():
    assert tables.unscored_splits(COUNTS) == (("test", 7),)


def test_parts_keep_their_order_and_the_headline_is_marked():
    held_out = said([0, 1, 2], [0, 1, 1])
    estimates = {
        "test": {"accuracy": accuracy(held_out), "log loss": log_loss(held_out)},
        "valid": {"accuracy": Estimate.of_share("accuracy", 9, 10, basis="used for selection")},
    }
    table = tables.split_scores(estimates, "test")
    assert table.metrics == ("accuracy", "log loss")
    assert [(row.name, row.marked, row.note) for row in table.rows] == [
        ("test", True, "held out from training and selection"),
        ("valid", False, "used for selection, so optimistic"),
    ]
    assert table.rows[1].estimates == (estimates["valid"]["accuracy"], None)
    assert table.methods.startswith("accuracy: Wilson 95 %; log loss: ")


def test_candidates_keep_their_order_and_the_one_that_stays_is_marked():
    found = {"accuracy": Estimate.of_share("accuracy", 9, 10)}
    table = tables.candidate_scores(
        [
            {"name": "plain", "estimates": found, "comparison": "", "chosen": False},
            {"name": "4 views", "estimates": found, "comparison": "4 views stays", "chosen": True},
        ]
    )
    assert [(row.name, row.marked, row.note) for row in table.rows] == [
        ("plain", False, ""),
        ("4 views", True, "4 views stays"),
    ]


@light
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), max_size=30))
def test_the_grid_holds_the_confusion_matrix(images):
    predictions = said([t for t, _ in images], [a for _, a in images])
    rows = tables.confusion_rows(predictions)
    assert [[cell.count for cell in row.cells] for row in rows] == confusion(predictions).tolist()
    for row in rows:
        assert row.total == sum(cell.count for cell in row.cells)
        assert sum(cell.share for cell in row.cells) == pytest.approx(1 if row.total else 0)
        assert [cell.predicted for cell in row.cells if cell.hit] == [row.truth]


def test_the_pairs_begin_with_the_most_frequent_then_the_largest_share():
    predictions = said([0, 0, 0, 1, 2, 2], [1, 1, 0, 0, 0, 2])
    found = [(p.truth, p.predicted, p.count, p.total) for p in tables.confused_pairs(predictions)]
    assert found == [("cat", "dog", 2, 3), ("dog", "cat", 1, 1), ("horse", "cat", 1, 2)]
    assert tables.confused_pairs(said([0, 1], [0, 1])) == ()
    assert len(tables.confused_pairs(predictions, 1)) == 1


@pytest.mark.parametrize("table", [tables.confusion_rows, tables.confused_pairs])
def test_many_labels_are_not_mistaken_for_each_other(table):
    many = Predictions.from_logits([[1.0, 2.0]], ["a", "b"], truth=[[1, 1]], task="multi")
    with pytest.raises(OptionError, match="single label"):
        table(many)


def test_the_weakest_class_comes_first_and_one_without_images_last():
    predictions = said([1, 1, 2, 2], [1, 1, 2, 1])
    assert [score.name for score in tables.weakest_first(predictions)] == ["horse", "dog", "cat"]


def test_of_equal_recalls_the_one_with_fewer_images_is_the_weaker():
    predictions = said([0, 0, 0, 0, 1, 1], [0, 0, 2, 2, 1, 2])
    assert [score.name for score in tables.weakest_first(predictions)] == ["dog", "cat", "horse"]


@light
@given(st.integers(0, 500), st.integers(1, 500))
def test_an_axis_never_cuts_an_interval_off(right, n):
    estimate = Estimate.of_share("accuracy", min(right, n), n)
    assert 0 <= tables.axis_start([estimate]) <= estimate.low


def test_an_axis_of_nothing_begins_at_nought():
    assert tables.axis_start([Estimate.undefined("recall", "Wilson 95 %", kind="share")]) == 0


def test_facts_are_grouped_and_spelled_out():
    network, weights, preprocessing = network_facts(
        {
            "name": "lite0",
            "parameters": 3_371_024,
            "source": {"trained_on": "ImageNet"},
            "preprocessing": {"mean": [0.5, 0.5, 0.5]},
        },
        "openvino bf16",
    )
    assert network.pairs == (("name", "lite0"), ("parameters", "3,371,024"), ("engine", "openvino bf16"))
    assert (weights.heading, weights.pairs) == ("Weights", (("trained on", "ImageNet"),))
    assert preprocessing.pairs == (("mean", "0.5, 0.5, 0.5"),)
    options = facts("Options", {"views": None, "bn_freeze": True, "rates": (1e-4, 1e-3), "deep": {"a": 1}})
    assert options.pairs == (
        ("views", "default"),
        ("bn freeze", "yes"),
        ("rates", "0.0001, 0.001"),
        ("deep", "a 1"),
    )
