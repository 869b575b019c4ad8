import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldenrule.core.errors import InputError
from goldenrule.core.findings import Finding
from goldenrule.data.sources.folders import from_folder
from goldenrule.data.table import ImageTable, image_table
from goldenrule.notebook import images_html
from goldenrule.runs.store import about_images
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


def indexed(images: int) -> ImageTable:
    """Return the index of so many images in a hundred classes, without the images."""
    numbers = range(images)
    return image_table(
        Path("/photos"),
        [f"class_{number:02d}" for number in range(100)],
        uris=[f"train/class_{number % 100:02d}/n{number:08d}.jpg" for number in numbers],
        splits=["train" if number % 5 else "valid" for number in numbers],
        labels=[[number % 100] for number in numbers],
    ).with_digests([number.to_bytes(32, "little") for number in numbers])


def test_an_image_costs_about_a_hundred_bytes_of_index() -> None:
    assert indexed(20_000).rows.nbytes / 20_000 < 120


@pytest.mark.parametrize(
    ("asked", "most_bytes"),
    [
        (lambda table: table.targets, 40),
        (lambda table: table.teaching, 20),
        (lambda table: table.split("train").rows.num_rows, 20),
        (lambda table: table.counts(), 50),
        (lambda table: repr(table), 20),
        (about_images, 60),
    ],
    ids=["targets", "teaching", "split", "counts", "repr", "about_images"],
)
def test_what_a_fit_asks_of_a_table_makes_no_list_of_all_images(
    asked: Callable[[ImageTable], object], most_bytes: int
) -> None:
    peaks = []
    for images in (15_000, 30_000):
        table = indexed(images)
        asked(table)  # imports are not counted
        tracemalloc.start()
        asked(table)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert (peaks[1] - peaks[0]) / 15_000 < most_bytes


@given(
    labels=st.lists(st.lists(st.integers(0, 2), max_size=3, unique=True), min_size=1, max_size=8),
    splits=st.lists(st.sampled_from(["train", "valid", "test", None]), min_size=8, max_size=8),
    picked=st.lists(st.booleans(), min_size=8, max_size=8),
)
def test_columns_say_what_the_rows_say(labels: list[list[int]], splits: list[str | None], picked: list[bool]) -> None:
    count = len(labels)
    whole = image_table(Path(), "abc", uris=list(map(str, range(count))), splits=splits[:count], labels=labels)
    table = whole.where(np.array(picked[:count]))
    rows = [row for row, taken in zip(labels, picked, strict=False) if taken]
    parts = [split for split, taken in zip(splits, picked[:count], strict=False) if taken]
    if table.task == "single":
        assert table.targets.tolist() == [row[0] if row else -1 for row in rows]
    else:
        assert table.truth.tolist() == [[int(c in row) for c in range(3)] if row else [-1] * 3 for row in rows]
    assert table.teaching.tolist() == [bool(row) and part == "train" for row, part in zip(rows, parts, strict=True)]
    assert table.split("valid").uris == [uri for uri, part in zip(table.uris, parts, strict=True) if part == "valid"]
    for split in ("train", "valid", "test", None):
        of_split = [row for row, part in zip(rows, parts, strict=True) if part == split]
        found = table.counts().get(split or "all", dict.fromkeys([*"abc", ""], 0))
        assert found == {**{name: sum(at in row for row in of_split) for at, name in enumerate("abc")},
                         "": sum(not row for row in of_split)}  # fmt: skip
