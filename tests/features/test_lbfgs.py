"""L-BFGS on problems whose minimum is known."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goldenrule.features.lbfgs import MOST_ITERATIONS, Numbers, minimize

Floats = npt.NDArray[np.float32]


def quadratics(
    seed: int, problems: int, size: int, condition: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Symmetric matrices (problems, size, size) with eigenvalues from 1 to `condition`, and their minimisers."""
    draws = np.random.default_rng(seed)
    turned = np.linalg.qr(draws.normal(size=(problems, size, size)))[0]
    values = np.geomspace(1, condition, size)
    return turned * values @ turned.transpose(0, 2, 1), draws.normal(size=(problems, size))


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000),
    problems=st.integers(1, 4),
    size=st.integers(1, 12),
    condition=st.sampled_from([1.0, 10.0, 300.0]),
)
def test_quadratics_are_minimised_each_by_itself(seed: int, problems: int, size: int, condition: float) -> None:
    matrices, wanted = quadratics(seed, problems, size, condition)

    def function(x: Floats, which: Numbers) -> tuple[npt.NDArray[np.float64], Floats]:
        offset = x - wanted[which]
        gradient = np.einsum("pij,pj->pi", matrices[which], offset)
        return 1 + 0.5 * np.einsum("pi,pi->p", offset, gradient), gradient.astype(np.float32)

    start = np.zeros((problems, size), np.float32)
    found, iterations = minimize(function, start, np.ones(size, np.float32), tolerance=1e-8)
    assert found == pytest.approx(wanted, abs=2e-3)
    assert iterations < MOST_ITERATIONS
    assert (start == 0).all()


def test_a_true_diagonal_solves_a_diagonal_problem_at_once() -> None:
    values = np.geomspace(1, 1e5, 9)
    wanted = np.linspace(-2, 2, 9)

    def function(x: Floats, _: Numbers) -> tuple[npt.NDArray[np.float64], Floats]:
        offset = x - wanted
        return 1 + 0.5 * (values * offset**2).sum(axis=1), (values * offset).astype(np.float32)

    found, iterations = minimize(function, np.zeros((1, 9), np.float32), values.astype(np.float32), tolerance=1e-6)
    assert iterations <= 2
    assert found[0] == pytest.approx(wanted, abs=1e-3)


def test_a_start_at_the_minimum_stays() -> None:
    def function(x: Floats, _: Numbers) -> tuple[npt.NDArray[np.float64], Floats]:
        return 1 + 0.5 * (x.astype(np.float64) ** 2).sum(axis=1), x

    start = np.zeros((2, 3), np.float32)
    found, iterations = minimize(function, start, np.ones(3, np.float32), tolerance=1e-9)
    assert iterations == 0
    assert (found == 0).all()


def test_a_problem_that_is_done_does_not_move_while_another_goes_on() -> None:
    asked: list[list[int]] = []

    def function(x: Floats, which: Numbers) -> tuple[npt.NDArray[np.float64], Floats]:
        asked.append(which.tolist())
        wanted = np.array([[0.0, 0.0], [30.0, -70.0]])[which]
        scale = np.array([[1.0, 1.0], [1.0, 400.0]])[which]
        offset = x - wanted
        return 1 + 0.5 * (scale * offset**2).sum(axis=1), (scale * offset).astype(np.float32)

    found, iterations = minimize(function, np.zeros((2, 2), np.float32), np.ones(2, np.float32), tolerance=1e-9)
    assert iterations > 1
    assert (found[0] == 0).all()
    assert asked[0] == [0, 1]
    assert all(which == [1] for which in asked[1:]), "what is done is not computed again"
    assert found[1] == pytest.approx([30, -70], abs=1e-2)


def test_a_function_that_can_t_be_lowered_ends() -> None:
    def function(x: Floats, _: Numbers) -> tuple[npt.NDArray[np.float64], Floats]:
        return np.ones(len(x)), np.ones_like(x)  # a gradient that lies

    found, iterations = minimize(function, np.zeros((1, 2), np.float32), np.ones(2, np.float32), tolerance=1e-9)
    assert iterations <= MOST_ITERATIONS
    assert np.isfinite(found).all()
