from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from goldenrule.core.errors import InputError
from goldenrule.core.findings import Finding
from goldenrule.data.sources.folders import from_folder
from goldenrule.data.table import ImageTable, image_table
from goldenrule.notebook import images_html
from goldenrule.storage.files import digest


@pytest.fixture
def table():
    return image_table(
        Path("set"),
        ["<b>cat</b>", "dog"],
        uris=["a", "b", "c", "d"],
        splits=["test", "train", None, "train"],
        labels=[[], [1], [0], [1]],
    )


def test_counts_are_by_part_and_class_name_with_the_unlabelled_ones(table):
    assert table.counts() == {
        "train": {"<b>cat</b>": 0, "dog": 2, "": 0},
        "test": {"<b>cat</b>": 0, "dog": 0, "": 1},
        "all": {"<b>cat</b>": 1, "dog": 0, "": 0},
    }
    assert table.targets.tolist() == [-1, 1, 0, 1]


def test_guessing_costs_the_logarithm_of_the_classes_and_of_two_for_each_of_several_labels(table):
    assert table.guessing_loss == pytest.approx(np.log(2))
    five = [str(number) for number in range(5)]
    one, several = (
        image_table(Path("x"), five, uris=["a"], splits=["train"], labels=[value]) for value in ([0], [0, 3])
    )
    assert one.guessing_loss == pytest.approx(np.log(5))
    assert several.guessing_loss == pytest.approx(np.log(2))


def test_a_table_never_changes_but_gives_others(table):
    changed = table.with_splits(["valid"] * 4).with_digests([digest(b"x")] * 4)
    changed = changed.with_findings(Finding(severity="note", code="x"))
    assert table.splits == ["test", "train", None, "train"]
    assert table.digests == [None] * 4
    assert table.findings == ()
    assert changed.splits == ["valid"] * 4
    assert len(changed.findings) == 1
    with pytest.raises(AttributeError):
        table.classes = ()


def test_a_part_and_a_mask_keep_the_order_and_the_class_map(table):
    assert table.split("train").uris == ["b", "d"]
    assert table.split("valid").uris == []
    assert table.where(np.array([True, False, False, True])).uris == ["a", "d"]
    assert table.split("train").classes == table.classes


def test_bytes_are_those_of_the_file(picture_folder):
    root = picture_folder(each=1)
    table = from_folder(root)
    assert table.read("red/00.png") == (root / "red" / "00.png").read_bytes()
    with table.open("red/00.png") as file:
        assert file.read(4) == b"\x89PNG"


def test_names_of_classes_are_text_in_a_notebook_and_not_html(table):
    assert "<b>cat</b>" not in images_html(table)
    assert "&lt;b&gt;cat&lt;/b&gt;" in images_html(table)
    assert repr(table) == "ImageTable(4 images, 2 classes, {'train': 2, 'test': 1, 'all': 1})"


def test_several_labels_of_an_image_are_not_taken_for_one():
    several = image_table(Path(), ["a", "b"], uris=["x"], splits=[None], labels=[[0, 1]])
    with pytest.raises(InputError, match="several labels"):
        _ = several.targets


def test_other_columns_are_an_input_error():
    with pytest.raises(InputError, match=r"has the columns \['uri'.*got \['x'\]"):
        ImageTable(Path(), ("a",), pa.table({"x": [1]}))


def test_an_image_costs_bytes_of_index_and_never_its_pixels():
    """Law 12: a million images with names of 20 letters and digests fit in 110 MB."""
    count = 20_000
    names = [f"class_a/photo_{number:06d}.jpg" for number in range(count)]
    table = image_table(Path(), ["class_a"], uris=names, splits=["train"] * count, labels=[[0]] * count)
    table = table.with_digests([digest(name.encode()) for name in names])
    assert table.rows.nbytes / count < 110
