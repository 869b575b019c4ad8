"""Which card of a review comes first, and what stands on it."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from goldenrule.analysis.review_queue import (
    KINDS,
    ReviewedImages,
    Suspicion,
    copy_suspicions,
    counted,
    far_suspicions,
    label_suspicions,
    mistake_suspicions,
    review_queue,
)

CLASSES = ("cat", "dog", "horse")


def images(labels: list[int], chances: Any = None, **more: Any) -> ReviewedImages:
    count = len(labels)
    known = np.full((count, 3), np.nan) if chances is None else np.asarray(chances, np.float64)
    fields: dict[str, Any] = {
        "classes": CLASSES,
        "uris": [f"{row}.jpg" for row in range(count)],
        "splits": ["train"] * count,
        "labels": np.array(labels, np.int64),
        "units": list(range(count)),
        "same_file": [bytes([row]) for row in range(count)],
        "probabilities": known,
    }
    return ReviewedImages(**(fields | more))


def test_a_contradicted_label_is_suspect_and_the_least_probable_one_comes_first() -> None:
    four = images([0, 0, 1, 0], [[0.4, 0.5, 0.1], [0.05, 0.9, 0.05], [0.1, 0.8, 0.1], [np.nan] * 3])
    cards = review_queue(four, list(label_suspicions(four)))
    assert [card.rows for card in cards] == [(1,), (0,)]
    assert cards[0].reasons == ("Labelled cat; heads that have not seen it say dog (90 %).",)
    assert cards[0].suggested == "dog"


def test_copies_with_different_labels_come_before_all_and_the_likeliest_label_is_suggested() -> None:
    chances = [[0.2, 0.7, 0.1], [0.2, 0.7, 0.1], [0.9, 0.05, 0.05], [0.001, 0.998, 0.001]]
    four = images([0, 1, 0, 0], chances, units=["a", "a", "b", "c"], same_file=[b"a", b"a", b"b", b"c"])
    cards = review_queue(four, [*label_suspicions(four), *copy_suspicions(four)])
    assert [card.rows for card in cards] == [(0, 1), (3,)]
    assert cards[0].reasons[0] == "The same file is labelled cat and dog."
    assert (cards[0].suggested, cards[0].marked) == ("dog", (0,))
    assert cards[0].kinds == ("conflict", "label")


def test_of_a_leak_the_training_copy_is_suspect_and_of_copies_all_but_the_first() -> None:
    five = images(
        [0] * 5,
        units=["a", "a", "b", "b", "b"],
        splits=["test", "train", "train", "train", "train"],
        same_file=[b"a", b"a", b"1", b"2", b"3"],
    )
    leak, copies = review_queue(five, list(copy_suspicions(five)))
    assert (leak.kinds, leak.marked, leak.reasons) == (
        ("leak",),
        (1,),
        ("The same file is in train and test: the scores flatter.",),
    )
    assert (copies.kinds, copies.marked) == (("duplicate",), (3, 4))
    assert copies.reasons[0].startswith("Nearly the same picture is there 3 times")


def test_a_mistake_counts_where_the_classifier_was_confident() -> None:
    said = {"0.jpg": ("dog", 0.97, 0.01), "1.jpg": ("dog", 0.6, 0.3), "2.jpg": ("horse", 0.99, 0.99)}
    found = list(mistake_suspicions(images([0, 0, 2]), said))
    assert [(one.rows, one.suggested) for one in found] == [((0,), "dog")]
    assert found[0].doubt < 0.5, "after the labels that heads contradict out-of-fold"


def test_an_image_far_from_all_is_odd_and_of_images_that_are_alike_none_is() -> None:
    distances = np.array([0.2, 0.21, 0.19, 0.22, 0.2, 0.9, np.nan], np.float32)
    assert [one.rows for one in far_suspicions(distances)] == [(5,)]
    assert list(far_suspicions(np.full(9, 0.2, np.float32))) == []
    assert list(far_suspicions(np.full(3, np.nan, np.float32))) == []


@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=12),
    st.lists(
        st.tuples(st.integers(0, 11), st.sampled_from(KINDS), st.floats(0, 1)),
        max_size=15,
    ),
)
def test_every_suspect_image_is_on_one_card_with_its_copies_in_the_order_of_the_doubts(units: list, said: list) -> None:
    known = images([0] * len(units), units=units)
    suspicions = [
        Suspicion(kind=kind, rows=(row % len(units),), doubt=doubt, reason=f"{kind} {row}") for row, kind, doubt in said
    ]
    cards = review_queue(known, suspicions)
    assert [card.doubt for card in cards] == sorted((card.doubt for card in cards), reverse=True)
    on_cards = [row for card in cards for row in card.rows]
    assert len(on_cards) == len(set(on_cards))
    assert {units[one.rows[0]] for one in suspicions} == {units[card.rows[0]] for card in cards}
    for card in cards:
        assert {row for row, unit in enumerate(units) if unit == units[card.rows[0]]} == {*card.rows}
        assert {*card.marked} <= {*card.rows}
        assert card.doubt == max(one.doubt for one in suspicions if one.rows[0] in card.rows)
    assert len({card.id for card in cards}) == len(cards)
    assert sum(int(part.split()[0].replace(",", "")) for part in counted(cards).split(", ") if part) == len(cards)
