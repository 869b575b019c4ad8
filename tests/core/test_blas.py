"""NumPy's products take one thread while anyone asks for it, and what they took before afterwards."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import threadpool_info, threadpool_limits

from goldenrule.core.blas import one_blas_thread


def threads() -> set[int]:
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


@given(st.permutations(range(3)))
def test_it_holds_until_the_last_one_has_ended_in_whatever_order(order: list[int]) -> None:
    with threadpool_limits(2, user_api="blas"):
        users = [contextlib.ExitStack() for _ in order]
        for user in users:
            user.enter_context(one_blas_thread())
            assert threads() == {1}
        for number in order:
            assert threads() == {1}
            users[number].close()
        assert threads() == {2}
