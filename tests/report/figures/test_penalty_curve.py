import math

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from goldenrule.report.figures.drawing import BOTTOM, LEFT, RIGHT, TOP, WIDTH, nice_ticks
from goldenrule.report.figures.penalty_curve import HEIGHT, penalty_curve

light = settings(deadline=None, max_examples=100)
PATH = [(1e-1, 0.2), (1e-3, 0.11), (1e-2, 0.1), (1.0, 0.4)]
penalties = st.floats(1e-9, 1e6)
losses = st.floats(0, 35)


@light
@given(st.lists(st.tuples(penalties, losses), min_size=2, max_size=12))
def test_every_point_and_tick_lies_inside_the_drawing(path):
    assume(len({l2 for l2, _ in path}) > 1 and max(path)[0] / min(path)[0] > 1.001)
    drawn = penalty_curve(path, path[0][0])
    assert drawn is not None
    for point in drawn.points:
        assert LEFT <= point.x <= RIGHT
        assert TOP <= point.y <= HEIGHT - BOTTOM
    assert [p.x for p in drawn.points] == sorted(p.x for p in drawn.points)
    assert all(LEFT <= x <= WIDTH for x, _ in drawn.x_ticks)
    assert all(TOP <= y <= HEIGHT - BOTTOM for y, _ in drawn.y_ticks)
    assert len({label for _, label in drawn.y_ticks}) == len(drawn.y_ticks)


def test_the_points_stand_in_the_order_of_the_penalty_and_the_lowest_loss_lowest():
    drawn = penalty_curve(PATH, 1e-2)
    assert [point.l2 for point in drawn.points] == ["0.001 (1e-3)", "0.01", "0.1", "1"]
    assert [point.chosen for point in drawn.points] == [False, True, False, False]
    assert max(drawn.points, key=lambda point: point.y).loss == "0.100"
    assert [label for _, label in drawn.x_ticks] == ["10⁻³", "10⁻²", "10⁻¹", "10⁰"]


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        (1e-2, "The head has 0.01, with an out-of-fold log loss of 0.100, the lowest."),
        (1e-1, "The head has 0.1, with an out-of-fold log loss of 0.200; the lowest is 0.100 at 0.01."),
        (1.0, "That is the end of the tried range: a better one may lie beyond."),
        (0.5, "The head was fitted with 0.5."),
    ],
)
def test_the_sentence_says_what_was_taken_and_whether_it_is_the_lowest(chosen, said):
    sentence = penalty_curve(PATH, chosen).sentence
    assert sentence.startswith("4 penalties were tried, from 0.001 (1e-3) to 1.")
    assert said in sentence


@pytest.mark.parametrize("path", [[], [(1e-3, 0.1)], [(0.0, 0.1), (1.0, 0.2)], [(1.0, math.inf), (2.0, 0.1)]])
def test_less_than_two_points_are_no_curve(path):
    assert penalty_curve(path, 1.0) is None


@light
@given(losses, losses)
def test_ticks_enclose_the_values_in_round_steps(one, other):
    low, high = sorted((one, other))
    ticks = nice_ticks(low, high)
    assert ticks[0] <= low + 1e-9
    assert ticks[-1] >= high - 1e-9
    assert 2 <= len(ticks) <= 8


def test_what_else_the_head_adds_is_said():
    assert "discriminant analysis" not in penalty_curve(PATH, 1e-2).sentence
    added = penalty_curve(PATH, 1e-2, shrinkage=0.35).sentence
    assert added.endswith("its own loss stands at the candidates.")
    assert "of a shrinkage of 0.35" in added
