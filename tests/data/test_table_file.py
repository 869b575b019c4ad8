import contextlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goldenrule.core.errors import FormatError
from goldenrule.data.table import image_table
from goldenrule.data.table_file import table_content, table_of
from goldenrule.storage.files import digest

ROWS = st.lists(
    st.tuples(
        st.text(min_size=1),
        st.sampled_from(["train", "valid", "test", None]),
        st.lists(st.integers(0, 2), max_size=3, unique=True),
        st.one_of(st.none(), st.text()),
        st.one_of(st.none(), st.binary(max_size=5)),
        st.floats(0, 10, width=32),
    )
)


@settings(deadline=None, max_examples=40)  # each writes with fsync
@given(ROWS)
def test_a_table_is_read_back_as_it_was_written(tmp_path_factory, rows):
    uris, splits, labels, groups, contents, weights = zip(*rows, strict=True) if rows else ((),) * 6
    root = tmp_path_factory.mktemp("kept")
    table = image_table(root, ["a", "b b", "ü"], uris=uris, splits=splits, labels=labels).with_groups(groups)
    table = table.with_digests([None if one is None else digest(one) for one in contents])
    table = table.with_weights(np.array(weights, np.float32)).with_folds(groups)
    again = table_of(table_content(table), root / "images.arrow")
    assert again.rows.equals(table.rows)
    assert (again.classes, again.root) == (table.classes, table.root)


@pytest.mark.parametrize("content", [b"", b"ARROW1 no table", b"x" * 500])
def test_what_is_no_table_is_a_clear_error(tmp_path, content):
    with pytest.raises(FormatError, match="no list of images"):
        table_of(content, tmp_path / "images.arrow")


def test_the_table_of_a_newer_version_is_refused_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr("goldenrule.data.table_file.SCHEMA_VERSION", 2)
    content = table_content(image_table(Path("x"), ["a"], uris=[], splits=[], labels=[]))
    monkeypatch.setattr("goldenrule.data.table_file.SCHEMA_VERSION", 1)
    with pytest.raises(FormatError, match="newer"):
        table_of(content, tmp_path / "images.arrow")


CONTENT = table_content(
    image_table(Path("x"), ["a", "b"], uris=["1.png", "2.png"], splits=["train", None], labels=[[0], [1]])
)


@settings(deadline=None, max_examples=300)
@given(st.integers(0, 8 * len(CONTENT) - 1))
def test_one_flipped_bit_never_reads_outside_of_the_file(bit):
    damaged = bytearray(CONTENT)
    damaged[bit // 8] ^= 1 << bit % 8
    with contextlib.suppress(FormatError):
        table = table_of(bytes(damaged), Path("images.arrow"))
        assert all(0 <= label < len(table.classes) for value in table.rows["labels"].to_pylist() for label in value)
