"""Near duplicates: what is the same picture after all is found, what only looks like it is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from goldenrule.data.duplicates.likeness import FREQUENCIES, alike, description, mirrored


def gray(image: Image.Image) -> npt.NDArray[np.uint8]:
    return np.asarray(image.convert("L"))


@pytest.fixture(scope="module")
def cats(photos: Callable[[str], Path]) -> list[Image.Image]:
    files = sorted((photos("dogscats") / "train" / "cats").iterdir())[:12]
    return [Image.open(file).convert("RGB") for file in files]


def test_a_mirrored_picture_has_the_mirrored_description(cats: list[Image.Image]) -> None:
    for cat in cats[:4]:
        flipped = description(gray(cat.transpose(Image.Transpose.FLIP_LEFT_RIGHT)))
        ours = description(gray(cat))
        assert flipped is not None
        assert ours is not None
        np.testing.assert_allclose(mirrored(ours[None])[0], flipped, atol=0.05)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 255))
def test_a_flat_picture_has_no_description_so_that_flat_ones_are_not_alike(level: int) -> None:
    assert description(np.full((40, 60), level, np.uint8)) is None


def clusters(count: int, copies: int, noise: float, seed: int) -> list[npt.NDArray[np.float32]]:
    draws = np.random.default_rng(seed)
    centres = draws.standard_normal((count, 1, FREQUENCIES**2 - 1))
    rows = (centres + noise * draws.standard_normal((count, copies, FREQUENCIES**2 - 1))).reshape(count * copies, -1)
    return [np.float32(1) * (row / np.linalg.norm(row)).astype(np.float32) for row in rows]


@settings(deadline=None, max_examples=20)
@given(st.integers(2, 300), st.integers(1, 3), st.integers(0, 9))
def test_candidates_are_those_that_comparing_every_pair_finds(count: int, copies: int, seed: int) -> None:
    descriptions = clusters(count, copies, 0.2, seed)
    table = np.stack(descriptions)
    cosines = np.maximum(table @ table.T, table @ mirrored(table).T)
    wanted = {(one, other) for one, other in np.argwhere(np.triu(cosines >= 0.9, 1)).tolist()}
    found = alike(descriptions, least=0.9)
    pairs = {(pair.first, pair.second) for pair in found}
    assert pairs <= wanted
    assert len(pairs) >= 0.97 * len(wanted)
    assert all(abs(pair.cosine - cosines[pair.first, pair.second]) < 1e-5 for pair in found)


def test_rows_without_a_description_keep_the_numbers_of_the_others() -> None:
    one = clusters(1, 1, 0, 0)[0]
    (pair,) = alike([None, one, None, mirrored(one[None])[0]])
    assert (pair.first, pair.second, pair.mirrored) == (1, 3, True)
    assert alike([None, one]) == alike([]) == []
