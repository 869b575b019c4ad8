"""The plan is a pure function of counts, options and speed."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldenrule.models.layers import HeadKind
from goldenrule.training.plan import DEFAULT_VIEWS, plan_quick_fit

numbers = st.fixed_dictionaries(
    {
        "images": st.integers(4, 10**7),
        "train_images": st.integers(2, 10**7),
        "missing_plain": st.integers(0, 10**7),
        "missing_augmented": st.integers(0, 10**8),
        "features": st.integers(1, 4096),
        "classes": st.integers(2, 10_000),
        "views": st.none() | st.integers(0, 64),
        "views_per_second": st.none() | st.floats(0.1, 10_000),
        "head": st.sampled_from(get_args(HeadKind)),
    }
)
COUNTS = ("images", "train_images", "missing_plain", "missing_augmented", "classes")
EXAMPLE: dict[str, Any] = {
    "images": 1000,
    "train_images": 800,
    "missing_plain": 1000,
    "missing_augmented": 3200,
    "features": 1280,
    "classes": 2,
    "views": None,
    "views_per_second": 200.0,
}


@given(numbers)
def test_the_same_numbers_give_the_same_plan(value: dict[str, Any]) -> None:
    assert plan_quick_fit(**value) == plan_quick_fit(**value)


@given(numbers, st.sampled_from(COUNTS), st.integers(1, 10**6))
def test_more_of_anything_never_takes_less(value: dict[str, Any], name: str, more: int) -> None:
    small, large = plan_quick_fit(**value), plan_quick_fit(**(value | {name: value[name] + more}))
    assert large.seconds >= small.seconds
    assert large.stored_bytes >= small.stored_bytes


@given(numbers, st.floats(1.1, 100))
def test_a_faster_machine_never_takes_longer(value: dict[str, Any], factor: float) -> None:
    speed = value["views_per_second"] or 100.0
    slow, fast = (plan_quick_fit(**(value | {"views_per_second": one})) for one in (speed, speed * factor))
    assert fast.seconds <= slow.seconds
    assert fast.stored_bytes == slow.stored_bytes


@given(numbers)
def test_the_whole_is_the_sum_of_the_steps(value: dict[str, Any]) -> None:
    plan = plan_quick_fit(**value)
    assert plan.seconds == pytest.approx(sum(step.seconds for step in plan.steps))
    assert plan.stored_bytes == sum(step.stored_bytes for step in plan.steps)
    assert all(step.seconds >= 0 for step in plan.steps)


def test_views_that_the_plain_head_decides_on_say_so() -> None:
    conditions = [step.condition for step in plan_quick_fit(**EXAMPLE).steps]
    assert conditions == [
        "",
        "",
        "",
        "if the plain head is taken and leaves room",
        "if the plain head is taken and leaves room",
        "",
    ]


def test_views_that_were_asked_for_have_no_condition() -> None:
    plan = plan_quick_fit(**(EXAMPLE | {"views": DEFAULT_VIEWS}))
    assert [step.condition for step in plan.steps] == [""] * 6
    assert plan.seconds == plan_quick_fit(**EXAMPLE).seconds


def test_without_views_there_are_four_steps() -> None:
    names = [step.name for step in plan_quick_fit(**(EXAMPLE | {"views": 0})).steps]
    assert names == ["read 1,000 images", "precompute 1,000 plain views", "fit the linear head", "evaluate and report"]


def test_what_the_bank_has_costs_nothing() -> None:
    plan = plan_quick_fit(**(EXAMPLE | {"missing_plain": 0, "missing_augmented": 0}))
    assert plan.stored_bytes == 0
    assert [step.seconds for step in plan.steps if "precompute" in step.name] == [0, 0]
