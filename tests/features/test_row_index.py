"""The index of a cache's rows says what a dictionary would."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldenrule.features import row_index
from goldenrule.features.row_index import RowIndex

EVERY = [bytes([first, *[0] * 29, last, end]) for first in (1, 9) for last in (0, 7) for end in (0, 3)]
"""Digests that end with zeros too, which text of numpy's loses."""
CHUNKS = st.lists(st.lists(st.sampled_from([*EVERY, b""]), max_size=6), max_size=8)


@given(chunks=CHUNKS, fewest=st.integers(1, 9))
def test_it_finds_what_a_dictionary_finds_however_often_it_sorts(chunks: list[list[bytes]], fewest: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(row_index, "FEWEST_RECENT", fewest)
        index, known = RowIndex(), dict[bytes, tuple[int, int]]()
        for number, chunk in enumerate(chunks):
            index.add(chunk, number)
            for place, digest in enumerate(chunk):
                if digest:
                    known.setdefault(digest, (number, place))
    assert len(index) == len(known)
    assert index.has([*EVERY, b""]).tolist() == [*(digest in known for digest in EVERY), False]
    assert [digest in index for digest in EVERY] == [digest in known for digest in EVERY]
    there = list(known)[::-1]
    found, places = index.find(there)
    assert list(zip(found.tolist(), places.tolist(), strict=True)) == [known[digest] for digest in there]
    for digest in set(EVERY) - set(known):
        with pytest.raises(KeyError):
            index.find([digest])


def test_an_image_takes_48_bytes_but_for_the_newest() -> None:
    index, draws = RowIndex(), np.random.default_rng(0)
    for chunk in range(20):
        index.add([draws.bytes(32) for _ in range(2048)], chunk)
    assert len(index) == 40960
    assert len(index._recent) < row_index.FEWEST_RECENT
    arrays = (index._digests, index._chunks, index._places)
    assert sum(one.nbytes for one in arrays) == 48 * (40960 - len(index._recent))
