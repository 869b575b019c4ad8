"""Law 6: a draw depends on what it is for, never on what was drawn before."""

from hypothesis import given
from hypothesis import strategies as st

from goldenrule.core.randomness import generator, key

parts = st.lists(st.integers(-(2**70), 2**70) | st.text(max_size=6) | st.binary(max_size=6), max_size=4)


@given(st.integers(), st.text(max_size=6), parts, st.integers(), st.text(max_size=6), parts)
def test_keys_are_equal_exactly_where_everything_is_equal(seed, purpose, some, seed_2, purpose_2, others):
    one, other = (seed, purpose, *some), (seed_2, purpose_2, *others)
    same = [(type(part), part) for part in one] == [(type(part), part) for part in other]
    assert (key(*one) == key(*other)) == same
    assert key(*one) == key(*one)


def test_parts_that_run_together_or_look_alike_have_keys_of_their_own():
    alike = [(0, "a", "bc"), (0, "ab", "c"), (0, "a", b"bc"), (0, "a", "b", "c"), (0, "a", 1), (0, "a", "1"), (0, "a")]
    assert len({key(*one) for one in alike}) == len(alike)


def test_draws_do_not_depend_on_order_or_on_other_generators():
    wanted = {view: generator(3, "view", view, b"image").random(4).tolist() for view in range(5)}
    for view in reversed(range(5)):
        generator(99, "noise").random(17)
        assert generator(3, "view", view, b"image").random(4).tolist() == wanted[view]
    assert len({tuple(draw) for draw in wanted.values()}) == 5


def test_draws_are_those_that_stored_activations_were_made_with():
    assert key(0, "view", 1, b"x").hex() == "4938badbd12697d34808f55d384297359aa4dfc3aae5960a5d09af0c84971496"
    assert generator(0, "view", 1, b"x").integers(1000, size=4).tolist() == [214, 129, 277, 570]
