"""Arrays in files: what comes back is what was written, or a clear error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from goldenrule.core.errors import FormatError
from goldenrule.storage.tensors import Tensors, array_of, check_like, read_tensors, tensors_content

TENSORS: Tensors = {
    "weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "half": np.array([0.5, -1.0], np.float16),
    "count": np.array(7),
    "empty": np.zeros((0, 4), np.float32),
    "turned": np.arange(6.0).reshape(2, 3).T,
}


def same(one: Tensors, other: Tensors) -> bool:
    return one.keys() == other.keys() and all(
        one[name].dtype == value.dtype and one[name].shape == value.shape and one[name].tobytes() == value.tobytes()
        for name, value in other.items()
    )


def test_arrays_and_texts_come_back(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(tensors_content(TENSORS, facts='{"a": "é"}'))
    tensors, texts = read_tensors(tmp_path / "file")
    assert same(tensors, TENSORS)
    assert texts == {"facts": '{"a": "é"}'}


def test_a_file_without_a_checksum_is_none_of_ours(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(save({"weight": TENSORS["weight"]}, metadata={"facts": "{}"}))
    with pytest.raises(FormatError, match="checksum"):
        read_tensors(tmp_path / "file")


CONTENT = tensors_content(TENSORS, facts="{}")


@settings(deadline=None, max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 8 * len(CONTENT) - 1))
def test_any_flipped_bit_is_told_or_changes_nothing(tmp_path: Path, bit: int) -> None:
    damaged = bytearray(CONTENT)
    damaged[bit // 8] ^= 1 << bit % 8
    (tmp_path / "file").write_bytes(damaged)
    try:
        tensors, texts = read_tensors(tmp_path / "file")
    except FormatError:
        return
    assert same(tensors, TENSORS)
    assert texts == {"facts": "{}"}


def test_a_flipped_bit_among_the_values_is_told(tmp_path: Path) -> None:
    damaged = bytearray(CONTENT)
    damaged[-3] ^= 1
    (tmp_path / "file").write_bytes(damaged)
    with pytest.raises(FormatError, match=r"file is damaged \(its checksum is wrong\)"):
        read_tensors(tmp_path / "file")


@pytest.mark.parametrize("length", [0, 5, len(CONTENT) // 2, len(CONTENT) - 1])
def test_a_file_that_was_cut_is_told(tmp_path: Path, length: int) -> None:
    (tmp_path / "file").write_bytes(CONTENT[:length])
    with pytest.raises(FormatError, match=r"file is damaged .*copy it again, whole"):
        read_tensors(tmp_path / "file")


def test_arrays_are_like_themselves_whatever_they_hold() -> None:
    every = {**TENSORS, "marks": np.array([True, False])}
    check_like(every, {name: array_of(value) for name, value in every.items()}, what="these")


def test_an_array_that_is_missing_or_too_many_is_named() -> None:
    like = {name: array_of(value) for name, value in TENSORS.items()}
    with pytest.raises(FormatError, match="weight is missing"):
        check_like({name: value for name, value in TENSORS.items() if name != "weight"}, like, what="these")
    with pytest.raises(FormatError, match="more is not of it"):
        check_like({**TENSORS, "more": np.zeros(1)}, like, what="these")
