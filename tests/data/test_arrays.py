"""Arrays become a folder of PNG files that any other command can read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from goldenrule.core.errors import InputError, OptionError
from goldenrule.data.arrays import from_arrays
from goldenrule.data.pictures.decode import decode
from goldenrule.data.sources.label_tables import from_source

DRAWS = np.random.default_rng(0)


def pictures(count: int, *shape: int) -> list[np.ndarray]:
    return [DRAWS.integers(0, 256, shape).astype(np.uint8) for _ in range(count)]


def test_pixels_labels_and_groups_come_back_as_they_were(tmp_path: Path) -> None:
    images = pictures(6, 20, 30, 3)
    table = from_arrays(images, ["b, very", "a"] * 3, folder=tmp_path / "set", groups=list("xxyyzz"))
    assert table.classes == ("a", "b, very")
    assert table.targets.tolist() == [1, 0] * 3
    assert table.rows["group"].to_pylist() == list("xxyyzz")
    for image, uri in zip(images, table.uris, strict=True):
        np.testing.assert_array_equal(decode(table.read(uri)), image)


def test_a_later_command_finds_the_same_labels_in_the_folder(tmp_path: Path) -> None:
    table = from_arrays(pictures(4, 8, 8, 3), [["a", "b"], ["a"], ["b", "c"], ["c"]], folder=tmp_path / "set")
    again = from_source(tmp_path / "set", group_by="none")
    assert again.classes == table.classes == ("a", "b", "c")
    assert again.rows["labels"].to_pylist() == table.rows["labels"].to_pylist() == [[0, 1], [0], [1, 2], [2]]


def test_gray_and_16_bit_arrays_are_images_too(tmp_path: Path) -> None:
    gray = DRAWS.integers(0, 256, (9, 7)).astype(np.uint8)
    deep = gray.astype(np.uint16) * 257
    table = from_arrays([gray, deep], ["a", "b"], folder=tmp_path / "set")
    for uri in table.uris:
        np.testing.assert_array_equal(decode(table.read(uri))[:, :, 0], gray)


def test_the_same_arrays_again_change_nothing_and_others_are_refused(tmp_path: Path) -> None:
    images = pictures(3, 8, 8, 3)
    from_arrays(images, ["a", "b", "a"], folder=tmp_path / "set")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "set" / "images").iterdir()}
    from_arrays(images, ["a", "b", "a"], folder=tmp_path / "set")
    for others, labels in (
        (images[::-1], ["a", "b", "a"]),
        (images, ["a", "b", "b"]),
        (images[:2], ["a", "b"]),
    ):
        with pytest.raises(OptionError, match="holds other files or images"):
            from_arrays(others, labels, folder=tmp_path / "set")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "set" / "images").iterdir()} == before


@pytest.mark.parametrize(
    "image",
    [np.zeros((4, 4, 3)), np.zeros((4, 4, 3), np.int64), np.zeros((3, 8, 8), np.uint8), np.zeros((0, 4), np.uint8)],
)
def test_arrays_that_are_no_pictures_are_refused_with_what_is_wanted(tmp_path: Path, image: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"Image 0 is an array .*: wanted \(height, width, 3\) of uint8"):
        from_arrays([image], ["a"], folder=tmp_path / "set")
    with pytest.raises(InputError, match="1 images and 2 labels"):
        from_arrays([image], ["a", "b"], folder=tmp_path / "set")
