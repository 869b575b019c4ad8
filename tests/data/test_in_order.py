"""Many items worked on in threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldenrule.data.in_order import AHEAD, in_order


@given(st.lists(st.integers(), max_size=200), st.integers(1, 4))
def test_results_come_in_the_order_of_the_items(items: list[int], threads: int) -> None:
    assert list(in_order(lambda item: item + 1, items, threads=threads)) == [item + 1 for item in items]


def test_no_more_are_begun_than_may_wait() -> None:
    begun = 0

    def endless() -> Iterator[int]:
        nonlocal begun
        while True:
            begun += 1
            yield begun

    results = in_order(lambda item: item, endless(), threads=2)
    assert [next(results) for _ in range(100)] == list(range(1, 101))
    assert begun <= 100 + 2 * AHEAD
    results.close()


def test_an_error_comes_in_the_place_of_its_result_and_what_waits_is_not_begun() -> None:
    done, told = list[int](), threading.Event()

    def work(item: int) -> int:
        if item == 3:
            threading.Timer(0.5, told.set).start()
            raise ValueError("three")
        if item > 3:
            told.wait(10)
        done.append(item)
        return item

    results = in_order(work, range(1000), threads=1)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(results)
    assert done == [0, 1, 2, 4], "the one that was worked on ends, the others of its thread are given up"
