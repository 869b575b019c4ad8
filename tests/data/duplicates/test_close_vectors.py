"""Close vectors are found without comparing each with each: nearly those that comparing every pair finds."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goldenrule.data.duplicates import close_vectors as neighbours
from goldenrule.data.duplicates.close_vectors import Floats, close_pairs

FEATURES = 40


@pytest.fixture(scope="module", params=["tables", "every pair"], autouse=True)
def way(request: pytest.FixtureRequest) -> Iterator[str]:
    """Both ways to search, whatever the number of rows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbours, "FEW", 0 if request.param == "tables" else 10**9)
        yield request.param


def clusters(count: int, copies: int, noise: float, seed: int, offset: float = 0.0) -> Floats:
    draws = np.random.default_rng(seed)
    centres = draws.standard_normal((count, 1, FEATURES)) + offset
    rows = (centres + noise * draws.standard_normal((count, copies, FEATURES))).reshape(count * copies, -1)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def of(rows: Floats, least: float) -> set[tuple[int, int]]:
    return {(one, other) for one, other in np.argwhere(np.triu(rows @ rows.T >= least, 1)).tolist()}


@settings(deadline=None, max_examples=20)
@given(st.integers(30, 300), st.integers(1, 3), st.sampled_from([0.0, 2.0]), st.integers(0, 9))
def test_nearly_all_close_pairs_are_found_and_no_others(count: int, copies: int, offset: float, seed: int) -> None:
    rows = clusters(count, copies, 0.2, seed, offset)
    wanted = of(rows, 0.9)
    found = close_pairs(rows, least=0.9, most=len(rows), origin=rows.mean(axis=0))
    pairs = set(zip(found.first.tolist(), found.second.tolist(), strict=True))
    assert pairs <= of(rows, 0.9 - 1e-6)  # at the bound itself the last bit decides
    assert len(pairs) == len(found.first)
    np.testing.assert_allclose(found.cosine, np.einsum("ij,ij->i", rows[found.first], rows[found.second]), atol=1e-5)
    if offset == 0.0:
        assert len(pairs) >= 0.97 * len(wanted)


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 60), st.integers(1, 3), st.integers(0, 9))
def test_of_few_rows_every_pair_is_found(count: int, copies: int, seed: int) -> None:
    rows = clusters(count, copies, 0.2, seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbours, "FEW", len(rows))
        found = close_pairs(rows, least=-0.1, most=len(rows))
    assert set(zip(found.first.tolist(), found.second.tolist(), strict=True)) == of(rows, -0.1)


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 100), st.integers(0, 9))
def test_another_face_of_a_row_is_looked_for_but_never_looks_itself(count: int, seed: int) -> None:
    ours = clusters(count, 1, 0.0, seed)
    faces = np.concatenate([ours, ours[::-1]])
    found = close_pairs(faces, least=0.99, among=count)
    pairs = set(zip(found.first.tolist(), found.second.tolist(), strict=True))
    assert pairs == {(i, 2 * count - 1 - i) for i in range(count) if i != count - 1 - i}


@settings(deadline=None, max_examples=20)
@given(st.integers(2, 400), st.integers(1, 4), st.integers(0, 9))
def test_a_pair_stays_only_where_it_is_among_the_closest_of_a_row(count: int, most: int, seed: int) -> None:
    rows = clusters(1, count, 0.5, seed)
    found = close_pairs(rows, least=0.0, most=most)
    assert len(found.first) <= most * count
    nearest = np.argsort(-(rows @ rows.T - 3 * np.eye(count)), axis=1)[:, 0]
    pairs = set(zip(found.first.tolist(), found.second.tolist(), strict=True))
    assert sum((min(i, j), max(i, j)) in pairs for i, j in enumerate(nearest.tolist())) >= 0.9 * count


def test_the_same_rows_give_the_same_pairs() -> None:
    rows = clusters(200, 2, 0.3, 0)
    for one, other in zip(close_pairs(rows, least=0.5), close_pairs(rows, least=0.5), strict=True):
        np.testing.assert_array_equal(one, other)
