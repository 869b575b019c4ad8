"""The parts of a batch: every image is in one of them, whatever the sizes."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from goldenrule.training.inputs.parts import Part


@given(count=st.integers(1, 200), world=st.integers(1, 8), more=st.integers(0, 20))
def test_each_image_of_each_batch_is_in_one_part_and_all_parts_have_as_many_batches(
    count: int, world: int, more: int
) -> None:
    size = world + more
    rows = np.arange(count)[::-1].copy()
    parts = [Part(rank, world) for rank in range(world)]
    batches: list[list[list[int]]] = []
    for part in parts:
        mine, idle = part.rows(rows, size)
        local = part.size(size)
        cut = [mine[first : first + local].tolist() for first in range(0, len(mine), local)]
        if idle:
            assert cut[-1] == [rows[-(count % size or size)]], "the first of the last batch, which counts nothing"
            cut[-1] = []
        batches.append(cut)
    assert {len(cut) for cut in batches} == {-(-count // size)}
    for number in range(-(-count // size)):
        together = [row for cut in batches for row in cut[number]]
        assert together == rows[number * size : (number + 1) * size].tolist()
